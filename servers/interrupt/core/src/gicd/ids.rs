//! Numbers of the distributor as types.

use crate::its::bits;
use crate::vtd::Malformed;

/// A shared peripheral interrupt: INTID 32 to 1019 (§2.2.1). The extended ones of GICv3.1
/// (from 4096) are not used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Spi(u16);

impl Spi {
    /// The lowest INTID.
    pub const FIRST: u32 = 32;
    /// Behind the highest.
    pub const END: u32 = 1020;

    /// `None` when the INTID is no SPI's.
    pub const fn new(intid: u32) -> Option<Self> {
        if intid < Self::FIRST || intid >= Self::END { None } else { Some(Self(intid as u16)) }
    }

    /// The SPI of this number as device trees count them, from 0 (GIC binding, `interrupts`);
    /// the highest for a number that is too large.
    pub const fn from_number(number: u16) -> Self {
        let most = (Self::END - Self::FIRST - 1) as u16;
        Self(Self::FIRST as u16 + if number < most { number } else { most })
    }

    /// The INTID.
    pub const fn intid(self) -> u32 {
        self.0 as u32
    }

    /// The offset of its 32-bit register, of those with a bit for each interrupt from `first`.
    pub(super) const fn word(self, first: u16) -> u16 {
        first + self.0 / 32 * 4
    }

    /// Its bit there.
    pub(super) const fn bit(self) -> u32 {
        1 << (self.0 % 32)
    }
}

/// GICD_IROUTER<n>, §12.9.22: the one CPU that an SPI goes to, by affinity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Route {
    /// Aff3.Aff2.Aff1.Aff0, a byte each, as GICR_TYPER 63:32 has them.
    pub affinity: u32,
}

impl Route {
    /// Interrupt_Routing_Mode (31): to any CPU that takes part. Never used here, because the
    /// server chooses CPUs.
    const ANY: u64 = 1 << 31;

    /// The register's value: Aff3 39:32, Aff2 to Aff0 23:0.
    pub const fn encode(self) -> u64 {
        (self.affinity as u64 & 0xff00_0000) << 8 | self.affinity as u64 & 0xff_ffff
    }

    /// From the register.
    pub const fn decode(value: u64) -> Result<Self, Malformed> {
        if value & Self::ANY != 0 {
            return Err(Malformed { field: "Interrupt_Routing_Mode (31)" });
        }
        if value & 0xffff_ff00_7f00_0000 != 0 {
            return Err(Malformed { field: "reserved (63:40, 30:24)" });
        }
        Ok(Self { affinity: (bits(value, 32, 8) << 24 | bits(value, 0, 24)) as u32 })
    }
}
