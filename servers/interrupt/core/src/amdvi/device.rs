//! Device table entry, §2.2.2.1: 256 bits for each requester id. Only its third word, which is
//! about interrupts, is used; the others are zero, so V (0) is clear and the device's DMA
//! passes untranslated.
//!
//! | bits of the third word | of the entry | field |
//! | --- | --- | --- |
//! | 0 | 128 | IV, the rest of this word means something |
//! | 4:1 | 132:129 | IntTabLen, log2 of the table's entries, 0 to 11 |
//! | 5 | 133 | IG, faults of unmapped interrupts are not logged |
//! | 51:6 | 179:134 | interrupt table root pointer; tables are aligned to 128 bytes |
//! | 56, 57, 58 | 184 to 186 | INITPass, EIntPass, NMIPass |
//! | 61:60 | 189:188 | IntCtl: 00 abort, 01 forward, 10 remap fixed and arbitrated interrupts |
//! | 62, 63 | 190, 191 | LINT0Pass, LINT1Pass |

use super::{bits, reject};
use crate::vtd::Malformed;

/// Alignment of an interrupt table.
pub const TABLE_ALIGN: usize = 128;

const VALID: u64 = 1;
const ROOT: u64 = 0x000f_ffff_ffff_ff80;
const IGNORE: u64 = 1 << 5;
/// Bit 6, below a table's alignment; 55:52 and 59.
const RESERVED: u64 = 0x08f0_0000_0000_0040;
/// Interrupts that no table has a say in: INIT, external, NMI, LINT0, LINT1.
const PASS: u64 = 0xc700_0000_0000_0000;

/// What becomes of a device's messages. Its DMA passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceEntry {
    /// IV clear: as if there were no IOMMU. This server never writes it.
    Unmapped,
    /// IntCtl 00: none reaches a CPU, and each is logged.
    Abort,
    /// IntCtl 10: what the device's own table says.
    Remap {
        /// Bus address of the table, a multiple of [`TABLE_ALIGN`], below 2^52.
        table: u64,
        /// Log2 of its entries, at most 11.
        entries_log2: u8,
    },
}

impl DeviceEntry {
    /// Bytes of an entry.
    pub const BYTES: usize = 32;
    /// Where the word about interrupts begins.
    pub const INTERRUPT_WORD: usize = 16;

    /// The word about interrupts. The others are zero.
    pub const fn interrupt_word(self) -> u64 {
        match self {
            DeviceEntry::Unmapped => 0,
            DeviceEntry::Abort => VALID,
            DeviceEntry::Remap { table, entries_log2 } => {
                VALID | (entries_log2 as u64) << 1 | table & ROOT | 0b10 << 60
            }
        }
    }

    /// The four words.
    pub const fn encode(self) -> [u64; 4] {
        [0, 0, self.interrupt_word(), 0]
    }

    /// Only what this server writes: untranslated DMA, no interrupts past the table, faults
    /// logged.
    pub fn decode(words: [u64; 4]) -> Result<Self, Malformed> {
        let [translation, domain, interrupts, last] = words;
        reject(translation, u64::MAX, "V and translation")?;
        reject(domain, u64::MAX, "DomainID and guest translation")?;
        reject(last, u64::MAX, "reserved (255:192)")?;
        if interrupts & VALID == 0 {
            reject(interrupts, u64::MAX, "interrupt map without IV")?;
            return Ok(DeviceEntry::Unmapped);
        }
        reject(interrupts, RESERVED, "reserved in 191:134")?;
        reject(interrupts, IGNORE, "IG")?;
        reject(interrupts, PASS, "INITPass, EIntPass, NMIPass, LINT0Pass, LINT1Pass")?;
        let (table, entries_log2) = (interrupts & ROOT, bits(interrupts, 1, 4) as u8);
        match bits(interrupts, 60, 2) {
            0b00 if table != 0 || entries_log2 != 0 => {
                Err(Malformed { field: "table without IntCtl" })
            }
            0b00 => Ok(DeviceEntry::Abort),
            0b10 if entries_log2 > 11 => Err(Malformed { field: "IntTabLen" }),
            0b10 => Ok(DeviceEntry::Remap { table, entries_log2 }),
            _ => Err(Malformed { field: "IntCtl" }),
        }
    }
}
