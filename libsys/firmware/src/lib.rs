//! What firmware says about the machine, as checked views: ACPI tables and device trees.
//!
//! ACPI firmware hands over a chain RSDP → XSDT (or RSDT) → tables in physical memory. Nothing in it can be trusted to
//! be well formed: every length, count and checksum is checked here once, every iterator is finite on any bytes, and
//! every refusal is an [`Error`] that says what was wrong. There is no allocation and no unsafe code; the kernel (MADT,
//! to start its CPUs) and `init` (which gathers all tables into one [`blob`] for the servers) use the same code, and the
//! host tests run it on truncated and random bytes. A flattened device tree is checked as a whole by [`tree`] before
//! anything of it is looked at. [`arm::Platform`] and [`pci_host`] are what the rest of the system asks, whichever of the
//! two the machine has.
//!
//! Specifications cited: *ACPI* is ACPI 6.5; *VT-d* is Intel's Virtualization Technology for Directed I/O, revision 4.1;
//! *AMD-Vi* is AMD's I/O Virtualization Technology Specification, 48882; *PCI Firmware* is the PCI Firmware Specification 3.3; *HPET* is IA-PC HPET 1.0a;
//! *IORT* is Arm's IO Remapping Table, DEN 0049E.e; *SPCR* is Microsoft's Serial Port Console Redirection table, version
//! 1.08; *DT* is the Devicetree Specification 0.4.
#![no_std]
#![forbid(unsafe_code)]

pub mod arm;
pub mod blob;
mod bytes;
pub mod dmar;
mod error;
pub mod fadt;
pub mod gic;
pub mod gtdt;
pub mod hpet;
pub mod iort;
pub mod ivhd;
pub mod ivrs;
mod line;
pub mod madt;
pub mod mcfg;
mod nodes;
pub mod pci_host;
mod requester;
mod scope;
mod sdt;
pub mod spcr;
pub mod tree;
mod walk;
pub mod wiring;

pub use blob::Blob;
pub use dmar::Dmar;
pub use error::Error;
pub use fadt::Fadt;
pub use gtdt::Gtdt;
pub use hpet::Hpet;
pub use iort::Iort;
pub use ivhd::{DeviceEntries, DeviceEntry, Devices, Special};
pub use ivrs::Ivrs;
pub use line::{Line, Polarity, Trigger};
pub use madt::Madt;
pub use mcfg::Mcfg;
pub use requester::RequesterId;
pub use scope::{DeviceScope, DeviceScopes, ScopeKind};
pub use sdt::{SDT_HEADER_BYTES, Signature, Table};
pub use spcr::Spcr;
pub use walk::{
    MAX_TABLE_BYTES, MAX_TABLES, PhysReader, Root, RootEntries, TableLocation, Unreadable,
};
