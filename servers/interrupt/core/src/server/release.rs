//! Giving messages back: by their owner, or because it is gone.

use super::table::{NONE, State};
use super::{Core, Error, MessageId, Outcome};
use crate::parent::Step;
use crate::{BackEnd, Binding, ClientId, KernelMessages};

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Ends a message. Its name means nothing from here on, every handle to it is revoked,
    /// and its numbers go into quarantine. It counts against the quota until they are out.
    /// What is withheld of its block ends with it.
    pub fn free(&mut self, client: impl Into<ClientId>, id: MessageId) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        if B::BINDING == Binding::Parent {
            return self.step_above(slot, Step::Free);
        }
        let record = self.table.get_mut(slot);
        if let Some(handle) = record.handle {
            self.kernel.destroy(handle).map_err(Error::Kernel)?;
            record.handle = None;
        }
        let rest = self.table.get(slot).rest;
        self.table.kill(slot);
        self.bury_when_quiet(slot);
        self.end_withheld(rest);
        Ok(())
    }

    /// The kernel says that nobody but the server holds this message any more: its driver
    /// has died. Ends it, and says whose it was. A message that is already gone is `BadId`:
    /// the packet was late.
    pub fn orphaned(&mut self, id: MessageId) -> Outcome<ClientId, K> {
        let Some(slot) = self.table.find(id) else {
            return self.notice_orphaned(id).ok_or(Error::BadId);
        };
        let record = self.table.get_mut(slot);
        // Only its driver could silence the device, and it is gone.
        record.loud = record.direct;
        let (owner, rest) = (self.clients.get(record.client).id, record.rest);
        self.end(slot);
        self.end_withheld(rest);
        Ok(owner)
    }

    /// Ends all messages of a client; returns how many. Work: what the client held.
    pub fn client_gone(&mut self, client: impl Into<ClientId>) -> u32 {
        let Some(index) = self.clients.find(client.into()) else { return 0 };
        self.end_notice(index);
        let mut ended = 0;
        let mut slot = self.clients.get(index).first;
        while slot != NONE {
            let next = self.table.next(slot);
            if self.table.get(slot).state != State::Dying {
                self.end(slot);
                ended += 1;
            } else if self.is_loud(slot) {
                self.bury_direct(slot);
            }
            slot = next;
        }
        self.leave(index);
        ended
    }

    /// Ends a message whatever the kernel says: what it refuses is tried again later.
    pub(super) fn end(&mut self, slot: u32) {
        let record = self.table.get_mut(slot);
        // A parent's message ends with the flush of its entry.
        if B::BINDING != Binding::Parent
            && let Some(handle) = record.handle
        {
            if self.kernel.destroy(handle).is_ok() {
                record.handle = None;
            } else if record.lease.is_some() {
                // At least silent. When this fails too, only the remapper stops it.
                record.stop_owed = self.kernel.deactivate(handle).is_err();
            }
        }
        self.table.kill(slot);
        if !self.is_loud(slot) {
            self.bury_when_quiet(slot);
        }
    }
}
