//! Host bridges, and which ITS their devices' messages come to.

mod common;

use common::acpi::{gicc, gicd, iort, iort_group, iort_node, iort_root, its, madt};
use common::tree::{Node, virt};
use tocsin_firmware::arm::{Error, Fault, Part};
use tocsin_firmware::iort::{Mapping, NodeKind};
use tocsin_firmware::mcfg::Segment;
use tocsin_firmware::pci_host::{Arrival, DeviceIds, Hosts, Window, WindowSpace};
use tocsin_firmware::{Error as AcpiError, Iort, Madt};

const PCIE: &str = "pcie@10000000";

fn read(root: &Node) -> Hosts<'static> {
    Hosts::from_device_tree(&root.blob()).unwrap()
}

fn changed(change: impl FnOnce(Node) -> Node) -> Hosts<'static> {
    read(&virt().change(PCIE, change))
}

const fn arrival(its: usize, device: u32) -> Option<Arrival> {
    Some(Arrival { its, device })
}

fn wrong(part: Part, fault: Fault) -> Error {
    Error::Part { part, fault }
}

const fn window(space: WindowSpace, pci: u64, cpu: u64, size: u64) -> Window {
    Window { space, prefetchable: false, pci, cpu, size }
}

#[test]
fn virt_of_qemu() {
    let found = read(&virt());
    let segment = Segment { base: 0x40_1000_0000, segment: 0, first_bus: 0, last_bus: 255 };
    assert_eq!(found.hosts[0].segment, segment);
    let windows = [
        window(WindowSpace::Io, 0, 0x3eff_0000, 0x1_0000),
        window(WindowSpace::Memory32, 0x1000_0000, 0x1000_0000, 0x2eff_0000),
        window(WindowSpace::Memory64, 0x80_0000_0000, 0x80_0000_0000, 0x80_0000_0000),
    ];
    assert_eq!(found.hosts[0].windows, windows);
    assert_eq!(found.ids.map(0, 0x0108), arrival(0, 0x0108));
    assert_eq!(found.ids.map(1, 0x0108), None);
    assert_eq!((found.hosts.len(), found.notes.len()), (1, 0));
}

#[test]
fn configuration_space() {
    let segment = |change: &dyn Fn(Node) -> Node| changed(change).hosts[0].segment;
    // `reg` begins with the first bus of the range, and has room for no more than it has.
    let later = segment(&|host: Node| host.cells("bus-range", &[0x20, 0x2f]));
    assert_eq!((later.first_bus, later.last_bus), (0x20, 0x2f));
    assert_eq!((later.base, later.first_address()), (0x40_0e00_0000, 0x40_1000_0000));
    let small = segment(&|host: Node| host.cells("reg", &[0x40, 0x1000_0000, 0, 0x30_0000]));
    assert_eq!((small.first_bus, small.last_bus), (0, 2));
    let silent = segment(&|host: Node| host.without("bus-range").without("linux,pci-domain"));
    assert_eq!((silent.first_bus, silent.last_bus, silent.segment), (0, 255, 0));
    assert_eq!(segment(&|host: Node| host.cells("linux,pci-domain", &[7])).segment, 7);
    let second = Node::new("pcie@2").texts("compatible", &["pci-host-ecam-generic"]);
    let second = second.cells("reg", &[0x50, 0, 0, 0x10_0000]);
    let hosts = read(&virt().child(second)).hosts;
    assert_eq!((hosts[1].segment.segment, hosts[1].segment.last_bus), (1, 0));
    assert_eq!(hosts[1].windows, []);
}

#[test]
fn mistakes_in_configuration_space() {
    let note = |change: &dyn Fn(Node) -> Node| {
        let found = changed(change);
        assert_eq!(found.hosts.len(), 0);
        found.notes[0]
    };
    let bad = |what, value| wrong(Part::PciHost, Fault::BadValue { what, value });
    let reg = |cells: &'static [u32]| note(&|host: Node| host.cells("reg", cells));
    assert_eq!(reg(&[]), wrong(Part::PciHost, Fault::NoReg { index: 0 }));
    assert_eq!(reg(&[0, 1, 0, 0xf_ffff]), bad("the size of configuration space", 0xf_ffff));
    let skewed = bad("the address of configuration space", 0x8_0000);
    assert_eq!(reg(&[0, 0x8_0000, 0, 0x10_0000]), skewed);
    let range = |cells: &'static [u32]| note(&|host: Node| host.cells("bus-range", cells));
    assert_eq!(range(&[5, 4]), bad("`bus-range`", 5));
    assert_eq!(range(&[0, 256]), bad("`bus-range`", 0));
    assert_eq!(range(&[0]), bad("the length of `bus-range`", 4));
    let low = note(&|host: Node| {
        host.cells("bus-range", &[2, 3]).cells("reg", &[0, 0x10_0000, 0, 0x20_0000])
    });
    assert_eq!(low, bad("the address of configuration space", 0x10_0000));
    let domain = note(&|host: Node| host.cells("linux,pci-domain", &[0x1_0000]));
    assert_eq!(domain, bad("`linux,pci-domain`", 0x1_0000));
    let many = (0..10).fold(virt().without_child(PCIE), |root, number| {
        let host = Node::new(&format!("pcie@{number}"));
        let host = host.texts("compatible", &["pci-host-ecam-generic"]);
        root.child(host.cells("reg", &[number + 1, 0, 0, 0x10_0000]))
    });
    let found = read(&many);
    let note = wrong(Part::PciHost, Fault::TooMany { kept: 8 });
    assert_eq!((found.hosts.len(), &found.notes[..]), (8, &[note; 2][..]));
    assert_eq!(changed(|host| host.texts("status", &["disabled"])).hosts.len(), 0);
    assert!(Hosts::from_device_tree(&[1, 2, 3]).is_err());
}

/// A host bridge on a bus that moves addresses, with addresses on the bus that are not the CPU's, and cells of another
/// size above.
#[test]
fn windows_are_translated() {
    let host = Node::new("pcie@0")
        .texts("compatible", &["pci-host-ecam-generic"])
        .cells("#address-cells", &[3])
        .cells("#size-cells", &[1])
        .cells("reg", &[0x1000_0000, 0x10_0000])
        .cells(
            "ranges",
            &[
                // Configuration space is passed over; p, then i/o, 32 bits, 64 bits.
                [0, 0, 0, 0x1000_0000, 0x10_0000],
                [0x0100_0000, 0, 0x1000, 0x3000_0000, 0x1_0000],
                [0xc200_0000, 0, 0xe000_0000, 0x4000_0000, 0x1000_0000],
                [0x4300_0000, 0x80, 0, 0x5000_0000, 0x1000_0000],
            ]
            .concat(),
        );
    let bus = Node::new("soc")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .cells("ranges", &[0, 5, 0, 0x8000_0000])
        .child(host);
    let found = read(&virt().without_child(PCIE).child(bus));
    assert_eq!(found.notes, []);
    let windows = [
        window(WindowSpace::Io, 0x1000, 0x5_3000_0000, 0x1_0000),
        Window {
            prefetchable: true,
            ..window(WindowSpace::Memory32, 0xe000_0000, 0x5_4000_0000, 0x1000_0000)
        },
        Window {
            prefetchable: true,
            ..window(WindowSpace::Memory64, 0x80_0000_0000, 0x5_5000_0000, 0x1000_0000)
        },
    ];
    assert_eq!(found.hosts[0].windows, windows);
}

#[test]
fn mistakes_in_windows() {
    let note = |change: &dyn Fn(Node) -> Node| {
        let found = changed(change);
        assert_eq!(found.hosts.len(), 1);
        found.notes[0]
    };
    let ranges = |cells: &'static [u32]| note(&|host: Node| host.cells("ranges", cells));
    let bad_ranges = wrong(Part::PciWindow, Fault::BadRanges);
    assert_eq!(ranges(&[0; 6]), bad_ranges);
    assert_eq!(ranges(&[0x0200_0000, 0, 0x1000, 0, 0x1000, 0, 0]), bad_ranges, "empty");
    let high = [0x0200_0000, 0, 0xffff_f000, 0, 0x1000, 0, 0x2000];
    assert_eq!(note(&|host: Node| host.cells("ranges", &high)), bad_ranges, "above 4 GiB");
    let around = [0x0300_0000, !0, 0xffff_f000, 0, 0x1000, 0, 0x2000];
    assert_eq!(note(&|host: Node| host.cells("ranges", &around)), bad_ranges);
    let cpu = [0x0300_0000, 0, 0x1000, !0, 0xffff_f000, 0, 0x2000];
    let bad_reg = wrong(Part::PciWindow, Fault::BadReg);
    assert_eq!(note(&|host: Node| host.cells("ranges", &cpu)), bad_reg);
    let cells = note(&|host: Node| host.cells("#address-cells", &[2]));
    let what = "`#address-cells` of a PCI bus";
    assert_eq!(cells, wrong(Part::PciWindow, Fault::BadValue { what, value: 2 }));
    let many: Vec<u32> =
        (1..=9).flat_map(|n| [0x0200_0000, 0, n << 20, 0, n << 20, 0, 1 << 20]).collect();
    let too_many = wrong(Part::PciWindow, Fault::TooMany { kept: 8 });
    assert_eq!(note(&|host: Node| host.cells("ranges", &many)), too_many);
}

#[test]
fn msi_map() {
    let second = Node::new("its@1")
        .texts("compatible", &["arm,gic-v3-its"])
        .cells("phandle", &[0x77])
        .cells("reg", &[1, 0, 0, 0x2_0000]);
    let root = virt().child(second);
    let ids = |change: &dyn Fn(Node) -> Node| {
        let found = read(&root.clone().change(PCIE, change));
        assert_eq!(found.notes, []);
        found.ids
    };
    // The second ITS of the tree is the second of `Gic::its`: the first is inside the GIC, which comes before.
    let map = [0, 0x77, 0x1_0000, 0x100, 0x100, 0x8004, 0, 0x80, 0x180, 0x99, 0, 0x80];
    let two = ids(&|host: Node| host.cells("msi-map", &map));
    assert_eq!(two.map(0, 0x00ff), arrival(1, 0x1_00ff));
    assert_eq!(two.map(0, 0x0100), arrival(0, 0));
    assert_eq!(two.map(0, 0x017f), arrival(0, 0x7f));
    // Not an ITS; not in the map.
    assert_eq!((two.map(0, 0x0180), two.map(0, 0x0200)), (None, None));
    // Only the bus counts.
    let masked = ids(&|host: Node| {
        host.cells("msi-map-mask", &[0xff00]).cells("msi-map", &[0, 0x8004, 0x40, 0x1_0000])
    });
    assert_eq!(masked.map(0, 0x01fb), arrival(0, 0x140));
    // An entry of no length is for nobody.
    let none = ids(&|host: Node| host.cells("msi-map", &[0, 0x8004, 0, 0]));
    assert_eq!(none.map(0, 0), None);
    let parent = ids(&|host: Node| host.without("msi-map").cells("msi-parent", &[0x77]));
    assert_eq!(parent.map(0, 0x0108), arrival(1, 0x0108));
    let foreign = ids(&|host: Node| host.without("msi-map").cells("msi-parent", &[1]));
    assert_eq!(foreign.map(0, 0x0108), None);
    let neither = ids(&|host: Node| host.without("msi-map"));
    assert_eq!(neither.map(0, 0x0108), None);
    assert!(!neither.is_known() && parent.is_known());
}

#[test]
fn mistakes_in_the_msi_map() {
    let note = |cells: &[u32]| {
        let found = changed(|host| host.cells("msi-map", cells));
        assert_eq!(found.hosts.len(), 1);
        found.notes[0]
    };
    let bad = |what, value| wrong(Part::DeviceIds, Fault::BadValue { what, value });
    assert_eq!(note(&[0, 0x8004, 0]), bad("the length of `msi-map`", 12));
    let length = |value| bad("a length in `msi-map`", value);
    assert_eq!(note(&[2, 0x8004, 0, !0]), length(0xffff_ffff));
    assert_eq!(note(&[0, 0x8004, !0, 2]), length(2));
    let many: Vec<u32> = (0..65).flat_map(|n| [n, 0x8004, n, 1]).collect();
    assert_eq!(note(&many), wrong(Part::DeviceIds, Fault::TooMany { kept: 64 }));
}

/// Offsets of nodes in a table: they follow each other from 48 on.
const GROUP: u32 = 48;
/// Behind a group of one ITS (24 bytes).
const SECOND: u32 = GROUP + 24;

fn ids(table: &[u8]) -> DeviceIds<'_> {
    let madt = madt(&[gicd(0x1000, 3), gicc(1, 0, 0), its(9, 0), its(5, 0x1000), its(7, 0x2000)]);
    DeviceIds::from_acpi(&Madt::parse(&madt).unwrap(), Iort::parse(table).unwrap())
}

#[test]
fn iort_straight_to_a_group() {
    let roots = [
        iort_root(0, &[[0, 0xff, 0x100, GROUP, 0], [0x100, 0, 0x7000, GROUP, 0]]),
        iort_root(0, &[[0x200, 0xff, 0, GROUP, 0]]),
        iort_root(3, &[[0, 0xffff, 0x3_0000, GROUP, 0]]),
    ];
    let table = iort(&[&[iort_group(&[7])], &roots[..]].concat());
    let ids = ids(&table);
    // The ITS at address 0 of the MADT is none; 7 is the second of those that are.
    assert_eq!(ids.map(0, 0), arrival(1, 0x100));
    assert_eq!(ids.map(0, 0xff), arrival(1, 0x1ff));
    assert_eq!(ids.map(0, 0x100), arrival(1, 0x7000));
    assert_eq!(ids.map(0, 0x101), None);
    assert_eq!(ids.map(0, 0x2ff), arrival(1, 0xff));
    assert_eq!(ids.map(3, 0xffff), arrival(1, 0x3_ffff));
    assert_eq!(ids.map(1, 0), None);
}

/// As QEMU has it with an SMMU, whose ranges meet in one id.
#[test]
fn iort_through_an_smmu() {
    let smmu_mappings = [[9, 9, 0xdead, GROUP, 1], [0, 0xffff, 0x1000, GROUP, 0]];
    let smmu = iort_node(4, &[0; 52], &smmu_mappings);
    let root_mappings = [[0, 0x200, 0, SECOND, 0], [0x200, 0xfdff, 0x200, GROUP, 0]];
    let table = iort(&[iort_group(&[5]), smmu, iort_root(0, &root_mappings)]);
    let iort = Iort::parse(&table).unwrap();
    let kinds: Vec<_> = iort.nodes().map(|node| node.unwrap().kind).collect();
    assert_eq!(kinds, [NodeKind::ItsGroup, NodeKind::Smmu, NodeKind::RootComplex]);
    let ids = ids(&table);
    assert_eq!(ids.map(0, 8), arrival(0, 0x1008));
    assert_eq!(ids.map(0, 0x200), arrival(0, 0x1200));
    assert_eq!(ids.map(0, 0x201), arrival(0, 0x201));
    assert_eq!(ids.map(0, 0xffff), arrival(0, 0xffff));
}

#[test]
fn iort_that_leads_nowhere() {
    let map = |nodes: &[Vec<u8>]| ids(&iort(nodes)).map(0, 4);
    let all = |to| iort_root(0, &[[0, 0xffff, 0, to, 0]]);
    assert_eq!(map(&[iort_group(&[7]), all(GROUP)]), arrival(1, 4));
    assert_eq!(map(&[iort_group(&[8]), all(GROUP)]), None, "no such ITS");
    assert_eq!(map(&[iort_group(&[]), all(GROUP)]), None, "a group of none");
    assert_eq!(map(&[iort_group(&[7]), all(SECOND)]), None, "to itself, for ever");
    assert_eq!(map(&[iort_group(&[7]), all(!0)]), None, "out of the table");
    assert_eq!(map(&[iort_group(&[7]), all(47)]), None, "into the middle");
    assert_eq!(map(&[iort_group(&[7])]), None);
    // A single output, whatever comes in: allowed for a device, passed over for what merely passes an SMMU.
    let single = iort_root(0, &[[0, 0, 0x77, GROUP, 1]]);
    assert_eq!(map(&[iort_group(&[7]), single]), arrival(1, 0x77));
    let smmu = iort_node(4, &[], &[[0, 0, 0x77, GROUP, 1]]);
    assert_eq!(map(&[iort_group(&[7]), smmu, all(SECOND)]), None);
}

#[test]
fn mistakes_in_the_iort() {
    let first_mapping = |mapping| {
        let table = iort(&[iort_root(0, &[mapping])]);
        let node = Iort::parse(&table).unwrap().nodes().next().unwrap().unwrap();
        node.mappings().next().unwrap()
    };
    let good = Mapping { first: 1, last: 3, output: 9, reference: 48, single: false };
    assert_eq!(first_mapping([1, 2, 9, 48, 0]), Ok(good));
    assert_eq!((good.apply(0), good.apply(1), good.apply(3)), (None, Some(9), Some(11)));
    let bad = |what, value| Err(AcpiError::BadValue { what, value });
    assert_eq!(first_mapping([2, !0, 0, 48, 0]), bad("IORT mapping input", 2));
    assert_eq!(first_mapping([0, 2, !1, 48, 0]), bad("IORT mapping output", 0xffff_fffe));

    let node = |bytes: Vec<u8>| {
        let table = iort(&[bytes]);
        let node = Iort::parse(&table).unwrap().nodes().next().unwrap();
        node.map(|node| node.kind)
    };
    let what = "IORT node";
    assert_eq!(node(vec![2, 15, 0]), Err(AcpiError::BadLength { what, length: 15 }));
    let error = AcpiError::Truncated { what, needed: 40, available: 36 };
    let mut cut = iort_root(0, &[]);
    cut[1] = 40;
    assert_eq!(node(cut), Err(error));
    // Mappings that are not in the node.
    for (count, at) in [(1u32, 36u32), (1, 17), (1, 0), (!0, 16)] {
        let mut root = iort_root(0, &[]);
        root[8..12].copy_from_slice(&count.to_le_bytes());
        root[12..16].copy_from_slice(&at.to_le_bytes());
        let error = AcpiError::BadValue { what: "IORT mapping array", value: at.into() };
        assert_eq!(node(root), Err(error));
    }
    let mut group = iort_group(&[1]);
    group[16] = 2;
    let table = iort(&[group]);
    let group = Iort::parse(&table).unwrap().nodes().next().unwrap().unwrap();
    let what = "IORT ITS group";
    let error = AcpiError::Truncated { what, needed: 28, available: 24 };
    assert_eq!(group.its_ids().err(), Some(error));

    let start = |at: u8| {
        let mut table = iort(&[iort_group(&[1])]);
        table[40] = at;
        common::fix_checksum(&mut table, 9);
        Iort::parse(&table).err()
    };
    let error = |value| Some(AcpiError::BadValue { what: "IORT node array", value });
    assert_eq!((start(47), start(72), start(48)), (error(47), error(72), None));
}
