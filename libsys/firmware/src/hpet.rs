//! HPET: the timer block whose timers can send messages (HPET §3.2.4).

use crate::{
    Error, Signature, Table,
    bytes::{u8_at, u16_at, u32_at, u64_at},
};

/// The HPET description table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hpet {
    /// Physical address of the register block.
    pub base: u64,
    /// HPET number: what the DMAR's device scopes call it.
    pub number: u8,
    /// Hardware revision, vendor and number of comparators, as the hardware's own id register has them.
    pub block_id: u32,
    /// Smallest tick for periodic mode without lost interrupts.
    pub minimum_tick: u16,
}

impl Hpet {
    /// Checks the table and that the registers are in memory.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let what = "HPET";
        let table = Table::parse_as(bytes, Signature::HPET)?.bytes();
        // The base is a generic address structure (ACPI §5.2.3.2); space 0 is memory.
        let space = u8_at(table, 40, what)?;
        if space != 0 {
            return Err(Error::BadValue { what: "HPET address space", value: space.into() });
        }
        Ok(Self {
            base: u64_at(table, 44, what)?,
            number: u8_at(table, 52, what)?,
            block_id: u32_at(table, 36, what)?,
            minimum_tick: u16_at(table, 53, what)?,
        })
    }
}
