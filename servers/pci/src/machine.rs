//! All functions of the machine, with their BARs.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use libsys::println;
use pci_core::bars::{self, Bar, Bars, Space};
use pci_core::placement::Placement;
use pci_core::{FunctionAddress, Kind, Topology, enumerate};

use crate::ecam::Ecam;

/// What enumeration found.
pub struct Machine {
    /// Configuration space.
    pub config: Ecam,
    /// The functions.
    pub topology: Topology,
    /// Who has which memory.
    pub placement: Placement,
    bars: Vec<(FunctionAddress, Bars)>,
}

impl Machine {
    /// Looks at every function and sizes its BARs. Nothing is claimed yet, so nothing is
    /// disturbed.
    pub fn enumerate(mut config: Ecam) -> Self {
        let ranges = config.ranges();
        let topology = enumerate(&mut config, &ranges);
        let mut placement = Placement::new();
        let mut all = Vec::new();
        for function in topology.functions() {
            let bars = bars::probe(&mut config, function);
            for bar in bars::present(&bars) {
                placement.add(function.address, &bar);
            }
            all.push((function.address, bars));
        }
        Self { config, topology, placement, bars: all }
    }

    /// One BAR of a function.
    pub fn bar(&self, function: FunctionAddress, index: u8) -> Option<Bar> {
        self.bars(function).find(|bar| bar.index == index)
    }

    /// What was found in each of a function's BAR registers.
    pub fn all_bars(&self, function: FunctionAddress) -> Option<&Bars> {
        self.bars.iter().find(|(address, _)| *address == function).map(|(_, bars)| bars)
    }

    /// The BARs of a function.
    pub fn bars(&self, function: FunctionAddress) -> impl Iterator<Item = Bar> {
        self.all_bars(function).into_iter().flat_map(bars::present)
    }

    /// One line for each function, and what was odd.
    pub fn print(&self) {
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
