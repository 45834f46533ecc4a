//! Where interrupt pins lead, by a device tree.

mod common;

use common::tree::{Node, virt, virt_interrupt_map};
use tocsin_firmware::arm::Fault;
use tocsin_firmware::pci_host::{NoLine, Pin, Pins};
use tocsin_firmware::{Line, Polarity, RequesterId, Trigger};

const PCIE: &str = "pcie@10000000";
const GIC: u32 = 0x8003;

fn id(bus: u8, device: u8, function: u8) -> RequesterId {
    RequesterId::new(bus, device, function).unwrap()
}

/// The line of a pin, 1 for INTA.
fn line(root: &Node, way: &[RequesterId], pin: u8) -> Result<Line, NoLine> {
    let blob = root.blob();
    let pins = Pins::from_device_tree(&blob).unwrap();
    pins.line(0, way, Pin::from_register(pin).unwrap())
}

fn changed(change: impl FnOnce(Node) -> Node) -> Node {
    virt().change(PCIE, change)
}

const fn level(number: u32) -> Result<Line, NoLine> {
    Ok(Line { number, trigger: Trigger::Level, polarity: Polarity::High })
}

const fn bad(what: &'static str, value: u64) -> Result<Line, NoLine> {
    Err(NoLine::Broken(Fault::BadValue { what, value }))
}

#[test]
fn a_pin_is_one_of_four() {
    assert_eq!((Pin::from_register(0), Pin::from_register(5)), (None, None));
    assert_eq!(Pin::from_register(0xff), None);
    let all: Vec<Pin> = (1..5).filter_map(Pin::from_register).collect();
    assert_eq!(all, Pin::ALL);
    let names: Vec<String> = all.iter().map(Pin::to_string).collect();
    assert_eq!(names, ["INTA", "INTB", "INTC", "INTD"]);
    // PCI-to-PCI bridge 1.2, table 9-1, written out.
    let table = [(0, "ABCD"), (1, "BCDA"), (2, "CDAB"), (3, "DABC"), (4, "ABCD"), (31, "DABC")];
    for (device, row) in table {
        for (pin, expected) in Pin::ALL.into_iter().zip(row.chars()) {
            assert_eq!(pin.swizzle(device).to_string(), format!("INT{expected}"));
        }
    }
}

#[test]
fn virt_of_qemu() {
    let root = virt();
    // By hand from hw/arm/virt.c: SPI 3 + (slot + pin) % 4.
    assert_eq!(line(&root, &[id(0, 1, 0)], 1), level(36));
    assert_eq!(line(&root, &[id(0, 5, 0)], 1), level(36), "slots that differ by four share");
    assert_eq!(line(&root, &[id(0, 2, 7)], 1), level(37));
    assert_eq!(line(&root, &[id(0, 3, 0)], 4), level(37));
    assert_eq!(line(&root, &[id(0, 0, 0)], 1), level(35));
    let pins =
        Pins::from_device_tree(&root.blob()).map(|pins| pins.line(1, &[id(0, 1, 0)], Pin::ALL[0]));
    assert_eq!(pins, Ok(Err(NoLine::NoMap)), "another segment");
    assert_eq!(line(&root, &[], 1), Err(NoLine::NoMap));
    assert!(Pins::from_device_tree(&[1, 2, 3]).is_err());
}

#[test]
fn pins_behind_bridges_are_swizzled() {
    let root = virt();
    // A root port in slot 2; what is behind it is device 0.
    assert_eq!(line(&root, &[id(0, 2, 0), id(1, 0, 0)], 1), level(37));
    // A bridge to plain PCI behind it, and device 1 behind that: INTB there, INTB at the port.
    let way = [id(0, 2, 0), id(1, 0, 0), id(2, 1, 0)];
    assert_eq!(line(&root, &way, 1), level(38));
    assert_eq!(line(&root, &way, 4), level(37));
    // Each bridge counts by the place of what is right behind it, not by its own.
    let way = [id(0, 0, 0), id(1, 3, 0), id(2, 2, 0)];
    assert_eq!(line(&root, &way, 1), level(36), "A, C at 1:3, B at 0:0");
}

#[test]
fn a_bridge_with_a_map_of_its_own_ends_the_swizzling() {
    let port = Node::new("pcie@2,0")
        .cells("reg", &[2 << 11, 0, 0, 0, 0])
        .cells("#address-cells", &[3])
        .cells("#size-cells", &[2])
        .cells("#interrupt-cells", &[1])
        .cells("interrupt-map-mask", &[0, 0, 0, 7])
        .cells("interrupt-map", &[0, 0, 0, 1, GIC, 0, 0, 0, 77, 1]);
    let root = changed(|host| host.child(port));
    let edge = Line { number: 32 + 77, trigger: Trigger::Edge, polarity: Polarity::High };
    assert_eq!(line(&root, &[id(0, 2, 0), id(5, 0, 0)], 1), Ok(edge));
    assert_eq!(line(&root, &[id(0, 2, 0), id(5, 0, 0)], 2), Err(NoLine::NotInMap));
    assert_eq!(line(&root, &[id(0, 2, 1), id(5, 0, 0)], 1), level(37), "another function's");
    assert_eq!(line(&root, &[id(0, 2, 0)], 1), level(37), "the port's own pin is the host's");
    // A pin that is swizzled into the port: device 1's INTD is its INTA.
    let way = [id(0, 2, 0), id(5, 0, 0), id(6, 0, 0)];
    assert_eq!(line(&root, &way, 1), Ok(edge));
}

#[test]
fn a_device_whose_node_has_interrupts_is_not_guessed_at() {
    for name in ["interrupts", "interrupts-extended"] {
        let device = Node::new("net@3").cells("reg", &[3 << 11, 0, 0, 0, 0]).cells(name, &[1]);
        let root = changed(|host| host.child(device));
        assert_eq!(line(&root, &[id(0, 3, 0)], 1), Err(NoLine::OwnNode));
        assert_eq!(line(&root, &[id(0, 2, 0)], 1), level(37));
    }
}

/// A map that leads to another map, on another bus, with cells of other lengths, and no mask.
#[test]
fn maps_lead_to_maps() {
    let between = |to: u32| {
        Node::new("nexus")
            .cells("phandle", &[0x50])
            .cells("#address-cells", &[0])
            .cells("#interrupt-cells", &[2])
            .cells("interrupt-map", &[7, 9, to, 0, 0, 0, 100, 4, 7, 8, to, 0, 0, 0, 101, 4])
    };
    let root = changed(|host| host.cells("interrupt-map", &[0x800, 0, 0, 1, 0x50, 7, 8]));
    let way = [id(0, 1, 0)];
    assert_eq!(line(&root.clone().child(between(GIC)), &way, 1), level(133));
    // A controller that is none of ours, as the one inside many host bridges.
    let other = Node::new("intc")
        .cells("phandle", &[0x51])
        .cells("#interrupt-cells", &[3])
        .cells("#address-cells", &[2])
        .flag("interrupt-controller");
    let elsewhere = root.clone().child(between(0x51)).child(other);
    assert_eq!(line(&elsewhere, &way, 1), Err(NoLine::Elsewhere));
    // Round in circles.
    let circle = [7, 9, 0x50, 7, 9, 7, 8, 0x50, 7, 8];
    let circle = between(GIC).cells("interrupt-map", &circle);
    assert_eq!(line(&root.child(circle), &way, 1), Err(NoLine::TooFar));
}

#[test]
fn a_gic_without_address_cells() {
    let root = virt().change("intc@8000000", |gic| gic.without("#address-cells"));
    let root = root.change(PCIE, |host| {
        host.cells("interrupt-map", &[0x800, 0, 0, 1, GIC, 0, 9, 4, 0x800, 0, 0, 2, GIC, 2, 5, 1])
    });
    assert_eq!(line(&root, &[id(0, 1, 0)], 1), level(41));
    let extended = Line { number: 4101, trigger: Trigger::Edge, polarity: Polarity::High };
    assert_eq!(line(&root, &[id(0, 1, 0)], 2), Ok(extended));
}

#[test]
fn nothing_is_guessed() {
    let pin = |change: &dyn Fn(Node) -> Node| line(&changed(change), &[id(0, 1, 0)], 1);
    assert_eq!(pin(&|host| host.without("interrupt-map")), Err(NoLine::NoMap));
    let other_slots = [0x1000, 0, 0, 1, GIC, 0, 0, 0, 9, 4];
    assert_eq!(pin(&|host| host.cells("interrupt-map", &other_slots)), Err(NoLine::NotInMap));
    assert_eq!(pin(&|host| host.cells("interrupt-map", &[])), Err(NoLine::NotInMap));
    let entry = |number| [0x800, 0, 0, 1, GIC, 0, 0, 0, number, 4];
    let twice = [entry(9), entry(10)].concat();
    assert_eq!(pin(&|host| host.cells("interrupt-map", &twice)), Err(NoLine::Ambiguous));
    let the_same = [entry(9), entry(9)].concat();
    assert_eq!(pin(&|host| host.cells("interrupt-map", &the_same)), level(41));
    // Bits of an entry that the mask leaves out are no one's.
    let beyond = [0x0100_8f00, 7, 7, 0xf9, GIC, 0, 0, 0, 9, 4];
    assert_eq!(pin(&|host| host.cells("interrupt-map", &beyond)), level(41));
    // Without a mask the whole address counts, the function too.
    let whole = |host: Node| host.without("interrupt-map-mask");
    assert_eq!(pin(&whole), level(36));
    assert_eq!(line(&changed(whole), &[id(0, 1, 1)], 1), Err(NoLine::NotInMap));
    let disabled = virt().change("intc@8000000", |gic| gic.texts("status", &["disabled"]));
    assert_eq!(line(&disabled, &[id(0, 1, 0)], 1), Err(NoLine::Elsewhere));
}

#[test]
fn mistakes_in_the_map() {
    let pin = |change: &dyn Fn(Node) -> Node| line(&changed(change), &[id(0, 1, 0)], 1);
    let map = |cells: &[u32]| pin(&|host| host.cells("interrupt-map", cells));
    let whole = virt_interrupt_map(GIC);
    assert_eq!(map(&whole[..159]), bad("the length of `interrupt-map`", 636));
    assert_eq!(map(&whole[..154]), bad("the length of `interrupt-map`", 616));
    let bytes: Vec<u8> = whole.iter().flat_map(|cell| cell.to_be_bytes()).chain([0]).collect();
    let odd = pin(&|host| host.bytes("interrupt-map", &bytes));
    assert_eq!(odd, bad("the length of `interrupt-map`", 641));
    // An unknown parent hides what is behind it, also from entries before it.
    let mut lost = whole.clone();
    lost[154] = 0x99;
    assert_eq!(map(&lost), bad("an interrupt's parent", 0x99));
    let mask = pin(&|host| host.cells("interrupt-map-mask", &[0x1800, 0, 7]));
    assert_eq!(mask, bad("the length of `interrupt-map-mask`", 12));
    let cells = pin(&|host| host.cells("#interrupt-cells", &[2]));
    assert_eq!(cells, bad("`#address-cells` or `#interrupt-cells` of a PCI bus", 5));
    let none = pin(&|host| host.without("#interrupt-cells"));
    assert_eq!(none, bad("`#interrupt-cells` of an interrupt's parent", 0));
    for count in [0, 13, !0] {
        let gic = virt().change("intc@8000000", |gic| gic.cells("#interrupt-cells", &[count]));
        assert_eq!(
            line(&gic, &[id(0, 1, 0)], 1),
            bad("`#interrupt-cells` of an interrupt's parent", count.into())
        );
    }
    let long = virt().change("intc@8000000", |gic| gic.cells("#address-cells", &[10]));
    let long = line(&long, &[id(0, 1, 0)], 1);
    assert_eq!(long, bad("`#address-cells` of an interrupt's parent", 10));
}

#[test]
fn mistakes_in_a_specifier() {
    let of = |kind, number, flags| {
        let map = [0x800, 0, 0, 1, GIC, 0, 0, kind, number, flags];
        line(&changed(|host| host.cells("interrupt-map", &map)), &[id(0, 1, 0)], 1)
    };
    assert_eq!(of(0, 987, 4), level(1019));
    assert_eq!(of(0, 988, 4), bad("an interrupt's number", 988));
    assert_eq!(of(2, 1024, 4), bad("an interrupt's number", 1024));
    for kind in [1, 3, 4, !0] {
        assert_eq!(of(kind, 1, 4), bad("the kind of a device's interrupt", kind.into()));
    }
    // No trigger, a falling edge, a low level, and bits that say nothing about an SPI.
    for flags in [0, 2, 8, 5, 0xf04] {
        assert_eq!(of(0, 3, flags), bad("the trigger of an SPI", flags.into()));
    }
    // The partition of a PPI is of no use to an SPI.
    let four = |partition| {
        let root = virt().change("intc@8000000", |gic| gic.cells("#interrupt-cells", &[4]));
        let map = [0x800, 0, 0, 1, GIC, 0, 0, 0, 3, 4, partition];
        line(&root.change(PCIE, |host| host.cells("interrupt-map", &map)), &[id(0, 1, 0)], 1)
    };
    assert_eq!(four(0), level(35));
    assert_eq!(four(1), bad("the length of a GIC's specifier", 4));
    let two = virt().change("intc@8000000", |gic| gic.cells("#interrupt-cells", &[2]));
    let map = [0x800, 0, 0, 1, GIC, 0, 0, 0, 3];
    let two = two.change(PCIE, |host| host.cells("interrupt-map", &map));
    assert_eq!(line(&two, &[id(0, 1, 0)], 1), bad("the length of a GIC's specifier", 2));
}
