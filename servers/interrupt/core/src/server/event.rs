//! The remapper's own message, by which it tells that it has recorded faults.
//!
//! It is not remapped (VT-d §7.3), so its pair names CPU and vector itself, and no client ever
//! gets such a pair. The server binds it to the port where it waits for everything else. A
//! storm of faults is silenced where it comes from, and read by the clock until it is over.

use super::{Core, Error, MessageId, Outcome};
use crate::{BackEnd, CpuEvent, CpuSet, EventLease, KernelMessages};

/// The remapper's message. It lives as long as the server.
pub(super) struct FaultEvent<L, H> {
    handle: H,
    /// Keeps the CPU event from others.
    lease: L,
    /// Masked at the remapper because of its rate.
    held_back: bool,
}

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// What the kernel's packets about the remapper's own message say: a name that no
    /// client's message can have.
    pub const FAULT_EVENT: MessageId = MessageId::from_bits(u64::MAX);

    /// Makes the remapper tell of faults by a message on a CPU of the set: returns it, to be
    /// bound to the server's port, and its CPU event. What was recorded before is told at
    /// once. `NotSupported` where the remapper has no such message, or no CPU of the set can
    /// be named by 8 bits; after any failure nothing is told, as before.
    pub fn open_fault_event(&mut self, cpus: CpuSet) -> Outcome<(K::Handle, CpuEvent), K> {
        if self.fault_event.is_some() {
            return Err(Error::BadState);
        }
        let cpus = self.usable(cpus)?;
        let source = self.back_end.event_source().ok_or(Error::NotSupported)?;
        source.mask().map_err(Error::Hardware)?;
        let (lease, pair) = self.take_direct(cpus)?;
        // Written while masked, and before the kernel knows of it: until the last step that
        // can fail, nobody can raise it.
        let written = match self.back_end.event_source() {
            Some(source) => source.write(pair).map_err(Error::Hardware),
            None => Err(Error::NotSupported),
        };
        let handle = match written.and_then(|()| self.make_direct(pair, &lease)) {
            Ok(handle) => handle,
            Err(error) => {
                self.back_end.cancel(lease);
                return Err(error);
            }
        };
        let event = lease.event();
        self.fault_event = Some(FaultEvent { handle, lease, held_back: false });
        if let Some(source) = self.back_end.event_source() {
            source.unmask();
        }
        Ok((handle, event))
    }

    /// The CPU event of the remapper's own message, for the inspector.
    pub fn fault_event(&self) -> Option<CpuEvent> {
        self.fault_event.as_ref().map(|event| event.lease.event())
    }

    /// The kernel says that the remapper's message is past its rate budget: silences it at
    /// the remapper. Faults are recorded all the same, and have to be read by the clock until
    /// [`Core::resume_fault_event`].
    pub fn hold_fault_event(&mut self) -> Outcome<(), K> {
        let event = self.fault_event.as_mut().ok_or(Error::BadState)?;
        let source = self.back_end.event_source().ok_or(Error::NotSupported)?;
        event.held_back = true;
        source.mask().map_err(Error::Hardware)
    }

    /// Lets the remapper tell of faults again; does nothing unless it was held back. What was
    /// recorded meanwhile and not read is told at once.
    pub fn resume_fault_event(&mut self) -> Outcome<(), K> {
        let event = self.fault_event.as_mut().ok_or(Error::BadState)?;
        if !event.held_back {
            return Ok(());
        }
        // The kernel tells of one storm; its count starts again when the message is unblocked.
        let handle = event.handle;
        self.kernel.block(handle).map_err(Error::Kernel)?;
        self.kernel.unblock(handle).map_err(Error::Kernel)?;
        event.held_back = false;
        if let Some(source) = self.back_end.event_source() {
            source.unmask();
        }
        Ok(())
    }

    /// Makes the remapper tell of something that harms nobody, to see that its message
    /// arrives.
    pub fn provoke_fault_event(&mut self) -> Outcome<(), K> {
        let source = self.back_end.event_source().ok_or(Error::NotSupported)?;
        source.provoke().map_err(Error::Hardware)
    }

    /// A kernel object for a pair past the remapper, active.
    fn make_direct(&mut self, pair: crate::Pair, lease: &B::Lease) -> Outcome<K::Handle, K> {
        let cookie = Self::FAULT_EVENT.bits();
        let handle = self.kernel.create(pair, cookie).map_err(Error::Kernel)?;
        if let Err(error) = self.kernel.activate(handle, lease.event()) {
            if self.kernel.destroy(handle).is_err() {
                self.statistics.undo_failures += 1;
            }
            return Err(Error::Kernel(error));
        }
        Ok(handle)
    }
}
