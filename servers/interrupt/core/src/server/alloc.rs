//! Reserving messages.

use super::table::{NONE, Record, State};
use super::{AllocRequest, Allocated, Contiguity, Core, Error, Outcome, target};
use crate::numbers::VectorLease;
use crate::{
    CpuSet, Drained, Entry, EntryBlock, KernelMessages, PairKind, Remapper, RequesterId,
    ReserveError, Source,
};

impl<R: Remapper, K: KernelMessages> Core<R, K> {
    /// Reserves `out.len()` messages. Each gets an entry, not present, and its pair for
    /// life; where pairs name the vector, it gets that as well. On failure nothing has
    /// changed, and `out` holds nothing.
    pub fn alloc(
        &mut self,
        client: RequesterId,
        request: &AllocRequest,
        out: &mut [Option<Allocated<K::Handle>>],
    ) -> Outcome<(), K> {
        out.fill(None);
        let cpus = self.usable(request.cpus)?;
        let order = self.order(request, out.len())?;
        if request.kind.is_ims() && !self.remapper.capabilities().isolated && !self.allow_unisolated
        {
            return Err(Error::NotSupported);
        }
        let index = self.clients.find_or_add(client).ok_or(Error::NoMemory)?;
        self.check_room(index, out.len() as u32)?;
        let made = match request.contiguity {
            Contiguity::Contiguous => self.alloc_block(index, request, cpus, order, out),
            Contiguity::Single => self.alloc_singles(index, request, cpus, out),
        };
        if made.is_err() {
            for message in out.iter_mut().filter_map(Option::take) {
                self.undo(message.id.slot());
            }
        }
        made
    }

    /// log2 of the block's length; 0 for single messages.
    fn order(&self, request: &AllocRequest, count: usize) -> Outcome<u8, K> {
        if count == 0 || count > u16::MAX as usize {
            return Err(Error::BadArgument);
        }
        match request.contiguity {
            Contiguity::Single => Ok(0),
            Contiguity::Contiguous if !count.is_power_of_two() => Err(Error::BadArgument),
            Contiguity::Contiguous => {
                let order = count.ilog2() as u8;
                if order > self.remapper.capabilities().largest_order {
                    return Err(Error::NoContiguous);
                }
                Ok(order)
            }
        }
    }

    fn check_room(&mut self, client: u16, count: u32) -> Outcome<(), K> {
        let short = |core: &Self| {
            let client = core.clients.get(client);
            if client.policy.quota.saturating_sub(client.held) < count {
                Some(Error::QuotaExceeded)
            } else if core.table.left() < count {
                Some(Error::NoMessages)
            } else if core.entries_left().is_some_and(|left| left < count) {
                Some(Error::NoEntries)
            } else {
                None
            }
        };
        if short(self).is_some() {
            self.make_room();
        }
        short(self).map_or(Ok(()), Err)
    }

    /// Looks into the quarantine before it says no.
    fn reserve(&mut self, source: Source, order: u8) -> Outcome<EntryBlock, K> {
        if let Ok(block) = self.remapper.reserve(source, order) {
            return Ok(block);
        }
        self.make_room();
        self.remapper.reserve(source, order).map_err(|error| match error {
            ReserveError::NoEntries => Error::NoEntries,
            ReserveError::NoContiguous => Error::NoContiguous,
        })
    }

    /// `None` where there is no table.
    fn entries_left(&self) -> Option<u32> {
        match self.pair {
            PairKind::Stable => Some(self.by_entry.len() as u32 - self.remapper.entries_used()),
            PairKind::Direct => None,
        }
    }

    fn alloc_singles(
        &mut self,
        client: u16,
        request: &AllocRequest,
        cpus: CpuSet,
        out: &mut [Option<Allocated<K::Handle>>],
    ) -> Outcome<(), K> {
        let source = self.clients.get(client).source();
        for place in out {
            let mut block = self.reserve(source, 0)?;
            let entry = block.take().ok_or(Error::NoEntries)?;
            *place = Some(self.make(client, request, cpus, entry)?);
        }
        Ok(())
    }

    fn alloc_block(
        &mut self,
        client: u16,
        request: &AllocRequest,
        cpus: CpuSet,
        order: u8,
        out: &mut [Option<Allocated<K::Handle>>],
    ) -> Outcome<(), K> {
        let source = self.clients.get(client).source();
        let mut block = self.reserve(source, order)?;
        let mut made = Ok(());
        let mut places = out.iter_mut();
        // After a failure the rest of the block still has to go back.
        while let Some(entry) = block.take() {
            let Some(place) = places.next().filter(|_| made.is_ok()) else {
                self.put_back(entry);
                continue;
            };
            match self.make(client, request, cpus, entry) {
                Ok(message) => *place = Some(message),
                Err(error) => made = Err(error),
            }
        }
        made
    }

    /// One record around one entry; on failure the entry is back in the table.
    fn make(
        &mut self,
        client: u16,
        request: &AllocRequest,
        cpus: CpuSet,
        entry: Entry,
    ) -> Outcome<Allocated<K::Handle>, K> {
        let vector = match self.pair {
            PairKind::Stable => None,
            PairKind::Direct => match self.take_vector(cpus) {
                Ok(lease) => Some(lease),
                Err(error) => {
                    self.put_back(entry);
                    return Err(error);
                }
            },
        };
        let aim = vector.as_ref().map(|lease| target(&self.apics, lease));
        let pair = self.remapper.compose(&entry, aim);
        let Some(slot) = self.table.take(client, self.clients.get_mut(client)) else {
            return self.give_up(entry, vector, Error::NoMessages);
        };
        let id = self.table.id(slot);
        let handle = match self.kernel.create(pair, id.bits()) {
            Ok(handle) => handle,
            Err(error) => {
                self.table.kill(slot);
                self.table.put(slot, self.clients.get_mut(client));
                return self.give_up(entry, vector, Error::Kernel(error));
            }
        };
        if let Some(place) = self.by_entry.get_mut(entry.index().index()) {
            *place = slot;
        }
        let record: &mut Record<K::Handle> = self.table.get_mut(slot);
        record.kind = request.kind;
        record.cpus = cpus;
        record.pair = pair;
        record.entry = Some(entry);
        record.vector = vector;
        record.handle = Some(handle);
        Ok(Allocated { id, handle, pair })
    }

    fn give_up<T>(
        &mut self,
        entry: Entry,
        vector: Option<VectorLease>,
        error: Error<K::Error>,
    ) -> Outcome<T, K> {
        if let Some(lease) = vector {
            self.vectors.cancel(lease);
        }
        self.put_back(entry);
        Err(error)
    }

    /// Takes a message back that its client has not seen: no device knows its pair.
    fn undo(&mut self, slot: u32) {
        self.table.kill(slot);
        let record = self.table.get_mut(slot);
        debug_assert_eq!(record.state, State::Dying);
        if let Some(handle) = record.handle
            && self.kernel.destroy(handle).is_ok()
        {
            record.handle = None;
            if let Some(lease) = record.vector.take() {
                self.vectors.cancel(lease);
            }
        }
        self.bury_when_quiet(slot);
    }

    /// An entry that no record has had.
    fn put_back(&mut self, entry: Entry) {
        debug_assert!(
            self.by_entry.get(entry.index().index()).is_none_or(|slot| *slot == NONE),
            "the entry has no record"
        );
        let proof = Drained::idle(&entry);
        self.remapper.release(entry, proof);
    }
}
