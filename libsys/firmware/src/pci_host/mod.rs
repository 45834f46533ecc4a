//! PCI host bridges as firmware describes them, and the way from requester ids to an ITS.
//!
//! A device tree says all of it ([`Hosts::from_device_tree`]). Under ACPI the MCFG has configuration space, the DSDT the
//! windows (which nobody here reads, since that takes an AML interpreter), and the IORT the ids
//! ([`DeviceIds::from_acpi`]). Where interrupt pins lead is in the tree too ([`Pins`]), and under ACPI again in the DSDT.
//!
//! Specifications cited: *bindings* are those of the Linux kernel (`pci/host-generic-pci.yaml`, `pci/pci-msi.txt`), *OF* is
//! the PCI Bus Binding to Open Firmware (IEEE 1275), revision 2.1.

mod ids;
mod interrupt_map;
mod pin;
mod pins;
mod tree;

use heapless::Vec;

use crate::arm::Error;
use crate::mcfg::Segment;

pub use ids::{Arrival, DeviceIds};
pub use pin::Pin;
pub use pins::{NoLine, Pins};

/// Host bridges that are kept.
pub const MAX_HOSTS: usize = 8;
/// Windows of a host bridge that are kept.
pub const MAX_WINDOWS: usize = 8;
/// Rules for ids that are kept.
pub const MAX_RULES: usize = 64;

/// What a window leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSpace {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB on the bus.
    Memory32,
    /// Memory.
    Memory64,
}

/// A range of addresses that a host bridge forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What it leads to.
    pub space: WindowSpace,
    /// The bridge may read ahead and merge writes.
    pub prefetchable: bool,
    /// First address on the bus.
    pub pci: u64,
    /// First address as the CPU sees it.
    pub cpu: u64,
    /// Bytes; neither side wraps around.
    pub size: u64,
}

/// A host bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its configuration space, as the MCFG would have it.
    pub segment: Segment,
    /// What it forwards.
    pub windows: Vec<Window, MAX_WINDOWS>,
}

/// All of a device tree's host bridges with configuration space in memory.
#[derive(Clone, Debug, Default)]
pub struct Hosts<'a> {
    /// The bridges.
    pub hosts: Vec<Host, MAX_HOSTS>,
    /// Where their devices' messages go.
    pub ids: DeviceIds<'a>,
    /// What was left out, and why.
    pub notes: Vec<Error, { crate::arm::MAX_NOTES }>,
}
