//! How a client hears of faults: a message made by software alone, one for each client that
//! asks. The server raises it when it counts a fault of that client, so the news is on the
//! client's own port like anything else, coalesced and bounded like anything else.

use super::{Core, Error, MessageId, Outcome};
use crate::{BackEnd, ClientId, KernelMessages, Pair};

/// High half of the slot in a notice's name. No record of the message table is numbered so
/// high, and the client's index is the low half.
const NAMES: u32 = 0xffff_0000;

/// One client's notice.
pub(super) struct Notice<H> {
    /// Its kernel object, unless the client has none.
    handle: Option<H>,
    /// Which of the client's notices this is: late packets about the last one mean nothing.
    serial: u32,
}

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// A message that is raised whenever a fault of this client is counted, for it to bind.
    /// A client has one: asking again ends the one before, whoever holds it.
    pub fn fault_notice(
        &mut self,
        client: impl Into<ClientId>,
    ) -> Outcome<(MessageId, K::Handle), K> {
        let index = self.clients.find_or_add(client.into()).ok_or(Error::NoMemory)?;
        let missing = (usize::from(index) + 1).saturating_sub(self.notices.len());
        self.notices.try_reserve(missing).map_err(|_| Error::NoMemory)?;
        for _ in 0..missing {
            self.notices.push(Notice { handle: None, serial: 0 });
        }
        let serial = self.notices[usize::from(index)].serial.wrapping_add(1);
        let name = MessageId::new(NAMES | u32::from(index), serial);
        let pair = Pair { address: 0, data: 0 };
        let handle = self.kernel.create(pair, name.bits()).map_err(Error::Kernel)?;
        self.end_notice(index);
        self.notices[usize::from(index)] = Notice { handle: Some(handle), serial };
        Ok((name, handle))
    }

    /// Faults counted for a client: all of them, and those of them that were writes of its
    /// own messages while these were reserved or blocked.
    pub fn faults_of(&self, client: impl Into<ClientId>) -> (u64, u64) {
        let Some(index) = self.clients.find(client.into()) else { return (0, 0) };
        let client = self.clients.get(index);
        let own = u64::from(client.own_faults);
        (own + u64::from(client.faults), own)
    }

    /// Tells a client, if it wants to be told.
    pub(super) fn notify(&mut self, index: u16) {
        if let Some(Notice { handle: Some(handle), .. }) = self.notices.get(usize::from(index))
            && self.kernel.signal(*handle).is_err()
        {
            self.statistics.undo_failures += 1;
        }
    }

    /// Nobody is to be told any more.
    pub(super) fn end_notice(&mut self, index: u16) {
        let Some(notice) = self.notices.get_mut(usize::from(index)) else { return };
        if let Some(handle) = notice.handle.take()
            && self.kernel.destroy(handle).is_err()
        {
            self.statistics.undo_failures += 1;
        }
    }

    /// The kernel says that nobody holds this notice any more: whose it was, if it is one.
    pub(super) fn notice_orphaned(&mut self, id: MessageId) -> Option<ClientId> {
        let index = u16::try_from(id.slot() ^ NAMES).ok()?;
        let notice = self.notices.get(usize::from(index))?;
        if notice.serial != id.generation() || notice.handle.is_none() {
            return None;
        }
        self.end_notice(index);
        Some(self.clients.get(index).id)
    }
}
