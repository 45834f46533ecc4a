//! ACPI tables of an Arm machine, written as code from the specifications.

use super::{Memory, fix_checksum, rsdp_v2, table};

/// Bytes at offsets into a body that begins behind the header; all else is zero.
pub fn body(length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut body = vec![0; length - 36];
    for (at, bytes) in fields {
        body[at - 36..][..bytes.len()].copy_from_slice(bytes);
    }
    body
}

/// A structure of `length` bytes that begins with its type and its length.
pub fn entry(kind: u8, length: u8, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut entry = vec![0; length.into()];
    entry[..2].copy_from_slice(&[kind, length]);
    for (at, bytes) in fields {
        entry[*at..][..bytes.len()].copy_from_slice(bytes);
    }
    entry
}

/// GICC: flags, redistributor, MPIDR (ACPI §5.2.12.14).
pub fn gicc(flags: u32, redistributor: u64, mpidr: u64) -> Vec<u8> {
    let fields: [(usize, &[u8]); 5] = [
        (8, &(mpidr as u32).to_le_bytes()),
        (12, &flags.to_le_bytes()),
        (20, &23u32.to_le_bytes()),
        (60, &redistributor.to_le_bytes()),
        (68, &mpidr.to_le_bytes()),
    ];
    entry(11, 80, &fields)
}

/// GICD (§5.2.12.15).
pub fn gicd(base: u64, version: u8) -> Vec<u8> {
    entry(12, 24, &[(8, &base.to_le_bytes()), (20, &[version])])
}

/// GICR (§5.2.12.17).
pub fn gicr(base: u64, length: u32) -> Vec<u8> {
    entry(14, 16, &[(4, &base.to_le_bytes()), (12, &length.to_le_bytes())])
}

/// ITS (§5.2.12.18).
pub fn its(id: u32, base: u64) -> Vec<u8> {
    entry(15, 20, &[(4, &id.to_le_bytes()), (8, &base.to_le_bytes())])
}

pub fn madt(entries: &[Vec<u8>]) -> Vec<u8> {
    table(b"APIC", &[vec![0; 8], entries.concat()].concat())
}

/// FADT of ACPI 6.0 with these boot flags.
pub fn fadt(boot: u16) -> Vec<u8> {
    let flags = 1u32 << 20;
    table(b"FACP", &body(276, &[(112, &flags.to_le_bytes()), (129, &boot.to_le_bytes())]))
}

/// GTDT with this virtual timer.
pub fn gtdt(intid: u32) -> Vec<u8> {
    let fields: [(usize, &[u8]); 4] = [
        (56, &30u32.to_le_bytes()),
        (60, &4u32.to_le_bytes()),
        (64, &intid.to_le_bytes()),
        (72, &26u32.to_le_bytes()),
    ];
    table(b"GTDT", &body(96, &fields))
}

/// SPCR, revision 2.
pub fn spcr(interface: u8, space: u8, base: u64) -> Vec<u8> {
    let fields: [(usize, &[u8]); 5] = [
        (36, &[interface]),
        (40, &[space, 8, 0, 1]),
        (44, &base.to_le_bytes()),
        (52, &[8]),
        (54, &33u32.to_le_bytes()),
    ];
    let mut spcr = table(b"SPCR", &body(80, &fields));
    spcr[8] = 2;
    fix_checksum(&mut spcr, 9);
    spcr
}

/// A node of the IORT with its data (behind the 16 bytes that all have) and its id mappings.
pub fn iort_node(kind: u8, data: &[u8], mappings: &[[u32; 5]]) -> Vec<u8> {
    let at = 16 + data.len();
    let mappings: Vec<u8> = mappings.iter().flatten().flat_map(|n| n.to_le_bytes()).collect();
    let mut node = vec![kind];
    node.extend(((at + mappings.len()) as u16).to_le_bytes());
    node.extend([0; 5]);
    node.extend(((mappings.len() / 20) as u32).to_le_bytes());
    node.extend((at as u32).to_le_bytes());
    node.extend(data);
    node.extend(mappings);
    node
}

/// An ITS group.
pub fn iort_group(ids: &[u32]) -> Vec<u8> {
    let numbers = [&[ids.len() as u32], ids].concat();
    let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    iort_node(0, &data, &[])
}

/// A root complex of a segment.
pub fn iort_root(segment: u32, mappings: &[[u32; 5]]) -> Vec<u8> {
    let mut data = vec![0; 20];
    data[12..16].copy_from_slice(&segment.to_le_bytes());
    iort_node(2, &data, mappings)
}

pub fn iort(nodes: &[Vec<u8>]) -> Vec<u8> {
    let mut body = (nodes.len() as u32).to_le_bytes().to_vec();
    body.extend(48u32.to_le_bytes());
    body.extend([0; 4]);
    body.extend(nodes.concat());
    table(b"IORT", &body)
}

/// Memory with a root pointer at its beginning, 0x1000, that leads to these tables.
pub fn memory(tables: &[Vec<u8>]) -> Memory {
    let mut memory = Memory::new(0x1000, 0x8000);
    let mut at = 0x1800;
    let mut pointers = Vec::new();
    for table in tables {
        memory.put(at, table);
        pointers.extend(at.to_le_bytes());
        at += table.len() as u64;
    }
    memory.put(0x1000, &rsdp_v2(0, 0x1100));
    memory.put(0x1100, &table(b"XSDT", &pointers));
    memory
}

/// The tables of QEMU 7.2's `-M virt,gic-version=3 -smp 2`, as far as they matter here.
pub fn virt() -> Vec<Vec<u8>> {
    let madt = madt(&[
        gicd(0x0800_0000, 3),
        gicc(1, 0, 0),
        gicc(1, 0, 1),
        gicr(0x080a_0000, 0xf6_0000),
        its(0, 0x0808_0000),
    ]);
    vec![fadt(3), madt, gtdt(27), spcr(3, 0, 0x0900_0000)]
}
