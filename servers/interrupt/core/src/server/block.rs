//! Blocking and unblocking: by the owner, or as the emergency stop for a storm.
//!
//! VT-d drops what a blocked device writes, and leaves no trace of it but a fault record at
//! best. So the message is raised once by software when it is unblocked, after the entry is
//! present again: whatever was dropped, its owner looks at the device afterwards. An ITS
//! keeps it pending ([`Binding::keeps_blocked`](crate::Binding::keeps_blocked)), and it comes
//! by itself when the event is on again; only what had slipped through to a CPU and was
//! stopped by the kernel, which counts it, has to be raised by software.

use super::table::State;
use super::{Core, Error, MessageId, Outcome};
use crate::parent::Step;
use crate::{BackEnd, Binding, ClientId, EventLease, KernelMessages};

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// *active* → *blocked*: the event stays, no packet comes, the entry is off. A message
    /// that a storm has blocked becomes its owner's to unblock.
    pub fn block(&mut self, client: impl Into<ClientId>, id: MessageId) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        if B::BINDING == Binding::Parent {
            return self.step_above(slot, Step::Block);
        }
        let record = self.table.get_mut(slot);
        if core::mem::take(&mut record.storm) {
            return Ok(());
        }
        self.close(slot)
    }

    /// The kernel says that this message's rate is past its budget: blocks it whoever owns
    /// it, and says whose it is. Its owner unblocks it when it has dealt with the device.
    pub fn storm(&mut self, id: MessageId) -> Outcome<ClientId, K> {
        let slot = self.table.find(id).ok_or(Error::BadId)?;
        match self.table.get(slot).state {
            State::Active => self.close(slot)?,
            State::Blocked if self.table.get(slot).storm => {}
            // Its owner was faster: what it blocked, it unblocks.
            _ => return Err(Error::BadState),
        }
        let record = self.table.get_mut(slot);
        record.storm = true;
        Ok(self.clients.get(record.client).id)
    }

    /// *blocked* → *active*, and a packet, unless it is certain that nothing was missed.
    pub fn unblock(&mut self, client: impl Into<ClientId>, id: MessageId) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        if B::BINDING == Binding::Parent {
            return self.step_above(slot, Step::Unblock);
        }
        self.reopen(slot)
    }

    /// The back-off after a storm is over: as `unblock`, if the storm still is what blocks
    /// the message. What its owner has done with it since stays as it is.
    pub fn storm_over(&mut self, id: MessageId) -> Outcome<(), K> {
        let slot = self.table.find(id).ok_or(Error::BadId)?;
        if !self.table.get(slot).storm {
            return Err(Error::BadState);
        }
        self.reopen(slot)
    }

    fn reopen(&mut self, slot: u32) -> Outcome<(), K> {
        let record = self.table.get(slot);
        let (State::Blocked, Some(handle), Some(lease)) =
            (record.state, record.handle, &record.lease)
        else {
            return Err(Error::BadState);
        };
        let event = lease.event();
        if let Err(error) = self.open(slot, event) {
            self.shut(slot);
            return Err(Error::Hardware(error));
        }
        if let Err(error) = self.kernel.unblock(handle) {
            self.shut(slot);
            return Err(Error::Kernel(error));
        }
        if self.may_have_missed(slot, handle)
            && !self.raise(slot)
            && self.kernel.signal(handle).is_err()
        {
            self.statistics.undo_failures += 1;
        }
        let record = self.table.get_mut(slot);
        record.state = State::Active;
        record.storm = false;
        Ok(())
    }

    fn close(&mut self, slot: u32) -> Outcome<(), K> {
        let record = self.table.get(slot);
        let (State::Active, Some(handle)) = (record.state, record.handle) else {
            return Err(Error::BadState);
        };
        let missed = match B::BINDING.keeps_blocked() {
            // What it can not say now counts as different from what it says later.
            true => self.kernel.blocked_events(handle).unwrap_or(u64::MAX),
            false => 0,
        };
        self.kernel.block(handle).map_err(Error::Kernel)?;
        let record = self.table.get_mut(slot);
        record.missed = missed;
        record.state = State::Blocked;
        self.shut(slot);
        Ok(())
    }

    /// Raises a message as its device would, where hardware can.
    fn raise(&mut self, slot: u32) -> bool {
        let entry = &self.table.get(slot).entry;
        entry.as_ref().is_some_and(|entry| self.back_end.raise(entry))
    }

    /// Whether an event of a message that was blocked until now may have been lost.
    fn may_have_missed(&mut self, slot: u32, handle: K::Handle) -> bool {
        let before = self.table.get(slot).missed;
        !B::BINDING.keeps_blocked() || self.kernel.blocked_events(handle) != Ok(before)
    }

    /// The entry blocked. If hardware is late with it, the kernel holds the packets back
    /// meanwhile.
    fn shut(&mut self, slot: u32) {
        if let Some(entry) = &self.table.get(slot).entry {
            let unrouted = self.back_end.block(entry);
            self.set_aside(slot, unrouted, None);
        }
    }
}
