//! Submission queue entries (§4.2).

/// Bytes of an entry.
pub const BYTES: u64 = 64;

/// A command that this driver sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Number of I/O queues wanted, pairs of them, at least one (§5.21.1.7).
    SetQueueCount {
        /// Pairs.
        pairs: u16,
    },
    /// Makes an I/O completion queue that raises a message of its own (§5.3).
    CreateCompletion {
        /// Its number, from 1.
        queue: u16,
        /// Entries, at least 2.
        entries: u16,
        /// Bus address of its page.
        address: u64,
        /// Slot of the MSI-X table.
        slot: u16,
    },
    /// Makes an I/O submission queue for the completion queue with the same number (§5.4).
    CreateSubmission {
        /// Its number, from 1.
        queue: u16,
        /// Entries, at least 2.
        entries: u16,
        /// Bus address of its page.
        address: u64,
    },
    /// Ends a submission queue (§5.6).
    DeleteSubmission {
        /// Its number.
        queue: u16,
    },
    /// Ends a completion queue (§5.5).
    DeleteCompletion {
        /// Its number.
        queue: u16,
    },
    /// Makes what was written durable: an I/O command that moves no data (§6.8).
    Flush {
        /// The namespace.
        namespace: u32,
    },
}

/// Set Features: number of queues (§5.21.1, figure of feature identifiers).
const NUMBER_OF_QUEUES: u32 = 0x07;
/// A queue in one piece of memory; and interrupts on (§5.3, CDW11).
const CONTIGUOUS: u32 = 1;
const INTERRUPTS: u32 = 1 << 1;

impl Command {
    /// The entry's 16 words. `id` comes back in the completion.
    #[must_use]
    pub const fn encode(self, id: u16) -> [u32; 16] {
        let (opcode, namespace, address, word10, word11) = match self {
            Command::SetQueueCount { pairs } => {
                let last = pairs as u32 - 1;
                (0x09, 0, 0, NUMBER_OF_QUEUES, last << 16 | last)
            }
            Command::CreateCompletion { queue, entries, address, slot } => {
                let word11 = (slot as u32) << 16 | INTERRUPTS | CONTIGUOUS;
                (0x05, 0, address, size(queue, entries), word11)
            }
            Command::CreateSubmission { queue, entries, address } => {
                let word11 = (queue as u32) << 16 | CONTIGUOUS;
                (0x01, 0, address, size(queue, entries), word11)
            }
            Command::DeleteSubmission { queue } => (0x00, 0, 0, queue as u32, 0),
            Command::DeleteCompletion { queue } => (0x04, 0, 0, queue as u32, 0),
            Command::Flush { namespace } => (0x00, namespace, 0, 0, 0),
        };
        let mut words = [0; 16];
        words[0] = (id as u32) << 16 | opcode;
        words[1] = namespace;
        words[6] = address as u32;
        words[7] = (address >> 32) as u32;
        words[10] = word10;
        words[11] = word11;
        words
    }
}

/// Queue number and size minus one.
const fn size(queue: u16, entries: u16) -> u32 {
    (entries as u32 - 1) << 16 | queue as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand from the figures of the sections named above.
    #[test]
    fn by_hand() {
        let address = 0x1_2345_6000;
        let completion = Command::CreateCompletion { queue: 2, entries: 64, address, slot: 7 };
        let words = completion.encode(0xbeef);
        assert_eq!(words[0], 0xbeef_0005);
        assert_eq!((words[6], words[7]), (0x2345_6000, 1));
        assert_eq!((words[10], words[11]), (0x003f_0002, 0x0007_0003));
        let words = Command::CreateSubmission { queue: 2, entries: 64, address }.encode(1);
        assert_eq!((words[0], words[10], words[11]), (0x0001_0001, 0x003f_0002, 0x0002_0001));
        let words = Command::SetQueueCount { pairs: 16 }.encode(0);
        assert_eq!((words[0], words[10], words[11]), (0x09, 0x07, 0x000f_000f));
        assert_eq!(Command::DeleteSubmission { queue: 3 }.encode(0)[10], 3);
        let words = Command::DeleteCompletion { queue: 3 }.encode(0);
        assert_eq!((words[0], words[10]), (4, 3));
        let words = Command::Flush { namespace: 1 }.encode(9);
        assert_eq!((words[0], words[1], words[10]), (0x0009_0000, 1, 0));
    }

    #[test]
    fn words_that_no_command_uses_are_zero() {
        let words = Command::Flush { namespace: u32::MAX }.encode(u16::MAX);
        for place in [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
            assert_eq!(words[place], 0, "word {place}");
        }
    }
}
