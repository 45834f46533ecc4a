//! Addresses for machines whose firmware has given none, or not all.

use pci_core::{
    BusRange, Command, ConfigExt, FunctionAddress, Topology,
    assign::{Class, Host, HostWindow, Note, Unplaced, assign},
    bars::{self, Bars, Slot},
    enumerate,
    fake::{ConfigModel, FunctionModel},
    placement::Range,
};

const ALL: BusRange = BusRange { segment: 0, first: 0, last: 255 };
const COMMAND: u16 = 4;
const MIB: u64 = 1 << 20;

fn at(bus: u8, device: u8, function: u8) -> FunctionAddress {
    FunctionAddress::new(bus, device, function).unwrap()
}

const fn range(start: u64, end: u64) -> Range {
    Range { start, end }
}

const fn window(start: u64, end: u64) -> HostWindow {
    HostWindow { pci: range(start, end), cpu: start, io: false, prefetchable: false }
}

/// As the device tree of QEMU's `virt` describes it.
fn virt() -> Host {
    let io =
        HostWindow { pci: range(0, 0x1_0000), cpu: 0x3eff_0000, io: true, prefetchable: false };
    let windows = vec![io, window(0x1000_0000, 0x3eff_0000), window(0x80 << 32, 0x100 << 32)];
    Host { segment: 0, windows, exact: true }
}

fn endpoint() -> FunctionModel {
    FunctionModel::endpoint(1, 2)
}

fn port() -> FunctionModel {
    FunctionModel::bridge(0, 0, 0).express(4)
}

struct Done {
    machine: ConfigModel,
    topology: Topology,
    bars: Vec<Bars>,
    notes: Vec<Note>,
}

impl Done {
    fn bars(&self, function: FunctionAddress) -> Vec<u64> {
        let index = self.topology.functions().iter().position(|f| f.address == function);
        bars::present(&self.bars[index.unwrap()]).map(|bar| bar.address).collect()
    }

    fn command(&self, function: FunctionAddress) -> Command {
        Command::from_bits_retain(self.machine.read16(function, COMMAND))
    }

    /// What a bridge forwards, from its registers: memory, then prefetchable memory.
    fn forwards(&self, bridge: FunctionAddress) -> [Option<Range>; 2] {
        let read = |at| u64::from(self.machine.read16(bridge, at) & 0xfff0) << 16;
        let upper = |at| u64::from(self.machine.read32(bridge, at)) << 32;
        let window = |base: u64, limit: u64| (base <= limit).then(|| range(base, limit + MIB));
        let high = (upper(0x28) | read(0x24), upper(0x2c) | read(0x26));
        [window(read(0x20), read(0x22)), window(high.0, high.1)]
    }

    fn unplaced(&self) -> Vec<(FunctionAddress, u8, Unplaced)> {
        let unplaced = self.notes.iter().filter_map(|note| match note {
            Note::NotPlaced { function, bar, why } => Some((*function, bar.index, *why)),
            _ => None,
        });
        unplaced.collect()
    }
}

fn run(mut machine: ConfigModel, host: &Host) -> Done {
    let topology = enumerate(&mut machine, &[ALL]);
    let probe = |f| bars::probe(&mut machine, f);
    let mut bars: Vec<_> = topology.functions().iter().map(probe).collect();
    let notes = assign(&mut machine, &topology, &mut bars, host);
    // What is in the registers is what is said.
    let again = |(f, said): (&_, &Bars)| {
        for (found, said) in bars::probe(&mut machine, f).iter().zip(said) {
            assert_eq!(found, said);
        }
    };
    topology.functions().iter().zip(&bars).for_each(again);
    assert!(!machine.sized_while_decoding());
    Done { machine, topology, bars, notes }
}

#[test]
fn a_root_bus_is_filled_from_the_largest_down() {
    let mut machine = ConfigModel::new();
    machine.add(0, 0, 0, FunctionModel::endpoint(0x1b36, 8).class([6, 0, 0]).memory32(0, 0, 4096));
    machine.add(0, 1, 0, endpoint().io(0, 0, 0x100).memory32(1, 0, 0x400).memory32(2, 0, 0x2000));
    machine.add(0, 2, 0, endpoint().memory32(0, 0, 1 << 20).memory64(4, 0, 1 << 32));
    let done = run(machine, &virt());
    // Port 0 is none: the first multiple of 256 above it. Each has its pages for itself.
    assert_eq!(done.bars(at(0, 1, 0)), [0x100, 0x1010_2000, 0x1010_0000]);
    assert_eq!(done.bars(at(0, 2, 0)), [0x1000_0000, 0x80 << 32]);
    assert_eq!(done.bars(at(0, 0, 0)), [0], "a host bridge's are none of ours");
    assert_eq!(done.notes.len(), 5);
    assert_eq!(done.unplaced(), []);
    // Decoding is switched on by whoever drives it.
    assert_eq!(done.command(at(0, 1, 0)), Command::empty());
    let text = done.notes[0].to_string();
    assert_eq!(text, "00:01.0 BAR 0 is at 0x100 now");
}

#[test]
fn bridges_are_opened_for_what_is_behind() {
    let mut machine = ConfigModel::new();
    let root = machine.add(0, 1, 0, port());
    let up = machine.add_behind(root, 0, 0, FunctionModel::bridge(0, 0, 0).express(5));
    let left = machine.add_behind(up, 0, 0, FunctionModel::bridge(0, 0, 0).express(6));
    let right = machine.add_behind(up, 1, 0, FunctionModel::bridge(0, 0, 0).express(6));
    machine.add_behind(left, 0, 0, endpoint().memory32(0, 0, 4 << 20).memory64(2, 0, 1 << 30));
    machine.add_behind(right, 0, 0, endpoint().io(0, 0, 0x20).memory32(1, 0, 0x1000));
    machine.add(0, 2, 0, port());
    let done = run(machine, &virt());
    assert_eq!(done.unplaced(), []);
    let bus = |bridge| done.topology.buses_behind(bridge).unwrap().0;
    let (first, second) = (bus(at(0, 1, 0)), bus(at(bus(at(0, 1, 0)), 0, 0)));
    let (left, right) = (bus(at(second, 0, 0)), bus(at(second, 1, 0)));
    assert_eq!(done.bars(at(left, 0, 0)), [0x1000_0000, 0x80 << 32]);
    assert_eq!(done.bars(at(right, 0, 0)), [0x1000, 0x1040_0000]);
    let all = range(0x1000_0000, 0x1050_0000);
    let low = Some(all);
    let high = Some(range(0x80 << 32, (0x80 << 32) + (1 << 30)));
    assert_eq!(done.forwards(at(0, 1, 0)), [low, high]);
    assert_eq!(done.forwards(at(first, 0, 0)), [low, high]);
    assert_eq!(done.forwards(at(second, 0, 0)), [Some(range(0x1000_0000, 0x1040_0000)), high]);
    assert_eq!(done.forwards(at(second, 1, 0)), [Some(range(0x1040_0000, 0x1050_0000)), None]);
    // Nothing behind it: closed, and left as it was.
    assert_eq!(done.forwards(at(0, 2, 0)), [None, None]);
    assert_eq!(done.command(at(0, 2, 0)), Command::empty());
    // On the way to ports all three; DMA and messages go up everywhere.
    let both = Command::MEMORY | Command::BUS_MASTER;
    assert_eq!(done.command(at(second, 0, 0)), both);
    assert_eq!(done.command(at(second, 1, 0)), both | Command::IO);
    assert_eq!(done.machine.read16(at(second, 1, 0), 0x1c), 0x1111, "ports 0x1000 to 0x1fff");
    let note = Note::Opened { bridge: at(0, 1, 0), class: Class::Low, range: all };
    assert!(done.notes.contains(&note));
    let text = "bridge 00:01.0 forwards memory 0x10000000..0x10500000 now";
    assert_eq!(note.to_string(), text);
}

#[test]
fn without_wide_bridges_all_is_below_four_gib() {
    let mut machine = ConfigModel::new();
    let outer = machine.add(0, 1, 0, FunctionModel::bridge(0, 0, 0).memory_only());
    let inner = machine.add_behind(outer, 0, 0, FunctionModel::bridge(0, 0, 0));
    machine.add_behind(inner, 0, 0, endpoint().memory64(0, 0, 1 << 20).io(2, 0, 16));
    let done = run(machine, &virt());
    let (outer, inner) = (done.topology.buses_behind(at(0, 1, 0)).unwrap(), 2);
    assert_eq!((outer.0, outer.1), (1, 2));
    assert_eq!(done.bars(at(inner, 0, 0)), [0x1000_0000, 0]);
    // The inner bridge could; the outer has no registers for ports.
    let why = Unplaced::BridgeStuck { bridge: at(0, 1, 0) };
    assert_eq!(done.unplaced(), [(at(inner, 0, 0), 2, why)]);
}

#[test]
fn a_wide_register_lies_low_unless_there_is_no_room() {
    let mut machine = ConfigModel::new();
    // 64 bits, not prefetchable.
    let wide = |size: u64| {
        let mask = (!(size - 1) | 4).to_le_bytes();
        (mask, endpoint().memory64(0, 0, size).raw(0x10, &[4]))
    };
    machine.add(0, 1, 0, wide(1 << 20).1);
    machine.add(0, 2, 0, wide(1 << 30).1);
    let done = run(machine, &virt());
    assert_eq!(done.bars(at(0, 1, 0)), [0x1000_0000]);
    assert_eq!(done.bars(at(0, 2, 0)), [0x80 << 32]);
    // Behind a bridge it has to lie low: the prefetchable window is not for it.
    let mut machine = ConfigModel::new();
    let bridge = machine.add(0, 1, 0, port());
    machine.add_behind(bridge, 0, 0, wide(1 << 20).1.memory64(2, 0, 1 << 20));
    let done = run(machine, &virt());
    assert_eq!(done.bars(at(1, 0, 0)), [0x1000_0000, 0x80 << 32]);
}

#[test]
fn prefetchable_windows_take_only_what_may_be_prefetched() {
    let prefetchable = HostWindow { prefetchable: true, ..window(0x8000_0000, 0x9000_0000) };
    let host = Host { segment: 0, windows: vec![prefetchable], exact: true };
    let mut machine = ConfigModel::new();
    let kind = |bits: u8| endpoint().memory32(0, 0, 0x1000).raw(0x10, &[bits]);
    machine.add(0, 1, 0, kind(8));
    machine.add(0, 2, 0, kind(0));
    machine.add(0, 3, 0, endpoint().memory64(0, 0, 0x1000));
    let done = run(machine, &host);
    assert_eq!(done.bars(at(0, 1, 0)), [0x8000_0000]);
    assert_eq!(done.unplaced(), [(at(0, 2, 0), 0, Unplaced::NoRoom)]);
    assert_eq!(done.bars(at(0, 3, 0)), [0x8000_1000]);
}

#[test]
fn what_firmware_has_placed_stays() {
    let mut machine = ConfigModel::new();
    let bridge = FunctionModel::bridge(0, 1, 1).express(4).raw(0x20, &[0, 0x20, 0x10, 0x20]);
    let bridge = machine.add(0, 1, 0, bridge.raw(COMMAND, &[6, 0]));
    let placed = endpoint().memory32(0, 0x2000_0000, 1 << 20).memory32(1, 0, 0x8_0000);
    machine.add_behind(bridge, 0, 0, placed.raw(COMMAND, &[7, 0]).multi_function());
    machine.add_behind(bridge, 0, 1, endpoint().memory32(0, 0, 0x10_0000));
    machine.add(0, 2, 0, endpoint().memory32(0, 0x1000_0000, 1 << 20).memory32(1, 0, 0x1000));
    let before = machine.model(bridge).clone();
    let done = run(machine, &virt());
    assert_eq!(done.machine.model(bridge), &before);
    assert_eq!(done.forwards(at(0, 1, 0))[0], Some(range(0x2000_0000, 0x2020_0000)));
    // The window has room for one of the two; the larger gets it, the other is in nobody's way.
    assert_eq!(done.bars(at(1, 0, 1)), [0x2010_0000]);
    assert_eq!(done.bars(at(1, 0, 0)), [0x2000_0000, 0]);
    assert_eq!(done.unplaced(), [(at(1, 0, 0), 1, Unplaced::NoRoom)]);
    // With a BAR without an address it does not answer to memory, over which it would lie.
    assert_eq!(done.command(at(1, 0, 0)), Command::IO | Command::BUS_MASTER);
    assert_eq!(done.bars(at(0, 2, 0)), [0x1000_0000, 0x1010_0000]);
}

#[test]
fn what_the_host_bridge_does_not_forward_is_placed_again() {
    let mut machine = ConfigModel::new();
    let bridge = FunctionModel::bridge(0, 1, 1).express(4).raw(0x20, &[0, 0x50, 0, 0x50]);
    let bridge = machine.add(0, 1, 0, bridge);
    machine.add_behind(bridge, 0, 0, endpoint().memory32(0, 0x5000_0000, 4096));
    machine.add(0, 2, 0, endpoint().memory32(0, 0x1000_0000, 4096));
    machine.add(0, 3, 0, endpoint().memory32(0, 0x1000_0000, 4096));
    let done = run(machine.clone(), &virt());
    assert_eq!(done.bars(at(0, 2, 0)), [0x1000_0000], "the first of two");
    assert_eq!(done.bars(at(0, 3, 0)), [0x1000_1000]);
    assert_eq!(done.forwards(at(0, 1, 0))[0], Some(range(0x1010_0000, 0x1020_0000)));
    assert_eq!(done.bars(at(1, 0, 0)), [0x1010_0000]);
    // Where nobody says what is forwarded, firmware is believed.
    let host = Host { exact: false, ..virt() };
    let done = run(machine, &host);
    assert_eq!(done.notes, []);
    assert_eq!(done.bars(at(1, 0, 0)), [0x5000_0000]);
}

#[test]
fn the_largest_is_left_out_and_its_neighbours_are_not() {
    let mut machine = ConfigModel::new();
    let bridge = machine.add(0, 1, 0, port());
    machine.add_behind(bridge, 0, 0, endpoint().memory32(0, 0, 1 << 30).memory32(1, 0, 1 << 16));
    machine.add(0, 2, 0, endpoint().memory32(0, 0, 1 << 31).memory32(1, 0, 4096).io(2, 0, 8));
    let mut host = virt();
    host.windows.remove(0);
    let done = run(machine, &host);
    let none = Unplaced::NoRoom;
    let left = [(at(0, 2, 0), 0, none), (at(0, 2, 0), 2, none), (at(1, 0, 0), 0, none)];
    assert_eq!(done.unplaced(), left);
    assert_eq!(done.bars(at(1, 0, 0)), [0, 0x1000_0000]);
    assert_eq!(done.forwards(at(0, 1, 0))[0], Some(range(0x1000_0000, 0x1010_0000)));
    assert_eq!(done.bars(at(0, 2, 0)), [0, 0x1010_0000, 0]);
    let text = done.notes.last().unwrap().to_string();
    assert_eq!(text, "01:00.0 BAR 1 is at 0x10000000 now");
    let bar = bars::present(&done.bars[0]).next();
    assert_eq!(bar, None);
}

#[test]
fn without_a_high_window_all_lies_low() {
    let mut machine = ConfigModel::new();
    let bridge = machine.add(0, 1, 0, port());
    machine.add_behind(bridge, 0, 0, endpoint().memory64(0, 0, 1 << 24));
    machine.add(0, 2, 0, endpoint().memory64(0, 0, 1 << 25));
    let mut host = virt();
    host.windows.truncate(2);
    let done = run(machine, &host);
    assert_eq!(done.bars(at(0, 2, 0)), [0x1000_0000]);
    assert_eq!(done.bars(at(1, 0, 0)), [0x1200_0000]);
    // Its prefetchable window lies below 4 GiB then.
    assert_eq!(done.forwards(at(0, 1, 0)), [None, Some(range(0x1200_0000, 0x1300_0000))]);
}

#[test]
fn registers_that_take_no_address() {
    let mut machine = ConfigModel::new();
    let stubborn = endpoint().memory32(0, 0, 4096);
    let index = machine.add(0, 1, 0, stubborn);
    let topology = enumerate(&mut machine, &[ALL]);
    let mut bars = vec![bars::probe(&mut machine, &topology.functions()[0])];
    *machine.model_mut(index) = endpoint();
    let notes = assign(&mut machine, &topology, &mut bars, &virt());
    let [Note::NotPlaced { why: Unplaced::Stuck, bar, .. }] = notes[..] else {
        panic!("{notes:?}")
    };
    assert_eq!(bar.address, 0);
    assert_eq!(bars[0][0], Slot::Present(bar));
    let text = "00:01.0 BAR 0 (0x1000 bytes) has no address: its register takes none";
    assert_eq!(notes[0].to_string(), text);
}

#[test]
fn where_only_holes_are_known() {
    let hole = |start, end| range(start, end);
    let holes =
        [hole(0x2000_0000, 0xb000_0000), hole(1 << 32, 1 << 40), hole(0xc000_0000, 0xfec0_0000)];
    let mut machine = ConfigModel::new();
    machine.add(0, 1, 0, endpoint().memory32(0, 0x9000_0000, 4096).memory32(1, 0, 4096));
    machine.add(0, 2, 0, endpoint().memory32(0, 0x8000_0000, 4096).memory64(2, 0, 1 << 20));
    machine.add(0, 3, 0, endpoint().memory32(0, 0xfed0_0000, 4096).io(1, 0xc000, 16));
    let topology = enumerate(&mut machine, &[ALL]);
    let bars: Vec<_> = topology.functions().iter().map(|f| bars::probe(&mut machine, f)).collect();
    let host = Host::of_holes(0, &holes, &bars);
    assert_eq!(host.windows, [window(0x8000_0000, 0xb000_0000)]);
    let done = run(machine, &host);
    assert_eq!(done.bars(at(0, 1, 0)), [0x9000_0000, 0x8000_1000]);
    assert_eq!(done.bars(at(0, 2, 0)), [0x8000_0000, 0x8010_0000]);
    assert_eq!(done.bars(at(0, 3, 0)), [0xfed0_0000, 0xc000]);
}

#[test]
fn the_cpu_may_see_other_addresses() {
    let moved = HostWindow { cpu: 0x5_0000_0000, ..window(0x8000_0000, 0x9000_0000) };
    let io = HostWindow { io: true, ..window(0x4000, 0x8000) };
    let host = Host { segment: 0, windows: vec![io, moved], exact: true };
    assert_eq!(host.cpu_address(range(0x8123_4000, 0x8123_5000)), Some(0x5_0123_4000));
    assert_eq!(host.cpu_address(range(0x8fff_f000, 0x9000_0000)), Some(0x5_0fff_f000));
    assert_eq!(host.cpu_address(range(0x8fff_f000, 0x9000_1000)), None);
    assert_eq!(host.cpu_address(range(0x5000, 0x6000)), None, "ports");
}

#[test]
fn other_segments_are_left_alone() {
    let mut machine = ConfigModel::new();
    machine.add(0, 1, 0, endpoint().memory32(0, 0, 4096));
    let done = run(machine, &Host { segment: 7, ..virt() });
    assert_eq!((done.notes.len(), done.bars(at(0, 1, 0))), (0, vec![0]));
}
