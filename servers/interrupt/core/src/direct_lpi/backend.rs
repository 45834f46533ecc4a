//! LPIs without an ITS as a [`BackEnd`].

use super::unit::{DirectLpiUnit, Wanted};
use crate::EventLease;
use crate::its::{ItsRegisters, Lpi};
use crate::vtd::DmaRegion;
use crate::{
    BackEnd, Binding, Capabilities, CpuEvent, CpuLease, CpuSet, Drained, EntryName, EventNumber,
    EventSpace, Flushed, HardwareError, NoVectors, Pair, Pool, PoolBlock, PoolEntry, RemapEntry,
    RequesterId, ReserveError, Sender, Unrouted, Written,
};

impl<R: ItsRegisters, M: DmaRegion> BackEnd for DirectLpiUnit<R, M> {
    type Entry = PoolEntry;
    type Block = PoolBlock;
    type Lease = CpuLease;
    type Retired = CpuLease;

    const BINDING: Binding = Binding::EntryAndCpu;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "GICv3 Direct LPI",
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

    /// `take` came before: the event's CPU is one of these.
    fn compose(&self, entry: &PoolEntry, event: Option<CpuEvent>) -> Pair {
        let setter = event.and_then(|event| self.setter(event.cpu));
        Pair { address: setter.unwrap_or(0), data: Lpi::from_index(entry.index()).intid() }
    }

    fn take(&mut self, entry: &PoolEntry, wanted: CpuSet) -> Result<CpuLease, NoVectors> {
        let number = EventNumber::from(Lpi::from_index(entry.index()));
        let lease = self.loads.take(wanted, number)?;
        self.pair(entry.index(), lease.event().cpu);
        Ok(lease)
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

    fn route(&mut self, entry: &PoolEntry, event: CpuEvent) -> Written {
        self.want(entry.index(), Wanted::Routed(event.cpu));
        Written::Stale(Unrouted::new(entry.index()))
    }

    fn block(&mut self, entry: &PoolEntry) -> Unrouted {
        let index = entry.index();
        // One that is off has nothing to stop.
        if let Wanted::Routed(cpu) = self.slots[index.index()].wanted {
            self.want(index, Wanted::Blocked(cpu));
        }
        Unrouted::new(index)
    }

    fn raise(&mut self, entry: &PoolEntry) -> bool {
        let Wanted::Routed(cpu) = self.slots[entry.index().index()].wanted else { return false };
        self.set_pending(entry.index(), cpu);
        true
    }

    fn unroute(&mut self, entry: &PoolEntry) -> Unrouted {
        self.want(entry.index(), Wanted::Off);
        Unrouted::new(entry.index())
    }

    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        match self.bring(unrouted.index()) {
            Ok(()) => Ok(unrouted.flushed()),
            Err(error) => Err((unrouted, error.into())),
        }
    }

    fn release(&mut self, entry: PoolEntry, drained: Drained) {
        let quiet = self.slots[entry.index().index()].is_quiet();
        debug_assert!(quiet, "the LPI is off, and nothing about it is under way");
        if quiet {
            self.pool.give_back(entry, drained);
        }
    }

    /// Nobody is told apart, and nothing is recorded.
    fn accepts(&self, _entry: &PoolEntry, _requester: RequesterId) -> bool {
        false
    }

    /// By its INTID: the LPI is the entry.
    fn name(&self, entry: &PoolEntry) -> Option<EntryName> {
        Some(EntryName { number: Lpi::from_index(entry.index()).intid(), device: None })
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
