//! A machine on which no message can be had: aarch64 without an ITS (`its=off`).
//!
//! Unlike on x86, where a CPU takes messages by itself, no address there is one that a device
//! could write to. Every request is an answer all the same.

use super::{
    BackEnd, EntryName, EventLease, EventSpace, NoVectors, RemapEntry, ReserveError, Sender,
};
use crate::{
    Binding, Capabilities, CpuEvent, CpuSet, Drained, EntryIndex, Flushed, HardwareError, Pair,
    RequesterId, Unrouted, Written,
};
use core::convert::Infallible;

/// Refuses to reserve anything, with `NotSupported`.
#[derive(Debug)]
pub struct Unequipped {
    cpus: CpuSet,
}

impl Unequipped {
    /// In a machine with so many CPUs.
    pub const fn new(cpus: u8) -> Self {
        Self { cpus: CpuSet::first(cpus) }
    }
}

/// An entry, or a lease, of which there is none.
#[derive(Debug)]
pub struct Nothing(Infallible);

impl RemapEntry for Nothing {
    fn index(&self) -> EntryIndex {
        match self.0 {}
    }
}

impl EventLease for Nothing {
    fn event(&self) -> CpuEvent {
        match self.0 {}
    }
}

impl BackEnd for Unequipped {
    type Entry = Nothing;
    type Block = core::iter::Empty<Nothing>;
    type Lease = Nothing;
    type Retired = Nothing;

    const BINDING: Binding = Binding::Never;

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "none", isolated: false, entries: 0, largest_order: 0 }
    }

    fn cpus(&self) -> CpuSet {
        self.cpus
    }

    fn check_room(&self, _count: u32) -> Result<(), ReserveError> {
        Err(ReserveError::NotSupported)
    }

    fn reserve(&mut self, _sender: &Sender, _order: u8) -> Result<Self::Block, ReserveError> {
        Err(ReserveError::NotSupported)
    }

    fn compose(&self, entry: &Nothing, _event: Option<CpuEvent>) -> Pair {
        match entry.0 {}
    }

    fn take(&mut self, entry: &Nothing, _wanted: CpuSet) -> Result<Nothing, NoVectors> {
        match entry.0 {}
    }

    fn cancel(&mut self, lease: Nothing) {
        match lease.0 {}
    }

    fn retire(&mut self, lease: Nothing) -> Nothing {
        lease
    }

    fn reclaim(&mut self, retired: Nothing, _proof: &Drained) {
        match retired.0 {}
    }

    fn route(&mut self, entry: &Nothing, _event: CpuEvent) -> Written {
        match entry.0 {}
    }

    fn block(&mut self, entry: &Nothing) -> Unrouted {
        match entry.0 {}
    }

    fn unroute(&mut self, entry: &Nothing) -> Unrouted {
        match entry.0 {}
    }

    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        Ok(unrouted.flushed())
    }

    fn release(&mut self, entry: Nothing, _drained: Drained) {
        match entry.0 {}
    }

    fn accepts(&self, entry: &Nothing, _requester: RequesterId) -> bool {
        match entry.0 {}
    }

    fn name(&self, entry: &Nothing) -> Option<EntryName> {
        match entry.0 {}
    }

    fn entries_used(&self) -> u32 {
        0
    }

    fn space(&self, _number: u8) -> Option<EventSpace> {
        None
    }

    fn leases(&self) -> usize {
        0
    }
}
