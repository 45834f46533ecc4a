//! The seam between the server and what stands between a device and a CPU.
//!
//! A number may be reused only after hardware cannot produce it any more. The order is in
//! the types, each step consuming the proof of the one before:
//!
//! ```text
//! unroute ─▶ Unrouted ─▶ flush ─▶ Flushed ─▶ drain ─▶ Drained ─▶ release, or reuse
//! table says no        caches say no      CPUs say no
//! ```
//!
//! `route` and `unroute` only write memory and cannot fail, so the server can always take a
//! step back. What can fail is `flush`, which waits for hardware; its failure hands the
//! `Unrouted` proof back, the number stays in quarantine, and the flush is tried again.

use crate::direct_lpi::DirectLpiError;
use crate::gicd::SpiError;
use crate::its::ItsError;
use crate::parent::Refusal;
use crate::{EntryIndex, EntryName, Pair, RemapEntry, RequesterId, ReserveError, Source, Target};
use core::fmt;

/// A remapper, or its absence.
pub trait Remapper {
    /// When a message gets its vector: [`Binding::Activation`] where a pair is fixed by its
    /// entry alone, [`Binding::Pair`] where it names the vector.
    const BINDING: Binding;

    /// What it can do. Constant after construction.
    fn capabilities(&self) -> Capabilities;

    /// Whether an entry could name this CPU and vector.
    fn can_target(&self, target: Target) -> bool;

    /// Takes `2^order` consecutive entries, not present. Nothing is changed on failure.
    fn reserve(&mut self, source: Source, order: u8) -> Result<EntryBlock, ReserveError>;

    /// The pair of an entry. `target` is looked at only with [`Binding::Pair`].
    fn compose(&self, entry: &Entry, target: Option<Target>) -> Pair;

    /// Makes the entry present and points it at `target`, or points it elsewhere at once:
    /// a device's write meets the old or the new target and nothing in between.
    fn route(&mut self, entry: &Entry, target: Target) -> Written;

    /// Makes the entry not present. Hardware may still know the old contents: see `flush`.
    fn unroute(&mut self, entry: &Entry) -> Unrouted;

    /// Makes hardware forget what it knew of this entry, and waits until requests that used
    /// it have reached their CPU. The wait is bounded.
    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)>;

    /// Gives an entry back for reuse by anyone.
    fn release(&mut self, entry: Entry, drained: Drained);

    /// What the device and the inspector call an entry: its number in the one table, unless
    /// each device has a table of its own.
    fn name(&self, entry: &Entry) -> EntryName {
        EntryName { number: entry.index().bits().into(), device: None }
    }

    /// Entries reserved now, for the inspector.
    fn entries_used(&self) -> u32;

    /// The next fault that hardware has recorded, if any.
    fn next_fault(&mut self) -> Option<Fault> {
        None
    }

    /// No fault is left to read: clears what else keeps the hardware from telling of the next
    /// one.
    fn rearm(&mut self) -> Rearmed {
        Rearmed::default()
    }

    /// The message by which the hardware tells of faults, where it has one.
    fn event_source(&mut self) -> Option<&mut dyn EventSource> {
        None
    }
}

/// Where a remapper keeps the pair of its own message: one slot, written like any other. Only
/// `write` may find it unmasked, and refuses then.
pub trait EventSource {
    /// Silences it, or says that the hardware does not follow.
    fn mask(&mut self) -> Result<(), HardwareError>;

    /// Puts a pair into the masked slot. On failure it is to stay masked.
    fn write(&mut self, pair: Pair) -> Result<(), HardwareError>;

    /// Lets it raise its message; at once, where something waits to be told.
    fn unmask(&mut self);

    /// Makes the hardware find something to tell that harms nobody: a self-test.
    fn provoke(&mut self) -> Result<(), HardwareError>;
}

/// What [`Remapper::rearm`] has cleared.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rearmed {
    /// Faults came for which there was no record: nobody will know of whom.
    pub lost: bool,
    /// The unit had refused something that was asked of it and stood still; it goes on.
    pub stalled: bool,
}

/// What a remapper can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Name for people.
    pub name: &'static str,
    /// Checks who sent a message: what makes IMS safe.
    pub isolated: bool,
    /// How many entries there are.
    pub entries: u32,
    /// Largest `order` that `reserve` takes.
    pub largest_order: u8,
}

/// When a message gets its CPU event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding {
    /// When it is activated, and another one at each move: the pair holds the entry's number
    /// and never changes, the event is any that a CPU has free.
    Activation,
    /// When it is reserved, and for good: the pair holds CPU and vector.
    Pair,
    /// With its entry, and for good: the pair holds the entry's number, the entry's event is
    /// one of a kind, and only its CPU is chosen, when it is activated.
    Entry,
    /// With its entry, and for good, its CPU as well: the pair holds the entry's own event and
    /// the CPU that takes it.
    EntryAndCpu,
    /// When the server above says so, for as long as it says so: the pair is the parent's and
    /// never changes, and every step of a life is the parent's too ([`crate::parent`]).
    Parent,
    /// Never: no message can be had.
    Never,
}

impl Binding {
    /// What a device writes while its message is blocked is kept, and raised afterwards.
    /// Elsewhere it is lost, perhaps without a trace.
    pub const fn keeps_blocked(self) -> bool {
        self.keeps_event()
    }

    /// A message's event is its entry's, for good: after a pause it has the same one again.
    pub const fn keeps_event(self) -> bool {
        matches!(self, Self::Entry | Self::EntryAndCpu)
    }

    /// The pair names the CPU, and the pair is in the device: the CPU is chosen when the
    /// message is reserved and can not be another one later.
    pub const fn pair_names_cpu(self) -> bool {
        matches!(self, Self::Pair | Self::EntryAndCpu)
    }
}

/// Ownership of one reserved entry. Not `Copy`: it is given back once, by `release`.
#[must_use = "an entry that is dropped is lost until the server restarts"]
#[derive(PartialEq, Eq, Debug)]
pub struct Entry {
    index: EntryIndex,
    block: EntryIndex,
    source: Source,
}

impl Entry {
    /// Its place in the table.
    pub const fn index(&self) -> EntryIndex {
        self.index
    }

    /// Its block's first entry.
    pub const fn block(&self) -> EntryIndex {
        self.block
    }

    /// How far it lies from its block's first entry.
    pub const fn offset(&self) -> u16 {
        self.index.bits() - self.block.bits()
    }

    /// Whose messages it accepts.
    pub const fn source(&self) -> Source {
        self.source
    }
}

/// Ownership of `2^order` consecutive entries, taken out one by one, lowest first.
#[must_use = "entries that are not taken out are lost until the server restarts"]
#[derive(PartialEq, Eq, Debug)]
pub struct EntryBlock {
    first: EntryIndex,
    taken: u16,
    count: u16,
    source: Source,
}

impl EntryBlock {
    /// For back ends: a block that they have just reserved. `order` ≤ 6, and the block ends
    /// inside the table.
    pub const fn new(first: EntryIndex, order: u8, source: Source) -> Self {
        Self { first, taken: 0, count: 1 << order, source }
    }
}

impl Iterator for EntryBlock {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        if self.taken == self.count {
            return None;
        }
        let index = self.first.plus(self.taken)?;
        self.taken += 1;
        Some(Entry { index, block: self.first, source: self.source })
    }
}

impl RemapEntry for Entry {
    #[inline]
    fn index(&self) -> EntryIndex {
        self.index
    }
}

/// The entry has its new contents in memory.
#[must_use = "hardware may not see the new contents before a flush"]
#[derive(PartialEq, Eq, Debug)]
pub enum Written {
    /// Nothing older can be cached.
    Visible,
    /// Hardware may use the older contents until this is flushed.
    Stale(Unrouted),
}

/// The entry's older contents are gone from memory, perhaps not from caches.
#[must_use = "the older contents may live on in caches"]
#[derive(PartialEq, Eq, Debug)]
pub struct Unrouted(EntryIndex);

impl Unrouted {
    /// For back ends, and for the server to repeat a flush: claims nothing, asks for one.
    pub const fn new(index: EntryIndex) -> Self {
        Self(index)
    }

    /// Which entry.
    pub const fn index(&self) -> EntryIndex {
        self.0
    }

    /// For back ends: the invalidation of this entry and the wait after it are complete.
    pub fn flushed(self) -> Flushed {
        Flushed(self.0)
    }
}

/// No request meets the entry's older contents any more; some may sit in a CPU, pending.
#[must_use = "events may still be pending in a CPU"]
#[derive(PartialEq, Eq, Debug)]
pub struct Flushed(EntryIndex);

impl Flushed {
    /// The next proof, once the kernel says that nothing of it is pending in any CPU.
    pub fn drained(self) -> Drained {
        Drained(self.0)
    }
}

/// Nothing of the entry's older contents is left anywhere.
#[derive(PartialEq, Eq, Debug)]
pub struct Drained(EntryIndex);

impl Drained {
    /// For the server: this entry was not routed since it was reserved, or since it was
    /// last drained.
    pub fn idle(entry: &impl RemapEntry) -> Self {
        Self(entry.index())
    }

    /// Which entry.
    pub const fn index(&self) -> EntryIndex {
        self.0
    }
}

/// The unit did not do what the specification says it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HardwareError {
    /// It did not answer within the budget.
    Timeout(HardwareStep),
    /// It refused an invalidation that is well formed, twice.
    InvalidationRefused,
    /// Earlier invalidations are still in the queue.
    QueueFull,
    /// Its registers do not keep the message that tells of faults, or are not masked.
    EventNotWritten,
    /// What an ITS did instead.
    Its(ItsError),
    /// What a distributor did instead.
    Spi(SpiError),
    /// What a redistributor did instead.
    DirectLpi(DirectLpiError),
    /// What the server above said instead.
    Parent(Refusal),
}

impl From<SpiError> for HardwareError {
    fn from(error: SpiError) -> Self {
        Self::Spi(error)
    }
}

impl From<DirectLpiError> for HardwareError {
    fn from(error: DirectLpiError) -> Self {
        Self::DirectLpi(error)
    }
}

impl From<ItsError> for HardwareError {
    fn from(error: ItsError) -> Self {
        Self::Its(error)
    }
}

/// What was waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HardwareStep {
    /// The old remapping to stop (IRES clear).
    RemappingOff,
    /// The old queue to run empty.
    QueueEmpty,
    /// The old queue to stop (QIES or CmdBufRun clear).
    QueueOff,
    /// The new queue to start (QIES, CmdBufRun).
    QueueOn,
    /// The table's address to be taken (IRTPS).
    TablePointer,
    /// Remapping to start (IRES).
    RemappingOn,
    /// Compatibility format to be blocked (CFIS clear).
    CompatibilityOff,
    /// An invalidation's wait descriptor, or its completion.
    Invalidation,
    /// The old event log to stop (EventLogRun clear).
    LogOff,
    /// The new event log to start (EventLogRun).
    LogOn,
}

impl fmt::Display for HardwareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(step) => write!(f, "the remapper did not answer: {step:?}"),
            Self::InvalidationRefused => f.write_str("the remapper refused an invalidation"),
            Self::QueueFull => f.write_str("the remapper's invalidation queue does not advance"),
            Self::EventNotWritten => {
                f.write_str("the registers of the remapper's own message do not keep it")
            }
            Self::Its(error) => error.fmt(f),
            Self::Spi(error) => error.fmt(f),
            Self::DirectLpi(error) => error.fmt(f),
            Self::Parent(refusal) => refusal.fmt(f),
        }
    }
}

/// A message that the remapper blocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Who sent it.
    pub source: RequesterId,
    /// Which entry it named, where one was looked at.
    pub entry: Option<EntryIndex>,
    /// Why it was blocked.
    pub reason: FaultReason,
}

/// Why a message was blocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultReason {
    /// A reserved bit in address or data.
    RequestReserved,
    /// An index past the table's end.
    IndexTooLarge,
    /// The entry is not present: reserved, blocked or freed.
    NotPresent,
    /// The table could not be read.
    TableAccess,
    /// A reserved bit in a present entry: this server's error, or damaged memory.
    EntryReserved,
    /// Compatibility format.
    Compatibility,
    /// The entry is another device's.
    WrongSource,
    /// Any other code, of DMA remapping for example.
    Other(u8),
}
