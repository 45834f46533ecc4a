//! Arm machines from their device trees.

mod common;

use common::tree::{Node, virt};
use tocsin_firmware::arm::{
    Affinity, Conduit, Console, ConsoleKind, DirectMessages, Error, Fault, Its, ItsName, MAX_CPUS,
    Mbi, Part, Platform, Range, Redistributors,
};

fn read(root: &Node) -> Platform {
    Platform::from_device_tree(&root.blob()).unwrap()
}

fn refused(root: &Node) -> Error {
    Platform::from_device_tree(&root.blob()).unwrap_err()
}

fn wrong(part: Part, fault: Fault) -> Error {
    Error::Part { part, fault }
}

const fn range(base: u64, size: u64) -> Range {
    Range { base, size }
}

const GIC: &str = "intc@8000000";
const UART: &str = "pl011@9000000";

#[test]
fn virt_of_qemu() {
    let platform = read(&virt());
    assert_eq!(platform.gic.version, 3);
    assert_eq!(platform.gic.distributor, range(0x0800_0000, 0x1_0000));
    let redistributors = Redistributors { range: range(0x080a_0000, 0xf6_0000), stride: None };
    assert_eq!(platform.gic.redistributors, [redistributors]);
    let name = ItsName::Phandle(Some(0x8004));
    assert_eq!(platform.gic.its, [Its { range: range(0x0808_0000, 0x2_0000), name }]);
    assert_eq!(platform.gic.mbi, Mbi::default());
    let affinities: Vec<_> = platform.cpus.iter().map(|cpu| cpu.affinity.bits()).collect();
    assert_eq!((affinities, platform.cpu_count), (vec![0, 1], 2));
    assert!(platform.cpus.iter().all(|cpu| cpu.enabled && cpu.redistributor.is_none()));
    assert_eq!(platform.conduit, Some(Conduit::Hvc));
    assert_eq!(platform.virtual_timer, 27);
    let console = Console {
        kind: ConsoleKind::Pl011,
        range: range(0x0900_0000, 0x1000),
        interrupt: Some(33),
    };
    assert_eq!(platform.console, Some(console));
    assert_eq!(platform.notes, []);
}

/// As of a board whose peripherals are behind two buses that move addresses, one of them with short cells.
#[test]
fn addresses_are_translated_on_the_way_up() {
    let its = Node::new("msi-controller@20000")
        .texts("compatible", &["arm,gic-v3-its"])
        .cells("reg", &[0x2_0000, 0x2_0000]);
    let gic = Node::new("interrupt-controller@f9000000")
        .texts("compatible", &["arm,gic-v3"])
        .cells("phandle", &[5])
        .cells("#interrupt-cells", &[3])
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .cells("ranges", &[0, 0, 0xf900_0000, 0x10_0000])
        .cells("reg", &[0, 0xf900_0000, 0, 0x8_0000, 0, 0xf908_0000, 0, 0x8_0000])
        .child(its);
    let uart = Node::new("serial@0")
        .texts("compatible", &["arm,sbsa-uart"])
        .cells("reg", &[0x1_0000, 0x1000])
        .cells("interrupts", &[0, 18, 4]);
    let inner = Node::new("apb@0")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        // The second entry is the one: 0x10000 here is 0x200000 on the bus above.
        .cells("ranges", &[0, 0, 0x10_0000, 0x1_0000, 0x1_0000, 0, 0x20_0000, 0x1_0000])
        .child(uart);
    let amba = Node::new("amba")
        .texts("compatible", &["simple-bus"])
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .cells("ranges", &[0, 0, 0x12, 0, 1, 0])
        .cells("interrupt-parent", &[5])
        .child(gic)
        .child(inner);
    let root = virt().without_child(GIC).without_child(UART).child(amba);
    let root = root.change("chosen", |chosen| chosen.texts("stdout-path", &["serial0:115200n8"]));
    let root = root.child(Node::new("aliases").texts("serial0", &["/amba/apb/serial@0"]));
    let root = root.change("timer", |timer| timer.cells("interrupt-parent", &[5]));
    let platform = read(&root);
    assert_eq!(platform.gic.distributor, range(0x12_f900_0000, 0x8_0000));
    assert_eq!(platform.gic.redistributors[0].range, range(0x12_f908_0000, 0x8_0000));
    assert_eq!(platform.gic.its[0].range, range(0x12_f902_0000, 0x2_0000));
    let console = platform.console.unwrap();
    assert_eq!((console.kind, console.range), (ConsoleKind::Sbsa, range(0x12_0020_0000, 0x1000)));
    assert_eq!(console.interrupt, Some(50));
    assert_eq!(platform.notes, []);
}

#[test]
fn an_address_that_no_bus_forwards_is_no_address() {
    let behind = |bus: Node| {
        let uart = Node::new("serial@0")
            .texts("compatible", &["arm,pl011"])
            .cells("reg", &[0x9_0000, 0x1000]);
        let bus = bus.cells("#address-cells", &[1]).cells("#size-cells", &[1]).child(uart);
        let root = virt().child(bus);
        let to = |chosen: Node| chosen.texts("stdout-path", &["/bus/serial"]);
        let platform = read(&root.change("chosen", to));
        assert_eq!(platform.console, None);
        platform.notes[0]
    };
    let note = |fault| wrong(Part::Console, fault);
    let bus = || Node::new("bus");
    assert_eq!(behind(bus()), note(Fault::NotReachable));
    let elsewhere = bus().cells("ranges", &[0, 0, 0x1000_0000, 0x9_0000]);
    assert_eq!(behind(elsewhere), note(Fault::NotReachable));
    let half = bus().cells("ranges", &[0, 0, 0x1000_0000, 0x9_0800]);
    assert_eq!(behind(half), note(Fault::NotReachable));
    let ragged = bus().cells("ranges", &[0, 0, 0x1000_0000]);
    assert_eq!(behind(ragged), note(Fault::BadRanges));
    let beyond = bus().cells("ranges", &[0, !0, !0, 0x10_0000]);
    assert_eq!(behind(beyond), note(Fault::BadRanges));
    let at_the_end = bus().cells("ranges", &[0, !0, 0xfff6_f001, 0x10_0000]);
    assert_eq!(behind(at_the_end), note(Fault::BadReg));
    let pci = bus().cells("#address-cells", &[3]).cells("ranges", &[0; 6]);
    assert_eq!(behind(pci.cells("#size-cells", &[2])), note(Fault::BadRanges));
}

#[test]
fn several_redistributor_regions_with_a_stride() {
    let change = |gic: Node| {
        gic.cells("reg", &[0, 0x800_0000, 0, 0x1_0000, 1, 0, 0, 0x8_0000, 2, 0, 0, 0x8_0000])
            .cells("#redistributor-regions", &[2])
            .cells("redistributor-stride", &[0, 0x4_0000])
    };
    let platform = read(&virt().change(GIC, change));
    let region = |base| Redistributors { range: range(base, 0x8_0000), stride: Some(0x4_0000) };
    assert_eq!(platform.gic.redistributors, [region(1 << 32), region(2 << 32)]);
    // One cell is as good.
    let short = virt().change(GIC, |gic| gic.cells("redistributor-stride", &[0x2_0000]));
    assert_eq!(read(&short).gic.redistributors[0].stride, Some(0x2_0000));
    for bad in [&[0x1_0000][..], &[0, 0x2_8000], &[1, 2, 3], &[]] {
        let root = virt().change(GIC, |gic| gic.cells("redistributor-stride", bad));
        let Error::Part { part: Part::Redistributor, fault: Fault::BadValue { .. } } =
            refused(&root)
        else {
            panic!("{bad:x?}");
        };
    }
}

#[test]
fn message_based_interrupts_are_shown() {
    let with = |change: &dyn Fn(Node) -> Node| read(&virt().change(GIC, change));
    let platform = with(&|gic: Node| {
        gic.flag("msi-controller")
            .cells("mbi-ranges", &[256, 64, 512, 32])
            .cells("mbi-alias", &[0, 0x810_0000])
    });
    let mbi = &platform.gic.mbi;
    assert_eq!(mbi.ranges, [(256, 64), (512, 32)]);
    assert_eq!((mbi.alias, mbi.msi_controller), (Some(0x810_0000), true));
    for bad in [&[16, 4][..], &[1000, 21], &[64, 0], &[64], &[32, 8, !0, 1]] {
        let platform = with(&|gic: Node| gic.cells("mbi-ranges", bad));
        assert_eq!(platform.gic.mbi.ranges, [], "{bad:?}");
        let fault = Fault::BadValue { what: "`mbi-ranges`", value: 0 };
        assert_eq!(platform.notes, [wrong(Part::Mbi, fault)]);
    }
    let many: Vec<u32> = (1..=5).flat_map(|n| [n * 64, 8]).collect();
    let platform = with(&|gic: Node| gic.flag("msi-controller").cells("mbi-ranges", &many));
    assert_eq!(platform.gic.mbi.ranges.len(), 4);
    assert_eq!(platform.notes, [wrong(Part::Mbi, Fault::TooMany { kept: 4 })]);
    let platform = with(&|gic: Node| gic.cells("mbi-alias", &[1, 2, 3]));
    assert_eq!((platform.gic.mbi.alias, platform.notes.len()), (None, 1));
    // Devices would have to write somewhere else, nobody knows where.
    let lost = |gic: Node| {
        gic.flag("msi-controller").cells("mbi-ranges", &[256, 64]).cells("mbi-alias", &[1, 2, 3])
    };
    assert_eq!(with(&lost).gic.direct_messages(), None);
}

/// Which way messages take without an ITS is said, and never follows from its absence.
#[test]
fn messages_without_an_its_are_chosen_by_property() {
    let with = |change: &dyn Fn(Node) -> Node| read(&virt().change(GIC, change));
    let ranges = |gic: Node| gic.cells("mbi-ranges", &[256, 64]);
    assert_eq!(with(&|gic| gic).gic.direct_messages(), None);
    assert_eq!(with(&|gic| gic.flag("msi-controller")).gic.direct_messages(), None);
    let spis = with(&|gic| ranges(gic.flag("msi-controller")));
    assert_eq!((spis.gic.direct_messages(), spis.notes.len()), (Some(DirectMessages::Spis), 0));
    let lpis = with(&|gic| gic.flag("msi-controller").flag("tocsin,direct-lpi"));
    assert_eq!((lpis.gic.direct_messages(), lpis.notes.len()), (Some(DirectMessages::Lpis), 0));
    // The extra property tells the two apart where both could be.
    let both = with(&|gic| ranges(gic.flag("msi-controller").flag("tocsin,direct-lpi")));
    assert_eq!(both.gic.direct_messages(), Some(DirectMessages::Lpis));
    let neither = with(&|gic| ranges(gic.flag("tocsin,direct-lpi")));
    assert_eq!(neither.gic.direct_messages(), None);
    let without = |what| wrong(Part::Mbi, Fault::Without { what, other: "`msi-controller`" });
    assert_eq!(neither.notes, [without("`tocsin,direct-lpi`"), without("`mbi-ranges`")]);
    let shown =
        "message-based interrupts: `mbi-ranges` is there without `msi-controller`, and is left out";
    assert_eq!(neither.notes[1].to_string(), shown);
}

#[test]
fn a_version_two_controller_is_recognized() {
    let change = |gic: Node| gic.texts("compatible", &["arm,gic-400"]).without("reg");
    let root = virt().change(GIC, |gic| change(gic).cells("reg", &[0, 0x800_0000, 0, 0x1000]));
    let platform = read(&root);
    assert_eq!((platform.gic.version, platform.gic.redistributors.len()), (2, 0));
}

#[test]
fn what_is_switched_off_is_not_there() {
    let off = |node: Node| node.texts("status", &["disabled"]);
    assert_eq!(refused(&virt().change(GIC, off)), wrong(Part::Gic, Fault::Missing));
    // With a bus, all that is on it.
    assert_eq!(read(&virt().change("intc@8000000/its@8080000", off)).gic.its, []);
    assert_eq!(read(&virt().change("psci", off)).conduit, None);
    let one = read(&virt().change("cpus/cpu@0", |cpu| cpu.texts("status", &["fail"])));
    assert_eq!(one.cpus.iter().map(|cpu| cpu.enabled).collect::<Vec<_>>(), [false, true]);
    let on = read(&virt().change(GIC, |gic| gic.texts("status", &["ok"])));
    assert_eq!(on.gic.version, 3);
}

#[test]
fn cpus() {
    let wide = |cpus: Node| cpus.cells("#address-cells", &[2]);
    let unit = |cells: [u32; 2]| move |cpu: Node| cpu.cells("reg", &cells);
    let root = virt().change("cpus", wide).change("cpus/cpu@0", unit([0x12, 0x0034_5678]));
    let root = root.change("cpus/cpu@1", unit([0, 0x8000_0000]));
    let what = "the affinity in `reg`";
    let fault = Fault::BadValue { what, value: 0x8000_0000 };
    assert_eq!(refused(&root), wrong(Part::Cpu, fault));
    let affinity = read(&root.change("cpus/cpu@1", unit([0, 7]))).cpus[0].affinity;
    assert_eq!((affinity.bits(), affinity.mpidr()), (0x1234_5678, 0x12_0034_5678));
    assert_eq!(affinity.to_string(), "18.52.86.120");
    assert_eq!(Affinity::from_mpidr(0x12_c134_5678), Affinity::from_bits(0x1234_5678));

    assert_eq!(refused(&virt().without_child("cpus")), wrong(Part::Cpu, Fault::Missing));
    let without = virt().change("cpus/cpu@0", |cpu| cpu.without("reg"));
    assert_eq!(refused(&without), wrong(Part::Cpu, Fault::NoReg { index: 0 }));
    // Two cells where each entry has one are two entries; three bytes are none.
    let ragged = virt().change("cpus/cpu@0", |cpu| cpu.bytes("reg", &[0; 3]));
    assert_eq!(refused(&ragged), wrong(Part::Cpu, Fault::BadReg));
    let all_off = ["cpus/cpu@0", "cpus/cpu@1"]
        .into_iter()
        .fold(virt(), |root, cpu| root.change(cpu, |cpu| cpu.texts("status", &["disabled"])));
    assert_eq!(refused(&all_off), wrong(Part::Cpu, Fault::Missing));
}

#[test]
fn more_cpus_than_are_kept() {
    let root = virt().change("cpus", |cpus| {
        (2..20).fold(cpus, |cpus, number| {
            let status = if number < 6 { "disabled" } else { "okay" };
            let cpu = Node::new(&format!("cpu@{number:x}")).cells("reg", &[number]);
            cpus.child(cpu.texts("device_type", &["cpu"]).texts("status", &[status]))
        })
    });
    let platform = read(&root);
    assert_eq!((platform.cpus.len(), platform.cpu_count), (MAX_CPUS, 20));
    // Those that can run take the places of those that cannot.
    assert!(platform.cpus.iter().all(|cpu| cpu.enabled));
}

#[test]
fn mistakes_in_what_the_machine_needs() {
    let gic = |change: &dyn Fn(Node) -> Node| refused(&virt().change(GIC, change));
    let bad = |part, what, value| wrong(part, Fault::BadValue { what, value });
    assert_eq!(refused(&virt().without_child(GIC)), wrong(Part::Gic, Fault::Missing));
    let no_reg = wrong(Part::Gic, Fault::NoReg { index: 0 });
    assert_eq!(gic(&|gic: Node| gic.without("reg")), no_reg);
    assert_eq!(gic(&|gic: Node| gic.cells("reg", &[0; 5])), wrong(Part::Gic, Fault::BadReg));
    let empty = gic(&|gic: Node| gic.cells("reg", &[0, 0x800_0000, 0, 0]));
    assert_eq!(empty, wrong(Part::Gic, Fault::BadReg));
    let around = gic(&|gic: Node| gic.cells("reg", &[!0, 0xffff_f000, 0, 0x2000]));
    assert_eq!(around, wrong(Part::Gic, Fault::BadReg));
    let huge = gic(&|gic: Node| gic.cells("reg", &[0, 0x800_0000, 0, 0x1_0000]));
    assert_eq!(huge, wrong(Part::Redistributor, Fault::NoReg { index: 1 }));
    let many = gic(&|gic: Node| gic.cells("#redistributor-regions", &[!0]));
    assert_eq!(many, wrong(Part::Redistributor, Fault::NoReg { index: 2 }));
    let none = gic(&|gic: Node| gic.cells("#redistributor-regions", &[0]));
    assert_eq!(none, wrong(Part::Redistributor, Fault::Missing));
    let cells = gic(&|gic: Node| gic.cells("#interrupt-cells", &[2]));
    assert_eq!(cells, bad(Part::Gic, "`#interrupt-cells`", 2));
    let wide = refused(&virt().cells("#address-cells", &[3]));
    assert_eq!(wide, wrong(Part::Gic, Fault::BadReg));
    assert!(matches!(Platform::from_device_tree(&[]), Err(Error::Tree(_))));
}

#[test]
fn mistakes_in_what_it_can_do_without_are_noted() {
    let noted = |root: Node| read(&root).notes;
    let its = "intc@8000000/its@8080000";
    let no_reg = Fault::NoReg { index: 0 };
    let root = virt().change(its, |its| its.without("reg"));
    assert_eq!(noted(root), [wrong(Part::Its, no_reg)]);
    let root = virt().change("psci", |psci| psci.texts("method", &["call"]));
    let fault = Fault::BadValue { what: "`method`", value: 0 };
    assert_eq!(noted(root), [wrong(Part::Psci, fault)]);
    let root = virt().change(UART, |uart| uart.without("reg"));
    assert_eq!(noted(root), [wrong(Part::Console, no_reg)]);
    let root = virt().change("timer", |timer| timer.cells("interrupts", &[1, 13, 4]));
    assert_eq!(noted(root), [wrong(Part::Timer, Fault::Missing)]);
    let root = virt().change("timer", |timer| timer.cells("interrupts", &[0; 9]));
    let fault = Fault::BadValue { what: "the virtual timer's INTID", value: 32 };
    assert_eq!(noted(root), [wrong(Part::Timer, fault)]);
    let root = (0..10).fold(virt(), |root, number| {
        let its = Node::new(&format!("its@{number}")).texts("compatible", &["arm,gic-v3-its"]);
        root.child(its.cells("reg", &[0, number << 20, 0, 0x2_0000]))
    });
    let fault = Fault::TooMany { kept: 8 };
    assert_eq!(noted(root), [wrong(Part::Its, fault); 3]);
}

#[test]
fn interrupts() {
    let timer = |change: &dyn Fn(Node) -> Node| read(&virt().change("timer", change)).virtual_timer;
    assert_eq!(timer(&|t: Node| t.cells("interrupts", &[1, 13, 4, 1, 14, 4, 1, 4, 4])), 20);
    let named = |t: Node| t.texts("interrupt-names", &["phys", "virt"]);
    assert_eq!(timer(&|t: Node| named(t).cells("interrupts", &[1, 14, 4, 1, 3, 4])), 19);
    // Another controller's interrupts are not the GIC's.
    assert_eq!(timer(&|t: Node| t.cells("interrupt-parent", &[9])), 27);
    let extended = |t: Node, cells: &[u32]| t.cells("interrupts-extended", cells);
    let gic = 0x8003;
    let three = [gic, 1, 13, 4, gic, 1, 14, 4, gic, 1, 5, 4];
    assert_eq!(timer(&|t: Node| extended(t, &three)), 21);
    let foreign = [gic, 1, 13, 4, 7, 1, 14, 4, gic, 1, 5, 4];
    assert_eq!(timer(&|t: Node| extended(t, &foreign)), 27);
    let uart = |change: &dyn Fn(Node) -> Node| {
        read(&virt().change(UART, change)).console.unwrap().interrupt
    };
    assert_eq!(uart(&|u: Node| u.cells("interrupts", &[0, 987, 4])), Some(1019));
    assert_eq!(uart(&|u: Node| u.cells("interrupts", &[0, 988, 4])), None);
    assert_eq!(uart(&|u: Node| u.cells("interrupts", &[2, 3, 4])), Some(4099));
    assert_eq!(uart(&|u: Node| u.cells("interrupts", &[3, 3, 4])), Some(1059));
    assert_eq!(uart(&|u: Node| u.cells("interrupts", &[9, 3, 4])), None);
    assert_eq!(uart(&|u: Node| u.without("interrupts")), None);
    // Something else behind the one that is wanted.
    assert_eq!(uart(&|u: Node| extended(u, &[gic, 0, 1, 4, 7])), Some(33));
}

#[test]
fn which_console() {
    let second = Node::new("serial@a000000")
        .texts("compatible", &["arm,pl011"])
        .cells("reg", &[0, 0x0a00_0000, 0, 0x1000]);
    let aliases = Node::new("aliases").texts("uart1", &["/serial@a000000"]);
    let root = virt().child(second).child(aliases).child(Node::new("other"));
    let with = |path: &[&str]| {
        let chosen = |chosen: Node| chosen.texts("stdout-path", path);
        read(&root.clone().change("chosen", chosen)).console.map(|console| console.range.base)
    };
    assert_eq!(with(&["/serial@a000000"]), Some(0x0a00_0000));
    assert_eq!(with(&["/serial@a000000:9600e7"]), Some(0x0a00_0000));
    assert_eq!(with(&["uart1:115200n8", "junk"]), Some(0x0a00_0000));
    assert_eq!(with(&["/serial"]), Some(0x0a00_0000));
    // What is chosen and no port of a kind that is known is not replaced by another.
    assert_eq!(with(&["/other"]), None);
    // What is chosen and does not exist counts for nothing.
    assert_eq!(with(&["uart7"]), Some(0x0900_0000));
    assert_eq!(with(&[""]), Some(0x0900_0000));
    let old = root.change("chosen", |chosen| {
        chosen.without("stdout-path").texts("linux,stdout-path", &["uart1"])
    });
    assert_eq!(read(&old).console.unwrap().range.base, 0x0a00_0000);
}

/// What is wrong with the rest must be said somewhere.
#[test]
fn the_console_of_a_machine_without_anything_else() {
    let root = virt().without_child(GIC);
    assert_eq!(refused(&root), wrong(Part::Gic, Fault::Missing));
    let console = Console::from_device_tree(&root.blob()).unwrap();
    assert_eq!((console.kind, console.interrupt), (ConsoleKind::Pl011, None));
    assert_eq!(console.range, range(0x0900_0000, 0x1000));
    assert_eq!(Console::from_device_tree(&virt().without_child(UART).blob()), None);
    assert_eq!(Console::from_device_tree(&[]), None);
}

/// A tree that is deeper than is looked at, and so deep that recursion would end badly.
#[test]
fn deep_trees() {
    let deep = (0..2000).fold(Node::new("deep"), |node, _| Node::new("n").child(node));
    let platform = read(&virt().child(deep));
    assert_eq!(platform.notes, []);
}
