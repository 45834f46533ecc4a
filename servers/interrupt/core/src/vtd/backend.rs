//! VT-d as a [`Remapper`].

use super::unit::{DmaRegion, VtdRegisters, VtdUnit};
use super::{CacheInvalidate, Destination, Irte, RemappableMessage};
use crate::{
    Binding, Capabilities, Drained, Entry, EntryBlock, EntryIndex, EventSource, Fault, Flushed,
    HardwareError, Pair, Rearmed, Remapper, ReserveError, Source, Target, Unrouted, Written,
};

/// Multi-message MSI has at most 32 messages (PCI Local Bus 3.0 §6.8.1.3).
const LARGEST_ORDER: u8 = 5;

impl<R: VtdRegisters, M: DmaRegion> VtdUnit<R, M> {
    fn read_entry(&self, index: EntryIndex) -> [u64; 2] {
        let at = 16 * index.index();
        [self.table.read64(at), self.table.read64(at + 8)]
    }

    fn write_half(&mut self, index: EntryIndex, half: usize, value: u64) {
        let at = 16 * index.index() + 8 * half;
        self.table.write64(at, value);
        if !self.extended_capability.coherent() {
            self.table.write_back(at);
        }
    }

    /// Whether an entry that was not present may be cached as such, or its new contents be
    /// held up in a write buffer. An invalidation settles both.
    fn new_entries_need_flush(&self) -> bool {
        self.capability.caching_mode() || self.capability.write_buffer_flush()
    }
}

impl<R: VtdRegisters, M: DmaRegion> Remapper for VtdUnit<R, M> {
    const BINDING: Binding = Binding::Activation;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "VT-d",
            isolated: true,
            entries: self.entries.size(),
            largest_order: LARGEST_ORDER,
        }
    }

    fn can_target(&self, target: Target) -> bool {
        Destination::new(target.apic, self.extended).is_some()
    }

    fn reserve(&mut self, source: Source, order: u8) -> Result<EntryBlock, ReserveError> {
        if order > LARGEST_ORDER {
            return Err(ReserveError::NoContiguous);
        }
        self.entries.take(source, order)
    }

    /// Always with a subhandle: the form for MSI and MSI-X, and one address for a block,
    /// whose members a function tells apart by the data's low bits.
    fn compose(&self, entry: &Entry, _target: Option<Target>) -> Pair {
        RemappableMessage { handle: entry.block(), subhandle: Some(entry.offset()) }.encode()
    }

    /// A new entry: the source check first, then the half with the present bit, so the unit
    /// never sees it without its check. A present one: source and all else in the high half
    /// stay, and the low half, which holds CPU and vector, changes in one 64-bit write.
    fn route(&mut self, entry: &Entry, target: Target) -> Written {
        let Some(destination) = Destination::new(target.apic, self.extended) else {
            // `can_target` said no and the server checks it for every CPU at its start.
            return Written::Stale(self.unroute(entry));
        };
        let index = entry.index();
        let [low, high] = Irte::message(entry.source().into(), target.vector, destination).encode();
        let was_present = self.read_entry(index)[0] & 1 == 1;
        if !was_present {
            self.write_half(index, 1, high);
        }
        self.write_half(index, 0, low);
        if was_present || self.new_entries_need_flush() {
            Written::Stale(Unrouted::new(index))
        } else {
            Written::Visible
        }
    }

    /// One write, to the half with the present bit. The source check stays where it is, so
    /// that no mixture of old and new halves ever lets a stranger through.
    fn unroute(&mut self, entry: &Entry) -> Unrouted {
        self.write_half(entry.index(), 0, Irte::BLOCKED_LOW);
        Unrouted::new(entry.index())
    }

    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        let what = CacheInvalidate::Selective { index: unrouted.index(), mask: 0 };
        match self.queue.invalidate(&mut self.registers, what) {
            Ok(()) => Ok(unrouted.flushed()),
            Err(error) => Err((unrouted, error)),
        }
    }

    fn release(&mut self, entry: Entry, drained: Drained) {
        let refused = self.entries.give_back(entry, drained).is_err();
        // The server pairs them; an entry that is not given back is only lost, never shared.
        debug_assert!(!refused, "proof and entry belong together");
    }

    fn entries_used(&self) -> u32 {
        self.entries.size() - self.entries.free()
    }

    fn next_fault(&mut self) -> Option<Fault> {
        self.take_fault()
    }

    fn rearm(&mut self) -> Rearmed {
        self.clear_conditions()
    }

    fn event_source(&mut self) -> Option<&mut dyn EventSource> {
        Some(self)
    }
}
