//! Interrupt pins: where they lead, and when a function may use them.

use pci_core::{
    BusRange, ConfigExt, Function, FunctionAddress, RequesterId, Topology, enumerate,
    fake::{ConfigModel, FunctionModel},
    msi::{Msi, Pair},
    msix::{Location, Msix},
    pins::{
        Board, Controller, Line, NoLine, NoWire, Pin, PinRule, Pins, Polarity, Routes, Switch,
        SwitchError, Table, Trigger, Turn, interrupt_status, messages_are_on,
    },
    slots::MsiSlots,
    {Command, bars},
};

const ALL: BusRange = BusRange { segment: 0, first: 0, last: 255 };
const BOARD: Board =
    Board { vendor: 0x8086, device: 0x29c0, subsystem_vendor: 0x1af4, subsystem: 0x1100 };

fn at(bus: u8, device: u8, function: u8) -> FunctionAddress {
    FunctionAddress::new(bus, device, function).unwrap()
}

fn edu(pin: u8) -> FunctionModel {
    FunctionModel::endpoint(0x1234, 0x11e8).pin(pin).msi(0, true, false)
}

fn rule(first_slot: u8, last_slot: u8, turn: Turn, number: u32) -> PinRule {
    let line = Line { number, trigger: Trigger::Level, polarity: Polarity::High };
    PinRule { board: BOARD, controller: Controller::IoApic, first_slot, last_slot, turn, line }
}

/// What boot/quirks.toml says of QEMU's q35.
fn q35_rules() -> Vec<PinRule> {
    vec![
        rule(0, 24, Turn::SlotAndPin, 20),
        rule(25, 29, Turn::Pin, 16),
        rule(30, 30, Turn::Pin, 20),
        rule(31, 31, Turn::Pin, 16),
    ]
}

/// A q35 with devices on the root bus, behind a root port, and behind a bridge to plain PCI.
fn machine() -> ConfigModel {
    let mut machine = ConfigModel::new();
    let host = FunctionModel::endpoint(0x8086, 0x29c0).raw(0x2c, &[0xf4, 0x1a, 0x00, 0x11]);
    machine.add(0, 0, 0, host);
    machine.add(0, 2, 0, edu(1));
    machine.add(0, 6, 0, edu(1));
    machine.add(0, 3, 0, edu(0));
    machine.add(0, 5, 0, edu(5));
    machine.add(0, 27, 0, edu(2));
    machine.add(0, 0x1f, 0, edu(1));
    let port = machine.add(0, 4, 0, FunctionModel::bridge(0, 1, 2).express(4).pin(1));
    let to_pci = machine.add_behind(port, 0, 0, FunctionModel::bridge(1, 2, 2).express(7));
    machine.add_behind(to_pci, 1, 0, edu(1));
    machine.add_behind(to_pci, 2, 0, edu(4));
    // Behind another host bridge.
    machine.add(0x40, 1, 0, edu(1));
    machine
}

fn table(machine: &ConfigModel, controller: Option<Controller>) -> Table {
    Table::new(q35_rules(), machine, 0, controller)
}

fn lines(rules: Vec<PinRule>) -> impl Fn(FunctionAddress) -> Result<u32, NoWire> {
    let mut machine = machine();
    let topology = enumerate(&mut machine, &[ALL]);
    let routes = Routes::Table(Table::new(rules, &machine, 0, Some(Controller::IoApic)));
    move |address| {
        let function = topology.function(address).unwrap();
        routes.line(&topology, function).map(|line| line.number)
    }
}

#[test]
fn q35_of_qemu() {
    let line = lines(q35_rules());
    // By hand from hw/isa/lpc_ich9.c: PIRQ (slot + pin) % 4 + 4, each with a pin of the IOAPIC from 16 on.
    assert_eq!(line(at(0, 2, 0)), Ok(22));
    assert_eq!(line(at(0, 6, 0)), Ok(22), "slots that differ by four share");
    assert_eq!(line(at(0, 27, 0)), Ok(17));
    assert_eq!(line(at(0, 0x1f, 0)), Ok(16));
    // INTA of device 1 is INTB of the bridge in device 0, which is INTB of the port in slot 4.
    assert_eq!(line(at(2, 1, 0)), Ok(21));
    // INTD of device 2 is INTB of the bridge.
    assert_eq!(line(at(2, 2, 0)), Ok(21));
}

#[test]
fn nothing_is_guessed() {
    let line = lines(q35_rules());
    assert_eq!((line(at(0, 3, 0)), line(at(0, 5, 0))), (Err(NoWire::NoPin), Err(NoWire::NoPin)));
    assert_eq!(line(at(0x40, 1, 0)), Err(NoWire::OtherRootBus));
    let line = lines(vec![rule(0, 4, Turn::Pin, 20)]);
    assert_eq!((line(at(0, 2, 0)), line(at(0, 6, 0))), (Ok(20), Err(NoWire::NotInTable)));
    let line = lines(vec![rule(0, 4, Turn::Pin, 20), rule(2, 2, Turn::Pin, 20)]);
    assert_eq!(line(at(0, 2, 0)), Err(NoWire::NotInTable), "two rules");
    // Another board with the same host bridge, and a board with other lines.
    let mut machine = machine();
    assert!(!table(&machine, Some(Controller::IoApic)).is_empty());
    assert!(table(&machine, Some(Controller::Gic)).is_empty());
    assert!(table(&machine, None).is_empty());
    *machine.model_mut(0) = FunctionModel::endpoint(0x8086, 0x29c0).raw(0x2c, &[0xf4, 0x1a, 1, 0]);
    assert!(table(&machine, Some(Controller::IoApic)).is_empty());
    assert!(table(&ConfigModel::new(), Some(Controller::IoApic)).is_empty());
}

#[test]
fn a_device_tree_is_asked_with_the_whole_way() {
    let mut machine = machine();
    let topology = enumerate(&mut machine, &[ALL]);
    let id = RequesterId::from_bits;
    assert_eq!(topology.way(at(2, 1, 0)), [id(0x0020), id(0x0100), id(0x0208)]);
    assert_eq!(topology.way(at(0, 2, 0)), [id(0x0010)]);
    assert_eq!(topology.way(at(7, 0, 0)), []);
    // A tree without a host bridge: its answer, not a table's.
    let empty = [0xd00d_feed_u32, 72, 56, 72, 40, 17, 16, 0, 0, 16, 0, 0, 0, 0, 1, 0, 2, 9];
    let empty: Vec<u8> = empty.iter().flat_map(|cell| cell.to_be_bytes()).collect();
    let routes = Routes::Tree(Pins::from_device_tree(&empty).unwrap());
    let edu = topology.function(at(0, 2, 0)).unwrap();
    assert_eq!(routes.line(&topology, edu), Err(NoWire::Tree(NoLine::NoMap)));
    assert_eq!(NoWire::Tree(NoLine::NoMap).to_string(), "firmware does not say where it leads");
}

const TABLE: Location = Location { bar: 0, offset: 0 };
const PENDING: Location = Location { bar: 0, offset: 0x800 };

/// A machine with one function at 00:01.0, and that function.
fn one(model: FunctionModel) -> (ConfigModel, Function) {
    let mut machine = ConfigModel::new();
    machine.add(0, 1, 0, model);
    let topology: Topology = enumerate(&mut machine, &[ALL]);
    let function = *topology.function(at(0, 1, 0)).unwrap();
    (machine, function)
}

fn command(machine: &ConfigModel) -> u16 {
    machine.read16(at(0, 1, 0), 4)
}

#[test]
fn a_pin_is_off_until_it_is_switched_on() {
    // Parity response on, as firmware leaves it, and the pin on.
    let (mut machine, function) = one(edu(3).raw(4, &[0x47, 0]));
    let mut switch = Switch::new(&mut machine, &function).unwrap();
    assert_eq!((switch.pin(), switch.is_on()), (Pin::ALL[2], false));
    assert_eq!(command(&machine), 0x447);
    switch.on(&mut machine, &function).unwrap();
    assert_eq!((switch.is_on(), command(&machine)), (true, 0x47));
    assert!(switch.off(&mut machine));
    assert_eq!((switch.is_on(), command(&machine)), (false, 0x447));
}

#[test]
fn functions_without_a_pin_that_can_be_switched() {
    for (model, expected) in [
        (edu(0), SwitchError::NoPin),
        (edu(5), SwitchError::NoPin),
        (FunctionModel::bridge(0, 1, 1).pin(1), SwitchError::NoPin),
        (edu(1).pin_always_on(), SwitchError::AlwaysOn),
    ] {
        let (mut machine, function) = one(model);
        let before = command(&machine);
        assert_eq!(Switch::new(&mut machine, &function), Err(expected));
        assert_eq!(command(&machine), before);
    }
}

#[test]
fn messages_and_the_pin_exclude_each_other() {
    let model = edu(1).memory32(0, 0xfe00_0000, 0x1000).msix(4, TABLE, PENDING);
    let (mut machine, function) = one(model);
    let mut switch = Switch::new(&mut machine, &function).unwrap();
    assert!(!messages_are_on(&machine, &function));
    let msi = Msi::read(&machine, function.address, function.msi.unwrap()).unwrap();
    msi.set_enabled(&mut machine, true).unwrap();
    assert!(messages_are_on(&machine, &function));
    assert_eq!(switch.on(&mut machine, &function), Err(SwitchError::MessagesOn));
    assert_eq!((switch.is_on(), command(&machine) & 0x400), (false, 0x400));
    msi.set_enabled(&mut machine, false).unwrap();
    let bars = bars::probe(&mut machine, &function);
    let at = function.msix.unwrap();
    let msix = Msix::read(&machine, function.address, at, &bars).unwrap();
    for all_masked in [true, false] {
        msix.set(&mut machine, true, all_masked);
        assert_eq!(switch.on(&mut machine, &function), Err(SwitchError::MessagesOn));
        assert_eq!((switch.is_on(), command(&machine) & 0x400), (false, 0x400));
    }
    msix.set(&mut machine, false, false);
    assert_eq!(switch.on(&mut machine, &function), Ok(()));
    assert!(!Command::from_bits_retain(command(&machine)).contains(Command::INTX_DISABLE));
}

#[test]
fn the_pin_can_be_used_when_the_last_message_is_closed() {
    for maskable in [false, true] {
        let (mut machine, function) =
            one(FunctionModel::endpoint(1, 2).pin(1).msi(1, true, maskable));
        let mut switch = Switch::new(&mut machine, &function).unwrap();
        let msi = Msi::read(&machine, function.address, function.msi.unwrap()).unwrap();
        let mut slots = MsiSlots::new(msi);
        slots.fill(0, Pair { address: 0xfee0_0000, data: 0x40 }).unwrap();
        slots.fill(1, Pair { address: 0xfee0_0000, data: 0x41 }).unwrap();
        slots.open(&mut machine, 0).unwrap();
        slots.open(&mut machine, 1).unwrap();
        slots.close(&mut machine, 0).unwrap();
        // One is open: it goes on, and the pin stays off.
        slots.rest(&mut machine).unwrap();
        assert_eq!(switch.on(&mut machine, &function), Err(SwitchError::MessagesOn));
        slots.close(&mut machine, 1).unwrap();
        slots.rest(&mut machine).unwrap();
        assert_eq!(switch.on(&mut machine, &function), Ok(()), "maskable: {maskable}");
        // And back.
        assert!(switch.off(&mut machine));
        slots.open(&mut machine, 1).unwrap();
        assert!(messages_are_on(&machine, &function));
        assert_eq!(switch.on(&mut machine, &function), Err(SwitchError::MessagesOn));
    }
}

#[test]
fn the_interrupt_status_is_read_whether_the_pin_is_on_or_off() {
    let (mut machine, function) = one(edu(1));
    assert!(!interrupt_status(&machine, function.address));
    let model = machine.model(0).clone().raw(6, &[0x18, 0]);
    *machine.model_mut(0) = model;
    assert!(interrupt_status(&machine, function.address));
    assert!(!interrupt_status(&machine, at(0, 9, 0)), "nobody wants anything where nobody is");
}
