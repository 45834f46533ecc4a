//! What the stub reads from device trees: QEMU's two boards, other boards, and nonsense.

mod common;

use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::{Kind, Memory, Reach, Region};
use boot_stub_core::placement::place_of_bundle;
use boot_stub_core::tree::{self, Conduit, Console, MAX_SIZE};
use common::tree::{cells, memory_node, node, pl011, psci, reg, tree_of, virt};
use proptest::prelude::*;

fn region(base: u64, end: u64, kind: Kind) -> Region {
    Region { base, end, kind }
}

/// How to speak and how to end.
fn voices(blob: &[u8]) -> (Option<u64>, Option<Conduit>) {
    let console = Console::from_device_tree(blob).map(|console| console.range.base);
    (console, Conduit::from_device_tree(blob))
}

#[test]
fn reads_virt() {
    let blob = virt();
    let tree = tree::open(&blob).unwrap();
    let memory = tree::memory(tree, Reach::ARM).unwrap();
    assert_eq!(memory.regions(), [region(0x4000_0000, 0x1_c000_0000, Kind::Usable)]);
    assert_eq!(tree::bundle(tree), Ok((0x4800_0000, 0x12_6000)));
    assert_eq!(tree::command_line(tree), b"one two");
    assert_eq!(voices(&blob), (Some(0x900_0000), Some(Conduit::Hvc)));
    assert_eq!(tree::size(blob.first_chunk().unwrap()), Ok(blob.len()));
}

/// `xlnx-versal-virt` with 8 GiB: memory at zero, and more of it above 4 GiB, in one node.
#[test]
fn reads_versal() {
    let ranges = [(0, 0x8000_0000), (0x8_0000_0000, 0x1_8000_0000)];
    let chosen = node(
        "chosen",
        &[
            ("stdout-path", b"serial0:115200n8\0"),
            ("linux,initrd-start", &0x8_0000_0000_u64.to_be_bytes()),
            ("linux,initrd-end", &0x8_0000_1000_u64.to_be_bytes()),
        ],
        vec![],
    );
    let kinds = b"arm,pl011\0arm,sbsa-uart\0";
    let uart = |name, at| node(name, &[("compatible", kinds), ("reg", &reg(&[(at, 16)]))], vec![]);
    let aliases = node("aliases", &[("serial0", b"/uart@ff000000\0")], vec![]);
    let firmware = node("firmware", &[], vec![psci(b"arm,psci-0.2\0", b"smc\0")]);
    let uart = uart("uart@ff000000", 0xff00_0000);
    let blob = tree_of(vec![memory_node(&ranges), chosen, aliases, firmware, uart], &[]);
    let tree = tree::open(&blob).unwrap();
    let memory = tree::memory(tree, Reach::ARM).unwrap();
    let expected = [
        region(0, 0x1000, Kind::Reserved),
        region(0x1000, 0x8000_0000, Kind::Usable),
        region(0x8_0000_0000, 0x9_8000_0000, Kind::Usable),
    ];
    assert_eq!(memory.regions(), expected);
    let (base, size) = tree::bundle(tree).unwrap();
    assert_eq!((base, size), (0x8_0000_0000, 0x1000));
    assert!(place_of_bundle(&memory, base, size, &(0x20_0000..0x30_0000)).is_ok());
    assert_eq!(tree::command_line(tree), b"");
    assert_eq!(voices(&blob), (Some(0xff00_0000), Some(Conduit::Smc)));
}

#[test]
fn says_what_is_missing() {
    let bundle = |chosen: &[(&str, &[u8])]| {
        let blob = tree_of(vec![node("chosen", chosen, vec![])], &[]);
        tree::bundle(tree::open(&blob).unwrap())
    };
    let (start, end) = ("linux,initrd-start", "linux,initrd-end");
    let (low, high) = (cells(&[0x1000]), cells(&[0, 0x2000]));
    assert_eq!(bundle(&[(start, &low), (end, &high)]), Ok((0x1000, 0x1000)));
    assert_eq!(bundle(&[(start, &low)]), Err(Fatal::NoModules));
    assert_eq!(bundle(&[(end, &low)]), Err(Fatal::NoModules));
    assert_eq!(bundle(&[(start, &low), (end, &low)]), Err(Fatal::NoModules));
    assert_eq!(bundle(&[(start, &high), (end, &low)]), Err(Fatal::NoModules));
    assert!(matches!(bundle(&[(start, &[1, 2]), (end, &low)]), Err(Fatal::BadProperty(_))));
    let empty = tree_of(vec![], &[]);
    let tree = tree::open(&empty).unwrap();
    assert_eq!(tree::bundle(tree), Err(Fatal::NoModules));
    assert_eq!(tree::memory(tree, Reach::ARM), Err(Fatal::NoMemoryNode));
    assert_eq!(voices(&empty), (None, None));
    assert!(matches!(tree::open(&empty[..40]), Err(Fatal::Tree(_))));
    assert_eq!(tree::size(b"\xd0\x0d\xfe\xee\0\0\0\x40"), Err(Fatal::NoTree));
    assert_eq!(tree::size(b"\xd0\x0d\xfe\xed\0\0\0\x04"), Err(Fatal::NoTree));
    let mut prefix = *b"\xd0\x0d\xfe\xed\0\x20\0\0";
    assert_eq!(tree::size(&prefix), Ok(MAX_SIZE));
    prefix[7] = 1;
    assert_eq!(tree::size(&prefix), Err(Fatal::TreeTooLong));
}

fn look_at_everything(blob: &[u8]) {
    let Ok(tree) = tree::open(blob) else { return };
    let (_, _) = (voices(blob), tree::command_line(tree));
    let place = tree::bundle(tree).map_or(0..0, |(base, size)| base..base.saturating_add(size));
    if let Ok(mut memory) = tree::memory(tree, Reach::ARM) {
        let _ = tree::add_reservations(&mut memory, tree, &[place.clone(), 0..0x1000]);
        let _ = place_of_bundle(&memory, place.start, place.end - place.start, &(0..0x1000));
        check(&memory);
    }
}

fn check(memory: &Memory) {
    for region in memory.regions() {
        assert!(region.base < region.end && region.end <= Reach::ARM.top);
    }
    assert!(memory.regions().windows(2).all(|pair| pair[0].end <= pair[1].base));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_damaged_tree_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut blob = virt();
        look_at_everything(&blob[..cut.index(blob.len())]);
        for (at, value) in changes {
            let at = at.index(blob.len());
            blob[at] = value;
        }
        look_at_everything(&blob);
    }

    #[test]
    fn any_numbers_never_panic(
        ranges in prop::collection::vec((any::<u64>(), any::<u64>()), 1..6),
        entries in prop::collection::vec((any::<u64>(), any::<u64>()), 0..6),
        chosen in any::<(u64, u64)>(),
        counts in any::<(u32, u32)>(),
    ) {
        let start = chosen.0.to_be_bytes();
        let end = chosen.1.to_be_bytes();
        let values: [(&str, &[u8]); 3] = [
            ("linux,initrd-start", &start), ("linux,initrd-end", &end), ("stdout-path", b"/bus/uart\0"),
        ];
        let (one, other) = (cells(&[counts.0 % 6]), cells(&[counts.1]));
        let heads: [(&str, &[u8]); 3] =
            [("#address-cells", &one), ("#size-cells", &other), ("ranges", &reg(&ranges))];
        let bus = node("bus", &heads, vec![pl011("uart", ranges[0].0)]);
        let nodes = vec![memory_node(&ranges), node("chosen", &values, vec![]), bus];
        look_at_everything(&tree_of(nodes, &entries));
    }
}
