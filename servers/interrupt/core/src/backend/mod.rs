//! [`BackEnd`]: what the server needs of whatever turns a device's write into a CPU event.
//!
//! | back end | its entries | a message's CPU event |
//! | --- | --- | --- |
//! | [`Vectored`] over [`VtdUnit`](crate::vtd::VtdUnit) | one table for all devices | a vector of some CPU, taken when it is activated |
//! | [`Vectored`] over [`AmdViUnit`](crate::amdvi::AmdViUnit) | a table for each device | the same |
//! | [`Vectored`] over [`NoRemapper`](crate::NoRemapper) | none | a vector of some CPU, named by the pair |
//! | [`Events`] over [`ItsUnit`](crate::its::ItsUnit) | a table for each device | the entry's own LPI; only the CPU is chosen |
//! | [`MbiUnit`](crate::mbi::MbiUnit) | one pool for all devices | the entry's own SPI; only the CPU is chosen |
//! | [`DirectLpiUnit`](crate::direct_lpi::DirectLpiUnit) | one pool for all devices | the entry's own LPI, on the CPU that the pair names |
//! | [`Parent`](crate::parent::Parent) | the parent's messages | what the parent says |
//! | [`Unequipped`] | none | none: nothing here could take a message |
//!
//! So a message takes up two numbers, and each back end says what they are: an *entry*, which
//! a device names, and a *lease* of a CPU event. What differs between them is said once, by
//! [`Binding`]; clients, life cycle, quarantine and protocol know no back end.
//!
//! A number may be reused only after hardware can not produce it any more. The order is in
//! the types of [`crate::remapper`]; they name an entry by its [`EntryIndex`].

mod events;
mod loads;
mod pool;
mod unequipped;
mod vectors;

pub use events::Events;
pub use loads::{CpuLease, CpuLoads};
pub use pool::{Pool, PoolBlock, PoolEntry};
pub use unequipped::Unequipped;
pub use vectors::{Vectored, VectorsError};

use crate::its::DeviceId;
use crate::numbers::CpuVectors;
use crate::parent::{Above, FaultsAbove, Refusal, Step};
use crate::{
    AllocRequest, Binding, Capabilities, ClientId, CpuEvent, CpuIndex, CpuSet, Drained, EntryIndex,
    EventSource, Fault, Flushed, HardwareError, Pair, Rearmed, RequesterId, Source, Unrouted,
    Written,
};

/// What stands between devices and CPUs, with the numbers that belong to it.
pub trait BackEnd {
    /// Ownership of one reserved entry.
    type Entry: RemapEntry;
    /// Ownership of entries in a row, taken out one by one, lowest first.
    type Block: Iterator<Item = Self::Entry>;
    /// Ownership of one CPU event.
    type Lease: EventLease;
    /// The same, while events of its old owner may still arrive.
    type Retired: EventLease;

    /// When a message gets its CPU event.
    const BINDING: Binding;

    /// What it can do. Constant after construction.
    fn capabilities(&self) -> Capabilities;

    /// The CPUs that there are.
    fn cpus(&self) -> CpuSet;

    /// What is known of a sender has changed: what was made for it may have to be larger.
    fn announce(&mut self, sender: &Sender) {
        let _ = sender;
    }

    /// Whether so many more entries could be reserved, as far as all devices share them.
    fn check_room(&self, count: u32) -> Result<(), ReserveError>;

    /// Takes `2^order` consecutive entries for what `sender` writes, off. Nothing is changed
    /// on failure.
    fn reserve(&mut self, sender: &Sender, order: u8) -> Result<Self::Block, ReserveError>;

    /// The same, with all that the client asks for: the server above decides by that.
    fn reserve_for(
        &mut self,
        client: ClientId,
        request: &AllocRequest,
        sender: &Sender,
        order: u8,
    ) -> Result<Self::Block, ReserveError> {
        let _ = (client, request);
        self.reserve(sender, order)
    }

    /// The pair of an entry. Only where [`Binding::pair_names_cpu`] is the event looked at.
    fn compose(&self, entry: &Self::Entry, event: Option<CpuEvent>) -> Pair;

    /// A CPU event for an entry, on the least loaded CPU of `wanted` that can have it.
    fn take(&mut self, entry: &Self::Entry, wanted: CpuSet) -> Result<Self::Lease, NoVectors>;

    /// Gives back a lease that nothing was ever routed to, or that nothing has to wait for.
    fn cancel(&mut self, lease: Self::Lease);

    /// Starts a lease's quarantine.
    fn retire(&mut self, lease: Self::Lease) -> Self::Retired;

    /// Ends it. The proof is about the entry that was last routed to it.
    fn reclaim(&mut self, retired: Self::Retired, proof: &Drained);

    /// Makes an entry raise `event`: at once and with nothing in between, if it raised
    /// another one before.
    fn route(&mut self, entry: &Self::Entry, event: CpuEvent) -> Written;

    /// Stops an entry for a while. Where [`Binding::keeps_blocked`], what its device writes
    /// stays pending; elsewhere it is gone.
    fn block(&mut self, entry: &Self::Entry) -> Unrouted;

    /// Raises an entry that is on as its device would: a real retrigger. `false` where
    /// hardware has none, and the kernel has to do it.
    #[inline]
    fn raise(&mut self, entry: &Self::Entry) -> bool {
        let _ = entry;
        false
    }

    /// Turns an entry off: what its device writes is gone.
    fn unroute(&mut self, entry: &Self::Entry) -> Unrouted;

    /// Makes hardware follow what `route`, `block` or `unroute` have written, and waits until
    /// requests that met the older contents have reached their CPU. The wait is bounded.
    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)>;

    /// With [`Binding::Parent`] only: lets the server above take a step of a message's life.
    fn forward(&mut self, entry: &Self::Entry, step: Step) -> Result<Above<Self::Lease>, Refusal> {
        let _ = (entry, step);
        Err(Refusal::LOST)
    }

    /// With [`Binding::Parent`] only: the client has its handle to an entry's message, and this
    /// server is to keep none.
    fn handed_on(&mut self, entry: &Self::Entry) {
        let _ = entry;
    }

    /// With [`Binding::Parent`] only: whose message an entry is above, and what it is called
    /// there.
    fn name_above(&self, entry: EntryIndex) -> Option<(ClientId, u64)> {
        let _ = entry;
        None
    }

    /// With [`Binding::Parent`] only: what the server above counted against a client's device.
    /// `None` where faults are this server's to read.
    fn faults_above(&mut self, client: ClientId) -> Option<Result<FaultsAbove, Refusal>> {
        let _ = client;
        None
    }

    /// Gives an entry back for reuse by anyone.
    fn release(&mut self, entry: Self::Entry, drained: Drained);

    /// Whether an entry accepts what `requester` writes: whose fault a fault is.
    fn accepts(&self, entry: &Self::Entry, requester: RequesterId) -> bool;

    /// What the device and the inspector call an entry. `None` where there are no entries.
    fn name(&self, entry: &Self::Entry) -> Option<EntryName>;

    /// Entries reserved now, for the inspector.
    fn entries_used(&self) -> u32;

    /// The spaces of CPU events, one after another from 0, for the inspector.
    fn space(&self, number: u8) -> Option<EventSpace>;

    /// All leases there can be at once: what the quarantine has to hold at most.
    fn leases(&self) -> usize;

    /// The next fault that hardware has recorded, if any.
    fn next_fault(&mut self) -> Option<Fault> {
        None
    }

    /// No fault is left to read: clears what else keeps the hardware from telling of the next.
    fn rearm(&mut self) -> Rearmed {
        Rearmed::default()
    }

    /// The message by which the hardware tells of faults, where it has one.
    fn event_source(&mut self) -> Option<&mut dyn EventSource> {
        None
    }

    /// A CPU event that no entry will lead to, and the pair that raises it past the remapper.
    fn take_direct(&mut self, wanted: CpuSet) -> Result<(Self::Lease, Pair), DirectError> {
        let _ = wanted;
        Err(DirectError::NotSupported)
    }
}

/// A reserved entry, whatever it holds beside its number.
pub trait RemapEntry {
    /// The number that proofs name. No two reserved entries have the same.
    fn index(&self) -> EntryIndex;
}

/// A leased CPU event.
pub trait EventLease {
    /// Which one.
    fn event(&self) -> CpuEvent;
}

/// Who will write a message, as far as the server knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The client's device; one of the platform's own has no requester id.
    pub requester: Option<RequesterId>,
    /// The requester ids that its writes arrive with, where they are not its own.
    pub source: Option<Source>,
    /// The DeviceID that they arrive with, where writes have one.
    pub device: Option<SenderDevice>,
    /// How many messages the client may have.
    pub quota: u32,
}

/// A DeviceID (GICv3) of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderDevice {
    /// The id.
    pub id: DeviceId,
    /// Other clients' writes may arrive with it too.
    pub shared: bool,
}

/// What an entry is called outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryName {
    /// Its number: an index into the one table there is, or among its device's.
    pub number: u32,
    /// Whose, where each device has numbers of its own.
    pub device: Option<DeviceId>,
}

/// CPU events that are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventSpace {
    /// The CPU whose they are; `None`: any CPU can have them.
    pub cpu: Option<CpuIndex>,
    /// How many.
    pub count: CpuVectors,
}

/// No CPU of the wanted set has an event to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoVectors;

/// Why there is no CPU event past the remapper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectError {
    /// No CPU of the wanted set has one to give.
    NoVectors,
    /// No pair by itself raises anything here, or none that reaches that CPU.
    NotSupported,
}

/// Why `reserve` failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReserveError {
    /// Every entry is taken, or every one that this device can have.
    NoEntries,
    /// Every CPU event that comes with an entry is taken.
    NoVectors,
    /// No free run of that length, though single entries are free.
    NoContiguous,
    /// No memory for the device's table.
    NoMemory,
    /// Such a message can not be had here: what the device writes with is not known, or lies
    /// beyond what hardware can tell apart.
    NotSupported,
    /// Hardware did not follow.
    Hardware(HardwareError),
    /// The server above said no.
    Parent(Refusal),
}
