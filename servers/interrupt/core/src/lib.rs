//! The interrupt server without hardware.
//!
//! An interrupt is a message, an (address, data) [`Pair`]. This crate decides who may have
//! one, which remapper entry and which CPU vector stand behind it, and in which order these
//! numbers are given back. It touches no register and makes no system call: the machine is
//! reached through three traits, so that everything here runs under plain `cargo test`.
//!
//! | trait | the machine's side | used by |
//! | --- | --- | --- |
//! | [`vtd::VtdRegisters`] | the unit's register page | [`vtd::VtdUnit`] |
//! | [`vtd::DmaRegion`] | table, queue and status memory | [`vtd::VtdUnit`] |
//! | [`KernelMessages`] | the message-control system calls | [`Core`] |
//!
//! [`Remapper`] is the seam between the server and its back ends: [`vtd::VtdUnit`] and
//! [`NoRemapper`]. The flow of one message:
//!
//! ```text
//! alloc      entry reserved (not present), pair composed, kernel object made
//! activate   vector taken, kernel accepts it, entry made present
//! deactivate entry off, flushed, kernel stops, vector in quarantine until drained
//! free       the same, then entry and slot in quarantine, then reusable
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod compat;
mod ids;
pub mod its;
mod kernel;
pub mod numbers;
mod remapper;
mod server;
pub mod vtd;

#[cfg(feature = "fake")]
pub mod fake;

pub use compat::NoRemapper;
pub use ids::{
    ApicId, CpuIndex, CpuSet, EntryIndex, Pair, RequesterId, Source, Target, Vector, VectorRange,
};
pub use kernel::KernelMessages;
pub use remapper::{
    Capabilities, Drained, Entry, EntryBlock, Fault, FaultReason, Flushed, HardwareError,
    HardwareStep, PairKind, Remapper, ReserveError, Unrouted, Written,
};
pub use server::{
    AllocRequest, Allocated, ClientPolicy, Config, ConfigError, Contiguity, Core, Cpu, Describe,
    DirectMessage, Domain, Error, FaultOwner, Kind, MessageId, MessageInfo, MessageState,
    Statistics,
};
