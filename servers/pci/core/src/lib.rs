//! The PCI server's core: all that it decides, without the hardware.
//!
//! Everything works through the [`ConfigSpace`] trait, so it runs on ECAM in the server and on [`fake::ConfigModel`] (feature
//! `fake`) or on garbage in host tests. Whatever the configuration space answers, enumeration and every walk end, nothing
//! panics, and what is wrong is reported.
//!
//! * [`enumerate`] finds the functions behind all bridges ([`Topology`]), [`Topology::find`] the one for a driver;
//! * [`bars::probe`] decodes and sizes BARs, [`placement`] says which may be mapped without showing somebody else's;
//! * [`assign::assign`] gives addresses to BARs that firmware left without;
//! * [`msi::Msi`] and [`msix::Msix`] are the two message stores that PCI defines, [`slots::MsiSlots`] the rules of the first;
//! * [`Topology::requesters`] says which requester ids a function's writes can carry;
//! * [`pins`] says which line a function's interrupt pin leads to, and switches it;
//! * [`policy`] decides what a driver may do to its own configuration space.
//!
//! Specifications cited: *PCIe* is PCI Express Base 6.0, *PCI* is PCI Local Bus 3.0, *bridge* is PCI-to-PCI Bridge 1.2.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod address;
pub mod assign;
pub mod bars;
mod buses;
mod capability;
mod config;
mod ecam;
mod enumerate;
#[cfg(feature = "fake")]
pub mod fake;
mod function;
mod header;
pub mod msi;
pub mod msix;
pub mod pins;
pub mod placement;
pub mod policy;
mod requesters;
pub mod slots;
mod topology;

pub use address::FunctionAddress;
pub use capability::{
    CAPABILITY_EXPRESS, CAPABILITY_MSI, CAPABILITY_MSIX, Capabilities, Capability, CapabilityError,
    capabilities,
};
pub use config::{ConfigExt, ConfigSpace, Register, Width};
pub use ecam::{BusRange, ecam_offset};
pub use enumerate::{MAX_FUNCTIONS, enumerate, enumerate_from_first_bus};
pub use function::{BridgeBuses, Express, Function, Kind};
pub use header::Command;
pub use msi::Pair;
pub use requesters::{Requesters, SourceCheck};
pub use tocsin_firmware::RequesterId;
pub use topology::{BridgeFault, Finding, Topology};
