//! Whose fault a blocked message is.

use super::table::State;
use super::{Core, MessageId};
use crate::{BackEnd, ClientId, Fault, FaultReason, KernelMessages, RequesterId};

/// Who is to hear of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultOwner {
    /// A device wrote one of its own messages while it was reserved or blocked.
    Message(MessageId),
    /// A device wrote what is not its own, or what it has given back: counted against it.
    Client(ClientId),
    /// Nobody that this server knows has that requester id.
    Unknown(RequesterId),
}

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Reads at most `limit` faults from the hardware and says for each whom it concerns.
    /// Returns how many there were.
    pub fn poll_faults(&mut self, limit: u32, mut tell: impl FnMut(Fault, FaultOwner)) -> u32 {
        for seen in 0..limit {
            let Some(fault) = self.back_end.next_fault() else { return seen };
            self.statistics.faults += 1;
            tell(fault, self.attribute(fault));
        }
        limit
    }

    fn attribute(&mut self, fault: Fault) -> FaultOwner {
        if let (Some(entry), FaultReason::NotPresent) = (fault.entry, fault.reason)
            && let Some(slot) = self.by_entry.get(entry.index()).copied()
            && slot != super::table::NONE
        {
            let record = self.table.get_mut(slot);
            let alive = !matches!(record.state, State::Dying | State::Free);
            // A present bit is looked at before the source: the write may be a stranger's.
            let entry = record.entry.as_ref();
            let own = entry.is_some_and(|own| self.back_end.accepts(own, fault.source));
            if alive && own {
                record.faults = record.faults.saturating_add(1);
                return FaultOwner::Message(self.table.id(slot));
            }
        }
        match self.clients.find(fault.source.into()) {
            Some(index) => {
                let client = self.clients.get_mut(index);
                client.faults = client.faults.saturating_add(1);
                FaultOwner::Client(client.id)
            }
            None => FaultOwner::Unknown(fault.source),
        }
    }
}
