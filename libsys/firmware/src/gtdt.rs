//! GTDT: the interrupts of the architected timer (ACPI §5.2.25).

use crate::{Error, Signature, Table, bytes::u32_at};

/// Bytes up to the end of the EL2 timer's flags, which every revision has.
pub(crate) const PREFIX: usize = 80;

/// A timer's interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerInterrupt {
    /// Its INTID.
    pub gsiv: u32,
    /// Edge-triggered, not level (§5.2.25, timer flags, bit 0).
    pub edge: bool,
    /// Active low (bit 1).
    pub active_low: bool,
    /// The timer goes on in all low-power states (bit 2).
    pub always_on: bool,
}

/// The generic timer description table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gtdt {
    /// The non-secure physical timer of EL1.
    pub physical: TimerInterrupt,
    /// The virtual timer of EL1.
    pub virtual_timer: TimerInterrupt,
    /// The physical timer of EL2; its INTID is 0 where there is none.
    pub hypervisor: TimerInterrupt,
}

impl Gtdt {
    /// Checks the table and reads the fields.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::decode(Table::parse_as(bytes, Signature::GTDT)?.bytes())
    }

    /// From the first bytes of a checked table.
    pub(crate) fn decode(table: &[u8]) -> Result<Self, Error> {
        let timer = |at| {
            let flags = u32_at(table, at + 4, "GTDT")?;
            Ok(TimerInterrupt {
                gsiv: u32_at(table, at, "GTDT")?,
                edge: flags & 1 != 0,
                active_low: flags & 2 != 0,
                always_on: flags & 4 != 0,
            })
        };
        Ok(Self { physical: timer(56)?, virtual_timer: timer(64)?, hypervisor: timer(72)? })
    }
}
