//! Requests, answers, errors.

use crate::parent::Refusal;
use crate::{CpuSet, HardwareError, Pair};
use core::fmt;

/// A message's name: a record's number and its generation, so that a freed message's name
/// never means its successor. It is the kernel object's cookie as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId {
    slot: u32,
    generation: u32,
}

impl MessageId {
    pub(super) const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// From a word of a client or a packet. Any word is a name; most name nothing.
    pub const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// As one word.
    pub const fn bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    pub(super) const fn slot(self) -> u32 {
        self.slot
    }

    pub(super) const fn generation(self) -> u32 {
        self.generation
    }
}

/// Where the device keeps the pair.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Its PCI MSI capability.
    PciMsi,
    /// Its MSI-X table.
    Msix,
    /// An array in its own memory.
    DeviceArray,
    /// A queue in system memory.
    QueueMemory,
    /// Its own registers.
    Registers,
    /// The redirection entry of an IOAPIC's pin, which this server writes for it.
    Wire,
}

impl Kind {
    /// Interrupt message store: any place that the PCI specification does not define.
    pub const fn is_ims(self) -> bool {
        matches!(self, Kind::DeviceArray | Kind::QueueMemory | Kind::Registers)
    }
}

/// Whether the pairs must count up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contiguity {
    /// Each pair stands alone.
    Single,
    /// One address, and data that count up from a multiple of the count: multi-message MSI.
    /// The count is a power of two.
    Contiguous,
}

/// What `alloc` is asked for. The count is the length of the answer's slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AllocRequest {
    /// Where the pairs will be kept.
    pub kind: Kind,
    /// Whether they must count up.
    pub contiguity: Contiguity,
    /// Where they may be delivered.
    pub cpus: CpuSet,
}

/// One reserved message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocated<H> {
    /// Its name.
    pub id: MessageId,
    /// The kernel object, to be given to the client with fewer rights.
    pub handle: H,
    /// What the driver writes into the slot.
    pub pair: Pair,
}

/// Where a message is in its life, as its client sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageState {
    /// It has a pair and no CPU event.
    Reserved,
    /// It is delivered.
    Active,
    /// It keeps its CPU event and is not delivered.
    Blocked,
}

/// Why an operation changed nothing. `E` is the kernel's error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error<E> {
    /// No CPU of the set has a free vector; or, where CPU events come with entries, every LPI
    /// is taken.
    NoVectors,
    /// The remapper's table is full, or the part of it that is this device's.
    NoEntries,
    /// No free run of entries of that length, or no back end that could have one.
    NoContiguous,
    /// The client has as many messages as it may have.
    QuotaExceeded,
    /// The server's message records are used up.
    NoMessages,
    /// No memory, or no record, for another client, or for its table.
    NoMemory,
    /// This machine cannot do it safely, or not at all.
    NotSupported,
    /// The message belongs to another client.
    NotYours,
    /// No such message, or no longer.
    BadId,
    /// Not in this state of the message.
    BadState,
    /// A count, set or combination that means nothing.
    BadArgument,
    /// The kernel refused.
    Kernel(E),
    /// The remapper did not follow.
    Hardware(HardwareError),
    /// The server above said no, in its own words.
    Parent(Refusal),
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoVectors => f.write_str("no vector (or LPI) is free for it"),
            Error::NoEntries => f.write_str("the remapping table is full"),
            Error::NoContiguous => f.write_str("no free run of entries of that length"),
            Error::QuotaExceeded => f.write_str("the client's quota is used up"),
            Error::NoMessages => f.write_str("the server's message records are used up"),
            Error::NoMemory => f.write_str("no memory for another client"),
            Error::NotSupported => f.write_str("not supported on this machine"),
            Error::NotYours => f.write_str("the message belongs to another client"),
            Error::BadId => f.write_str("no such message"),
            Error::BadState => f.write_str("the message is in another state"),
            Error::BadArgument => f.write_str("a bad argument"),
            Error::Kernel(error) => write!(f, "the kernel refused: {error:?}"),
            Error::Hardware(error) => error.fmt(f),
            Error::Parent(refusal) => refusal.fmt(f),
        }
    }
}
