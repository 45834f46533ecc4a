//! Makers of device trees.
#![allow(dead_code, reason = "each test binary uses a part of these helpers")]

use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// A node with these properties and children. A text value has its NUL in it.
pub fn node(name: &str, values: &[(&str, &[u8])], children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new(name).unwrap();
    for (name, value) in values {
        node.add_property(DeviceTreeProperty::new(*name, *value).unwrap());
    }
    children.into_iter().for_each(|child| node.add_child(child));
    node
}

/// Cells, big-endian.
pub fn cells(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Ranges of two cells each, as in a `reg` of a root with two and two.
pub fn reg(ranges: &[(u64, u64)]) -> Vec<u8> {
    ranges
        .iter()
        .flat_map(|(base, size)| [base.to_be_bytes(), size.to_be_bytes()])
        .flatten()
        .collect()
}

pub fn tree_of(children: Vec<DeviceTreeNode>, reservations: &[(u64, u64)]) -> Vec<u8> {
    let two = cells(&[2]);
    let mut tree = DeviceTree::new();
    tree.root = node("", &[("#address-cells", &two), ("#size-cells", &two)], children);
    let entry = |&(base, size): &(u64, u64)| MemoryReservation::new(base, size);
    tree.memory_reservations = reservations.iter().map(entry).collect();
    tree.to_dtb()
}

pub fn memory_node(ranges: &[(u64, u64)]) -> DeviceTreeNode {
    let name = format!("memory@{:x}", ranges[0].0);
    node(&name, &[("device_type", b"memory\0"), ("reg", &reg(ranges))], vec![])
}

pub fn pl011(name: &str, address: u64) -> DeviceTreeNode {
    let kinds = b"arm,pl011\0arm,primecell\0";
    node(name, &[("compatible", kinds), ("reg", &reg(&[(address, 0x1000)]))], vec![])
}

pub fn psci(version: &[u8], method: &[u8]) -> DeviceTreeNode {
    node("psci", &[("compatible", version), ("method", method)], vec![])
}

/// The parts of QEMU 7.2's `virt` with 6 GiB that the stub looks at.
pub fn virt() -> Vec<u8> {
    let chosen = node(
        "chosen",
        &[
            ("linux,initrd-start", &cells(&[0x4800_0000])),
            ("linux,initrd-end", &cells(&[0x4812_6000])),
            ("bootargs", b"one two\0"),
            ("stdout-path", b"/pl011@9000000\0"),
        ],
        vec![],
    );
    let firmware = psci(b"arm,psci-1.0\0arm,psci-0.2\0arm,psci\0", b"hvc\0");
    let memory = memory_node(&[(0x4000_0000, 0x1_8000_0000)]);
    tree_of(vec![firmware, memory, pl011("pl011@9000000", 0x900_0000), chosen], &[])
}
