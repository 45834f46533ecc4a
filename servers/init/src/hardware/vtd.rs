//! VT-d units, which the DMAR names.

use alloc::vec::Vec;

use init_core::windows::Range;
use libsys::object::Memory;
use libsys::println;
use tocsin_abi::Error;
use tocsin_abi::limits::PAGE_BYTES;
use tocsin_firmware::{Blob, Dmar, Signature};

use super::{Device, memory, slice};
use crate::authority::Authority;

/// Bytes of the largest remapping table: 65,536 entries of 16 bytes (VT-d §9.9, IRTA_REG).
const TABLE_BYTES: u64 = 1 << 20;

/// RAM that a remapping unit reads and writes by itself.
pub struct UnitMemory {
    /// The remapping table.
    pub table: Memory,
    /// Its size.
    pub table_bytes: u64,
    /// The invalidation queue: one page.
    pub queue: Memory,
    /// The page with the status word that the unit writes.
    pub status: Memory,
}

/// A VT-d unit.
pub struct Unit {
    /// Its register page.
    pub registers: Device,
    /// Its memory.
    pub memory: UnitMemory,
}

/// All of them.
pub fn units(authority: &Authority, blob: &Blob<'_>, taken: &mut Vec<Range>) -> Vec<Unit> {
    let mut units = Vec::new();
    // A machine without DMAR is an ordinary one; the interrupt server says what follows.
    let Ok(table) = blob.find(Signature::DMAR, 0).and_then(Dmar::parse) else { return units };
    for unit in table.drhds() {
        let range = Range::new(unit.register_base, unit.register_bytes);
        taken.push(range);
        let Some(registers) = slice(authority, range, "VT-d registers") else { continue };
        match unit_memory() {
            Ok(memory) => units.push(Unit { registers, memory }),
            Err(error) => println!("init: no memory for the VT-d unit at {range}: {error}"),
        }
    }
    units
}

/// The full table where memory allows, else the largest that it does.
fn unit_memory() -> Result<UnitMemory, Error> {
    let (table, table_bytes) = memory::largest(TABLE_BYTES)?;
    let (queue, status) = (Memory::new(PAGE_BYTES)?, Memory::new(PAGE_BYTES)?);
    Ok(UnitMemory { table, table_bytes, queue, status })
}
