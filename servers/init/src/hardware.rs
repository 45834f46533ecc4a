//! What the firmware's tables say there is, as capabilities to hand out.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use init_core::windows::{Range, Windows};
use libsys::object::Memory;
use libsys::println;
use tocsin_abi::{Error, Handle};
use tocsin_firmware::{Blob, Dmar, Mcfg, Signature};

use crate::authority::Authority;
use crate::firmware::Firmware;

/// Bytes of the largest remapping table: 65,536 entries of 16 bytes (VT-d §9.9, IRTA_REG).
const TABLE_BYTES: u64 = 1 << 20;
const PAGE_BYTES: u64 = 4096;

/// A range of device memory and the authority over it.
pub struct Device {
    /// The capability.
    pub handle: Handle,
    /// Where it is.
    pub range: Range,
}

/// RAM that a remapping unit reads and writes by itself. Init owns it, not the interrupt
/// server: the unit goes on reading its table when that server has died, so the memory must
/// not become anybody else's.
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

/// Everything that was found.
pub struct Hardware {
    /// The tables, for the servers that read them.
    pub firmware: Option<Firmware>,
    /// Remapping units in the order of the DMAR.
    pub units: Vec<Unit>,
    /// Configuration space, one for each entry of the MCFG.
    pub ecam: Vec<Device>,
    /// Where BARs can lie.
    pub windows: Vec<Device>,
}

impl Hardware {
    /// Reads the tables. What is missing or broken is one line, and the machine has less.
    pub fn find(authority: &Authority) -> Self {
        let mut hardware =
            Self { firmware: None, units: Vec::new(), ecam: Vec::new(), windows: Vec::new() };
        let mut taken = Vec::new();
        match Firmware::gather(authority) {
            Ok(firmware) => {
                match Blob::parse(&firmware.bytes) {
                    Ok(blob) => {
                        hardware.find_ecam(authority, &blob, &mut taken);
                        hardware.find_units(authority, &blob, &mut taken);
                    }
                    Err(error) => println!("init: firmware tables: {error}"),
                }
                hardware.firmware = Some(firmware);
            }
            Err(why) => println!("init: no firmware tables: {why}"),
        }
        let end = authority.physical_end();
        let windows = Windows::find(authority.ram(), taken.iter().copied(), end);
        let mut text = String::new();
        for range in windows.ranges() {
            if let Some(device) = slice(authority, *range, "PCI window") {
                // Writing to a `String` can not fail.
                let _ = write!(text, " {range}");
                hardware.windows.push(device);
            }
        }
        println!("init: device memory for PCI:{text}");
        hardware
    }

    fn find_ecam(&mut self, authority: &Authority, blob: &Blob<'_>, taken: &mut Vec<Range>) {
        let table = match blob.find(Signature::MCFG, 0).and_then(Mcfg::parse) {
            Ok(table) => table,
            Err(error) => return println!("init: no PCI configuration space: {error}"),
        };
        for segment in table.segments() {
            match segment {
                Ok(segment) => {
                    let range = Range::new(segment.first_address(), segment.bytes());
                    taken.push(range);
                    self.ecam.extend(slice(authority, range, "configuration space"));
                }
                Err(error) => println!("init: configuration space skipped: {error}"),
            }
        }
    }

    fn find_units(&mut self, authority: &Authority, blob: &Blob<'_>, taken: &mut Vec<Range>) {
        // A machine without DMAR is an ordinary one; the interrupt server says what follows.
        let Ok(table) = blob.find(Signature::DMAR, 0).and_then(Dmar::parse) else { return };
        for unit in table.drhds() {
            let range = Range::new(unit.register_base, unit.register_bytes);
            taken.push(range);
            let Some(registers) = slice(authority, range, "VT-d registers") else { continue };
            match unit_memory() {
                Ok(memory) => self.units.push(Unit { registers, memory }),
                Err(error) => println!("init: no memory for the VT-d unit at {range}: {error}"),
            }
        }
    }
}

fn slice(authority: &Authority, range: Range, what: &str) -> Option<Device> {
    match authority.physical_slice(range) {
        Ok(handle) => Some(Device { handle, range }),
        Err(error) => {
            println!("init: {what} {range} skipped: {error}");
            None
        }
    }
}

/// The full table where memory allows, else the largest that it does.
fn unit_memory() -> Result<UnitMemory, Error> {
    let mut table_bytes = TABLE_BYTES;
    let table = loop {
        match Memory::new(table_bytes) {
            Ok(memory) => break memory,
            Err(_) if table_bytes > PAGE_BYTES => table_bytes /= 2,
            Err(error) => return Err(error),
        }
    };
    let (queue, status) = (Memory::new(PAGE_BYTES)?, Memory::new(PAGE_BYTES)?);
    Ok(UnitMemory { table, table_bytes, queue, status })
}
