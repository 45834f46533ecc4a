//! All functions of the machine, with their BARs.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use libsys::println;
use pci_core::assign::{Host, Note, assign};
use pci_core::bars::{self, Bar, Bars, Space};
use pci_core::pins::NoWire;
use pci_core::placement::{Placement, Range};
use pci_core::{FunctionAddress, Kind, Topology, enumerate, enumerate_from_first_bus};

use crate::ecam::Ecam;
use crate::firmware::SEGMENT;
use crate::windows::Windows;
use crate::wires::Wires;

/// What enumeration found.
pub struct Machine {
    /// Configuration space.
    pub config: Ecam,
    /// The functions.
    pub topology: Topology,
    /// Who has which memory.
    pub placement: Placement,
    /// The functions' BARs, in their order.
    bars: Vec<Bars>,
    host: Host,
    /// What was done about BARs without an address.
    notes: Vec<Note>,
}

impl Machine {
    /// Looks at every function, sizes its BARs and places those that firmware did not.
    /// Nothing is claimed yet, so nothing is disturbed. Without a description of the host
    /// bridge, what init left for PCI has to do.
    pub fn enumerate(mut config: Ecam, host: Option<Host>, windows: &Windows) -> Self {
        let ranges = config.ranges();
        // A device tree has an entry for each host bridge; tables have not.
        let topology = match host {
            Some(_) => enumerate_from_first_bus(&mut config, &ranges),
            None => enumerate(&mut config, &ranges),
        };
        let probe = |function| bars::probe(&mut config, function);
        let mut bars: Vec<Bars> = topology.functions().iter().map(probe).collect();
        let host = host.unwrap_or_else(|| Host::of_holes(SEGMENT, &windows.ranges(), &bars));
        let notes = assign(&mut config, &topology, &mut bars, &host);
        let mut placement = Placement::new();
        for (function, bars) in topology.functions().iter().zip(&bars) {
            for bar in bars::present(bars) {
                placement.add(function.address, &bar);
            }
        }
        Self { config, topology, placement, bars, host, notes }
    }

    /// Where the CPU sees memory of a BAR. `None` where the host bridge does not forward it.
    pub fn cpu_range(&self, range: Range) -> Option<Range> {
        // Firmware without words for it has the same addresses on both sides.
        if !self.host.exact {
            return Some(range);
        }
        let start = self.host.cpu_address(range)?;
        Some(Range::new(start, range.size()))
    }

    /// One BAR of a function.
    pub fn bar(&self, function: FunctionAddress, index: u8) -> Option<Bar> {
        self.bars(function).find(|bar| bar.index == index)
    }

    /// What was found in each of a function's BAR registers.
    pub fn all_bars(&self, function: FunctionAddress) -> Option<&Bars> {
        let functions = self.topology.functions();
        self.bars.get(functions.binary_search_by_key(&function, |found| found.address).ok()?)
    }

    /// The BARs of a function.
    pub fn bars(&self, function: FunctionAddress) -> impl Iterator<Item = Bar> {
        self.all_bars(function).into_iter().flat_map(bars::present)
    }

    /// One line for each function, and what was odd.
    pub fn print(&self, wires: &Wires) {
        for function in self.topology.functions() {
            let mut notes = Notes(String::new());
            let [class, subclass, interface] = function.class;
            if let Kind::Bridge(buses) = function.kind {
                notes.add(format_args!(
                    " bridge to {:02x}-{:02x}",
                    buses.secondary, buses.subordinate
                ));
            }
            if function.msi.is_some() {
                notes.add(format_args!(" MSI"));
            }
            if function.msix.is_some() {
                notes.add(format_args!(" MSI-X"));
            }
            if let (Some(pin), Kind::Endpoint) = (function.pin, function.kind) {
                match wires.line(&self.topology, function) {
                    Ok(line) => notes.add(format_args!(" {pin} line {line}")),
                    Err(NoWire::NoPin | NoWire::NotInTable) => notes.add(format_args!(" {pin}")),
                    Err(why) => notes.add(format_args!(" {pin} ({why})")),
                }
            }
            for bar in self.bars(function.address) {
                let kind = if bar.space == Space::Io { "io" } else { "mem" };
                notes.add(format_args!(" {kind}{} {:x}+{:x}", bar.index, bar.address, bar.size));
            }
            if let Some(error) = function.capability_error {
                notes.add(format_args!(" broken capability list ({error:?})"));
            }
            println!(
                "pci: {} {:04x}:{:04x} class {class:02x}{subclass:02x}{interface:02x}{}",
                function.address, function.vendor, function.device, notes.0
            );
        }
        for finding in self.topology.findings() {
            println!("pci: {finding}");
        }
        // What was placed is in the lines above.
        for note in &self.notes {
            if !matches!(note, Note::Placed { .. }) {
                println!("pci: {note}");
            }
        }
    }
}

/// The end of a function's line.
struct Notes(String);

impl Notes {
    fn add(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a `String` can not fail.
        let _ = self.0.write_fmt(text);
    }
}
