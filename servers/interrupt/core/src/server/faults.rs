//! Whose fault a blocked message is.

use super::table::State;
use super::{Core, MessageId};
use crate::{BackEnd, ClientId, Fault, FaultReason, KernelMessages, Rearmed, RequesterId};

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
    /// Reads at most `limit` faults from the hardware, says for each whom it concerns, and
    /// raises that client's notice. Returns how many there were: if `limit`, more may wait, and
    /// the hardware tells of no other before they are read.
    pub fn poll_faults(&mut self, limit: u32, mut tell: impl FnMut(Fault, FaultOwner)) -> u32 {
        for seen in 0..limit {
            let Some(fault) = self.next_fault() else { return seen };
            self.statistics.faults += 1;
            tell(fault, self.attribute(fault));
        }
        limit
    }

    /// The next fault. Where there is none, the hardware is made ready to tell of the next one;
    /// a fault that came in between was not told of, so there is a second look.
    fn next_fault(&mut self) -> Option<Fault> {
        if let Some(fault) = self.back_end.next_fault() {
            return Some(fault);
        }
        let Rearmed { lost, stalled } = self.back_end.rearm();
        self.statistics.faults_lost += u64::from(lost);
        self.statistics.stalls += u64::from(stalled);
        if lost || stalled { self.back_end.next_fault() } else { None }
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
                let index = record.client;
                let client = self.clients.get_mut(index);
                client.own_faults = client.own_faults.saturating_add(1);
                self.notify(index);
                return FaultOwner::Message(self.table.id(slot));
            }
        }
        match self.clients.find(fault.source.into()) {
            Some(index) => {
                let client = self.clients.get_mut(index);
                client.faults = client.faults.saturating_add(1);
                let id = client.id;
                self.notify(index);
                FaultOwner::Client(id)
            }
            None => FaultOwner::Unknown(fault.source),
        }
    }
}
