//! The address and data that a device writes.
//!
//! Remappable format, §5.1.5.2 (what a driver gets when a remapper exists):
//!
//! | address bits | field |
//! | --- | --- |
//! | 1:0 | ignored, written as 0 |
//! | 2 | handle bit 15 |
//! | 3 | SHV, subhandle valid |
//! | 4 | interrupt format: 1 remappable |
//! | 19:5 | handle bits 14:0 |
//! | 31:20 | 0xfee |
//! | 63:32 | 0 |
//!
//! Data with SHV: 15:0 subhandle, 31:16 zero. The entry's index is handle + subhandle.
//!
//! Compatibility format, Intel SDM 3A §11.11 (what a driver gets where no remapper exists):
//! address 19:12 destination id, 4 zero, 3 redirection hint, 2 destination mode; data 7:0
//! vector, 10:8 delivery mode, 14 level, 15 trigger.

use super::{Malformed, bits, reject};
use crate::{EntryIndex, Pair, Vector};

const WINDOW: u64 = 0xfee0_0000;
const REMAPPABLE: u64 = 1 << 4;
const SUBHANDLE_VALID: u64 = 1 << 3;
const HANDLE_HIGH: u64 = 1 << 2;

/// A remappable interrupt request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemappableMessage {
    /// Index of the entry, or of a block's first one when there is a subhandle.
    pub handle: EntryIndex,
    /// SHV and the data's low half. Multi-message MSI counts up here, because the function
    /// itself writes its message number into the low bits of its only data register.
    pub subhandle: Option<u16>,
}

impl RemappableMessage {
    /// The entry that it names; `None` past the largest table.
    pub const fn entry(self) -> Option<EntryIndex> {
        match self.subhandle {
            Some(offset) => self.handle.plus(offset),
            None => Some(self.handle),
        }
    }

    /// Address and data to write into the device.
    pub const fn encode(self) -> Pair {
        let handle = self.handle.bits() as u64;
        let mut address = WINDOW | REMAPPABLE | (handle & 0x7fff) << 5;
        if handle & 0x8000 != 0 {
            address |= HANDLE_HIGH;
        }
        let data = match self.subhandle {
            Some(offset) => {
                address |= SUBHANDLE_VALID;
                offset as u32
            }
            None => 0,
        };
        Pair { address, data }
    }

    /// From what a device wrote. `Err` when it is not the remappable format or a bit that
    /// must be zero is set. Without SHV hardware ignores the data, so must be zero here.
    pub fn decode(pair: Pair) -> Result<Self, Malformed> {
        reject(pair.address, !0xffff_ffff, "address 63:32")?;
        if bits(pair.address, 20, 12) != 0xfee {
            return Err(Malformed { field: "address 31:20" });
        }
        if pair.address & REMAPPABLE == 0 {
            return Err(Malformed { field: "interrupt format" });
        }
        reject(pair.address, 3, "address 1:0")?;
        let high = if pair.address & HANDLE_HIGH == 0 { 0 } else { 0x8000 };
        let handle = EntryIndex::new(bits(pair.address, 5, 15) as u16 | high);
        let subhandle = if pair.address & SUBHANDLE_VALID != 0 {
            reject(pair.data as u64, 0xffff_0000, "data 31:16")?;
            Some(pair.data as u16)
        } else {
            reject(pair.data as u64, 0xffff_ffff, "data without SHV")?;
            None
        };
        Ok(Self { handle, subhandle })
    }
}

/// An interrupt request that names its CPU and vector itself: edge, fixed, physical.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompatibilityMessage {
    /// The CPU's 8-bit APIC id.
    pub destination: u8,
    /// The vector raised.
    pub vector: Vector,
}

impl CompatibilityMessage {
    /// Address and data to write into the device.
    pub const fn encode(self) -> Pair {
        Pair {
            address: WINDOW | (self.destination as u64) << 12,
            data: self.vector.number() as u32,
        }
    }

    /// From what a device wrote. Only the form that [`encode`](Self::encode) makes is taken.
    pub fn decode(pair: Pair) -> Result<Self, Malformed> {
        reject(pair.address, !0xffff_ffff, "address 63:32")?;
        if bits(pair.address, 20, 12) != 0xfee {
            return Err(Malformed { field: "address 31:20" });
        }
        reject(pair.address, REMAPPABLE, "interrupt format")?;
        reject(pair.address, 0xfef, "address 11:5, 3:0")?;
        reject(pair.data as u64, !0xff, "data 31:8")?;
        let vector = Vector::new(pair.data as u8).ok_or(Malformed { field: "vector" })?;
        Ok(Self { destination: bits(pair.address, 12, 8) as u8, vector })
    }
}
