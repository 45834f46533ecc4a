//! A SCRIPTS processor for tests: runs what [`crate::instruction`] knows over any memory
//! and refuses the rest, as strictly as the decoder.

use crate::address::BusAddress;
use crate::instruction::{DecodeError, Instruction, When};

/// Instructions that one start runs at most. QEMU's chip pauses after 100; a slot has 3.
pub const INSTRUCTION_LIMIT: usize = 16;

/// What the processor's bus cycles reach.
pub trait Memory {
    /// Reads a word.
    fn read(&mut self, at: BusAddress) -> u32;
    /// Writes a word. A write to a message address is an interrupt.
    fn write(&mut self, at: BusAddress, word: u32);
}

/// Why the processor stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// At an INT, with this code in DSPS.
    Interrupt(u32),
    /// At something that is no instruction of ours.
    Illegal(DecodeError),
    /// After [`INSTRUCTION_LIMIT`] instructions.
    Runaway,
}

/// Runs the script at `start`.
pub fn run(memory: &mut impl Memory, start: BusAddress) -> Stop {
    let mut at = start;
    for _ in 0..INSTRUCTION_LIMIT {
        let mut words = [0; 3];
        let mut next = at;
        for word in &mut words {
            *word = memory.read(next);
            // Past the end of the address space nothing runs: fetch the last word again.
            next = next.plus(4).unwrap_or(next);
        }
        let (instruction, used) = match Instruction::decode(&words) {
            Ok(decoded) => decoded,
            Err(error) => return Stop::Illegal(error),
        };
        match instruction {
            Instruction::MoveWord { source, destination } => {
                let word = memory.read(source);
                memory.write(destination, word);
            }
            Instruction::Interrupt { when: When::Always, code } => return Stop::Interrupt(code),
            Instruction::Interrupt { when: When::Never, .. } => {}
        }
        at = match at.plus(4 * used as u64) {
            Ok(next) => next,
            Err(error) => return Stop::Illegal(DecodeError::Address(error)),
        };
    }
    Stop::Runaway
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::slot::{
        ADDRESS_OFFSET, DATA_OFFSET, Ending, MASK_BIT, MASK_OFFSET, SLOT_BYTES, SlotId, Store,
        program,
    };
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// RAM as a map; writes to the interrupt range are kept apart.
    #[derive(Default)]
    struct Ram {
        words: BTreeMap<u32, u32>,
        messages: Vec<(u32, u32)>,
    }

    impl Memory for Ram {
        fn read(&mut self, at: BusAddress) -> u32 {
            self.words.get(&at.raw()).copied().unwrap_or(0)
        }
        fn write(&mut self, at: BusAddress, word: u32) {
            if at.raw() >> 20 == 0xfee {
                self.messages.push((at.raw(), word));
            } else {
                self.words.insert(at.raw(), word);
            }
        }
    }

    fn at(address: u32) -> BusAddress {
        BusAddress::new(u64::from(address)).expect("aligned")
    }

    fn slots(base: u32, count: u16) -> Ram {
        let mut ram = Ram::default();
        for index in 0..count {
            let start = base + u32::from(index) * SLOT_BYTES;
            let slot = SlotId { store: Store::Array, index };
            for (n, word) in (0u32..).zip(program(at(start), slot).expect("low")) {
                ram.words.insert(start + 4 * n, word);
            }
        }
        ram
    }

    #[test]
    fn each_slot_writes_its_own_pair_and_ends_with_its_own_code() {
        let base = 0xfeb0_0000;
        let mut ram = slots(base, 256);
        for index in 0..256 {
            let start = base + index * SLOT_BYTES;
            ram.words.insert(start + ADDRESS_OFFSET, 0xfee0_0010 | index << 5);
            ram.words.insert(start + DATA_OFFSET, 0x4000 + index);
            *ram.words.get_mut(&(start + MASK_OFFSET)).expect("programmed") &= !MASK_BIT;
        }
        for index in (0..256u32).rev() {
            let end = run(&mut ram, at(base + index * SLOT_BYTES));
            let slot = SlotId { store: Store::Array, index: index as u16 };
            assert_eq!(end, Stop::Interrupt(Ending::Fired(slot).encode()));
            assert_eq!(ram.messages.pop(), Some((0xfee0_0010 | index << 5, 0x4000 + index)));
            assert!(ram.messages.is_empty());
        }
    }

    #[test]
    fn a_masked_slot_says_so_and_writes_nothing() {
        let mut ram = slots(0x2000, 2);
        let slot = SlotId { store: Store::Array, index: 1 };
        let before = ram.words.clone();
        assert_eq!(run(&mut ram, at(0x2020)), Stop::Interrupt(Ending::Masked(slot).encode()));
        assert!(ram.messages.is_empty());
        assert_eq!(ram.words, before);
    }

    #[test]
    fn what_is_no_slot_stops_the_processor() {
        let mut ram = Ram::default();
        assert_eq!(run(&mut ram, at(0x2000)), Stop::Illegal(DecodeError::Unknown(0)));
        for n in 0..64 {
            ram.words.insert(0x2000 + 8 * n, 0x9800_0000);
        }
        assert_eq!(run(&mut ram, at(0x2000)), Stop::Runaway);
    }
}
