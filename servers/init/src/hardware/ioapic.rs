//! IO APICs, which the MADT names.

use alloc::vec::Vec;

use init_core::windows::Range;
use libsys::println;
use tocsin_abi::limits::PAGE_BYTES;
use tocsin_firmware::wiring::{IoApics, MAX_IO_APICS};
use tocsin_firmware::{Blob, Line, Madt, Signature};

use super::{Device, slice};
use crate::authority::Authority;

/// The interrupt of COM1 on the ISA bus.
const COM1: u8 = 4;

/// Where COM1's interrupt arrives.
pub fn com1_line(blob: &Blob<'_>) -> Option<Line> {
    // A broken table has its line already.
    let table = blob.find(Signature::MADT, 0).and_then(Madt::parse).ok()?;
    match table.isa_line(COM1) {
        Ok(line) => Some(line),
        Err(error) => {
            println!("init: {error}; the serial port's wire is not supported");
            None
        }
    }
}

/// The page of each that can be used. What can not is one line here, and its wires are nobody's;
/// the interrupt server says what follows for the others.
pub fn pages(authority: &Authority, blob: &Blob<'_>, taken: &mut Vec<Range>) -> Vec<Device> {
    let table = match blob.find(Signature::MADT, 0).and_then(Madt::parse) {
        Ok(table) => table,
        Err(error) => {
            println!("init: no IOAPIC: {error}; wires are not supported");
            return Vec::new();
        }
    };
    let found = IoApics::of(&table);
    for bad in found.bad() {
        println!("init: {bad}; its wires are not supported");
    }
    if found.too_many() {
        println!("init: of the IOAPICs only {MAX_IO_APICS} are used");
    }
    let mut pages = Vec::new();
    let mut own = Vec::new();
    for io_apic in found.good() {
        // Authority goes by pages.
        let page = u64::from(io_apic.address) / PAGE_BYTES * PAGE_BYTES;
        let range = Range::new(page, PAGE_BYTES);
        // Two IOAPICs may share a page, and nobody else's registers may be in it.
        if own.contains(&page) {
            continue;
        }
        let overlaps = |other: &Range| other.start < range.end && range.start < other.end;
        let in_what = if authority.ram().any(|ram| overlaps(&ram)) {
            Some("RAM")
        } else {
            taken.iter().any(overlaps).then_some("other registers")
        };
        if let Some(what) = in_what {
            println!(
                "init: IOAPIC {} at {:#x} would lie in {what}; its wires are not supported",
                io_apic.id, io_apic.address,
            );
            continue;
        }
        own.push(page);
        pages.extend(slice(authority, range, "IOAPIC"));
    }
    taken.extend(own.into_iter().map(|page| Range::new(page, PAGE_BYTES)));
    pages
}
