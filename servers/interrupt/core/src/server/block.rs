//! Blocking and unblocking: by the owner, or as the emergency stop for a storm.
//!
//! The remapper drops what a blocked device writes, and leaves no trace of it but a fault
//! record at best. So the message is raised once by software when it is unblocked, after the
//! entry is present again: whatever was dropped, its owner looks at the device afterwards.

use super::table::State;
use super::{Core, Error, MessageId, Outcome, target};
use crate::{KernelMessages, Remapper, RequesterId};

impl<R: Remapper, K: KernelMessages> Core<R, K> {
    /// *active* → *blocked*: the vector stays, no packet comes, the entry is off. A message
    /// that a storm has blocked becomes its owner's to unblock.
    pub fn block(&mut self, client: RequesterId, id: MessageId) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        let record = self.table.get_mut(slot);
        if core::mem::take(&mut record.storm) {
            return Ok(());
        }
        self.close(slot)
    }

    /// The kernel says that this message's rate is past its budget: blocks it whoever owns
    /// it, and says whose it is. Its owner unblocks it when it has dealt with the device.
    pub fn storm(&mut self, id: MessageId) -> Outcome<RequesterId, K> {
        let slot = self.table.find(id).ok_or(Error::BadId)?;
        match self.table.get(slot).state {
            State::Active => self.close(slot)?,
            State::Blocked if self.table.get(slot).storm => {}
            // Its owner was faster: what it blocked, it unblocks.
            _ => return Err(Error::BadState),
        }
        let record = self.table.get_mut(slot);
        record.storm = true;
        Ok(self.clients.get(record.client).requester)
    }

    /// *blocked* → *active*, and one packet.
    pub fn unblock(&mut self, client: RequesterId, id: MessageId) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
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
            (record.state, record.handle, &record.vector)
        else {
            return Err(Error::BadState);
        };
        let aim = target(&self.apics, lease);
        if let Err((unrouted, error)) = self.open(slot, aim) {
            self.set_aside(slot, unrouted, None);
            return Err(Error::Hardware(error));
        }
        if let Err(error) = self.kernel.unblock(handle) {
            self.shut(slot);
            return Err(Error::Kernel(error));
        }
        if self.kernel.signal(handle).is_err() {
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
        self.kernel.block(handle).map_err(Error::Kernel)?;
        self.table.get_mut(slot).state = State::Blocked;
        self.shut(slot);
        Ok(())
    }

    /// The entry off. If hardware is late with it, the kernel holds the packets back
    /// meanwhile.
    fn shut(&mut self, slot: u32) {
        if let Some(entry) = &self.table.get(slot).entry {
            let unrouted = self.remapper.unroute(entry);
            self.set_aside(slot, unrouted, None);
        }
    }
}
