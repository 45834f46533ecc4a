//! The tables: MADT, MCFG and DMAR of QEMU's q35, as code (ACPI 6.5 §5.2, VT-d §8, PCI Firmware §4.1).

use super::Fault;
use super::script::{ROOT, Script, TABLES, Zone};

/// Bytes of a table's header (§5.2.6); its checksum is the tenth.
const HEADER_BYTES: usize = 36;
const CHECKSUM: usize = 9;

/// Where q35's chips are.
const LOCAL_APIC: u32 = 0xfee0_0000;
const IO_APIC: u32 = 0xfec0_0000;
const IO_APIC_PINS: u32 = 24;
const CONFIGURATION_SPACE: u64 = 0xb000_0000;
const VTD: u64 = 0xfed9_0000;
/// What QEMU's IOAPIC sends its messages as: bus 0xff, device 0, function 0.
const IO_APIC_BUS: u8 = 0xff;

/// The three files.
pub struct Set {
    pub tables: Vec<u8>,
    pub root: Vec<u8>,
    pub script: Vec<u8>,
}

/// Those of a q35 with `cpus` CPUs.
pub fn q35(fault: Fault, cpus: u32) -> Set {
    let mut tables = Vec::new();
    let mut script = Script::default();
    script.allocate(TABLES, 64, Zone::High);
    script.allocate(ROOT, 16, Zone::Low);
    let mut places = Vec::new();
    for table in [madt(fault, cpus), mcfg(), dmar(fault)] {
        tables.resize(tables.len().next_multiple_of(8), 0);
        places.push(tables.len());
        script.add_checksum(TABLES, tables.len() + CHECKSUM, tables.len(), table.len());
        tables.extend(table);
    }
    tables.resize(tables.len().next_multiple_of(8), 0);
    let start = tables.len();
    let outside = fault == Fault::DmarOutsideMemory;
    let pointers = places.iter().enumerate().map(|(number, place)| {
        // The last page below 4 GiB is the firmware's code; the page below it is nobody's.
        if outside && number == 2 { 0xfed8_0000 } else { *place as u32 }
    });
    let list: Vec<u8> = pointers.flat_map(u32::to_le_bytes).collect();
    let length = HEADER_BYTES + list.len();
    tables.extend(table(b"RSDT", &list));
    for number in (0..places.len()).filter(|number| !(outside && *number == 2)) {
        script.add_pointer(TABLES, start + HEADER_BYTES + 4 * number);
    }
    script.add_checksum(TABLES, start + CHECKSUM, start, length);
    // ACPI 1.0's root pointer (§5.2.5.3): signature, checksum, OEM, revision 0, RSDT.
    let mut root = b"RSD PTR \0TOCSIN\0".to_vec();
    root.extend((start as u32).to_le_bytes());
    script.add_pointer(ROOT, 16);
    script.add_checksum(ROOT, 8, 0, root.len());
    Set { tables, root, script: script.bytes() }
}

/// A header, without its checksum, and what follows it.
fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = signature.to_vec();
    table.extend(((HEADER_BYTES + body.len()) as u32).to_le_bytes());
    // Revision, checksum, OEM id and table id, revisions of these.
    table.extend([1, 0]);
    table.extend(b"TOCSINBADTABLE");
    table.resize(HEADER_BYTES, 0);
    table.extend(body);
    table
}

/// §5.2.12.
fn madt(fault: Fault, cpus: u32) -> Vec<u8> {
    let mut body = LOCAL_APIC.to_le_bytes().to_vec();
    // PCAT_COMPAT: there are 8259s, too.
    body.extend(1u32.to_le_bytes());
    for cpu in 0..cpus as u8 {
        body.extend([0, 8, cpu, cpu, 1, 0, 0, 0]);
    }
    let address = match fault {
        Fault::IoapicInRam => 0x10_0000,
        Fault::IoapicNowhere => 0xfec8_0000,
        _ => IO_APIC,
    };
    body.extend(io_apic(0, address, 0));
    if fault == Fault::IoapicsOverlap {
        // QEMU's chip looks at 8 bits of an address: this is the same one again.
        body.extend(io_apic(1, IO_APIC + 0x100, IO_APIC_PINS / 2));
    }
    // ISA interrupt 0 is on pin 2; the serial port's is as ISA has it, unless its flags are bad.
    body.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
    if fault == Fault::BadOverride {
        body.extend([2, 10, 0, 4, 4, 0, 0, 0, 0x02, 0]);
    }
    table(b"APIC", &body)
}

/// §5.2.12.3.
fn io_apic(id: u8, address: u32, first: u32) -> Vec<u8> {
    let mut entry = vec![1, 12, id, 0];
    entry.extend(address.to_le_bytes());
    entry.extend(first.to_le_bytes());
    entry
}

fn mcfg() -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(CONFIGURATION_SPACE.to_le_bytes());
    // Segment 0, buses 0 to 255.
    body.extend([0, 0, 0, 255, 0, 0, 0, 0]);
    table(b"MCFG", &body)
}

/// §8.1, §8.3.
fn dmar(fault: Fault) -> Vec<u8> {
    // Addresses of 39 bits; interrupts can be remapped.
    let mut body = vec![38, 1];
    body.resize(12, 0);
    let scope: &[u8] = match fault {
        Fault::NoIoapicScope => &[],
        _ => &[3, 8, 0, 0, 0, IO_APIC_BUS, 0, 0],
    };
    // DRHD: type, length, all PCI devices, segment 0, registers.
    body.extend(0u16.to_le_bytes());
    body.extend((16 + scope.len() as u16).to_le_bytes());
    body.extend([1, 0, 0, 0]);
    body.extend(VTD.to_le_bytes());
    body.extend(scope);
    table(b"DMAR", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_their_lengths() {
        let madt = madt(Fault::None, 2);
        assert_eq!(madt.len(), 36 + 8 + 2 * 8 + 12 + 10);
        assert_eq!(madt[4..8], (madt.len() as u32).to_le_bytes());
        let (whole, without) = (dmar(Fault::None), dmar(Fault::NoIoapicScope));
        assert_eq!((whole.len(), without.len()), (48 + 24, 48 + 16));
        assert_eq!(mcfg().len(), 36 + 8 + 16);
    }

    #[test]
    fn the_root_names_all_tables_but_one_outside() {
        let pointers = |fault| {
            let set = q35(fault, 1);
            // Two files, three tables, the root table, the root: 2 + 3 + n + 1 + 2 commands.
            set.script.len() / 128 - 8
        };
        assert_eq!(pointers(Fault::None), 3);
        assert_eq!(pointers(Fault::DmarOutsideMemory), 2);
        let set = q35(Fault::None, 1);
        assert_eq!(set.root.len(), 20);
        let at = u32::from_le_bytes([set.root[16], set.root[17], set.root[18], set.root[19]]);
        assert_eq!(&set.tables[at as usize..][..4], b"RSDT");
    }
}
