//! Names, requests, answers, errors.

use super::{LineError, Polarity, Standing, Trigger};
use crate::{ClientId, CpuEvent, CpuSet, Error, MessageId};
use core::fmt;

/// A line, by the machine's number for it: a global system interrupt, or an INTID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LineId(u32);

impl LineId {
    /// From the number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.0)
    }
}

/// How a line is wired, which its device decides and firmware says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wiring {
    /// Edge or level.
    pub trigger: Trigger,
    /// High or low.
    pub polarity: Polarity,
}

/// A client's name for a line that it has open: a record's number and its generation. The bit
/// that tells it from every [`MessageId`] is set in no slot's number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WireId {
    slot: u32,
    generation: u32,
}

/// Set in the name of everything about lines. A message's slot is below 2^20.
const WIRE: u64 = 1 << 31;
/// Set beside it in the name of a line itself, which no client is told.
const LINE: u64 = 1 << 30;

impl WireId {
    pub(super) const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// From a word of a client's or a packet's. `None`: it names a message, or a line itself.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits & (WIRE | LINE) != WIRE {
            return None;
        }
        Some(Self { slot: bits as u32 & !(WIRE as u32), generation: (bits >> 32) as u32 })
    }

    /// As one word.
    pub const fn bits(self) -> u64 {
        (self.generation as u64) << 32 | WIRE | self.slot as u64
    }

    pub(super) const fn slot(self) -> u32 {
        self.slot
    }

    pub(super) const fn generation(self) -> u32 {
        self.generation
    }
}

/// The key of a shared line's packets to the server: the line's record, and how often that was
/// used before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LineKey {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl LineKey {
    pub(super) const fn from_bits(bits: u64) -> Option<Self> {
        if bits & (WIRE | LINE) != WIRE | LINE {
            return None;
        }
        let slot = bits as u32 & !((WIRE | LINE) as u32);
        Some(Self { slot, generation: (bits >> 32) as u32 })
    }

    pub(super) const fn bits(self) -> u64 {
        (self.generation as u64) << 32 | WIRE | LINE | self.slot as u64
    }
}

/// Whether others may have the line too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Nobody else.
    Exclusive,
    /// Whoever else was granted it, and says so too. Levels only: on an edge line one device's
    /// level hides another's edge.
    Shared,
}

/// What `open` is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenRequest {
    /// Which.
    pub line: LineId,
    /// How its device drives it: must be what the grant says.
    pub wiring: Wiring,
    /// Whether others may have it too.
    pub mode: Mode,
    /// CPUs that may take it. Who comes second to a shared line takes it where it is.
    pub cpus: CpuSet,
}

/// Whom an owner tells that the level's cause is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Acknowledge {
    /// Nobody: an edge stands for itself.
    Nobody,
    /// The kernel: `message_acknowledge`.
    Kernel,
    /// This server.
    Server,
}

/// An opened line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenedWire<H> {
    /// Its name.
    pub id: WireId,
    /// The message to bind: to be given to the client with fewer rights.
    pub handle: H,
    /// Whom to tell that its cause is gone.
    pub acknowledge: Acknowledge,
    /// Where the line arrives.
    pub event: CpuEvent,
}

/// What a line does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WireState {
    /// It is delivered.
    Open,
    /// Shared: an owner was told and has not answered.
    Told,
    /// It came too often, and is masked for a while.
    HeldOff,
}

/// One owner's view of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireInfo {
    /// Its name.
    pub id: WireId,
    /// Whose it is.
    pub client: ClientId,
    /// The line.
    pub line: LineId,
    /// How it is wired.
    pub wiring: Wiring,
    /// Whether others may have it.
    pub mode: Mode,
    /// What it does, as far as this owner is concerned.
    pub state: WireState,
    /// Where it arrives.
    pub event: CpuEvent,
    /// Its message, where a chip makes one of it.
    pub message: Option<MessageId>,
    /// How many have it.
    pub owners: u32,
    /// Whether this owner answers.
    pub standing: Standing,
}

/// Why an operation changed nothing. `E` is the kernel's error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireError<E> {
    /// Nobody has granted the client this line; or the wire is another client's.
    NotYours,
    /// The line's device drives it in another way.
    WrongWiring,
    /// Somebody has it, and one of the two wants it alone; or the client itself has it.
    InUse,
    /// Others share it, and have it wired in another way.
    Conflict,
    /// What its former owner had is still on its way. It ends by itself.
    Busy,
    /// Such a line can not be had here in this way.
    NotSupported,
    /// No such wire, or no longer.
    BadId,
    /// It has nothing to acknowledge; or it can not be moved now.
    BadState,
    /// No CPU of the set exists.
    BadArgument,
    /// No memory, or no record.
    NoMemory,
    /// The chip said no.
    Line(LineError),
    /// The line's message could not be had.
    Message(Error<E>),
    /// The kernel refused.
    Kernel(E),
}
