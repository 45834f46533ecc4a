//! Whatever the machine, no two BARs meet, all are where the host bridge and the bridges above lead, and the plan ends.

use pci_core::{
    BusRange, Command, ConfigExt, Function, FunctionAddress, Kind, Topology,
    assign::{Host, HostWindow, assign},
    bars::{self, Bars, Space},
    enumerate,
    fake::{ConfigModel, FunctionModel},
    placement::Range,
};
use proptest::prelude::*;

const ALL: BusRange = BusRange { segment: 0, first: 0, last: 255 };
const MIB: u64 = 1 << 20;

/// What a bridge forwards, from its registers: ports, memory, prefetchable memory.
fn forwards(machine: &ConfigModel, bridge: FunctionAddress) -> [Option<Range>; 3] {
    let io = |at, upper| {
        let low = u64::from(machine.read8(bridge, at));
        let upper = if low & 1 != 0 { u64::from(machine.read16(bridge, upper)) << 16 } else { 0 };
        upper | (low & 0xf0) << 8
    };
    let low = |at| u64::from(machine.read16(bridge, at) & 0xfff0) << 16;
    let high = |at, upper| {
        let wide = machine.read16(bridge, at) & 1 != 0;
        low(at) | if wide { u64::from(machine.read32(bridge, upper)) << 32 } else { 0 }
    };
    let window = |base: u64, limit: u64, granule| {
        // What reads like a window at address 0 is none.
        let open = base <= limit && base != 0;
        open.then(|| Range { start: base, end: limit + granule })
    };
    [
        window(io(0x1c, 0x30), io(0x1d, 0x32), 0x1000),
        window(low(0x20), low(0x22), MIB),
        window(high(0x24, 0x28), high(0x26, 0x2c), MIB),
    ]
}

struct Checked<'a> {
    machine: &'a ConfigModel,
    topology: &'a Topology,
    host: &'a Host,
}

impl Checked<'_> {
    /// Addresses come from the host bridge down to the bus that the function is on.
    fn is_reached(&self, function: &Function, range: Range, io: bool, prefetchable: bool) -> bool {
        let bridges = self.topology.ancestors(function.address).all(|bridge| {
            let [ports, low, high] = forwards(self.machine, bridge.address);
            let command = Command::from_bits_retain(self.machine.read16(bridge.address, 4));
            let on = if io { Command::IO } else { Command::MEMORY };
            let windows = if io { [ports, None] } else { [low, high.filter(|_| prefetchable)] };
            command.contains(on | Command::BUS_MASTER)
                && windows.iter().flatten().any(|window| window.contains(range))
        });
        bridges
            && self.host.windows.iter().any(|window| {
                window.io == io
                    && window.pci.contains(range)
                    && (prefetchable || !window.prefetchable)
            })
    }

    /// What lies on the bus where a function is, but its own BARs: others' BARs and bridges' windows.
    /// What firmware has placed may share pages, and be where the bridge reads ahead.
    fn check(&self, bars: &[Bars], keeps_pages: bool) {
        let mut all: Vec<(Option<FunctionAddress>, FunctionAddress, bool, Range)> = Vec::new();
        for (function, bars) in self.topology.functions().iter().zip(bars) {
            let parent = self.topology.ancestors(function.address).next().map(|b| b.address);
            for bar in bars::present(bars) {
                let io = bar.space == Space::Io;
                if !bar.is_assigned() {
                    let command =
                        Command::from_bits_retain(self.machine.read16(function.address, 4));
                    let off = if io { Command::IO } else { Command::MEMORY };
                    assert!(!command.contains(off), "{function:?} answers at 0");
                    continue;
                }
                let range = Range::new(bar.address, bar.size);
                assert!(
                    self.is_reached(function, range, io, bar.prefetchable || !keeps_pages),
                    "{bar:x?} of {function:x?} is not reached"
                );
                let range = if io || !keeps_pages { range } else { range.pages() };
                all.push((parent, function.address, io, range));
            }
            if let Kind::Bridge(_) = function.kind {
                let windows = forwards(self.machine, function.address);
                for (at, window) in windows.into_iter().enumerate() {
                    let Some(window) = window else { continue };
                    all.push((parent, function.address, at == 0, window));
                    // A window leads on only where the one above leads to it.
                    assert!(
                        self.is_reached(function, window, at == 0, at == 2 || !keeps_pages),
                        "{window:x?}"
                    );
                }
            }
        }
        for (n, (bus, owner, io, range)) in all.iter().enumerate() {
            for (other_bus, other, other_io, other_range) in &all[..n] {
                let meet = range.touches(*other_range) && io == other_io;
                let shared = owner == other && keeps_pages;
                assert!(
                    !(bus == other_bus && meet) || shared,
                    "{owner} {range:x?} {other} {other_range:x?}"
                );
            }
        }
    }
}

/// A function: BARs by (kind, log2 of the size, address for some), or a bridge.
#[derive(Clone, Debug)]
struct Made {
    behind: prop::sample::Index,
    device: u8,
    bridge: Option<bool>,
    bars: Vec<(u8, u32, Option<u32>)>,
}

fn made(with_addresses: bool) -> impl Strategy<Value = Made> {
    let address =
        if with_addresses { prop::option::of(any::<u32>()).boxed() } else { Just(None).boxed() };
    let bar = (0u8..4, prop_oneof![4u32..16, 16u32..30], address);
    let bridge = prop_oneof![3 => Just(None), 2 => Just(Some(true)), 1 => Just(Some(false))];
    (any::<prop::sample::Index>(), 0u8..32, bridge, prop::collection::vec(bar, 0..4))
        .prop_map(|(behind, device, bridge, bars)| Made { behind, device, bridge, bars })
}

fn model(made: &Made) -> FunctionModel {
    let mut model = match made.bridge {
        None => FunctionModel::endpoint(1, 2),
        Some(wide) => {
            let bridge = FunctionModel::bridge(0, 0, 0);
            let bridge = if wide { bridge } else { bridge.memory_only() };
            // A memory window that firmware has left, wherever it leads.
            return match made.bars.first() {
                Some(&(_, log2, Some(base))) => {
                    let (base, end) = (base >> 20, (base >> 20) + (1 << (log2 / 3)));
                    let limit = ((end - 1) << 4) as u16;
                    let [b, l] = [((base << 4) as u16).to_le_bytes(), limit.to_le_bytes()];
                    bridge.raw(0x20, &[b[0], b[1], l[0], l[1]])
                }
                _ => bridge,
            };
        }
    };
    let mut slot = 0;
    for &(kind, log2, address) in &made.bars {
        let size = 1u64 << log2;
        let address = address.map_or(0, |address| u64::from(address) & !(size - 1));
        model = match kind {
            0 => model.io(slot, address as u16, 1 << (log2 % 8 + 2)),
            1 => model.memory32(slot, address as u32, size as u32),
            _ if slot == 5 => model,
            _ => {
                let at = slot;
                slot += 1;
                let wide = model.memory64(at, address << (log2 % 9), size << (log2 % 9));
                if kind == 2 { wide } else { clear_prefetchable(wide, at) }
            }
        };
        slot += 1;
        if slot > 5 {
            break;
        }
    }
    model.raw(4, &[7, 0])
}

fn clear_prefetchable(model: FunctionModel, slot: u8) -> FunctionModel {
    let at = pci_core::Register::new(0x10 + u16::from(slot) * 4, pci_core::Width::Byte).unwrap();
    let low = model.read(at) as u8;
    model.raw(at.offset(), &[low & !8])
}

fn machine(all: &[Made]) -> ConfigModel {
    let mut machine = ConfigModel::new();
    let mut bridges = Vec::new();
    let mut places = std::collections::BTreeSet::new();
    for each in all {
        let behind = (!bridges.is_empty() && each.device % 3 != 0)
            .then(|| bridges[each.behind.index(bridges.len())]);
        if !places.insert((behind, each.device)) {
            continue;
        }
        let index = match behind {
            Some(bridge) => machine.add_behind(bridge, each.device, 0, model(each)),
            None => machine.add(0, each.device, 0, model(each)),
        };
        if each.bridge.is_some() {
            bridges.push(index);
        }
    }
    machine
}

fn host_window() -> impl Strategy<Value = HostWindow> {
    let start = prop_oneof![0u64..16, 0u64..0x1000, 0xff0u64..0x2000];
    (start, 1u64..0x400, any::<bool>(), any::<bool>()).prop_map(
        |(start, size, io, prefetchable)| {
            let (start, size) =
                if io { (start << 12, size << 10) } else { (start << 20, size << 20) };
            let end = if io { (start + size).min(1 << 20) } else { start + size };
            let pci = Range { start: start.min(end), end };
            HostWindow { pci, cpu: start + (7 << 40), io, prefetchable: prefetchable && !io }
        },
    )
}

/// Host windows that do not meet, as in a device tree that is right.
fn host() -> impl Strategy<Value = Host> {
    prop::collection::vec(host_window(), 0..6).prop_map(|windows| {
        let mut kept: Vec<HostWindow> = Vec::new();
        for window in windows {
            let meets = |other: &HostWindow| other.io == window.io && other.pci.touches(window.pci);
            if !kept.iter().any(meets) {
                kept.push(window);
            }
        }
        Host { segment: 0, windows: kept, exact: true }
    })
}

fn run(mut machine: ConfigModel, host: &Host, keeps_pages: bool) {
    let topology = enumerate(&mut machine, &[ALL]);
    let functions = topology.functions();
    let mut bars: Vec<_> = functions.iter().map(|f| bars::probe(&mut machine, f)).collect();
    assign(&mut machine, &topology, &mut bars, host);
    let found: Vec<_> = functions.iter().map(|f| bars::probe(&mut machine, f)).collect();
    for (function, (said, found)) in functions.iter().zip(bars.iter().zip(&found)) {
        for (said, found) in bars::present(said).zip(bars::present(found)) {
            assert!(said == found || !said.is_assigned(), "{function:x?} {said:x?} {found:x?}");
        }
    }
    Checked { machine: &machine, topology: &topology, host }.check(&bars, keeps_pages);
    // A second look finds nothing to place, and everything where it was.
    let before = bars.clone();
    assign(&mut machine, &topology, &mut bars, host);
    for (before, after) in
        before.iter().flat_map(bars::present).zip(bars.iter().flat_map(bars::present))
    {
        assert!(before.address == after.address || !before.is_assigned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Nothing has an address.
    #[test]
    fn fresh(all in prop::collection::vec(made(false), 0..24), host in host()) {
        run(machine(&all), &host, true);
    }

    /// Some BARs have addresses that may be anywhere, over each other too.
    #[test]
    fn with_addresses(all in prop::collection::vec(made(true), 0..24), host in host()) {
        run(machine(&all), &host, false);
    }

    /// Where only holes are known, what has an address keeps it, and the rest meets nothing of it.
    #[test]
    fn in_holes(all in prop::collection::vec(made(true), 0..24), holes in host()) {
        let mut machine = machine(&all);
        let topology = enumerate(&mut machine, &[ALL]);
        let mut bars: Vec<_> =
            topology.functions().iter().map(|f| bars::probe(&mut machine, f)).collect();
        let holes: Vec<Range> = holes.windows.iter().map(|window| window.pci).collect();
        let host = Host::of_holes(0, &holes, &bars);
        let before = bars.clone();
        assign(&mut machine, &topology, &mut bars, &host);
        let pairs = before.iter().flat_map(bars::present).zip(bars.iter().flat_map(bars::present));
        let mut placed = Vec::new();
        for (before, after) in pairs {
            let range = Range::new(after.address, after.size);
            if before.is_assigned() {
                prop_assert_eq!(before, after);
            } else if after.is_assigned() {
                placed.push((after.space == Space::Io, range));
            }
        }
        for (io, range) in placed {
            for old in before.iter().flat_map(bars::present).filter(pci_core::bars::Bar::is_assigned) {
                let other = Range::new(old.address, old.size);
                prop_assert!((old.space == Space::Io) != io || !other.touches(range));
            }
        }
    }
}
