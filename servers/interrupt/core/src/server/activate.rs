//! Activating a message, and taking its CPU event away again.

use super::table::State;
use super::{Core, Error, MessageId, Outcome, target};
use crate::{
    HardwareError, KernelMessages, PairKind, Remapper, RequesterId, Target, Unrouted, Written,
};

impl<R: Remapper, K: KernelMessages> Core<R, K> {
    /// *reserved* → *active*: takes a vector on the least loaded CPU of the message's set,
    /// has the kernel accept it, then points the entry at it. With `NoVectors`, and with any
    /// other error, the message stays reserved. Where the pair names the vector, `NoVectors`
    /// means that events of before the last `deactivate` are still on their way.
    pub fn activate(&mut self, client: RequesterId, id: MessageId) -> Outcome<Target, K> {
        let slot = self.own(client, id)?;
        let record = self.table.get(slot);
        let (State::Reserved, Some(handle)) = (record.state, record.handle) else {
            return Err(Error::BadState);
        };
        if let Some(lease) = &record.vector {
            // The pair names this vector: taken at allocation, kept until the end.
            let aim = target(&self.apics, lease);
            if record.armed {
                if !self.kernel.vector_drained(aim.cpu, aim.vector) {
                    return Err(Error::NoVectors);
                }
                self.table.get_mut(slot).armed = false;
            }
            self.kernel.activate(handle, aim.cpu, aim.vector).map_err(Error::Kernel)?;
            let record = self.table.get_mut(slot);
            record.armed = true;
            record.state = State::Active;
            return Ok(aim);
        }
        let cpus = record.cpus;
        if !self.stop_if_owed(slot) {
            return Err(Error::BadState);
        }
        let lease = self.take_vector(cpus)?;
        let aim = target(&self.apics, &lease);
        if let Err(error) = self.kernel.activate(handle, aim.cpu, aim.vector) {
            self.vectors.cancel(lease);
            return Err(Error::Kernel(error));
        }
        if let Err((unrouted, error)) = self.open(slot, aim) {
            if self.kernel.deactivate(handle).is_err() {
                self.statistics.undo_failures += 1;
                self.table.get_mut(slot).stop_owed = true;
            }
            self.set_aside(slot, unrouted, Some(lease));
            return Err(Error::Hardware(error));
        }
        let record = self.table.get_mut(slot);
        record.vector = Some(lease);
        record.armed = true;
        record.state = State::Active;
        Ok(aim)
    }

    /// *active* or *blocked* → *reserved*: silent from here on. The vector is reused when it
    /// has drained, the pair stays as it is.
    pub fn deactivate(&mut self, client: RequesterId, id: MessageId) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        let record = self.table.get(slot);
        let (State::Active | State::Blocked, Some(handle)) = (record.state, record.handle) else {
            return Err(Error::BadState);
        };
        self.kernel.deactivate(handle).map_err(Error::Kernel)?;
        let record = self.table.get_mut(slot);
        record.state = State::Reserved;
        record.storm = false;
        record.moving = false;
        if self.pair == PairKind::Direct {
            // The vector belongs to the pair. Asking starts its drain.
            if let Some(lease) = &record.vector {
                record.armed = !self.kernel.vector_drained(lease.cpu(), lease.vector());
            }
            return Ok(());
        }
        if let Some(entry) = &record.entry {
            record.armed = false;
            let vector = record.vector.take();
            let unrouted = self.remapper.unroute(entry);
            self.set_aside(slot, unrouted, vector);
        }
        Ok(())
    }

    /// Makes the entry present. Fails, with the entry not present again, when hardware may
    /// hold an older version of it and does not forget that.
    pub(super) fn open(&mut self, slot: u32, aim: Target) -> Result<(), (Unrouted, HardwareError)> {
        let record = self.table.get(slot);
        let Some(entry) = &record.entry else { return Ok(()) };
        let pending = match self.remapper.route(entry, aim) {
            Written::Stale(unrouted) => unrouted,
            // Not yet forgotten from an earlier life: what waits in the quarantine.
            Written::Visible if record.stale > 0 => Unrouted::new(entry.index()),
            Written::Visible => return Ok(()),
        };
        match self.remapper.flush(pending) {
            Ok(_) => Ok(()),
            Err((_, error)) => Err((self.remapper.unroute(entry), error)),
        }
    }

    /// Stops in the kernel what should have been stopped before; `false`: still not.
    pub(super) fn stop_if_owed(&mut self, slot: u32) -> bool {
        let record = self.table.get_mut(slot);
        if record.stop_owed {
            // Without a handle the kernel object is gone, and its vectors drain.
            let stopped = record.handle.is_none_or(|it| self.kernel.deactivate(it).is_ok());
            record.stop_owed = !stopped;
        }
        !record.stop_owed
    }
}
