//! The interrupt server's protocol: life cycle of messages (DESIGN §5, §6).
//!
//! The badge of the caller is its device ([`crate::badge`]); a request without one is
//! answered `NotAClient`. A message's id is good for the client that allocated it only.

mod rows;
mod subsystem;
mod types;
mod wires;

pub use rows::{
    Arrives, Binding, ClientRow, Counters, Cursor, Description, DeviceKind, Event, LineState,
    MessageRow, OwnerState, Row, RowState, ServerRow, SpaceRow, WireOwner, WireRow,
};
pub use subsystem::{Look, OpenDevice, Opened};
pub use types::{
    Activated, Allocated, Contiguity, DomainRow, FaultCount, FaultWatch, Information, MessageId,
    MessageIds, RemapperKind,
};

pub use wires::{
    Acknowledge, LineId, Polarity, Trigger, WireAcknowledge, WireClose, WireMode, WireOpen,
    WireOpened, Wiring,
};

use crate::wire::{operation, protocol};
use crate::{DecodeError, Nothing, StoreKind};

/// Messages that one `alloc` can ask for.
pub const ALLOC_MAX: u8 = 8;
/// Messages that one `alloc` of consecutive pairs can ask for: as many as a PCI MSI capability
/// can have (PCI 3.0 §6.8.1.3). What does not fit into the reply is collected.
pub const BLOCK_MAX: u8 = 32;
/// CPU mask that means "any".
pub const ANY_CPU: u64 = u64::MAX;

protocol! {
    errors {
        /// The words were no request of this protocol.
        Malformed = 1, "request makes no sense";
        /// The caller's badge names no device.
        NotAClient = 2, "caller is no device's driver";
        /// No vector is free on any wanted CPU. Where a message has its vector from the start
        /// (no remapper: with its pair; ITS: its LPI) `Alloc` answers this, and `Activate`
        /// while events of the message's last life are still on their way.
        NoVectors = 3, "no interrupt vector is free (NoVectors)";
        /// The remapper's table is full, or (ITS) the caller's device's own.
        NoEntries = 4, "no remapper entry is free (NoEntries)";
        /// The client holds as many messages as its manifest entry allows.
        QuotaExceeded = 5, "quota for messages is used up (QuotaExceeded)";
        /// This machine can not do it safely (IMS without source-id checks), or not at all
        /// (aarch64 without an ITS, or a device whose DeviceID nobody knows).
        NotSupported = 6, "not supported on this machine (NotSupported)";
        /// The message belongs to another client.
        NotYours = 7, "message belongs to another device (NotYours)";
        /// No message has this id.
        BadId = 8, "no such message (BadId)";
        /// The message's state does not allow it.
        BadState = 9, "message is in another state (BadState)";
        /// A field is out of range.
        BadArgument = 10, "argument out of range (BadArgument)";
        /// No run of contiguous entries or vectors is free.
        NoContiguous = 11, "no contiguous run is free (NoContiguous)";
        /// Memory or handles ran out.
        NoMemory = 12, "memory or handles exhausted (NoMemory)";
        /// The remapper did not answer in time or reported an error.
        Hardware = 13, "remapping hardware failed (Hardware)";
        /// Somebody has the line, and one of the two wants it alone.
        LineInUse = 14, "line is in use (LineInUse)";
        /// Who shares the line has it with another trigger or polarity.
        LineConflict = 15, "line is shared with another trigger or polarity (LineConflict)";
        /// What the line's former owner had is still on its way. Ends by itself: try again.
        LineBusy = 16, "line's former owner's interrupts are on their way (LineBusy)";
        /// No interrupt controller has this line.
        NoSuchLine = 17, "no such line (NoSuchLine)";
        /// The line is wired in another way than the request says.
        WrongTrigger = 18, "line has another trigger or polarity (WrongTrigger)";
    }
    requests {
        /// Reserve messages.
        Alloc,
        /// First unmask is near: take a vector and make the entry present.
        Activate,
        /// Give the vector back, keep the message.
        Deactivate,
        /// Give everything back.
        Free,
        /// Move to other CPUs.
        SetAffinity,
        /// Stop at the remapper.
        Block,
        /// Let through again.
        Unblock,
        /// Inspect the domain tree, some rows at a time.
        Describe,
        /// Inspect the server.
        Info,
        /// Faults counted against the caller's device.
        Faults,
        /// Have a line.
        WireOpen,
        /// Give it back.
        WireClose,
        /// Its level's cause is gone.
        WireAcknowledge,
        /// Hear of faults on a port.
        WatchFaults,
        /// Speak for a device (subsystems only).
        OpenDevice,
        /// Inspect one message.
        Look,
        /// The messages of a block for which the replies before had no room.
        Collect,
    }
}

/// Reserves `count` messages: remapper entries and pairs, no vector. Handles of the
/// message objects come with the reply, in the order of the pairs.
///
/// Consecutive ones are a *block*: a power of two of them, the first one's data a multiple of
/// their number. It is reserved as a whole or not at all. The reply brings the first
/// [`ALLOC_MAX`] of them; the others follow by [`Collect`], and until then they end with
/// the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alloc {
    /// How many: 1 to [`ALLOC_MAX`], or to [`BLOCK_MAX`] if consecutive.
    pub count: u8,
    /// Where the device will keep the pairs.
    pub kind: StoreKind,
    /// Whether the data values must be consecutive (PCI multi-message MSI).
    pub contiguity: Contiguity,
    /// CPUs that may take the events, one bit each.
    pub cpus: u64,
}

operation! { Alloc = 1, handles 0 => Allocated;
    put(request, words) {
        words.put(u64::from(request.count));
        words.put(request.kind as u64 | (request.contiguity as u64) << 8);
        words.put(request.cpus);
    }
    get(reader) {
        let count = reader.small()?;
        let mut bits = reader.bits()?;
        let kind = StoreKind::from_code(u64::from(bits.byte()))?;
        let (contiguity, most) = match bits.flag() {
            true => (Contiguity::Consecutive, BLOCK_MAX),
            false => (Contiguity::Any, ALLOC_MAX),
        };
        bits.end()?;
        if count == 0 || count > most {
            return Err(DecodeError::BadValue);
        }
        Ok(Alloc { count, kind, contiguity, cpus: reader.word()? })
    }
}

/// [`Alloc`] of one message, for who adds messages one at a time: the same words, and a
/// reply that is read without a list. Servers see an `Alloc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AllocOne {
    /// Where the device will keep the pair.
    pub kind: StoreKind,
    /// CPUs that may take the events, one bit each.
    pub cpus: u64,
}

operation! { AllocOne = 1, handles 0 => MessageIds;
    put(request, words) {
        words.put(1);
        words.put(request.kind as u64 | (Contiguity::Any as u64) << 8);
        words.put(request.cpus);
    }
    get(reader) {
        let alloc = <Alloc as crate::Operation>::get(reader)?;
        if alloc.count != 1 || alloc.contiguity != Contiguity::Any {
            return Err(DecodeError::BadValue);
        }
        Ok(AllocOne { kind: alloc.kind, cpus: alloc.cpus })
    }
}

macro_rules! by_id {
    ($($(#[$doc:meta])* $name:ident = $label:literal => $reply:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name {
            /// Which message.
            pub id: MessageId,
        }

        operation! { $name = $label, handles 0 => $reply;
            put(request, words) { words.put(request.id.0); }
            get(reader) { Ok($name { id: MessageId(reader.word()?) }) }
        }
    )*};
}

by_id! {
    /// Takes a vector, lets the kernel accept it, makes the remapper entry present.
    /// After the reply the device may use the pair.
    Activate = 2 => Activated;
    /// The reverse of [`Activate`]; answers when no event is in flight any more.
    Deactivate = 3 => Nothing;
    /// Deactivates if need be, then gives entry and message back. The id is dead then.
    Free = 4 => Nothing;
    /// Turns the remapper entry off; late writes of the device are blocked and counted.
    Block = 6 => Nothing;
    /// The reverse of [`Block`].
    Unblock = 7 => Nothing;
}

/// Moves an active or blocked message to a CPU of `cpus`, in the remapper; the pair stays. Takes
/// a wire's id too: then the line moves, for all who share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetAffinity {
    /// Which message.
    pub id: MessageId,
    /// CPUs that may take the events, one bit each.
    pub cpus: u64,
}

operation! { SetAffinity = 5, handles 0 => Activated;
    put(request, words) {
        words.put(request.id.0);
        words.put(request.cpus);
    }
    get(reader) { Ok(SetAffinity { id: MessageId(reader.word()?), cpus: reader.word()? }) }
}

/// Rows of the domain tree. A client sees itself and its own messages; the inspector
/// ([`crate::badge::INSPECT`]) sees everything. Every message that lives from the first
/// request of a walk to the last is in exactly one of its rows, and so is every wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Describe {
    /// [`Cursor::START`], or [`Description::next`] of the reply before.
    pub cursor: Cursor,
}

operation! { Describe = 8, handles 0 => Description;
    put(request, words) { words.put(request.cursor.0); }
    get(reader) { Ok(Describe { cursor: Cursor(reader.word()?) }) }
}

/// What the server has to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info;

operation! { Info = 9, handles 0 => Information; }

/// How often the remapper stopped the caller's device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults;

operation! { Faults = 10, handles 0 => FaultCount; }

/// A message that the server raises whenever it counts a fault of the caller's device. Its handle
/// comes with the reply; it is bound like any message, has no pair, and takes up nothing of
/// the quota. Each client has one: asking again ends the one before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatchFaults;

operation! { WatchFaults = 11, handles 0 => FaultWatch; }

/// The next messages of a block, as many as fit into a reply, with their handles. `BadState`
/// when all have been collected, or when `first` is not the first message of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collect {
    /// The block's first message.
    pub first: MessageId,
}

operation! { Collect = 20, handles 0 => Allocated;
    put(request, words) { words.put(request.first.0); }
    get(reader) { Ok(Collect { first: MessageId(reader.word()?) }) }
}
