//! All functions of the machine, and what was odd about them.

use alloc::vec::Vec;
use core::fmt;

use crate::{BusRange, Express, Function, FunctionAddress, Kind, RequesterId};

/// Why what is behind a bridge was not looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeFault {
    /// Secondary is not above the bridge's own bus, or subordinate is below secondary.
    BadOrder,
    /// The numbers are not within those of the bridge above, or not within the ECAM range.
    OutOfWindow,
    /// The numbers overlap those of another bridge or a bus that was visited already.
    Overlap,
    /// It has no numbers, and none are free.
    NoNumbers,
    /// It has no numbers, and does not take any.
    ReadOnly,
}

/// Something about the machine that a person should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Firmware left a bridge without bus numbers; it was given these.
    BridgeNumbered {
        /// The bridge.
        bridge: FunctionAddress,
        /// First bus behind it.
        secondary: u8,
        /// Last bus behind it.
        subordinate: u8,
    },
    /// A bridge was not passed.
    BridgeSkipped {
        /// The bridge.
        bridge: FunctionAddress,
        /// Why.
        fault: BridgeFault,
    },
    /// Two ECAM ranges have this bus; it was visited once.
    RangeOverlap {
        /// The later range.
        range: BusRange,
    },
    /// More functions than [`crate::MAX_FUNCTIONS`]: this is garbage, and the walk was ended.
    TooManyFunctions,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::BridgeNumbered { bridge, secondary, subordinate } => write!(
                f,
                "bridge {bridge} had no bus numbers and got {secondary:02x} to {subordinate:02x}"
            ),
            Finding::BridgeSkipped { bridge, fault } => {
                let why = match fault {
                    BridgeFault::BadOrder => "its bus numbers are out of order",
                    BridgeFault::OutOfWindow => "its bus numbers are outside of its parent's",
                    BridgeFault::Overlap => "its bus numbers overlap others",
                    BridgeFault::NoNumbers => "it has no bus numbers and none are free",
                    BridgeFault::ReadOnly => "it has no bus numbers and takes none",
                };
                write!(f, "bridge {bridge} skipped: {why}")
            }
            Finding::RangeOverlap { range } => write!(
                f,
                "ECAM range {:04x}:{:02x} to {:02x} overlaps an earlier one",
                range.segment, range.first, range.last
            ),
            Finding::TooManyFunctions => f.write_str("too many PCI functions, walk ended"),
        }
    }
}

/// All functions that were found, ordered by segment, bus, device, function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    pub(crate) functions: Vec<Function>,
    pub(crate) findings: Vec<Finding>,
}

impl Topology {
    /// The functions, in the order of their addresses.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// What was odd.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The function at an address.
    pub fn function(&self, address: FunctionAddress) -> Option<&Function> {
        let at = self.functions.binary_search_by_key(&address, |function| function.address).ok()?;
        self.functions.get(at)
    }

    /// The `nth` function with these ids that a driver can have. Of bridges only ports to one device match, whose slots have
    /// events: what is behind them writes with ids of its own, and the policy leaves a driver nothing that it could do to it.
    /// Another bridge never does: whoever had it would have what is behind.
    pub fn find(&self, vendor: u16, device: u16, nth: usize) -> Option<&Function> {
        self.functions
            .iter()
            .filter(|function| {
                let port = function.express.is_some_and(Express::has_one_device_below);
                (function.kind == Kind::Endpoint
                    || matches!(function.kind, Kind::Bridge(_)) && port)
                    && (function.vendor, function.device) == (vendor, device)
            })
            .nth(nth)
    }

    /// The bridges above a function, the nearest first.
    pub fn ancestors(&self, address: FunctionAddress) -> impl Iterator<Item = &Function> {
        let parent = |function: &Function| self.functions.get(function.parent?);
        // A parent is on a lower bus than its child, so this ends.
        core::iter::successors(self.function(address).and_then(parent), move |function| {
            parent(function)
        })
    }

    /// The way down to a function: the one on the root bus first, the function itself last. Empty when it does not exist.
    pub fn way(&self, address: FunctionAddress) -> Vec<RequesterId> {
        let own = self.function(address).into_iter();
        let mut way: Vec<_> =
            own.chain(self.ancestors(address)).map(|function| function.address.id).collect();
        way.reverse();
        way
    }

    /// The bus behind a bridge: what DMAR's device scopes ask for ([`tocsin_firmware::DeviceScope::resolve`]).
    pub fn buses_behind(&self, bridge: FunctionAddress) -> Option<(u8, u8)> {
        let buses = self.function(bridge)?.buses()?;
        Some((buses.secondary, buses.subordinate))
    }

    /// Orders the functions by address and lets each `parent` follow its bridge.
    pub(crate) fn sort(&mut self) {
        let parents: Vec<Option<FunctionAddress>> = self
            .functions
            .iter()
            .map(|function| Some(self.functions.get(function.parent?)?.address))
            .collect();
        let mut order: Vec<usize> = (0..self.functions.len()).collect();
        order.sort_by_key(|index| self.functions[*index].address);
        let sorted: Vec<Function> = order.iter().map(|index| self.functions[*index]).collect();
        self.functions = sorted;
        for (at, index) in order.into_iter().enumerate() {
            let parent = parents[index].and_then(|address| {
                self.functions.binary_search_by_key(&address, |function| function.address).ok()
            });
            self.functions[at].parent = parent;
        }
    }
}
