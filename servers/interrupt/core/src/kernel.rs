//! The message-control system calls, as the server needs them.
//!
//! A vector of x86 is one CPU's, and what it leads to another CPU is another vector. An INTID
//! of aarch64 is the whole machine's, and may reach any CPU.

use crate::{CpuEvent, EntryIndex, Pair};

/// Authority over the machine's vectors and message objects.
///
/// All failures leave the kernel as it was. `deactivate`, `block`, `unblock` and `destroy`
/// free or flip something that exists, so a kernel has no reason to fail them for a live
/// handle; the server survives it all the same, without reusing a number that it could not
/// prove silent.
pub trait KernelMessages {
    /// The server's handle to a message object.
    type Handle: Copy + PartialEq + core::fmt::Debug;
    /// The kernel's error code.
    type Error: Copy + PartialEq + core::fmt::Debug;

    /// Makes a message object, *reserved*. `pair` is what its holder reads; `cookie` comes
    /// back in the orphaned and storm packets ([`crate::MessageId::bits`]).
    fn create(&mut self, pair: Pair, cookie: u64) -> Result<Self::Handle, Self::Error>;

    /// The same for a message with this remapper entry. Where the entry is another server's
    /// message, so is the object: its handle has come with the entry.
    fn create_for(
        &mut self,
        entry: EntryIndex,
        pair: Pair,
        cookie: u64,
    ) -> Result<Self::Handle, Self::Error> {
        let _ = entry;
        self.create(pair, cookie)
    }

    /// *reserved* → *active*: `event` is this message's from now on. On a machine of INTIDs a
    /// message may have its own again before that has drained.
    fn activate(&mut self, handle: Self::Handle, event: CpuEvent) -> Result<(), Self::Error>;

    /// The message is raised by `event` from now on, and by its former one too, until
    /// `settle`. There is at most one former one at a time. On a machine of INTIDs the two
    /// differ in their CPU only.
    fn move_to(&mut self, handle: Self::Handle, event: CpuEvent) -> Result<(), Self::Error>;

    /// Ends a move: the remapper names the former event no more. What is still in flight of
    /// it is delivered; a former vector drains.
    fn settle(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// *active* or *blocked* → *reserved*: no packet any more, also for events in flight.
    /// All its vectors drain.
    fn deactivate(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// *active* → *blocked*: events are counted and make no packet.
    fn block(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// *blocked* → *active*.
    fn unblock(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// How many events made no packet so far because the message was blocked.
    fn blocked_events(&mut self, handle: Self::Handle) -> Result<u64, Self::Error>;

    /// Raises the message by software, as if its event had come.
    fn signal(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// → *dead*: revokes every handle derived from this one and closes it. All its vectors
    /// drain.
    fn destroy(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// Whether a draining event has drained: its CPU (with INTIDs: every CPU) has dealt with
    /// what was in flight when this was first asked, and the event can be anybody's. So the
    /// first question comes after the remapper was flushed, and may only start the drain.
    /// `false` as well for an event that some message still holds.
    fn vector_drained(&mut self, event: CpuEvent) -> bool;
}
