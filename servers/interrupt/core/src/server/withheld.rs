//! Blocks that do not fit into one answer.
//!
//! A block is reserved as a whole or not at all, and an answer brings fewer handles than a
//! block can have messages. Those that are left over are *withheld*: they have all that a
//! reserved message has, and no client can name them, until it collects them by their block's
//! first message. With that one they end as well. So whoever dies, or gives up, between two
//! answers leaves nothing behind, though it never had a handle to them.

use super::table::{NONE, State};
use super::{Allocated, Core, Error, MessageId, Outcome};
use crate::{BackEnd, ClientId, KernelMessages};

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Keeps back all but the first `given` messages of a block that `alloc` has just made.
    pub fn withhold(&mut self, block: &[Option<Allocated<K::Handle>>], given: usize) {
        let slots = block.iter().flatten().map(|message| message.id.slot());
        let Some(first) = slots.clone().next() else { return };
        let mut last = first;
        for slot in slots.skip(given.max(1)) {
            let record = self.table.get_mut(slot);
            debug_assert_eq!(record.state, State::Reserved);
            record.state = State::Withheld;
            self.table.get_mut(last).rest = slot;
            last = slot;
        }
    }

    /// Gives a client the next of what is withheld of the block that begins with `first`: as
    /// many as `out` has room for. `BadState` when nothing is.
    pub fn collect(
        &mut self,
        client: impl Into<ClientId>,
        first: MessageId,
        out: &mut [Option<Allocated<K::Handle>>],
    ) -> Outcome<(), K> {
        out.fill(None);
        let first = self.own(client, first)?;
        if self.table.get(first).rest == NONE {
            return Err(Error::BadState);
        }
        for place in out {
            let slot = self.table.get(first).rest;
            if slot == NONE {
                break;
            }
            let id = self.table.id(slot);
            let record = self.table.get_mut(slot);
            // A withheld message always has its object.
            *place = record.handle.map(|handle| Allocated { id, handle, pair: record.pair });
            record.state = State::Reserved;
            let next = core::mem::replace(&mut record.rest, NONE);
            self.table.get_mut(first).rest = next;
        }
        Ok(())
    }

    /// Ends what is withheld from this record on.
    pub(super) fn end_withheld(&mut self, mut slot: u32) {
        while slot != NONE {
            // Ending a record may free it at once.
            let next = self.table.get(slot).rest;
            self.end(slot);
            slot = next;
        }
    }
}
