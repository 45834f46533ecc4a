//! Completion queue entries (§4.6), and the ring that they come in.

/// Bytes of an entry.
pub const BYTES: u64 = 16;

/// What a command came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Completion {
    /// Of the command.
    pub id: u16,
    /// The queue that the command was in.
    pub queue: u16,
    /// How far the controller has read that queue.
    pub head: u16,
    /// Status code and type; zero is success (§4.6.1).
    pub status: u16,
    /// Changes with each round of the ring.
    pub phase: bool,
}

impl Completion {
    /// Reads an entry; every value has a meaning.
    #[must_use]
    pub const fn decode(words: [u32; 4]) -> Completion {
        Completion {
            id: words[3] as u16,
            queue: (words[2] >> 16) as u16,
            head: words[2] as u16,
            // Without the "more" and "do not retry" bits (14 and 13 of the field).
            status: (words[3] >> 17 & 0x7ff) as u16,
            phase: words[3] >> 16 & 1 != 0,
        }
    }
}

/// Where the next completion will be: the controller sets the phase to one in the first
/// round, then to zero, and so on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ring {
    head: u16,
    entries: u16,
    phase: bool,
}

impl Ring {
    /// Of an empty queue, whose memory is zero.
    #[must_use]
    pub const fn new(entries: u16) -> Ring {
        Ring { head: 0, entries, phase: true }
    }

    /// Place of the next completion.
    #[must_use]
    pub const fn head(&self) -> u16 {
        self.head
    }

    /// Whether this entry at the head is a new one.
    #[must_use]
    pub const fn is_new(&self, completion: &Completion) -> bool {
        completion.phase == self.phase
    }

    /// The entry at the head has been taken.
    pub const fn advance(&mut self) {
        self.head += 1;
        if self.head == self.entries {
            self.head = 0;
            self.phase = !self.phase;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    #[test]
    fn by_hand() {
        // Command 0x0102 of queue 3, read up to entry 4, new in an odd round, invalid field
        // (type 0, code 2), "do not retry".
        let words = [0, 0, 0x0003_0004, 0x8005_0102];
        let expected = Completion { id: 0x0102, queue: 3, head: 4, status: 2, phase: true };
        let got = Completion::decode(words);
        assert_eq!(got, expected);
    }

    proptest! {
        /// A controller that writes `writes[n]` entries, then a driver that takes all: every
        /// entry is seen once, none before it is there.
        #[test]
        fn every_entry_is_seen_once(writes in prop::collection::vec(0u16..8, 0..40)) {
            const ENTRIES: u16 = 8;
            let (mut ring, mut memory) = (Ring::new(ENTRIES), vec![[0u32; 4]; ENTRIES.into()]);
            let (mut tail, mut phase, mut next) = (0usize, 1, 0u32);
            let mut seen = 0;
            for count in writes {
                for _ in 0..count {
                    memory[tail] = [0, 0, 0, phase << 16 | next & 0xffff];
                    next += 1;
                    tail += 1;
                    if tail == usize::from(ENTRIES) {
                        (tail, phase) = (0, phase ^ 1);
                    }
                }
                loop {
                    let completion = Completion::decode(memory[usize::from(ring.head())]);
                    if !ring.is_new(&completion) {
                        break;
                    }
                    prop_assert_eq!(u32::from(completion.id), seen);
                    seen += 1;
                    ring.advance();
                }
                prop_assert_eq!(seen, next);
            }
        }
    }
}
