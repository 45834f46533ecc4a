//! x86: a remapper's entries on one side, each CPU's vectors on the other.

use super::{BackEnd, DirectError, EntryName, EventSpace, NoVectors, ReserveError, Sender};
use crate::numbers::{RetiredVector, VectorAllocator, VectorLease};
use crate::vtd::CompatibilityMessage;
use crate::{
    ApicId, Binding, Capabilities, CpuEvent, CpuIndex, CpuSet, Drained, Entry, EntryBlock,
    EventSource, Fault, Flushed, HardwareError, Pair, Rearmed, Remapper, RequesterId, Source,
    Target, Unrouted, Vector, VectorRange, Written,
};
use alloc::vec::Vec;

/// A [`Remapper`], or its absence, and the vectors that the kernel leaves to devices.
pub struct Vectored<R> {
    remapper: R,
    vectors: VectorAllocator,
    apics: Vec<ApicId>,
    capabilities: Capabilities,
}

/// Why a remapper was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VectorsError {
    /// No CPU, or more than 64.
    Cpus,
    /// The remapper can not address this CPU (an APIC id above 254 in xAPIC mode).
    CpuOutOfReach(CpuIndex),
    /// Not enough memory.
    NoMemory,
}

impl<R: Remapper> Vectored<R> {
    /// For CPUs by their kernel number, with their names in the interrupt fabric, and the
    /// vectors of each that devices may have.
    pub fn new(remapper: R, cpus: &[ApicId], range: VectorRange) -> Result<Self, VectorsError> {
        if cpus.is_empty() || cpus.len() > 64 {
            return Err(VectorsError::Cpus);
        }
        for (index, &apic) in cpus.iter().enumerate() {
            let cpu = CpuIndex::new(index as u8).ok_or(VectorsError::Cpus)?;
            if !remapper.can_target(Target { cpu, apic, vector: range.first() }) {
                return Err(VectorsError::CpuOutOfReach(cpu));
            }
        }
        let mut apics = Vec::new();
        apics.try_reserve_exact(cpus.len()).map_err(|_| VectorsError::NoMemory)?;
        apics.extend_from_slice(cpus);
        let vectors = VectorAllocator::new(cpus.len() as u8, range);
        let capabilities = remapper.capabilities();
        Ok(Self { remapper, vectors: vectors.ok_or(VectorsError::NoMemory)?, apics, capabilities })
    }

    /// The remapper, for what is its own (the fault event, the log).
    pub fn remapper_mut(&mut self) -> &mut R {
        &mut self.remapper
    }

    /// A vector of a CPU, with the CPU's name in the interrupt fabric.
    pub(crate) fn target(&self, cpu: CpuIndex, vector: Vector) -> Target {
        Target { cpu, apic: self.apics[cpu.index()], vector }
    }

    #[inline]
    fn aim(&self, event: CpuEvent) -> Option<Target> {
        // The server hands back what `take` gave it: always one of ours.
        let vector = Vector::new(u8::try_from(event.vector.bits()).ok()?)?;
        Some(self.target(event.cpu, vector))
    }
}

impl<R: Remapper> BackEnd for Vectored<R> {
    type Entry = Entry;
    type Block = EntryBlock;
    type Lease = VectorLease;
    type Retired = RetiredVector;

    const BINDING: Binding = R::BINDING;

    #[inline]
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    #[inline]
    fn cpus(&self) -> CpuSet {
        self.vectors.cpus()
    }

    #[inline]
    fn check_room(&self, count: u32) -> Result<(), ReserveError> {
        let left = self.capabilities.entries.saturating_sub(self.remapper.entries_used());
        // Without a table there is nothing to run out of.
        let enough = left >= count || R::BINDING == Binding::Pair;
        if enough { Ok(()) } else { Err(ReserveError::NoEntries) }
    }

    #[inline]
    fn reserve(&mut self, sender: &Sender, order: u8) -> Result<EntryBlock, ReserveError> {
        let own = sender.requester.map(Source::Function);
        // Of a sender without an id of its own it has to be said.
        let source = sender.source.or(own).ok_or(ReserveError::NotSupported)?;
        self.remapper.reserve(source, order)
    }

    #[inline]
    fn compose(&self, entry: &Entry, event: Option<CpuEvent>) -> Pair {
        self.remapper.compose(entry, event.and_then(|event| self.aim(event)))
    }

    #[inline]
    fn take(&mut self, _entry: &Entry, wanted: CpuSet) -> Result<VectorLease, NoVectors> {
        self.vectors.take(wanted)
    }

    #[inline]
    fn cancel(&mut self, lease: VectorLease) {
        self.vectors.cancel(lease);
    }

    #[inline]
    fn retire(&mut self, lease: VectorLease) -> RetiredVector {
        self.vectors.retire(lease)
    }

    #[inline]
    fn reclaim(&mut self, retired: RetiredVector, proof: &Drained) {
        self.vectors.reclaim(retired, proof);
    }

    #[inline]
    fn route(&mut self, entry: &Entry, event: CpuEvent) -> Written {
        match self.aim(event) {
            Some(target) => self.remapper.route(entry, target),
            None => Written::Stale(self.remapper.unroute(entry)),
        }
    }

    /// An entry has no state between on and off.
    #[inline]
    fn block(&mut self, entry: &Entry) -> Unrouted {
        self.remapper.unroute(entry)
    }

    #[inline]
    fn unroute(&mut self, entry: &Entry) -> Unrouted {
        self.remapper.unroute(entry)
    }

    #[inline]
    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        self.remapper.flush(unrouted)
    }

    #[inline]
    fn release(&mut self, entry: Entry, drained: Drained) {
        self.remapper.release(entry, drained);
    }

    fn accepts(&self, entry: &Entry, requester: RequesterId) -> bool {
        entry.source().accepts(requester)
    }

    #[inline]
    fn name(&self, entry: &Entry) -> Option<EntryName> {
        (self.capabilities.entries != 0).then(|| self.remapper.name(entry))
    }

    fn entries_used(&self) -> u32 {
        self.remapper.entries_used()
    }

    fn space(&self, number: u8) -> Option<EventSpace> {
        let cpu = CpuIndex::new(number)?;
        Some(EventSpace { cpu: Some(cpu), count: self.vectors.count(cpu)? })
    }

    fn leases(&self) -> usize {
        let total = |number| self.space(number).map(|space| usize::from(space.count.total));
        (0..64).map_while(total).sum()
    }

    fn next_fault(&mut self) -> Option<Fault> {
        self.remapper.next_fault()
    }

    fn rearm(&mut self) -> Rearmed {
        self.remapper.rearm()
    }

    fn event_source(&mut self) -> Option<&mut dyn EventSource> {
        self.remapper.event_source()
    }

    /// In compatibility format: 8-bit APIC ids, of which 0xff is everyone.
    fn take_direct(&mut self, wanted: CpuSet) -> Result<(VectorLease, Pair), DirectError> {
        let lease = self.vectors.take(wanted).map_err(|_| DirectError::NoVectors)?;
        let target = self.target(lease.cpu(), lease.vector());
        match u8::try_from(target.apic.bits()) {
            Ok(destination) if destination < 0xff => {
                let message = CompatibilityMessage { destination, vector: target.vector };
                Ok((lease, message.encode()))
            }
            _ => {
                self.vectors.cancel(lease);
                Err(DirectError::NotSupported)
            }
        }
    }
}
