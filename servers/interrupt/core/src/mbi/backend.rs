//! Message-based interrupts as a [`BackEnd`].

use super::unit::{MbiUnit, Wanted, spi};
use crate::gicd::{GicdRegisters, Spi, SpiError};
use crate::vtd::Trigger;
use crate::{
    BackEnd, Binding, Capabilities, CpuEvent, CpuLease, CpuSet, Drained, EntryName, EventNumber,
    EventSpace, Flushed, HardwareError, NoVectors, Pair, Pool, PoolBlock, PoolEntry, RemapEntry,
    RequesterId, ReserveError, Sender, Unrouted, Written,
};

impl<R: GicdRegisters> MbiUnit<R> {
    /// Disabled: for a while, or for good.
    fn stop(&mut self, entry: &PoolEntry, wanted: Wanted) -> Unrouted {
        let index = entry.index();
        self.distributor.disable(spi(index));
        let slot = &mut self.slots[index.index()];
        (slot.wanted, slot.unsettled, slot.trouble) = (wanted, true, None);
        Unrouted::new(index)
    }

    fn follow(&mut self, index: usize, spi: Spi) -> Result<(), SpiError> {
        if self.slots[index].unsettled {
            self.distributor.settle()?;
            self.slots[index].unsettled = false;
        }
        if self.slots[index].wanted == Wanted::Off {
            self.forget(spi);
        }
        self.slots[index].trouble.map_or(Ok(()), Err)
    }
}

impl<R: GicdRegisters> BackEnd for MbiUnit<R> {
    type Entry = PoolEntry;
    type Block = PoolBlock;
    type Lease = CpuLease;
    type Retired = CpuLease;

    const BINDING: Binding = Binding::Entry;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "GICv3 MBI",
            isolated: false,
            entries: self.pool.total(),
            largest_order: Pool::LARGEST_ORDER,
        }
    }

    fn cpus(&self) -> CpuSet {
        self.loads.cpus()
    }

    fn check_room(&self, count: u32) -> Result<(), ReserveError> {
        let left = self.pool.total() - self.pool.used();
        if left >= count { Ok(()) } else { Err(ReserveError::NoVectors) }
    }

    fn reserve(&mut self, _sender: &Sender, order: u8) -> Result<PoolBlock, ReserveError> {
        self.pool.reserve(order)
    }

    fn compose(&self, entry: &PoolEntry, _event: Option<CpuEvent>) -> Pair {
        Pair { address: self.setter, data: spi(entry.index()).intid() }
    }

    fn take(&mut self, entry: &PoolEntry, wanted: CpuSet) -> Result<CpuLease, NoVectors> {
        self.loads.take(wanted, EventNumber::from(spi(entry.index())))
    }

    fn cancel(&mut self, lease: CpuLease) {
        self.loads.give_back(lease);
    }

    fn retire(&mut self, lease: CpuLease) -> CpuLease {
        lease
    }

    fn reclaim(&mut self, retired: CpuLease, _proof: &Drained) {
        self.loads.give_back(retired);
    }

    /// Registers are written at once; what they refuse, `flush` says.
    fn route(&mut self, entry: &PoolEntry, event: CpuEvent) -> Written {
        let index = entry.index();
        let trouble = self.aim(index, event.cpu).err();
        let slot = &mut self.slots[index.index()];
        slot.trouble = trouble;
        if trouble.is_none() {
            slot.wanted = Wanted::Routed(event.cpu);
        }
        Written::Stale(Unrouted::new(index))
    }

    fn block(&mut self, entry: &PoolEntry) -> Unrouted {
        match self.slots[entry.index().index()].wanted {
            Wanted::Routed(cpu) | Wanted::Blocked(cpu) => self.stop(entry, Wanted::Blocked(cpu)),
            // One that is off has nothing to stop.
            Wanted::Off => Unrouted::new(entry.index()),
        }
    }

    fn raise(&mut self, entry: &PoolEntry) -> bool {
        let routed = matches!(self.slots[entry.index().index()].wanted, Wanted::Routed(_));
        if routed {
            self.distributor.set_pending(spi(entry.index()));
        }
        routed
    }

    fn unroute(&mut self, entry: &PoolEntry) -> Unrouted {
        self.stop(entry, Wanted::Off)
    }

    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        let index = unrouted.index();
        match self.follow(index.index(), spi(index)) {
            Ok(()) => Ok(unrouted.flushed()),
            Err(error) => Err((unrouted, error.into())),
        }
    }

    fn release(&mut self, entry: PoolEntry, drained: Drained) {
        let slot = self.slots[entry.index().index()];
        let quiet = slot.wanted == Wanted::Off && !slot.unsettled;
        debug_assert!(quiet, "the SPI is off, and that is seen everywhere");
        // A level that does not become an edge again is lost, never another's.
        if quiet && self.set_trigger(&entry, Trigger::Edge).is_ok() {
            self.pool.give_back(entry, drained);
        }
    }

    /// Nobody is told apart, and nothing is recorded.
    fn accepts(&self, _entry: &PoolEntry, _requester: RequesterId) -> bool {
        false
    }

    /// By its INTID: the SPI is the entry.
    fn name(&self, entry: &PoolEntry) -> Option<EntryName> {
        Some(EntryName { number: spi(entry.index()).intid(), device: None })
    }

    fn entries_used(&self) -> u32 {
        self.pool.used()
    }

    fn space(&self, number: u8) -> Option<EventSpace> {
        let (used, total) = (self.pool.used(), self.pool.total());
        (number == 0).then(|| EventSpace::shared(total - used, total))
    }

    fn leases(&self) -> usize {
        self.pool.total() as usize
    }
}
