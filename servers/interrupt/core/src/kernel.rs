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

    /// The message's events come by (cpu, vector) too, from now on. By its former vector
    /// they are accepted until `vector_drained` has said yes for that one.
    fn move_to(
        &mut self,
        handle: Self::Handle,
        cpu: CpuIndex,
        vector: Vector,
    ) -> Result<(), Self::Error>;

    /// *active* or *blocked* → *reserved*: no packet any more, also for events in flight.
    fn deactivate(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// *active* → *blocked*: events are counted and make no packet.
    fn block(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// *blocked* → *active*. Raises the message once, because writes that the remapper
    /// dropped meanwhile left no trace: its owner looks at the device again (invariant 2).
    fn unblock(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// → *dead*: revokes every handle derived from this one and closes it.
    fn destroy(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// Whether no event of (cpu, vector) is pending or in service on that CPU. Asked only
    /// after the remapper was flushed, about a vector that no message is active on. Once it
    /// has said yes, the kernel attributes that vector to nobody.
    fn vector_drained(&mut self, cpu: CpuIndex, vector: Vector) -> bool;
}
