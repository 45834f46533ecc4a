//! What is said to a parent, and what comes back.

use crate::{AllocRequest, ClientId, CpuEvent, CpuSet, MessageState, Pair};
use core::fmt;

/// One step in the life of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// A CPU event for it, and its entry on.
    Activate,
    /// Both away again.
    Deactivate,
    /// To other CPUs.
    SetAffinity(CpuSet),
    /// Stopped at the remapper.
    Block,
    /// Let through again.
    Unblock,
    /// Its end.
    Free,
    /// None: only a look.
    Look,
}

/// A message as it is above after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Above<E> {
    /// Where it is in its life; `None`: it has ended.
    pub state: Option<MessageState>,
    /// Its CPU event.
    pub event: Option<E>,
}

/// What a parent's answer says of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Where it is in its life, where the answer says so (to [`Step::Look`]).
    pub state: Option<MessageState>,
    /// Its CPU event, if it has one.
    pub event: Option<CpuEvent>,
    /// Number of its remapper entry, if it has one.
    pub entry: Option<u32>,
}

/// What a parent counted against a client's device.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FaultsAbove {
    /// Writes that its remapper stopped and recorded.
    pub faults: u64,
    /// Those of them that were of its own messages.
    pub own: u64,
}

/// Why a parent did nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// It knows no such message, or no longer.
    Gone,
    /// Anything else: the protocol's code for it, which means nothing here and is handed on.
    Code(u32),
}

impl Refusal {
    /// It could not be reached, or its answer made no sense: no code of the protocol.
    pub const LOST: Self = Self::Code(0);
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Gone => f.write_str("the server above knows no such message"),
            Self::LOST => f.write_str("the server above does not answer"),
            Self::Code(code) => write!(f, "the server above refused with code {code}"),
        }
    }
}

/// One message of the parent's, just reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Given<H> {
    /// The parent's name for it.
    pub id: u64,
    /// Its pair.
    pub pair: Pair,
    /// The kernel object.
    pub handle: H,
}

/// The way to a parent: its protocol, one call each. A refusal has changed nothing up there.
pub trait Connection {
    /// A handle to a message object.
    type Handle: Copy + PartialEq + fmt::Debug;
    /// The error of [`crate::KernelMessages`] here.
    type Error: Copy + PartialEq + fmt::Debug;

    /// What a kernel call that only a server with message control can make ends with.
    const NO_CONTROL: Self::Error;

    /// `Alloc`: fills `out`, or nothing of it.
    fn alloc(
        &mut self,
        client: ClientId,
        request: &AllocRequest,
        out: &mut [Option<Given<Self::Handle>>],
    ) -> Result<(), Refusal>;

    /// A step of a message. `Some` where the answer has more than that it is done: with
    /// `Activate`, `SetAffinity` and `Look`. A device that is not of the subsystem any more has
    /// no messages for it: `Gone`.
    fn step(&mut self, client: ClientId, id: u64, step: Step) -> Result<Option<Seen>, Refusal>;

    /// `Faults`: what is counted against the client's device.
    fn faults(&mut self, client: ClientId) -> Result<FaultsAbove, Refusal>;

    /// Closes a handle that is not handed on.
    fn close(&mut self, handle: Self::Handle);
}
