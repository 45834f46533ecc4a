//! From a function to the line of its pin.

use alloc::vec::Vec;
use core::fmt;

use super::{Board, Controller, Line, NoLine, PinRule, Pins};
use crate::{ConfigExt, ConfigSpace, Function, FunctionAddress, RequesterId, Topology};

/// Subsystem vendor id, then subsystem id, of an ordinary function (PCIe §7.5.1.2.3).
const SUBSYSTEM: u16 = 0x2c;

/// Why a function's pin has no wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWire {
    /// The function has no pin.
    NoPin,
    /// The device tree does not say.
    Tree(NoLine),
    /// There is no device tree, and no table of the manifest for this board, or not for this slot.
    NotInTable,
    /// It is behind a host bridge that the manifest's tables do not speak of.
    OtherRootBus,
}

impl fmt::Display for NoWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPin => f.write_str("it has none"),
            Self::Tree(why) => why.fmt(f),
            Self::NotInTable => f.write_str(
                "neither a device tree nor [[pins]] in boot/quirks.toml says where it leads",
            ),
            Self::OtherRootBus => f.write_str("[[pins]] in boot/quirks.toml is for bus 00 only"),
        }
    }
}

/// What the manifest says of this board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rules: Vec<PinRule>,
}

impl Table {
    /// Keeps the rules that are for the board that this is. `controller` is what the machine has, as far as it is known.
    pub fn new<C: ConfigSpace + ?Sized>(
        mut rules: Vec<PinRule>,
        config: &C,
        segment: u16,
        controller: Option<Controller>,
    ) -> Self {
        let host = FunctionAddress { segment, id: RequesterId::from_bits(0) };
        let read = |offset| config.read16(host, offset);
        let board = Board {
            vendor: read(0),
            device: read(2),
            subsystem_vendor: read(SUBSYSTEM),
            subsystem: read(SUBSYSTEM + 2),
        };
        rules.retain(|rule| rule.board == board && Some(rule.controller) == controller);
        Self { rules }
    }

    /// Whether nothing is said of this board.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// All that is known about where pins lead.
#[derive(Clone, Debug)]
pub enum Routes<'a> {
    /// A device tree: what it does not say is not so.
    Tree(Pins<'a>),
    /// ACPI says it in AML, which nobody here runs.
    Table(Table),
}

impl Routes<'_> {
    /// The line of a function's pin.
    pub fn line(&self, topology: &Topology, function: &Function) -> Result<Line, NoWire> {
        let pin = function.pin.ok_or(NoWire::NoPin)?;
        let way = topology.way(function.address);
        match self {
            Self::Tree(pins) => {
                pins.line(function.address.segment, &way, pin).map_err(NoWire::Tree)
            }
            Self::Table(table) => {
                if way.first().is_none_or(|root| root.bus() != 0) {
                    return Err(NoWire::OtherRootBus);
                }
                // The pin comes out of each bridge on the way as another, by the slot that it went in.
                let (pin, slot) = way.iter().rev().fold((pin, None), |(pin, below), function| {
                    let pin = below.map_or(pin, |slot| pin.swizzle(slot));
                    (pin, Some(function.device()))
                });
                let slot = slot.ok_or(NoWire::NotInTable)?;
                let mut found = table.rules.iter().filter_map(|rule| rule.line(slot, pin));
                // Rules that contradict each other say nothing.
                match (found.next(), found.next()) {
                    (Some(line), None) => Ok(line),
                    _ => Err(NoWire::NotInTable),
                }
            }
        }
    }
}
