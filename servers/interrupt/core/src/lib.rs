//! The interrupt server without hardware.
//!
//! An interrupt is a message, an (address, data) [`Pair`]. This crate decides who may have
//! one, which remapper entry and which CPU vector stand behind it, and in which order these
//! numbers are given back. It touches no register and makes no system call: the machine is
//! reached through a few traits, so that everything here runs under plain `cargo test`.
//!
//! | trait | the machine's side | used by |
//! | --- | --- | --- |
//! | [`vtd::VtdRegisters`] | the unit's register page | [`vtd::VtdUnit`] |
//! | [`amdvi::AmdViRegisters`] | the unit's registers | [`amdvi::AmdViUnit`] |
//! | [`ioapic::IoApicRegisters`] | an IOAPIC's page | [`ioapic::IoApic`] |
//! | [`its::ItsRegisters`] | an ITS's or a redistributor's frame | [`its::ItsUnit`], [`its::enable_lpis`] |
//! | [`gicd::GicdRegisters`] | the distributor's frame | [`gicd::Distributor`] |
//! | [`vtd::DmaRegion`] | tables and queues in memory | all |
//! | [`amdvi::EntryMemory`] | the same, with writes of 128 bits | [`amdvi::AmdViUnit`] |
//! | [`its::TableMemory`] | memory for the tables of devices to come | [`its::ItsUnit`], [`amdvi::AmdViUnit`] |
//! | [`parent::Connection`] | another interrupt server, called by its protocol | [`parent::Parent`] |
//! | [`KernelMessages`] | the message-control system calls | [`Core`] |
//! | [`wire::LineHardware`] | the chips that lines end at | [`wire::Wires`] |
//! | [`wire::KernelLines`] | the system calls that only lines need | [`wire::Wires`] |
//!
//! [`BackEnd`] is the seam between the server and what stands between devices and CPUs:
//! [`Vectored`] over a [`Remapper`] where a message's CPU event is any vector,
//! [`Events`] over an [`its::EventRemapper`] where it is the entry's own. The flow of one
//! message:
//!
//! ```text
//! alloc      entry reserved (off), pair composed, kernel object made
//! activate   vector or CPU taken, kernel accepts it, entry on
//! deactivate kernel stops, entry off, flushed, vector in quarantine until drained
//! free       the same, then entry and record in quarantine, then reusable
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod amdvi;
mod backend;
mod compat;
pub mod direct_lpi;
pub mod gicd;
mod ids;
pub mod ioapic;
pub mod its;
mod kernel;
pub mod mbi;
pub mod numbers;
pub mod parent;
mod remapper;
mod server;
pub mod vtd;
pub mod wire;

#[cfg(feature = "fake")]
pub mod fake;

pub use backend::{
    BackEnd, CpuLease, CpuLoads, DirectError, EntryName, EventLease, EventSpace, Events, NoVectors,
    Pool, PoolBlock, PoolEntry, RemapEntry, ReserveError, Sender, SenderDevice, Unequipped,
    Vectored, VectorsError,
};
pub use compat::NoRemapper;
pub use ids::{
    ApicId, ClientId, CpuEvent, CpuIndex, CpuSet, EntryIndex, EventNumber, Pair, RequesterId,
    Source, Target, Vector, VectorRange,
};
pub use kernel::KernelMessages;
pub use remapper::{
    Binding, Capabilities, Drained, Entry, EntryBlock, EventSource, Fault, FaultReason, Flushed,
    HardwareError, HardwareStep, Rearmed, Remapper, Unrouted, Written,
};
pub use server::{
    AllocRequest, Allocated, ClientDevices, ClientNode, ClientPolicy, Config, ConfigError,
    Contiguity, Core, Describe, Domain, Error, FaultOwner, Kind, MessageId, MessageInfo,
    MessageNode, MessageState, Node, Place, ServerNode, Statistics, Step, SubsystemInfo,
};
