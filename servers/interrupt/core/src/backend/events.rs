//! Hardware in which the CPU event belongs to the entry: the LPIs of a GICv3.
//!
//! There is no vector space here. An entry has its LPI from the reservation to the release,
//! so what is leased is only a CPU; nothing is taken out of a set, and nothing can run out.
//! A CPU's load is how many messages it has been chosen for.

use super::{
    BackEnd, CpuLease, CpuLoads, EntryName, EventSpace, NoVectors, RemapEntry, ReserveError,
    Sender, SenderDevice,
};
use crate::its::{Event, EventBlock, EventRemapper, EventReserveError, Prepare, PrepareError};
use crate::{
    Binding, Capabilities, CpuEvent, CpuIndex, CpuSet, Drained, EntryIndex, EventNumber, Flushed,
    HardwareError, Pair, RequesterId, Unrouted, Written,
};

/// An [`EventRemapper`] and the loads of the CPUs.
pub struct Events<E> {
    remapper: E,
    loads: CpuLoads,
    lpis: u32,
}

impl RemapEntry for Event {
    fn index(&self) -> EntryIndex {
        Event::index(self)
    }
}

impl<E: EventRemapper> Events<E> {
    /// For CPUs 0..cpus. `None` for no CPU, more than 64, one that the remapper can not
    /// reach, or when memory is short.
    pub fn new(remapper: E, cpus: u8) -> Option<Self> {
        if !(0..cpus).all(|cpu| CpuIndex::new(cpu).is_some_and(|cpu| remapper.can_target(cpu))) {
            return None;
        }
        let lpis = remapper.capabilities().lpis;
        Some(Self { remapper, loads: CpuLoads::new(cpus)?, lpis })
    }

    /// The remapper, for what is its own.
    pub fn remapper_mut(&mut self) -> &mut E {
        &mut self.remapper
    }

    /// Who shares an id shares its table, and that can not grow while one of them has a
    /// message: it has room for all LPIs, so that it is never the table that runs out.
    fn wanted(&self, sender: &Sender, device: SenderDevice) -> u32 {
        if device.shared { self.lpis } else { sender.quota.min(self.lpis) }
    }

    /// A device's first message, or more than its table has room for: gives it a table, or a
    /// larger one, and asks again. What it said first counts if there is none to be had.
    #[cold]
    fn prepare_and_reserve(
        &mut self,
        sender: &Sender,
        order: u8,
        first: EventReserveError,
    ) -> Result<EventBlock, ReserveError> {
        let device = sender.device.ok_or(ReserveError::NotSupported)?;
        let need = Prepare { events: self.wanted(sender, device), least: 1 << order };
        match self.remapper.prepare(device.id, need) {
            Ok(()) => self.remapper.reserve(device.id, order).map_err(reserve_error),
            Err(_) if first != EventReserveError::NotAttached => Err(reserve_error(first)),
            Err(PrepareError::IdTooLarge) => Err(ReserveError::NotSupported),
            Err(PrepareError::NoMemory) => Err(ReserveError::NoMemory),
            Err(PrepareError::Hardware(error)) => Err(ReserveError::Hardware(error.into())),
        }
    }
}

fn reserve_error(error: EventReserveError) -> ReserveError {
    match error {
        EventReserveError::NotAttached | EventReserveError::NoEvents => ReserveError::NoEntries,
        EventReserveError::NoLpis => ReserveError::NoVectors,
        EventReserveError::NoContiguous => ReserveError::NoContiguous,
    }
}

impl<E: EventRemapper> BackEnd for Events<E> {
    type Entry = Event;
    type Block = EventBlock;
    type Lease = CpuLease;
    type Retired = CpuLease;

    const BINDING: Binding = Binding::Entry;

    fn capabilities(&self) -> Capabilities {
        let own = self.remapper.capabilities();
        Capabilities {
            name: own.name,
            isolated: own.isolated,
            entries: own.lpis,
            largest_order: own.largest_order,
        }
    }

    fn cpus(&self) -> CpuSet {
        self.loads.cpus()
    }

    fn announce(&mut self, sender: &Sender) {
        if let Some(device) = sender.device {
            let events = self.wanted(sender, device);
            self.remapper.outgrow(device.id, events);
        }
    }

    fn check_room(&self, count: u32) -> Result<(), ReserveError> {
        let left = self.lpis - self.remapper.events_used();
        if left >= count { Ok(()) } else { Err(ReserveError::NoVectors) }
    }

    fn reserve(&mut self, sender: &Sender, order: u8) -> Result<EventBlock, ReserveError> {
        let device = sender.device.ok_or(ReserveError::NotSupported)?.id;
        match self.remapper.reserve(device, order) {
            Ok(block) => Ok(block),
            Err(EventReserveError::NoLpis) => Err(ReserveError::NoVectors),
            Err(error) => self.prepare_and_reserve(sender, order, error),
        }
    }

    fn compose(&self, entry: &Event, _event: Option<CpuEvent>) -> Pair {
        self.remapper.compose(entry)
    }

    fn take(&mut self, entry: &Event, wanted: CpuSet) -> Result<CpuLease, NoVectors> {
        self.loads.take(wanted, EventNumber::from(entry.lpi()))
    }

    fn cancel(&mut self, lease: CpuLease) {
        self.loads.give_back(lease);
    }

    fn retire(&mut self, lease: CpuLease) -> CpuLease {
        lease
    }

    fn reclaim(&mut self, retired: CpuLease, _proof: &Drained) {
        self.cancel(retired);
    }

    fn route(&mut self, entry: &Event, event: CpuEvent) -> Written {
        let stale = self.remapper.route(entry, event.cpu);
        Written::Stale(Unrouted::new(stale.index()))
    }

    fn block(&mut self, entry: &Event) -> Unrouted {
        // An event that is off has nothing to stop.
        let index = self.remapper.block(entry).map_or(entry.index(), |stale| stale.index());
        Unrouted::new(index)
    }

    fn unroute(&mut self, entry: &Event) -> Unrouted {
        self.remapper.unroute(entry)
    }

    /// One way to follow for all that was written: `settle` and `flush` of an event wait for
    /// its last command. Only an event that is off can be released after it.
    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        self.remapper.flush(unrouted).map_err(|(unrouted, error)| (unrouted, error.into()))
    }

    fn release(&mut self, entry: Event, drained: Drained) {
        self.remapper.release(entry, drained);
    }

    /// Faults of this hardware name no requester id.
    fn accepts(&self, _entry: &Event, _requester: RequesterId) -> bool {
        false
    }

    fn name(&self, entry: &Event) -> Option<EntryName> {
        Some(EntryName { number: entry.number().bits(), device: Some(entry.device()) })
    }

    fn entries_used(&self) -> u32 {
        self.remapper.events_used()
    }

    /// One space, for all CPUs.
    fn space(&self, number: u8) -> Option<EventSpace> {
        let used = self.remapper.events_used();
        (number == 0).then(|| EventSpace::shared(self.lpis - used, self.lpis))
    }

    /// One for each entry.
    fn leases(&self) -> usize {
        self.lpis as usize
    }
}
