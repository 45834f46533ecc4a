//! Finding all functions.
//!
//! Firmware has numbered the buses (PCI Firmware 3.3 §4.6 lets an operating system rely on it on x86), so the walk follows
//! the numbers that bridges have. A bridge without numbers gets some from what its parent has left. Buses of the ECAM range
//! that no bridge leads to are asked too, since large machines have several host bridges and only AML knows which. Where a
//! device tree describes them ([`enumerate_from_first_bus`]), each has its own range and begins with its first bus.
//!
//! On garbage the walk ends because every bus is visited at most once and [`MAX_FUNCTIONS`] bounds what is kept. It does
//! not recurse: the server's stack is small, and a bus number is all there is to remember.

use alloc::vec::Vec;

use crate::{
    BridgeBuses, BridgeFault, BusRange, ConfigExt, ConfigSpace, Finding, Function, FunctionAddress,
    Kind, RequesterId, Topology,
    buses::BusSet,
    header::{PRIMARY_BUS, SECONDARY_BUS, SUBORDINATE_BUS},
};

/// More functions than this are taken for garbage.
pub const MAX_FUNCTIONS: usize = 4096;

/// Which buses of a range are not behind a bridge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Roots {
    /// The first.
    First,
    /// Any that something answers on.
    Any,
}

/// Finds the functions of all ranges, in which there can be several host bridges.
pub fn enumerate<C: ConfigSpace + ?Sized>(config: &mut C, ranges: &[BusRange]) -> Topology {
    find(config, ranges, Roots::Any)
}

/// Finds the functions of ranges that have one host bridge each: all is on a range's first bus, or behind it. Other buses
/// are not asked, which saves most of the time.
pub fn enumerate_from_first_bus<C: ConfigSpace + ?Sized>(
    config: &mut C,
    ranges: &[BusRange],
) -> Topology {
    find(config, ranges, Roots::First)
}

fn find<C: ConfigSpace + ?Sized>(config: &mut C, ranges: &[BusRange], roots: Roots) -> Topology {
    let mut topology = Topology::default();
    let mut known: Vec<(u16, Buses)> = Vec::new();
    // A range that ends before it begins has no bus.
    for range in ranges.iter().filter(|range| range.first <= range.last) {
        let at =
            known.iter().position(|(segment, _)| *segment == range.segment).unwrap_or_else(|| {
                known.push((range.segment, Buses::default()));
                known.len() - 1
            });
        let Some((_, known)) = known.get_mut(at) else {
            continue;
        };
        if (range.first..=range.last).any(|bus| known.visited.contains(bus)) {
            topology.findings.push(Finding::RangeOverlap { range: *range });
        }
        let mut walk = Walk {
            config: &mut *config,
            topology: &mut topology,
            known,
            segment: range.segment,
            buses: Vec::new(),
            bridges: Vec::new(),
        };
        walk.range(*range, roots);
    }
    topology.sort();
    topology
}

/// What is known about the buses of a segment.
#[derive(Default)]
struct Buses {
    /// Asked already.
    visited: BusSet,
    /// Something answered.
    occupied: BusSet,
}

/// A bus to be visited.
#[derive(Clone, Copy)]
struct Bus {
    number: u8,
    /// The last number that bridges on it can have behind them.
    last: u8,
    /// The bridge that leads to it.
    parent: Option<usize>,
}

/// What is to be done about a bridge without numbers. Kept on a stack, so that all that is behind a bridge is numbered
/// before the bridge's range is closed and its neighbour gets the next numbers.
enum Numbering {
    Open { bridge: usize, on: Bus },
    Close { bridge: usize },
}

struct Walk<'w, C: ?Sized> {
    config: &'w mut C,
    topology: &'w mut Topology,
    known: &'w mut Buses,
    segment: u16,
    buses: Vec<Bus>,
    bridges: Vec<Numbering>,
}

impl<C: ConfigSpace + ?Sized> Walk<'_, C> {
    fn range(&mut self, range: BusRange, roots: Roots) {
        self.buses.push(Bus { number: range.first, last: range.last, parent: None });
        self.visit_all();
        // Other host bridges' buses: those that no bridge has.
        while roots == Roots::Any
            && let Some((first, last)) = self.claimed().first_gap(range.first, range.last)
        {
            self.buses.push(Bus { number: first, last, parent: None });
            self.visit_all();
        }
        // Only now is it known which numbers are free.
        while let Some(numbering) = self.bridges.pop() {
            match numbering {
                Numbering::Open { bridge, on } => self.open(bridge, on),
                Numbering::Close { bridge } => self.close(bridge),
            }
            self.visit_all();
        }
    }

    /// Visited buses, and the ranges of all bridges, of this segment.
    fn claimed(&self) -> BusSet {
        let mut claimed = self.known.visited;
        for function in &self.topology.functions {
            if let Kind::Bridge(buses) = function.kind
                && function.address.segment == self.segment
                && buses.secondary > function.address.bus()
            {
                claimed.insert_range(buses.secondary, buses.subordinate);
            }
        }
        claimed
    }

    fn visit_all(&mut self) {
        while let Some(bus) = self.buses.pop() {
            self.visit(bus);
        }
    }

    fn visit(&mut self, bus: Bus) {
        if !self.known.visited.insert(bus.number) {
            return;
        }
        let link = bus
            .parent
            .and_then(|index| self.topology.functions.get(index)?.express)
            .is_some_and(|express| express.has_one_device_below());
        for device in 0..if link { 1 } else { 32 } {
            for function in 0..8 {
                let Some(id) = RequesterId::new(bus.number, device, function) else {
                    continue;
                };
                let address = FunctionAddress { segment: self.segment, id };
                let found = Function::read(self.config, address, bus.parent);
                // Function 0 must be there, and says whether there are others (PCIe §7.5.1.1.9).
                let more = function > 0 || found.as_ref().is_some_and(|found| found.multi_function);
                if let Some(found) = found
                    && !self.keep(found, bus)
                {
                    return;
                }
                if !more {
                    break;
                }
            }
        }
    }

    /// Says whether there was room.
    fn keep(&mut self, function: Function, bus: Bus) -> bool {
        let index = self.topology.functions.len();
        if index >= MAX_FUNCTIONS {
            self.buses.clear();
            self.bridges.clear();
            if self.topology.findings.last() != Some(&Finding::TooManyFunctions) {
                self.topology.findings.push(Finding::TooManyFunctions);
            }
            return false;
        }
        if let Some(buses) = function.buses() {
            if buses.secondary == 0 {
                self.bridges.push(Numbering::Open { bridge: index, on: bus });
            } else {
                match self.accept(buses, bus) {
                    Ok(()) => self.buses.push(Bus {
                        number: buses.secondary,
                        last: buses.subordinate,
                        parent: Some(index),
                    }),
                    Err(fault) => self.skip(function.address, fault),
                }
            }
        }
        self.known.occupied.insert(bus.number);
        self.topology.functions.push(function);
        true
    }

    /// Whether these numbers can be those of a bridge on this bus.
    fn accept(&self, buses: BridgeBuses, on: Bus) -> Result<(), BridgeFault> {
        let BridgeBuses { secondary, subordinate, .. } = buses;
        if secondary <= on.number || subordinate < secondary {
            return Err(BridgeFault::BadOrder);
        }
        if subordinate > on.last {
            return Err(BridgeFault::OutOfWindow);
        }
        let taken = self.neighbours(on.number);
        let visited = &self.known.visited;
        if (secondary..=subordinate).any(|bus| taken.contains(bus) || visited.contains(bus)) {
            return Err(BridgeFault::Overlap);
        }
        Ok(())
    }

    /// The numbers that the bridges on a bus have behind them.
    fn neighbours(&self, bus: u8) -> BusSet {
        let mut taken = BusSet::default();
        for function in &self.topology.functions {
            if let Kind::Bridge(buses) = function.kind
                && (function.address.segment, function.address.bus()) == (self.segment, bus)
                && buses.secondary > bus
            {
                taken.insert_range(buses.secondary, buses.subordinate);
            }
        }
        taken
    }

    fn skip(&mut self, bridge: FunctionAddress, fault: BridgeFault) {
        self.topology.findings.push(Finding::BridgeSkipped { bridge, fault });
    }

    /// Gives a bridge the first numbers that are free, all of them for now.
    fn open(&mut self, bridge: usize, on: Bus) {
        let Some(address) = self.address(bridge) else {
            return;
        };
        let mut taken = self.neighbours(on.number);
        for bus in 0..=u8::MAX {
            if self.known.occupied.contains(bus) {
                taken.insert(bus);
            }
        }
        let gap = on.number.checked_add(1).and_then(|first| taken.first_gap(first, on.last));
        let Some((secondary, subordinate)) = gap else {
            return self.skip(address, BridgeFault::NoNumbers);
        };
        self.config.write8(address, PRIMARY_BUS, on.number);
        self.config.write8(address, SUBORDINATE_BUS, subordinate);
        self.config.write8(address, SECONDARY_BUS, secondary);
        if self.config.read8(address, SECONDARY_BUS) != secondary
            || self.config.read8(address, SUBORDINATE_BUS) != subordinate
        {
            return self.skip(address, BridgeFault::ReadOnly);
        }
        self.set_buses(bridge, on.number, secondary, subordinate);
        // Nothing answered there before; now something may.
        self.known.visited.remove_range(secondary, subordinate);
        self.bridges.push(Numbering::Close { bridge });
        self.buses.push(Bus { number: secondary, last: subordinate, parent: Some(bridge) });
    }

    /// Takes back the numbers that nothing behind the bridge needs.
    fn close(&mut self, bridge: usize) {
        let (Some(address), Some(buses)) =
            (self.address(bridge), self.topology.functions.get(bridge).and_then(Function::buses))
        else {
            return;
        };
        let behind = self.neighbours(buses.secondary);
        let used = (buses.secondary..=buses.subordinate)
            .rev()
            .find(|bus| self.known.occupied.contains(*bus) || behind.contains(*bus))
            .unwrap_or(buses.secondary);
        self.config.write8(address, SUBORDINATE_BUS, used);
        self.set_buses(bridge, buses.primary, buses.secondary, used);
        self.topology.findings.push(Finding::BridgeNumbered {
            bridge: address,
            secondary: buses.secondary,
            subordinate: used,
        });
    }

    fn address(&self, index: usize) -> Option<FunctionAddress> {
        Some(self.topology.functions.get(index)?.address)
    }

    fn set_buses(&mut self, bridge: usize, primary: u8, secondary: u8, subordinate: u8) {
        if let Some(function) = self.topology.functions.get_mut(bridge) {
            function.kind = Kind::Bridge(BridgeBuses { primary, secondary, subordinate });
        }
    }
}
