//! The memory map from device trees: what is reserved, and U-Boot's habits.

mod common;

use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::{Kind, MAX_REGIONS, Reach, Region};
use boot_stub_core::tree;
use common::tree::{cells, memory_node, node, reg, tree_of};
use dtoolkit::model::DeviceTreeProperty;

const MIB: u64 = 1 << 20;

fn region(base: u64, end: u64, kind: Kind) -> Region {
    Region { base, end, kind }
}

#[test]
fn keeps_away_from_what_is_reserved() {
    let two = cells(&[2]);
    let heads: [(&str, &[u8]); 2] = [("#address-cells", &two), ("#size-cells", &two)];
    let okay: (&str, &[u8]) = ("status", b"okay\0");
    let off: (&str, &[u8]) = ("status", b"disabled\0");
    let at = |base, size| reg(&[(base, size)]);
    let reserved = node(
        "reserved-memory",
        &heads,
        vec![
            node(
                "secure@40100800",
                &[("no-map", &[]), ("reg", &at(0x4010_0800, 0x1000)), okay],
                vec![],
            ),
            node(
                "shared@40200000",
                &[("reusable", &[]), ("reg", &at(0x4020_0000, 0x1000))],
                vec![],
            ),
            node("pool", &[("size", &cells(&[0, 0x100_0000]))], vec![]),
            node("unused@40300000", &[("reg", &at(0x4030_0000, 0x1000)), off], vec![]),
        ],
    );
    let mut hidden = memory_node(&[(0xe00_0000, 0x100_0000)]);
    hidden.add_property(DeviceTreeProperty::new("status", &b"disabled\0"[..]).unwrap());
    let blob = tree_of(vec![memory_node(&[(0x4000_0000, 16 * MIB)]), hidden, reserved], &[]);
    let tree = tree::open(&blob).unwrap();
    let memory = tree::memory(tree, Reach::ARM).unwrap();
    let expected = [
        region(0x4000_0000, 0x4010_0000, Kind::Usable),
        region(0x4010_0000, 0x4010_2000, Kind::Reserved),
        region(0x4010_2000, 0x4020_0000, Kind::Usable),
        region(0x4020_0000, 0x4020_1000, Kind::Reserved),
        region(0x4020_1000, 0x4100_0000, Kind::Usable),
    ];
    assert_eq!(memory.regions(), expected);
}

/// U-Boot reserves the device tree and the bundle that it passes. Nobody else's part of a page that
/// they share is given away.
#[test]
fn what_is_ours_is_not_reserved() {
    let entries = [
        // Exactly the bundle; the tree with what follows it in its page; somebody else.
        (0x4080_0000, 0x2800),
        (0x4090_0000, 0x1900),
        (0x40a0_0000, 0x1000),
    ];
    let blob = tree_of(vec![memory_node(&[(0x4000_0000, 16 * MIB)])], &entries);
    let tree = tree::open(&blob).unwrap();
    let mut memory = tree::memory(tree, Reach::ARM).unwrap();
    let ours = [0x4080_0000..0x4080_2800, 0x4090_0000..0x4090_1800];
    tree::add_reservations(&mut memory, tree, &ours).unwrap();
    let expected = [
        region(0x4000_0000, 0x4090_1000, Kind::Usable),
        region(0x4090_1000, 0x4090_2000, Kind::Reserved),
        region(0x4090_2000, 0x40a0_0000, Kind::Usable),
        region(0x40a0_0000, 0x40a0_1000, Kind::Reserved),
        region(0x40a0_1000, 0x4100_0000, Kind::Usable),
    ];
    assert_eq!(memory.regions(), expected);

    // As long as the stub needs them they are in use; then what was free is free again.
    let before = memory.clone();
    for place in &ours {
        memory.change(place.start, place.end, Kind::Usable, Kind::BootloaderReclaimable).unwrap();
        assert!(!memory.is_usable(place.start, place.start + 1));
    }
    for place in &ours {
        memory.change(place.start, place.end, Kind::BootloaderReclaimable, Kind::Usable).unwrap();
    }
    assert_eq!(memory, before);

    // One entry around both, and one at the end of the address space.
    let blob = tree_of(vec![], &[(0x4080_0000, 0x20_0000), (u64::MAX - 5, u64::MAX)]);
    let mut memory = before;
    tree::add_reservations(&mut memory, tree::open(&blob).unwrap(), &ours).unwrap();
    assert!(memory.is_usable(0x4080_0000, 0x4080_2000));
    assert!(!memory.is_usable(0x4080_2000, 0x4080_3000));
    assert!(memory.is_usable(0x4090_0000, 0x4090_1000));
}

#[test]
fn says_what_cannot_be_read() {
    // A size that does not divide into ranges, and more ranges than the stub keeps.
    let odd = node("memory@0", &[("device_type", b"memory\0"), ("reg", &[0; 17])], vec![]);
    let blob = tree_of(vec![odd], &[]);
    let memory = tree::memory(tree::open(&blob).unwrap(), Reach::ARM);
    assert_eq!(memory, Err(Fatal::BadProperty("/memory")));
    let many: Vec<(u64, u64)> = (1..=MAX_REGIONS as u64 + 1).map(|n| (n << 20, 4096)).collect();
    let blob = tree_of(vec![memory_node(&many)], &[]);
    let memory = tree::memory(tree::open(&blob).unwrap(), Reach::ARM);
    assert_eq!(memory, Err(Fatal::MemoryMapTooLong));
}
