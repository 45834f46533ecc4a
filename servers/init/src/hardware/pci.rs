//! PCI configuration space, and where BARs can lie.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use init_core::windows::{Range, Windows};
use libsys::println;
use tocsin_firmware::mcfg::Segment;
use tocsin_firmware::pci_host::{Hosts, WindowSpace};
use tocsin_firmware::{Blob, Mcfg, Signature};

use super::{Device, slice};
use crate::authority::Authority;

/// Configuration space as the MCFG has it.
pub fn ecam_of_tables(
    authority: &Authority,
    blob: &Blob<'_>,
    taken: &mut Vec<Range>,
) -> Vec<Device> {
    let mut ecam = Vec::new();
    let table = match blob.find(Signature::MCFG, 0).and_then(Mcfg::parse) {
        Ok(table) => table,
        Err(error) => {
            println!("init: no PCI configuration space: {error}");
            return ecam;
        }
    };
    for segment in table.segments() {
        match segment {
            Ok(segment) => add_segment(authority, &segment, &mut ecam, taken),
            Err(error) => println!("init: configuration space skipped: {error}"),
        }
    }
    ecam
}

/// What is left of the address space.
pub fn windows_by_exclusion(authority: &Authority, taken: &[Range]) -> Vec<Device> {
    let (ram, taken) = (authority.ram(), taken.iter().copied());
    let end = authority.physical_end();
    let windows = if authority.has_ioports() {
        Windows::of_a_pc(ram, taken, end)
    } else {
        Windows::around_ram(ram, taken, end)
    };
    hand_out(authority, &windows)
}

/// Both as the device tree has them.
pub fn of_tree(
    authority: &Authority,
    tree: &[u8],
    taken: &mut Vec<Range>,
) -> (Vec<Device>, Vec<Device>) {
    let hosts = match Hosts::from_device_tree(tree) {
        Ok(hosts) => hosts,
        Err(error) => {
            println!("init: no PCI: {error}");
            return (Vec::new(), Vec::new());
        }
    };
    for note in &hosts.notes {
        println!("init: firmware: {note}");
    }
    if hosts.hosts.is_empty() {
        println!("init: no PCI: the device tree has no host bridge with ECAM");
        return (Vec::new(), Vec::new());
    }
    let mut ecam = Vec::new();
    for host in &hosts.hosts {
        add_segment(authority, &host.segment, &mut ecam, taken);
    }
    let windows = hosts.hosts.iter().flat_map(|host| &host.windows);
    // I/O ports of devices are of no use to a driver here.
    let windows = windows.filter(|window| window.space != WindowSpace::Io);
    let windows = windows.map(|window| Range::new(window.cpu, window.size));
    let (ram, taken) = (authority.ram(), taken.iter().copied());
    let windows = Windows::described(windows, ram, taken, authority.physical_end());
    (ecam, hand_out(authority, &windows))
}

fn add_segment(
    authority: &Authority,
    segment: &Segment,
    ecam: &mut Vec<Device>,
    taken: &mut Vec<Range>,
) {
    let range = Range::new(segment.first_address(), segment.bytes());
    taken.push(range);
    ecam.extend(slice(authority, range, "configuration space"));
}

fn hand_out(authority: &Authority, windows: &Windows) -> Vec<Device> {
    let mut devices = Vec::new();
    let mut text = String::new();
    for range in windows.ranges() {
        if let Some(device) = slice(authority, *range, "PCI window") {
            // Writing to a `String` can not fail.
            let _ = write!(text, " {range}");
            devices.push(device);
        }
    }
    println!("init: device memory for PCI:{text}");
    devices
}
