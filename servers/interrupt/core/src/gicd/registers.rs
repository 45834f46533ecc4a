//! The distributor's registers, as software without secure state sees them (§12.9).

use super::Spi;
use crate::its::bits;
use crate::vtd::{Malformed, Trigger};

/// Byte offsets in the 64 KiB frame. Those of several registers are where the first would be,
/// also where that one is a redistributor's.
pub mod offset {
    /// GICD_CTLR.
    pub const CONTROL: u16 = 0x0000;
    /// GICD_TYPER, read only.
    pub const TYPE: u16 = 0x0004;
    /// GICD_SETSPI_NSR, write only: makes the SPI of that INTID pending.
    pub const SET_SPI: u16 = 0x0040;
    /// GICD_CLRSPI_NSR, write only: ends what GICD_SETSPI_NSR began.
    pub const CLEAR_SPI: u16 = 0x0048;
    /// GICD_IGROUPR<n>.
    pub const GROUP: u16 = 0x0080;
    /// GICD_ISENABLER<n>.
    pub const SET_ENABLE: u16 = 0x0100;
    /// GICD_ICENABLER<n>.
    pub const CLEAR_ENABLE: u16 = 0x0180;
    /// GICD_ISPENDR<n>.
    pub const SET_PENDING: u16 = 0x0200;
    /// GICD_ICPENDR<n>.
    pub const CLEAR_PENDING: u16 = 0x0280;
    /// GICD_ISACTIVER<n>.
    pub const SET_ACTIVE: u16 = 0x0300;
    /// GICD_IPRIORITYR<n>, a byte for each interrupt; may be written by bytes.
    pub const PRIORITY: u16 = 0x0400;
    /// GICD_ICFGR<n>, two bits for each interrupt.
    pub const TRIGGER: u16 = 0x0c00;
    /// GICD_IROUTER<n>, 64 bits for each interrupt.
    pub const ROUTE: u16 = 0x6000;
    /// GICD_PIDR2, read only.
    pub const PERIPHERAL_ID_2: u16 = 0xffe8;
}

/// GICD_CTLR, §12.9.4, read only here: the kernel writes it. Every value is legal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DistributorControl(u32);

impl DistributorControl {
    /// From the register.
    pub const fn decode(value: u32) -> Self {
        Self(value)
    }

    /// EnableGrp1 (1), EnableGrp1A where there are two security states: SPIs of group 1 reach
    /// their CPUs.
    pub const fn group_1_enabled(self) -> bool {
        bits(self.0 as u64, 1, 1) == 1
    }

    /// ARE or ARE_NS (4): SPIs are routed by affinity.
    pub const fn affinity_routing(self) -> bool {
        bits(self.0 as u64, 4, 1) == 1
    }

    /// DS (6): there is one security state, and so the group of an SPI can be seen.
    pub const fn one_security_state(self) -> bool {
        bits(self.0 as u64, 6, 1) == 1
    }

    /// RWP (31): that an interrupt was disabled is not yet seen everywhere.
    pub const fn write_pending(self) -> bool {
        bits(self.0 as u64, 31, 1) == 1
    }
}

/// GICD_TYPER, §12.9.38. Fields of later versions are not refused: they only add abilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DistributorType(u32);

impl DistributorType {
    /// From the register. Every value is legal.
    pub const fn decode(value: u32) -> Self {
        Self(value)
    }

    /// ITLinesNumber (4:0): behind the highest INTID that an SPI here can have.
    pub const fn spi_end(self) -> u32 {
        let end = (bits(self.0 as u64, 0, 5) as u32 + 1) * 32;
        if end < Spi::END { end } else { Spi::END }
    }

    /// SecurityExtn (10): two security states.
    pub const fn two_security_states(self) -> bool {
        bits(self.0 as u64, 10, 1) == 1
    }

    /// MBIS (16): it takes messages (GICD_SETSPI_NSR, GICD_CLRSPI_NSR).
    pub const fn takes_messages(self) -> bool {
        bits(self.0 as u64, 16, 1) == 1
    }

    /// LPIS (17): there are LPIs.
    pub const fn lpis(self) -> bool {
        bits(self.0 as u64, 17, 1) == 1
    }

    /// IDbits (23:19) + 1: bits of an INTID.
    pub const fn id_bits(self) -> u8 {
        bits(self.0 as u64, 19, 5) as u8 + 1
    }

    /// A3V (24): affinities may have an Aff3 other than 0.
    pub const fn affinity_3(self) -> bool {
        bits(self.0 as u64, 24, 1) == 1
    }

    /// Whether there is such an SPI.
    pub const fn has(self, spi: Spi) -> bool {
        spi.intid() < self.spi_end()
    }
}

/// An SPI's two bits of GICD_ICFGR<n>, §12.9.9: Int_config. The lower one is reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpiTrigger(pub Trigger);

impl SpiTrigger {
    /// The bits.
    pub const fn encode(self) -> u32 {
        match self.0 {
            Trigger::Level => 0b00,
            Trigger::Edge => 0b10,
        }
    }

    /// From two bits; others must be zero.
    pub const fn decode(value: u32) -> Result<Self, Malformed> {
        match value {
            0b00 => Ok(Self(Trigger::Level)),
            0b10 => Ok(Self(Trigger::Edge)),
            _ => Err(Malformed { field: "Int_config: reserved bit" }),
        }
    }
}
