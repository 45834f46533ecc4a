//! Fault recording register, §11.4 (FRCD_REG): 128 bits, found at CAP_REG.FRO × 16.
//!
//! | bits | field |
//! | --- | --- |
//! | 63:12 | FI: for an interrupt fault, 63:48 are the entry's index and the others zero |
//! | 79:64 | SID, source id |
//! | 103:96 | FR, fault reason |
//! | 127 | F, the record is valid; write 1 to clear |
//!
//! Bits 126:104 and 95:80 (type, address type, PASID) describe DMA faults only.

use super::bits;
use crate::{EntryIndex, Fault, FaultReason, RequesterId};

const VALID: u64 = 1 << 63;

/// A valid record, DMA or interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultRecord {
    /// Who made the request.
    pub source: RequesterId,
    /// FR as recorded (§5.1.4: 20h to 2fh are interrupt remapping faults).
    pub reason: u8,
    /// FI, bits 63:12.
    pub information: u64,
}

impl FaultRecord {
    /// What to write to the high half to give the register back: F alone.
    pub const CLEAR: u64 = VALID;

    /// From the register's halves, low first. `None` while F is clear. Total otherwise:
    /// hardware wrote it, and fields of other kinds of fault are not ours to refuse.
    pub const fn decode(halves: [u64; 2]) -> Option<Self> {
        let [low, high] = halves;
        if high & VALID == 0 {
            return None;
        }
        Some(Self {
            source: RequesterId::from_bits(bits(high, 0, 16) as u16),
            reason: bits(high, 32, 8) as u8,
            information: low & !0xfff,
        })
    }

    /// As hardware writes it: what a model of the unit puts into its register.
    pub const fn encode(self) -> [u64; 2] {
        let high = VALID | self.source.bits() as u64 | (self.reason as u64) << 32;
        [self.information & !0xfff, high]
    }

    /// A record of an interrupt fault.
    pub const fn interrupt(source: RequesterId, reason: FaultReason, index: EntryIndex) -> Self {
        Self { source, reason: reason_code(reason), information: (index.bits() as u64) << 48 }
    }

    /// What the server is told.
    pub const fn fault(self) -> Fault {
        let reason = reason_from(self.reason);
        // FI is meaningful only where an entry was looked at.
        let entry = match reason {
            FaultReason::NotPresent | FaultReason::WrongSource | FaultReason::EntryReserved => {
                Some(EntryIndex::new(bits(self.information, 48, 16) as u16))
            }
            _ => None,
        };
        Fault { source: self.source, entry, reason }
    }
}

/// §5.1.4, table of interrupt remapping fault conditions.
const fn reason_code(reason: FaultReason) -> u8 {
    match reason {
        FaultReason::RequestReserved => 0x20,
        FaultReason::IndexTooLarge => 0x21,
        FaultReason::NotPresent => 0x22,
        FaultReason::TableAccess => 0x23,
        FaultReason::EntryReserved => 0x24,
        FaultReason::Compatibility => 0x25,
        FaultReason::WrongSource => 0x26,
        FaultReason::Other(code) => code,
    }
}

const fn reason_from(code: u8) -> FaultReason {
    match code {
        0x20 => FaultReason::RequestReserved,
        0x21 => FaultReason::IndexTooLarge,
        0x22 => FaultReason::NotPresent,
        0x23 => FaultReason::TableAccess,
        0x24 => FaultReason::EntryReserved,
        0x25 => FaultReason::Compatibility,
        0x26 => FaultReason::WrongSource,
        other => FaultReason::Other(other),
    }
}
