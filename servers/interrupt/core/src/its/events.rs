//! [`EventRemapper`]: what the server needs from hardware in which the CPU event belongs to
//! the entry.
//!
//! A sibling of [`Remapper`](crate::Remapper), not an implementation of it, because three
//! things differ in kind:
//!
//! * there, `route` takes a CPU *and a vector* out of that CPU's space; here an event has one
//!   LPI from reservation to release, and only a CPU is chosen. No vector is there to be
//!   taken, drained or run out of;
//! * there, an entry that is off loses what the device writes; here *blocked* (property
//!   disabled) keeps it pending, and *off* (DISCARD) loses it. These are two operations with
//!   two proofs, and only the second leads to a release;
//! * there, every entry is in one table and a device is a check in it; here every device has
//!   a table of its own, which must be there before an event can be reserved.
//!
//! [`Events`](crate::Events) and [`Vectored`](crate::Vectored) make one kind of back end of
//! both. What is the same has the same names and types, so that one quarantine can hold both: [`Unrouted`] → `flush` → [`Flushed`] → (the CPUs have taken what was in flight) →
//! [`Drained`] → `release`; memory is written by calls that cannot fail, and what waits for
//! hardware is late at worst and can be asked for again.

use super::{DeviceId, EventId, Lpi};
use crate::{CpuIndex, Drained, EntryIndex, Flushed, HardwareError, Pair, Unrouted};

/// A remapper of (device, event) to (LPI, CPU).
pub trait EventRemapper {
    /// Why hardware did not follow.
    type Error: Copy + PartialEq + core::fmt::Debug + Into<HardwareError>;

    /// What it can do. Constant after construction.
    fn capabilities(&self) -> EventCapabilities;

    /// Whether an event could go to this CPU.
    fn can_target(&self, cpu: CpuIndex) -> bool;

    /// Sees to it that a device has a table, as large as it is asked for if memory allows.
    /// One that is too small is replaced, unless some of its events are reserved.
    fn prepare(&mut self, device: DeviceId, need: Prepare)
    -> Result<(), PrepareError<Self::Error>>;

    /// A device may want so many events from now on. A smaller table of it is given up if none
    /// of its events is reserved: `prepare` makes another one.
    fn outgrow(&mut self, device: DeviceId, events: u32);

    /// Takes `2^order` consecutive events of a device and as many LPIs, off. Nothing is
    /// changed on failure.
    fn reserve(&mut self, device: DeviceId, order: u8) -> Result<EventBlock, EventReserveError>;

    /// The pair, fixed by the event alone: invariant 7.
    fn compose(&self, event: &Event) -> Pair;

    /// What was last asked for this event.
    fn state(&self, event: &Event) -> EventState;

    /// On, for this CPU: activates an event that is off, unblocks one that is blocked, moves
    /// one that is on, together with what is pending. What a blocked one has pending comes
    /// through. A CPU that there is not: off.
    fn route(&mut self, event: &Event, cpu: CpuIndex) -> Stale;

    /// Blocked: stays mapped and keeps what comes pending. `None` for an event that is off.
    fn block(&mut self, event: &Event) -> Option<Stale>;

    /// Makes hardware follow `route` or `block`, and waits for it. The wait is bounded; what
    /// is late is asked for again with the same proof.
    fn settle(&mut self, stale: Stale) -> Result<(), (Stale, Self::Error)>;

    /// Off. Hardware may still deliver it: see `flush`.
    fn unroute(&mut self, event: &Event) -> Unrouted;

    /// Makes hardware follow what was asked last. For an event that is off: makes it forget
    /// the event, and waits until it is pending in no redistributor; a CPU may have taken it
    /// just before. The wait is bounded.
    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, Self::Error)>;

    /// Gives event and LPI back for reuse by anyone. Without the right proof, or for an
    /// event that is not off and flushed, they are lost, never shared.
    fn release(&mut self, event: Event, drained: Drained);

    /// Events reserved now, for the inspector.
    fn events_used(&self) -> u32;
}

/// What it can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventCapabilities {
    /// Name for people.
    pub name: &'static str,
    /// Checks who sent a message: what makes IMS safe.
    pub isolated: bool,
    /// How many LPIs there are.
    pub lpis: u32,
    /// Largest `order` that `reserve` takes.
    pub largest_order: u8,
}

/// How large a device's table is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prepare {
    /// Events that it should have room for.
    pub events: u32,
    /// Events that it must have room for, or it is of no use.
    pub least: u32,
}

/// Why a device has no table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrepareError<E> {
    /// Its id lies beyond what hardware can tell apart.
    IdTooLarge,
    /// No memory for the table.
    NoMemory,
    /// Hardware did not follow.
    Hardware(E),
}

/// What is asked of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventState {
    /// Reserved: what the device writes vanishes.
    Off,
    /// It is this CPU's.
    Routed(CpuIndex),
    /// It stays pending, and is this CPU's when it is unblocked.
    Blocked(CpuIndex),
}

/// Why `reserve` failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventReserveError {
    /// The device has no translation table.
    NotAttached,
    /// All its events are taken.
    NoEvents,
    /// Every LPI is taken.
    NoLpis,
    /// No free run of that size, though single ones are free.
    NoContiguous,
}

/// Ownership of one event of one device, and of its LPI. Not `Copy`: it is given back once,
/// by `release`.
#[must_use = "an event that is dropped is lost until the server restarts"]
#[derive(PartialEq, Eq, Debug)]
pub struct Event {
    index: EntryIndex,
    device: DeviceId,
    number: EventId,
}

impl Event {
    /// The number that proofs name: its LPI above 8192.
    pub const fn index(&self) -> EntryIndex {
        self.index
    }

    /// Its LPI: the kernel's name for it.
    pub const fn lpi(&self) -> Lpi {
        Lpi::from_index(self.index)
    }

    /// Whose it is.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Its number among its device's, from 0.
    pub const fn number(&self) -> EventId {
        self.number
    }
}

/// Ownership of `2^order` consecutive events, taken out one by one, lowest first.
#[must_use = "events that are not taken out are lost until the server restarts"]
#[derive(PartialEq, Eq, Debug)]
pub struct EventBlock {
    device: DeviceId,
    first: u32,
    lpi: EntryIndex,
    taken: u16,
    count: u16,
}

impl EventBlock {
    /// For back ends: runs that they have just taken, `order` ≤ 6.
    pub(super) const fn new(device: DeviceId, first: u32, lpi: EntryIndex, order: u8) -> Self {
        Self { device, first, lpi, taken: 0, count: 1 << order }
    }
}

impl Iterator for EventBlock {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.taken == self.count {
            return None;
        }
        let index = self.lpi.plus(self.taken)?;
        let number = EventId::from_bits(self.first + u32::from(self.taken));
        self.taken += 1;
        Some(Event { index, device: self.device, number })
    }
}

/// What was asked for is in memory; hardware may not follow it yet.
#[must_use = "hardware may not follow before this is settled"]
#[derive(PartialEq, Eq, Debug)]
pub struct Stale(EntryIndex);

impl Stale {
    /// For back ends, and for the server to repeat a settling: claims nothing, asks for one.
    pub const fn new(index: EntryIndex) -> Self {
        Self(index)
    }

    /// Which event.
    pub const fn index(&self) -> EntryIndex {
        self.0
    }
}
