//! Finding functions in machines with known shapes.

use pci_core::{
    BridgeBuses, BridgeFault, BusRange, Express, Finding, FunctionAddress, Kind, SourceCheck,
    Topology, enumerate, enumerate_from_first_bus,
    fake::{ConfigModel, FunctionModel},
};

const ALL: BusRange = BusRange { segment: 0, first: 0, last: 255 };

fn at(bus: u8, device: u8, function: u8) -> FunctionAddress {
    FunctionAddress::new(bus, device, function).unwrap()
}

fn addresses(topology: &Topology) -> Vec<String> {
    topology.functions().iter().map(|function| function.address.to_string()).collect()
}

fn edu() -> FunctionModel {
    FunctionModel::endpoint(0x1234, 0x11e8)
}

/// As QEMU's q35 with a root port, a switch behind it and a PCIe-to-PCI bridge behind that.
fn machine() -> ConfigModel {
    let mut machine = ConfigModel::new();
    machine.add(0, 0, 0, FunctionModel::endpoint(0x8086, 0x29c0).class([6, 0, 0]));
    machine.add(0, 3, 0, edu().msi(0, true, false));
    machine.add(0, 0x1f, 0, FunctionModel::endpoint(0x8086, 0x2918).multi_function());
    machine.add(0, 0x1f, 2, FunctionModel::endpoint(0x8086, 0x2922).msi(0, true, false));
    let port = machine.add(0, 2, 0, FunctionModel::bridge(0, 1, 4).express(4));
    let up = machine.add_behind(port, 0, 0, FunctionModel::bridge(1, 2, 4).express(5));
    let down = machine.add_behind(up, 5, 0, FunctionModel::bridge(2, 3, 4).express(6));
    let to_pci = machine.add_behind(down, 0, 0, FunctionModel::bridge(3, 4, 4).express(7));
    machine.add_behind(to_pci, 9, 0, edu());
    machine
}

#[test]
fn functions_behind_all_bridges_are_found_in_order() {
    let topology = enumerate(&mut machine(), &[ALL]);
    assert_eq!(topology.findings(), []);
    assert_eq!(
        addresses(&topology),
        [
            "00:00.0", "00:02.0", "00:03.0", "00:1f.0", "00:1f.2", "01:00.0", "02:05.0", "03:00.0",
            "04:09.0"
        ]
    );
    let port = topology.function(at(0, 2, 0)).unwrap();
    assert_eq!(port.express, Some(Express::RootPort));
    let buses = BridgeBuses { primary: 0, secondary: 1, subordinate: 4 };
    assert_eq!(port.kind, Kind::Bridge(buses));
    assert_eq!(topology.buses_behind(at(0, 2, 0)), Some((1, 4)));
    assert_eq!(topology.buses_behind(at(0, 3, 0)), None);
    let above: Vec<_> = topology.ancestors(at(4, 9, 0)).map(|bridge| bridge.address).collect();
    assert_eq!(above, [at(3, 0, 0), at(2, 5, 0), at(1, 0, 0), at(0, 2, 0)]);
    let sata = topology.function(at(0, 0x1f, 2)).unwrap();
    assert_eq!((sata.vendor, sata.device, sata.msi, sata.msix), (0x8086, 0x2922, Some(0x40), None));
}

#[test]
fn a_driver_gets_the_nth_device_and_of_bridges_only_ports_to_one_device() {
    let topology = enumerate(&mut machine(), &[ALL]);
    let find = |nth| topology.find(0x1234, 0x11e8, nth).map(|function| function.address);
    assert_eq!(find(0), Some(at(0, 3, 0)));
    assert_eq!(find(1), Some(at(4, 9, 0)));
    assert_eq!(find(2), None);
    let port = |nth| topology.find(0x1b36, 0x000c, nth).map(|function| function.address);
    assert_eq!(
        [port(0), port(1)],
        [Some(at(0, 2, 0)), Some(at(2, 5, 0))],
        "their slots have events"
    );
    // A switch's upper port, and a bridge to plain PCI, with whose id others write.
    assert_eq!(port(2), None);
}

#[test]
fn functions_1_to_7_need_a_function_0_that_says_so() {
    let mut machine = ConfigModel::new();
    machine.add(0, 1, 0, edu());
    machine.add(0, 1, 1, edu());
    machine.add(0, 2, 3, edu());
    machine.add(0, 31, 0, edu().multi_function());
    machine.add(0, 31, 7, edu());
    let found = addresses(&enumerate(&mut machine, &[ALL]));
    assert_eq!(found, ["00:01.0", "00:1f.0", "00:1f.7"]);
}

#[test]
fn a_link_has_one_device() {
    let mut machine = ConfigModel::new();
    let port = machine.add(0, 1, 0, FunctionModel::bridge(0, 1, 1).express(4));
    machine.add_behind(port, 0, 0, edu());
    machine.add_behind(port, 1, 0, edu());
    assert_eq!(addresses(&enumerate(&mut machine, &[ALL])), ["00:01.0", "01:00.0"]);
}

#[test]
fn other_host_bridges_buses_are_found() {
    let mut machine = machine();
    machine.add(0x80, 0, 0, edu());
    let bridge = machine.add(0x80, 1, 0, FunctionModel::bridge(0x80, 0x81, 0x81));
    machine.add_behind(bridge, 0, 0, edu());
    let topology = enumerate(&mut machine, &[ALL]);
    assert_eq!(topology.find(0x1234, 0x11e8, 2).unwrap().address, at(0x80, 0, 0));
    assert_eq!(topology.find(0x1234, 0x11e8, 3).unwrap().address, at(0x81, 0, 0));
    assert_eq!(topology.findings(), []);
}

#[test]
fn where_there_is_one_host_bridge_only_its_buses_are_asked() {
    let mut machine = ConfigModel::new();
    let bridge = machine.add(0, 1, 0, FunctionModel::bridge(0, 0, 0));
    let inner = machine.add_behind(bridge, 0, 0, FunctionModel::bridge(0, 0, 0));
    machine.add_behind(inner, 0, 0, edu());
    machine.add(0x80, 0, 0, edu());
    let before = machine.reads();
    let topology = enumerate_from_first_bus(&mut machine, &[ALL]);
    assert_eq!(addresses(&topology), ["00:01.0", "01:00.0", "02:00.0"]);
    assert_eq!(topology.buses_behind(at(0, 1, 0)), Some((1, 2)));
    assert!(machine.reads() - before < 500, "three buses of 256");
}

#[test]
fn only_the_range_is_asked() {
    let range = BusRange { segment: 0, first: 0, last: 2 };
    let topology = enumerate(&mut machine(), &[range]);
    let bridge = at(0, 2, 0);
    let fault = BridgeFault::OutOfWindow;
    assert_eq!(topology.findings(), [Finding::BridgeSkipped { bridge, fault }]);
    assert!(topology.functions().iter().all(|function| function.address.bus() == 0));
    let other = BusRange { segment: 7, ..ALL };
    assert!(enumerate(&mut machine(), &[other]).functions().is_empty());
    assert!(enumerate(&mut machine(), &[]).functions().is_empty());
    let empty = BusRange { first: 1, last: 0, ..ALL };
    assert!(enumerate(&mut machine(), &[empty]).functions().is_empty());
}

#[test]
fn a_range_twice_is_visited_once() {
    let topology = enumerate(&mut machine(), &[ALL, ALL]);
    assert_eq!(topology.functions().len(), 9);
    assert_eq!(topology.findings(), [Finding::RangeOverlap { range: ALL }]);
}

#[test]
fn bridges_without_numbers_get_some() {
    let mut machine = ConfigModel::new();
    let first = machine.add(0, 1, 0, FunctionModel::bridge(0, 0, 0).express(4));
    let inner = machine.add_behind(first, 0, 0, FunctionModel::bridge(0, 0, 0));
    machine.add_behind(inner, 3, 0, edu());
    machine.add(0, 2, 0, FunctionModel::bridge(0, 1, 2));
    let last = machine.add(0, 3, 0, FunctionModel::bridge(0, 0, 0).express(4));
    machine.add_behind(last, 0, 0, edu());
    let topology = enumerate(&mut machine, &[ALL]);
    // The bridge that was found last is numbered first: 3; the other one gets 4, and 5 behind it.
    assert_eq!(
        addresses(&topology),
        ["00:01.0", "00:02.0", "00:03.0", "03:00.0", "04:00.0", "05:03.0"]
    );
    assert_eq!(topology.buses_behind(at(0, 3, 0)), Some((3, 3)));
    assert_eq!(topology.buses_behind(at(0, 1, 0)), Some((4, 5)));
    assert_eq!(topology.buses_behind(at(4, 0, 0)), Some((5, 5)));
    assert_eq!(topology.findings().len(), 3);
    assert!(
        topology.findings().iter().all(|finding| matches!(finding, Finding::BridgeNumbered { .. }))
    );
    // A second look finds the same, and no more to do.
    let again = enumerate(&mut machine, &[ALL]);
    assert_eq!(again.functions(), topology.functions());
    assert_eq!(again.findings(), []);
}

#[test]
fn numbers_are_not_taken_from_another_host_bridge() {
    let mut machine = ConfigModel::new();
    let bridge = machine.add(0, 1, 0, FunctionModel::bridge(0, 0, 0));
    machine.add_behind(bridge, 0, 0, edu());
    machine.add(1, 0, 0, edu());
    let topology = enumerate(&mut machine, &[ALL]);
    assert_eq!(topology.buses_behind(at(0, 1, 0)), Some((2, 2)));
    assert_eq!(addresses(&topology), ["00:01.0", "01:00.0", "02:00.0"]);
}

#[test]
fn bridges_that_cannot_be_passed_are_named() {
    for (model, fault) in [
        (FunctionModel::bridge(0, 0, 0).stubborn(), BridgeFault::ReadOnly),
        (FunctionModel::bridge(0, 9, 8), BridgeFault::BadOrder),
        (FunctionModel::bridge(0, 3, 6), BridgeFault::Overlap),
    ] {
        let mut machine = ConfigModel::new();
        machine.add(0, 1, 0, FunctionModel::bridge(0, 2, 5));
        machine.add(0, 2, 0, model);
        let bridge = at(0, 2, 0);
        let topology = enumerate(&mut machine, &[ALL]);
        assert_eq!(topology.findings(), [Finding::BridgeSkipped { bridge, fault }]);
    }
    // A switch port whose parent has no number left for it.
    let mut machine = ConfigModel::new();
    let port = machine.add(0, 1, 0, FunctionModel::bridge(0, 1, 1));
    machine.add_behind(port, 0, 0, FunctionModel::bridge(0, 0, 0));
    let (bridge, fault) = (at(1, 0, 0), BridgeFault::NoNumbers);
    let topology = enumerate(&mut machine, &[ALL]);
    assert_eq!(topology.findings(), [Finding::BridgeSkipped { bridge, fault }]);
    // One that leads back to the bus it is on, and one out of its parent's window.
    for (secondary, subordinate, fault) in
        [(1, 1, BridgeFault::BadOrder), (2, 3, BridgeFault::OutOfWindow)]
    {
        let mut machine = ConfigModel::new();
        let port = machine.add(0, 1, 0, FunctionModel::bridge(0, 1, 2));
        machine.add_behind(port, 0, 0, FunctionModel::bridge(1, secondary, subordinate));
        let topology = enumerate(&mut machine, &[ALL]);
        assert_eq!(topology.findings(), [Finding::BridgeSkipped { bridge, fault }]);
    }
}

#[test]
fn requester_ids_behind_bridges() {
    let topology = enumerate(&mut machine(), &[ALL]);
    // PCI Express all the way: its own.
    let direct = topology.requesters(at(1, 0, 0)).unwrap();
    assert_eq!((direct.check(), direct.is_shared()), (SourceCheck::Exact(at(1, 0, 0).id), false));
    // Behind the PCIe-to-PCI bridge with secondary bus 4: 04:00.0, which is 0x0400.
    let conventional = topology.requesters(at(4, 9, 0)).unwrap();
    assert_eq!(conventional.own(), at(4, 9, 0).id);
    assert_eq!(conventional.aliases(), [at(4, 0, 0).id]);
    assert_eq!(conventional.at_remapper().bits(), 0x0400);
    assert_eq!(conventional.check(), SourceCheck::Buses { first: 4, last: 4 });
    assert!(conventional.is_shared());
    assert_eq!(topology.requesters(at(9, 0, 0)), None);
}

#[test]
fn requester_ids_behind_conventional_bridges() {
    let mut machine = ConfigModel::new();
    let bridge = machine.add(0, 0x1e, 0, FunctionModel::bridge(0, 1, 2));
    machine.add_behind(bridge, 1, 0, edu());
    let inner = machine.add_behind(bridge, 2, 0, FunctionModel::bridge(1, 2, 2));
    machine.add_behind(inner, 3, 0, edu());
    let topology = enumerate(&mut machine, &[ALL]);
    let near = topology.requesters(at(1, 1, 0)).unwrap();
    assert_eq!(near.check(), SourceCheck::Exact(at(0, 0x1e, 0).id));
    let far = topology.requesters(at(2, 3, 0)).unwrap();
    assert_eq!(far.aliases(), [at(1, 2, 0).id, at(0, 0x1e, 0).id]);
    assert_eq!(far.check(), SourceCheck::Exact(at(0, 0x1e, 0).id));
    // The inner bridge hangs off a PCIe-to-PCI bridge: any bus below it can arrive.
    let mut machine = ConfigModel::new();
    let top = machine.add(0, 4, 0, FunctionModel::bridge(0, 1, 2).express(7));
    let inner = machine.add_behind(top, 2, 0, FunctionModel::bridge(1, 2, 2));
    machine.add_behind(inner, 3, 0, edu());
    let topology = enumerate(&mut machine, &[ALL]);
    let far = topology.requesters(at(2, 3, 0)).unwrap();
    assert_eq!(far.at_remapper(), at(1, 0, 0).id);
    assert_eq!(far.check(), SourceCheck::Buses { first: 1, last: 2 });
}
