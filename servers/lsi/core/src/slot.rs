//! A slot: the script that raises one message.
//!
//! ```text
//! +0x00  INT never | INT always     the mask: bit 19 ("if true") of this word
//! +0x04  DSPS of a masked run
//! +0x08  MOVE 4 bytes
//! +0x0c  source: this slot + 0x1c
//! +0x10  destination                the message address
//! +0x14  INT always
//! +0x18  DSPS of a full run
//! +0x1c  the word to move           the message data
//! ```
//!
//! Firing a slot is writing its bus address to DSP. A masked slot still runs, raises
//! nothing, and says so in DSPS: a fire that did nothing is seen, not guessed.

use crate::address::{AddressError, BusAddress};
use crate::instruction::{IF_TRUE, Instruction, When};

/// Bytes of a slot.
pub const SLOT_BYTES: u32 = 32;
/// Words of a slot.
pub const SLOT_WORDS: usize = SLOT_BYTES as usize / 4;
/// Offset of the word that holds the mask bit.
pub const MASK_OFFSET: u32 = 0x00;
/// The mask bit in that word.
pub const MASK_BIT: u32 = IF_TRUE;
/// Offset of the message address (its lower and only half).
pub const ADDRESS_OFFSET: u32 = 0x10;
/// Offset of the message data.
pub const DATA_OFFSET: u32 = 0x1c;
/// Bytes of the chip's script RAM (BAR 2).
pub const SCRIPT_RAM_BYTES: u32 = 8192;
/// Slots of the device array: as many as the script RAM holds.
pub const ARRAY_SLOTS: u32 = SCRIPT_RAM_BYTES / SLOT_BYTES;
/// Slots of the queue memory, unless the driver's arguments say otherwise.
pub const QUEUE_SLOTS: u32 = 2048;
/// As many as a script's last word can tell apart: their index has 16 bits.
pub const MAX_QUEUE_SLOTS: u32 = 1 << 16;

/// Which of the two stores of this device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Store {
    /// Slots in the chip's script RAM.
    Array,
    /// Slots in system memory.
    Queue,
}

/// One slot of one store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlotId {
    /// The store.
    pub store: Store,
    /// Index in it, from zero.
    pub index: u16,
}

/// How a slot's script ended; the value that the chip leaves in DSPS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The message was written.
    Fired(SlotId),
    /// The slot was masked; nothing was written.
    Masked(SlotId),
}

const FIRED: u32 = 0x5f00_0000;
const MASKED: u32 = 0xa300_0000;
const QUEUE: u32 = 0x0001_0000;

impl Ending {
    /// The code for DSPS: which ending in bits 31 to 24, the store in bit 16, the index below.
    #[must_use]
    pub const fn encode(self) -> u32 {
        let (ending, slot) = match self {
            Ending::Fired(slot) => (FIRED, slot),
            Ending::Masked(slot) => (MASKED, slot),
        };
        let store = match slot.store {
            Store::Array => 0,
            Store::Queue => QUEUE,
        };
        ending | store | slot.index as u32
    }

    /// The ending with this code; `None` for codes that no slot has.
    #[must_use]
    pub const fn decode(code: u32) -> Option<Ending> {
        let store = if code & QUEUE == 0 { Store::Array } else { Store::Queue };
        let slot = SlotId { store, index: code as u16 };
        match code & !(QUEUE | 0xffff) {
            FIRED => Some(Ending::Fired(slot)),
            MASKED => Some(Ending::Masked(slot)),
            _ => None,
        }
    }
}

/// The words of a new slot at bus address `at`: masked, its pair still zero. The store
/// puts the pair in and clears the mask bit; nothing else of a slot ever changes.
///
/// # Errors
/// The slot does not lie below 4 GiB.
pub fn program(at: BusAddress, slot: SlotId) -> Result<[u32; SLOT_WORDS], AddressError> {
    let nowhere = BusAddress::new(0)?;
    let data = at.plus(DATA_OFFSET as u64)?;
    let parts = [
        Instruction::Interrupt { when: When::Always, code: Ending::Masked(slot).encode() },
        Instruction::MoveWord { source: data, destination: nowhere },
        Instruction::Interrupt { when: When::Always, code: Ending::Fired(slot).encode() },
    ];
    let mut words = [0; SLOT_WORDS];
    let mut next = 0;
    for part in parts {
        let encoded = part.encode();
        for &word in encoded.words() {
            words[next] = word;
            next += 1;
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SLOT: SlotId = SlotId { store: Store::Queue, index: 2047 };

    #[test]
    fn the_words_of_a_slot_worked_out_by_hand() {
        let at = BusAddress::new(0x0010_0020).expect("aligned");
        assert_eq!(
            program(at, SLOT),
            Ok([
                0x9808_0000,
                0xa301_07ff,
                0xc000_0004,
                0x0010_003c,
                0,
                0x9808_0000,
                0x5f01_07ff,
                0
            ])
        );
    }

    #[test]
    fn offsets_name_the_words_they_say() {
        let at = BusAddress::new(0x1000).expect("aligned");
        let words = program(at, SLOT).expect("low");
        let (mask, used) = Instruction::decode(&words).expect("ours");
        assert_eq!(used, 2);
        assert_eq!(mask.encode().words()[0] & MASK_BIT, MASK_BIT);
        assert_eq!(words[MASK_OFFSET as usize / 4], mask.encode().words()[0]);
        let (raise, _) = Instruction::decode(&words[2..]).expect("ours");
        let Instruction::MoveWord { source, destination } = raise else { panic!("{raise:?}") };
        assert_eq!(source.raw(), 0x1000 + DATA_OFFSET);
        assert_eq!(destination.raw(), words[ADDRESS_OFFSET as usize / 4]);
        assert_eq!(ARRAY_SLOTS, 256);
    }

    #[test]
    fn a_slot_above_4_gib_is_refused() {
        let at = BusAddress::new(0xffff_fff0).expect("aligned");
        assert!(matches!(program(at, SLOT), Err(AddressError::Above4GiB(_))));
    }

    proptest! {
        #[test]
        fn endings_round_trip(index: u16, queue: bool, fired: bool) {
            let slot = SlotId { store: if queue { Store::Queue } else { Store::Array }, index };
            let ending = if fired { Ending::Fired(slot) } else { Ending::Masked(slot) };
            prop_assert_eq!(Ending::decode(ending.encode()), Some(ending));
        }

        #[test]
        fn only_endings_decode(code: u32) {
            if let Some(ending) = Ending::decode(code) {
                prop_assert_eq!(ending.encode(), code);
            }
        }
    }
}
