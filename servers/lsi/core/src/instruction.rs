//! The SCRIPTS instructions of a slot: move one word, interrupt, and the interrupt that
//! never happens. Manual, chapter "SCSI SCRIPTS Instruction Set".

use crate::address::{AddressError, BusAddress};

/// "Memory Move Instructions": bits 31 to 29 are 110, bits 23 to 0 count bytes.
const MEMORY_MOVE: u32 = 0xc000_0000;
/// "Transfer Control Instructions", opcode INT: bits 31 and 30 are 10, bits 29 to 27 are 011.
const INTERRUPT: u32 = 0x9800_0000;
/// The same, "Jump If True/False" (bit 19). With no comparison selected (bits 21, 18 and
/// 17 clear) the condition counts as true: set, the transfer always happens; clear, never.
pub const IF_TRUE: u32 = 0x0008_0000;
/// Bytes that a message write has (PCI 6.8: "a DWORD memory write transaction").
const MESSAGE_BYTES: u32 = 4;

/// Whether an interrupt instruction does anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Stop and interrupt.
    Always,
    /// Go on with the next instruction.
    Never,
}

/// One instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instruction {
    /// Moves the four bytes at `source` to `destination`. Three words.
    MoveWord {
        /// Where the word is read.
        source: BusAddress,
        /// Where it goes: for a slot, the message address.
        destination: BusAddress,
    },
    /// Ends the script; the chip shows `code` in DSPS. Two words.
    Interrupt {
        /// Whether it happens.
        when: When,
        /// Any value.
        code: u32,
    },
}

/// Why words are not an instruction of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The words end before the instruction does.
    Short,
    /// A first word that we never write.
    Unknown(u32),
    /// An address that [`BusAddress`] refuses.
    Address(AddressError),
}

/// An encoded instruction: the words and how many of them count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    words: [u32; 3],
    len: usize,
}

impl Encoded {
    /// The words, in the order of their addresses.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words[..self.len]
    }
}

impl Instruction {
    /// The instruction as the chip reads it.
    #[must_use]
    pub const fn encode(self) -> Encoded {
        match self {
            Instruction::MoveWord { source, destination } => Encoded {
                words: [MEMORY_MOVE | MESSAGE_BYTES, source.raw(), destination.raw()],
                len: 3,
            },
            Instruction::Interrupt { when: When::Always, code } => {
                Encoded { words: [INTERRUPT | IF_TRUE, code, 0], len: 2 }
            }
            Instruction::Interrupt { when: When::Never, code } => {
                Encoded { words: [INTERRUPT, code, 0], len: 2 }
            }
        }
    }

    /// Reads one instruction and says how many words it took. Strict: whatever
    /// [`Instruction::encode`] can not have written is an error.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong.
    pub fn decode(words: &[u32]) -> Result<(Instruction, usize), DecodeError> {
        let word = |n: usize| words.get(n).copied().ok_or(DecodeError::Short);
        let address = |n: usize| BusAddress::new(u64::from(word(n)?)).map_err(DecodeError::Address);
        match word(0)? {
            first if first == MEMORY_MOVE | MESSAGE_BYTES => {
                let (source, destination) = (address(1)?, address(2)?);
                Ok((Instruction::MoveWord { source, destination }, 3))
            }
            first if first & !IF_TRUE == INTERRUPT => {
                let when = if first & IF_TRUE == 0 { When::Never } else { When::Always };
                Ok((Instruction::Interrupt { when, code: word(1)? }, 2))
            }
            other => Err(DecodeError::Unknown(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(address: u32) -> BusAddress {
        BusAddress::new(u64::from(address)).expect("aligned")
    }

    /// By hand from the manual's bit tables: 110 in bits 31..29 and a count of 4;
    /// 10 in bits 31..30, 011 in bits 29..27, bit 19 set.
    #[test]
    fn constants_worked_out_by_hand() {
        let raise = Instruction::MoveWord { source: at(0x1234_5678), destination: at(0xfee0_0010) };
        assert_eq!(raise.encode().words(), [0xc000_0004, 0x1234_5678, 0xfee0_0010]);
        let stop = Instruction::Interrupt { when: When::Always, code: 7 };
        assert_eq!(stop.encode().words(), [0x9808_0000, 7]);
        let pass = Instruction::Interrupt { when: When::Never, code: 7 };
        assert_eq!(pass.encode().words(), [0x9800_0000, 7]);
    }

    #[test]
    fn what_we_never_write_is_refused() {
        // Five bytes; "no flush"; jump; on-the-fly; relative; the empty word.
        for first in [0xc000_0005, 0xc100_0004, 0x8008_0000, 0x9818_0000, 0x9888_0000, 0] {
            assert_eq!(Instruction::decode(&[first, 0, 0]), Err(DecodeError::Unknown(first)));
        }
        assert_eq!(Instruction::decode(&[]), Err(DecodeError::Short));
        assert_eq!(Instruction::decode(&[0x9808_0000]), Err(DecodeError::Short));
        assert_eq!(Instruction::decode(&[0xc000_0004, 4]), Err(DecodeError::Short));
        assert_eq!(
            Instruction::decode(&[0xc000_0004, 2, 0]),
            Err(DecodeError::Address(AddressError::Misaligned(2)))
        );
    }

    fn instruction() -> impl Strategy<Value = Instruction> {
        prop_oneof![
            (any::<u32>(), any::<u32>()).prop_map(|(s, d)| Instruction::MoveWord {
                source: at(s & !3),
                destination: at(d & !3)
            }),
            (any::<bool>(), any::<u32>()).prop_map(|(always, code)| Instruction::Interrupt {
                when: if always { When::Always } else { When::Never },
                code,
            }),
        ]
    }

    proptest! {
        #[test]
        fn instructions_round_trip(i in instruction()) {
            let encoded = i.encode();
            prop_assert_eq!(Instruction::decode(encoded.words()), Ok((i, encoded.words().len())));
        }

        #[test]
        fn decode_is_total_and_strict(words in proptest::collection::vec(any::<u32>(), 0..4)) {
            if let Ok((i, used)) = Instruction::decode(&words) {
                let encoded = i.encode();
                prop_assert_eq!(encoded.words(), &words[..used]);
            }
        }
    }
}
