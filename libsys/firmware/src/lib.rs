//! ACPI tables as checked views over byte slices.
//!
//! Firmware hands over a chain RSDP → XSDT (or RSDT) → tables in physical memory. Nothing in it can be trusted to
//! be well formed: every length, count and checksum is checked here once, every iterator is finite on any bytes, and
//! every refusal is an [`Error`] that says what was wrong. There is no allocation and no unsafe code; the kernel (MADT,
//! to start its CPUs) and `init` (which gathers all tables into one [`blob`] for the servers) use the same code, and the
//! host tests run it on truncated and random bytes.
//!
//! Specifications cited: *ACPI* is ACPI 6.5; *VT-d* is Intel's Virtualization Technology for Directed I/O, revision 4.1;
//! *PCI Firmware* is the PCI Firmware Specification 3.3; *HPET* is IA-PC HPET 1.0a.
#![no_std]
#![forbid(unsafe_code)]

pub mod arm;
pub mod blob;
mod bytes;
pub mod dmar;
mod error;
pub mod hpet;
pub mod madt;
pub mod mcfg;
mod nodes;
mod requester;
mod scope;
mod sdt;
pub mod tree;
mod walk;

pub use blob::Blob;
pub use dmar::Dmar;
pub use error::Error;
pub use hpet::Hpet;
pub use madt::Madt;
pub use mcfg::Mcfg;
pub use requester::RequesterId;
pub use scope::{DeviceScope, DeviceScopes, ScopeKind};
pub use sdt::{SDT_HEADER_BYTES, Signature, Table};
pub use walk::{
    MAX_TABLE_BYTES, MAX_TABLES, PhysReader, Root, RootEntries, TableLocation, Unreadable,
};
