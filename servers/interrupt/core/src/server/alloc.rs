//! Reserving messages.

use super::table::{NONE, Record, State};
use super::{AllocRequest, Allocated, Contiguity, Core, Error, Outcome};
use crate::{
    BackEnd, Binding, ClientId, CpuIndex, CpuSet, Drained, EventLease, KernelMessages, RemapEntry,
    ReserveError,
};

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Reserves `out.len()` messages. Each gets an entry, not present, and its pair for
    /// life; where pairs name the vector, it gets that as well. On failure nothing has
    /// changed, and `out` holds nothing.
    pub fn alloc(
        &mut self,
        client: impl Into<ClientId>,
        request: &AllocRequest,
        out: &mut [Option<Allocated<K::Handle>>],
    ) -> Outcome<(), K> {
        out.fill(None);
        let client = client.into();
        let cpus = self.usable(request.cpus)?;
        if self.goes_past(client, request.kind) {
            return self.alloc_direct(client, request, cpus, out);
        }
        let unsafe_here = request.kind.is_ims() && !self.isolated && !self.allow_unisolated;
        if B::BINDING == Binding::Never || unsafe_here {
            return Err(Error::NotSupported);
        }
        let order = self.order(request, out.len())?;
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
                if order > self.back_end.capabilities().largest_order {
                    return Err(Error::NoContiguous);
                }
                Ok(order)
            }
        }
    }

    /// A client's own limits, and the server's.
    pub(super) fn check_quota(&mut self, client: u16, count: u32) -> Outcome<(), K> {
        if self.quota(client, count).is_err() {
            self.make_room();
        }
        self.quota(client, count)
    }

    fn check_room(&mut self, client: u16, count: u32) -> Outcome<(), K> {
        if self.room(client, count).is_ok() {
            return Ok(());
        }
        self.make_room();
        if B::BINDING == Binding::Parent && self.room(client, count).is_err() {
            self.catch_up(client);
        }
        self.room(client, count)
    }

    #[inline]
    fn room(&self, client: u16, count: u32) -> Outcome<(), K> {
        self.quota(client, count)?;
        self.back_end.check_room(count).map_err(reserve_error)
    }

    #[inline]
    fn quota(&self, client: u16, count: u32) -> Outcome<(), K> {
        let client = self.clients.get(client);
        if client.policy.quota.saturating_sub(client.held) < count {
            return Err(Error::QuotaExceeded);
        }
        if let Some(number) = client.subsystem {
            self.subsystem_room(number, count)?;
        }
        if self.table.left() < count {
            return Err(Error::NoMessages);
        }
        Ok(())
    }

    /// Looks into the quarantine before it says no.
    #[inline]
    fn reserve(&mut self, client: u16, request: &AllocRequest, order: u8) -> Outcome<B::Block, K> {
        if let Ok(block) = self.try_reserve(client, request, order) {
            return Ok(block);
        }
        self.reserve_with_room(client, request, order)
    }

    #[inline]
    fn try_reserve(
        &mut self,
        client: u16,
        request: &AllocRequest,
        order: u8,
    ) -> Result<B::Block, ReserveError> {
        let client = self.clients.get(client);
        let sender = client.sender(request.kind);
        self.back_end.reserve_for(client.id, request, &sender, order)
    }

    #[cold]
    fn reserve_with_room(
        &mut self,
        client: u16,
        request: &AllocRequest,
        order: u8,
    ) -> Outcome<B::Block, K> {
        self.make_room();
        self.try_reserve(client, request, order).map_err(reserve_error)
    }

    fn alloc_singles(
        &mut self,
        client: u16,
        request: &AllocRequest,
        cpus: CpuSet,
        out: &mut [Option<Allocated<K::Handle>>],
    ) -> Outcome<(), K> {
        for place in out {
            let mut block = self.reserve(client, request, 0)?;
            let entry = block.next().ok_or(Error::NoEntries)?;
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
        let block = self.reserve(client, request, order)?;
        let mut made = Ok(());
        let mut cpus = cpus;
        let mut places = out.iter_mut();
        // After a failure the rest of the block still has to go back.
        for entry in block {
            let Some(place) = places.next().filter(|_| made.is_ok()) else {
                self.put_back(entry);
                continue;
            };
            match self.make(client, request, cpus, entry) {
                Ok(message) => {
                    if let Some(cpu) = self.fixed_cpu(message.id.slot()) {
                        // One address for the whole block, and so one CPU.
                        cpus = CpuSet::one(cpu);
                    }
                    *place = Some(message);
                }
                Err(error) => made = Err(error),
            }
        }
        made
    }

    /// The CPU that a message's pair names.
    fn fixed_cpu(&self, slot: u32) -> Option<CpuIndex> {
        let lease = self.table.get(slot).lease.as_ref().filter(|_| B::BINDING.pair_names_cpu());
        lease.map(|lease| lease.event().cpu)
    }

    /// One record around one entry; on failure the entry is back in the table.
    fn make(
        &mut self,
        client: u16,
        request: &AllocRequest,
        cpus: CpuSet,
        entry: B::Entry,
    ) -> Outcome<Allocated<K::Handle>, K> {
        let lease = match B::BINDING {
            Binding::Activation | Binding::Entry | Binding::Parent | Binding::Never => None,
            Binding::Pair | Binding::EntryAndCpu => match self.take_event(&entry, cpus) {
                Ok(lease) => Some(lease),
                Err(error) => {
                    self.put_back(entry);
                    return Err(error);
                }
            },
        };
        let pair = self.back_end.compose(&entry, lease.as_ref().map(EventLease::event));
        let Some(slot) = self.table.take(client, self.clients.get_mut(client)) else {
            return self.give_up(entry, lease, Error::NoMessages);
        };
        let id = self.table.id(slot);
        let handle = match self.kernel.create_for(entry.index(), pair, id.bits()) {
            Ok(handle) => handle,
            Err(error) => {
                self.table.kill(slot);
                self.table.put(slot, self.clients.get_mut(client));
                return self.give_up(entry, lease, Error::Kernel(error));
            }
        };
        if let Some(place) = self.by_entry.get_mut(entry.index().index()) {
            *place = slot;
        }
        let record: &mut Record<B, K::Handle> = self.table.get_mut(slot);
        record.kind = request.kind;
        record.cpus = cpus;
        record.pair = pair;
        record.entry = Some(entry);
        record.lease = lease;
        record.handle = Some(handle);
        Ok(Allocated { id, handle, pair })
    }

    fn give_up<T>(
        &mut self,
        entry: B::Entry,
        lease: Option<B::Lease>,
        error: Error<K::Error>,
    ) -> Outcome<T, K> {
        if let Some(lease) = lease {
            self.back_end.cancel(lease);
        }
        self.put_back(entry);
        Err(error)
    }

    /// Takes a message back that its client has not seen: no device knows its pair.
    pub(super) fn undo(&mut self, slot: u32) {
        self.table.kill(slot);
        let record = self.table.get_mut(slot);
        debug_assert_eq!(record.state, State::Dying);
        // A parent's message ends with the flush of its entry.
        if B::BINDING != Binding::Parent
            && let Some(handle) = record.handle
            && self.kernel.destroy(handle).is_ok()
        {
            record.handle = None;
            if let Some(lease) = record.lease.take() {
                self.back_end.cancel(lease);
            }
        }
        self.bury_when_quiet(slot);
    }

    /// An entry that no record has had.
    fn put_back(&mut self, entry: B::Entry) {
        debug_assert!(
            self.by_entry.get(entry.index().index()).is_none_or(|slot| *slot == NONE),
            "the entry has no record"
        );
        let proof = Drained::idle(&entry);
        self.back_end.release(entry, proof);
    }
}

fn reserve_error<E>(error: ReserveError) -> Error<E> {
    match error {
        ReserveError::NoEntries => Error::NoEntries,
        ReserveError::NoVectors => Error::NoVectors,
        ReserveError::NoContiguous => Error::NoContiguous,
        ReserveError::NoMemory => Error::NoMemory,
        ReserveError::NotSupported => Error::NotSupported,
        ReserveError::Hardware(error) => Error::Hardware(error),
        ReserveError::Parent(refusal) => Error::Parent(refusal),
    }
}
