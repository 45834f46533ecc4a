//! Activating a message, and taking its CPU event away again.

use super::table::State;
use super::{Core, Error, MessageId, Outcome};
use crate::parent::Step;
use crate::{
    BackEnd, Binding, ClientId, CpuEvent, CpuSet, EventLease, HardwareError, KernelMessages,
    RemapEntry, Unrouted, Written,
};

/// How often the kernel is asked whether a message's own event has drained, before its owner
/// hears that it has not. A kernel wants to be asked a few times: each answer of a CPU to a
/// poke is one.
const DRAIN_POLLS: u32 = 8;

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// *reserved* → *active*: takes a CPU event on the least loaded CPU of the message's set,
    /// has the kernel accept it, then points the entry at it. With `NoVectors`, and with any
    /// other error, the message stays reserved. Where an event is one message's for good,
    /// `NoVectors` means that events of before the last `deactivate` are still on their way.
    pub fn activate(&mut self, client: impl Into<ClientId>, id: MessageId) -> Outcome<CpuEvent, K> {
        let slot = self.own(client, id)?;
        if B::BINDING == Binding::Parent {
            self.step_above(slot, Step::Activate)?;
            let event = self.table.get(slot).lease.as_ref().map(EventLease::event);
            return event.ok_or(Error::BadState);
        }
        let record = self.table.get(slot);
        let (State::Reserved, Some(handle)) = (record.state, record.handle) else {
            return Err(Error::BadState);
        };
        if self.binding(slot) == Binding::Pair {
            return self.activate_pair(slot, handle);
        }
        let cpus = record.cpus;
        if !self.stop_if_owed(slot) {
            return Err(Error::BadState);
        }
        let lease = self.lease_for(slot, cpus)?;
        let event = lease.event();
        if let Err(error) = self.accept(slot, handle, event) {
            self.hand_back(slot, lease);
            return Err(error);
        }
        if let Err(error) = self.open(slot, event) {
            if self.kernel.deactivate(handle).is_err() {
                self.statistics.undo_failures += 1;
                self.table.get_mut(slot).stop_owed = true;
            }
            self.part(slot, lease);
            return Err(Error::Hardware(error));
        }
        let record = self.table.get_mut(slot);
        record.lease = Some(lease);
        record.armed = true;
        record.state = State::Active;
        Ok(event)
    }

    /// An event for a message without one; the one that its pair names has been its own since
    /// it was reserved.
    #[inline]
    fn lease_for(&mut self, slot: u32, cpus: CpuSet) -> Outcome<B::Lease, K> {
        if B::BINDING.pair_names_cpu() {
            return self.table.get_mut(slot).lease.take().ok_or(Error::BadState);
        }
        self.take_event_of(slot, cpus)
    }

    /// Undoes `lease_for`.
    #[inline]
    fn hand_back(&mut self, slot: u32, lease: B::Lease) {
        if B::BINDING.pair_names_cpu() {
            self.table.get_mut(slot).lease = Some(lease);
        } else {
            self.back_end.cancel(lease);
        }
    }

    /// The pair names the event: taken at allocation, kept until the end.
    fn activate_pair(&mut self, slot: u32, handle: K::Handle) -> Outcome<CpuEvent, K> {
        let record = self.table.get(slot);
        let event = record.lease.as_ref().map(EventLease::event).ok_or(Error::BadState)?;
        if record.armed {
            if !self.kernel.vector_drained(event) {
                return Err(Error::NoVectors);
            }
            self.table.get_mut(slot).armed = false;
        }
        self.kernel.activate(handle, event).map_err(Error::Kernel)?;
        let record = self.table.get_mut(slot);
        record.armed = true;
        record.state = State::Active;
        Ok(event)
    }

    /// The kernel's part. What it refuses may be the message's own event of its last life,
    /// which has not drained.
    fn accept(&mut self, slot: u32, handle: K::Handle, event: CpuEvent) -> Outcome<(), K> {
        let Err(error) = self.kernel.activate(handle, event) else { return Ok(()) };
        if !B::BINDING.keeps_event() || !self.table.get(slot).armed {
            return Err(Error::Kernel(error));
        }
        self.flush_again(slot)?;
        if !(0..DRAIN_POLLS).any(|_| self.kernel.vector_drained(event)) {
            return Err(Error::NoVectors);
        }
        self.table.get_mut(slot).armed = false;
        self.kernel.activate(handle, event).map_err(Error::Kernel)
    }

    /// *active* or *blocked* → *reserved*: silent from here on. The event is reused when it
    /// has drained, the pair stays as it is.
    pub fn deactivate(&mut self, client: impl Into<ClientId>, id: MessageId) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        if B::BINDING == Binding::Parent {
            return self.step_above(slot, Step::Deactivate);
        }
        let record = self.table.get(slot);
        let (State::Active | State::Blocked, Some(handle)) = (record.state, record.handle) else {
            return Err(Error::BadState);
        };
        self.kernel.deactivate(handle).map_err(Error::Kernel)?;
        let binding = self.binding(slot);
        let record = self.table.get_mut(slot);
        record.state = State::Reserved;
        record.storm = false;
        record.moving = false;
        if binding == Binding::Pair {
            // The event belongs to the pair. Asking starts its drain.
            if let Some(lease) = &record.lease {
                record.armed = !self.kernel.vector_drained(lease.event());
            }
            return Ok(());
        }
        if let Some(lease) = record.lease.take() {
            self.part(slot, lease);
        }
        Ok(())
    }

    /// The entry off, and away with the event that it raised. An event that can be anybody's
    /// goes into quarantine; one that is this message's for good stays with it, and has to
    /// drain only when it is used again or the message ends.
    fn part(&mut self, slot: u32, lease: B::Lease) {
        let record = self.table.get_mut(slot);
        let Some(entry) = &record.entry else { return };
        let unrouted = self.back_end.unroute(entry);
        record.armed = B::BINDING.keeps_event();
        if record.armed {
            self.hand_back(slot, lease);
            self.set_aside(slot, unrouted, None);
        } else {
            self.set_aside(slot, unrouted, Some(lease));
        }
    }

    /// Makes the entry raise `event`. Fails when hardware may hold an older version of it and
    /// does not forget that; then the entry has to be turned off or blocked again.
    pub(super) fn open(&mut self, slot: u32, event: CpuEvent) -> Result<(), HardwareError> {
        let record = self.table.get(slot);
        let Some(entry) = &record.entry else { return Ok(()) };
        let pending = match self.back_end.route(entry, event) {
            Written::Stale(unrouted) => unrouted,
            // Not yet forgotten from an earlier life: what waits in the quarantine.
            Written::Visible if record.stale > 0 => Unrouted::new(entry.index()),
            Written::Visible => return Ok(()),
        };
        self.back_end.flush(pending).map(drop).map_err(|(_, error)| error)
    }

    /// Flushes what was written of an entry before.
    pub(super) fn flush_again(&mut self, slot: u32) -> Outcome<(), K> {
        if let Some(entry) = &self.table.get(slot).entry {
            let again = Unrouted::new(entry.index());
            let _ = self.back_end.flush(again).map_err(|(_, error)| Error::Hardware(error))?;
        }
        Ok(())
    }

    /// Stops in the kernel what should have been stopped before; `false`: still not.
    pub(super) fn stop_if_owed(&mut self, slot: u32) -> bool {
        let record = self.table.get_mut(slot);
        if record.stop_owed {
            // Without a handle the kernel object is gone, and its events drain.
            let stopped = record.handle.is_none_or(|it| self.kernel.deactivate(it).is_ok());
            record.stop_owed = !stopped;
        }
        !record.stop_owed
    }
}
