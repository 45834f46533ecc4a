//! The message-control system calls, as the server needs them.

use crate::{CpuIndex, Pair, Vector};

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

    /// *reserved* → *active*: events of (cpu, vector) are this message's from now on.
    fn activate(
        &mut self,
        handle: Self::Handle,
        cpu: CpuIndex,
        vector: Vector,
    ) -> Result<(), Self::Error>;

    /// The message's events come by (cpu, vector) from now on, and by its former vector too,
    /// until `settle`. There is at most one former vector at a time.
    fn move_to(
        &mut self,
        handle: Self::Handle,
        cpu: CpuIndex,
        vector: Vector,
    ) -> Result<(), Self::Error>;

    /// Ends a move: the remapper names the former vector no more. What is still in flight
    /// on it is delivered; the vector drains.
    fn settle(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// *active* or *blocked* → *reserved*: no packet any more, also for events in flight.
    /// All its vectors drain.
    fn deactivate(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// *active* → *blocked*: events are counted and make no packet.
    fn block(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// *blocked* → *active*.
    fn unblock(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// Raises the message by software, as if its event had come.
    fn signal(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// → *dead*: revokes every handle derived from this one and closes it. All its vectors
    /// drain.
    fn destroy(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// Whether a draining vector has drained: its CPU has taken every event that was in
    /// flight when this was first asked, and the vector can be activated again. So the first
    /// question comes after the remapper was flushed, and may only start the drain. `false`
    /// as well for a vector that some message still holds.
    fn vector_drained(&mut self, cpu: CpuIndex, vector: Vector) -> bool;
}
