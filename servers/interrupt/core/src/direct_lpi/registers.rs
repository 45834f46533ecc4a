//! The registers of a redistributor by which LPIs are made without an ITS (§12.11).

use crate::its::{Lpi, bits};
use crate::vtd::Malformed;

/// Byte offsets in a redistributor's RD_base.
pub mod offset {
    /// GICR_SETLPIR, 64 bits, write only; a device's write of 32 bits is the lower half.
    pub const SET_LPI: u16 = 0x40;
    /// GICR_CLRLPIR, 64 bits, write only.
    pub const CLEAR_LPI: u16 = 0x48;
    /// GICR_INVLPIR, 64 bits, write only.
    pub const INVALIDATE: u16 = 0xa0;
    /// GICR_SYNCR, 32 bits, read only.
    pub const SYNC: u16 = 0xc0;
}

/// Where devices write to for a redistributor whose RD_base is at this physical address.
pub const fn setter(frame: u64) -> u64 {
    frame + offset::SET_LPI as u64
}

/// What GICR_SETLPIR, GICR_CLRLPIR and GICR_INVLPIR take: pINTID (31:0). The upper half is
/// reserved, or of a GICv4.1's virtual LPIs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LpiWrite(pub Lpi);

impl LpiWrite {
    /// The register's value.
    pub const fn encode(self) -> u64 {
        self.0.intid() as u64
    }

    /// From a write.
    pub const fn decode(value: u64) -> Result<Self, Malformed> {
        if value >> 32 != 0 {
            return Err(Malformed { field: "reserved (63:32)" });
        }
        match Lpi::new(value as u32) {
            Some(lpi) => Ok(Self(lpi)),
            None => Err(Malformed { field: "pINTID (31:0)" }),
        }
    }
}

/// GICR_SYNCR, §12.11: nothing else says when an operation is done. Every value is legal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SyncStatus(u32);

impl SyncStatus {
    /// From the register.
    pub const fn decode(value: u32) -> Self {
        Self(value)
    }

    /// Busy (0): an invalidation or the clearing of an LPI is under way.
    pub const fn busy(self) -> bool {
        bits(self.0 as u64, 0, 1) == 1
    }
}
