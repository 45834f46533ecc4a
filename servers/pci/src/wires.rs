//! Where the interrupt pins of devices lead on this machine.

use alloc::vec::Vec;

use init_control::pins::{Controller, PinRule};
use libsys::println;
use pci_core::pins::{Line, NoWire, Polarity, Routes, Table, Trigger};
use pci_core::{Function, Topology};
use tocsin_abi::startup::Startup;
use tocsin_proto::interrupt::{self as protocol, LineId, Wiring};

use crate::ecam::Ecam;
use crate::firmware::{Pinning, SEGMENT};

/// What is known of it.
pub struct Wires {
    routes: Routes<'static>,
}

impl Wires {
    /// From firmware, or, where it does not say, from the manifest's tables.
    pub fn new(env: &Startup, pinning: Pinning, config: &Ecam) -> Self {
        let routes = match pinning {
            Pinning::Tree(pins) => Routes::Tree(pins),
            Pinning::Tables(controller) => Routes::Table(table(env, controller, config)),
        };
        Self { routes }
    }

    /// The line of a function's pin.
    pub fn line(&self, topology: &Topology, function: &Function) -> Result<Line, NoWire> {
        self.routes.line(topology, function)
    }
}

fn table(env: &Startup, controller: Option<Controller>, config: &Ecam) -> Table {
    let entries = env.entries().iter().filter(|entry| entry.name() == PinRule::ENTRY);
    let rules: Vec<_> =
        entries.filter_map(|entry| PinRule::from_values(entry.value, entry.value2)).collect();
    let table = Table::new(rules, config, SEGMENT, controller);
    if table.is_empty() {
        println!(
            "pci: interrupt pins lead nowhere: firmware says it in AML only, and boot/quirks.toml \
             has no [[pins]] for this board"
        );
    }
    table
}

/// A line as the protocols have it.
pub fn as_protocol(line: Line) -> (LineId, Wiring) {
    let trigger = match line.trigger {
        Trigger::Edge => protocol::Trigger::Edge,
        Trigger::Level => protocol::Trigger::Level,
    };
    let polarity = match line.polarity {
        Polarity::High => protocol::Polarity::High,
        Polarity::Low => protocol::Polarity::Low,
    };
    (LineId(line.number), Wiring { trigger, polarity })
}
