//! No remapper: x86 without interrupt remapping.
//!
//! A pair in compatibility format names the CPU and the vector itself. So both are taken at
//! allocation, the pair cannot follow a change of affinity, nothing can be blocked outside
//! the kernel, and nobody checks who sent it: not isolated, IMS is refused.

use crate::vtd::CompatibilityMessage;
use crate::{
    Binding, Capabilities, Drained, Entry, EntryBlock, EntryIndex, Flushed, HardwareError, Pair,
    Remapper, ReserveError, Source, Target, Unrouted, Written,
};

/// The back end for machines without a remapper.
#[derive(Default, Debug)]
pub struct NoRemapper {
    reserved: u32,
}

impl NoRemapper {
    /// The back end. It has no state but a count.
    pub const fn new() -> Self {
        Self { reserved: 0 }
    }
}

impl Remapper for NoRemapper {
    const BINDING: Binding = Binding::Pair;

    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "none", isolated: false, entries: 0, largest_order: 0 }
    }

    /// 8-bit APIC ids; 0xff would be everyone.
    fn can_target(&self, target: Target) -> bool {
        target.apic.bits() < 0xff
    }

    /// One message each: several in a row would need aligned vectors of one CPU.
    fn reserve(&mut self, source: Source, order: u8) -> Result<EntryBlock, ReserveError> {
        if order != 0 {
            return Err(ReserveError::NoContiguous);
        }
        self.reserved += 1;
        Ok(EntryBlock::new(EntryIndex::new(0), 0, source))
    }

    fn compose(&self, _entry: &Entry, target: Option<Target>) -> Pair {
        match target {
            Some(target) => {
                // `can_target` was asked: the id fits.
                let destination = target.apic.bits() as u8;
                CompatibilityMessage { destination, vector: target.vector }.encode()
            }
            // A pair that raises nothing: outside the interrupt window.
            None => Pair { address: 0, data: 0 },
        }
    }

    fn route(&mut self, _entry: &Entry, _target: Target) -> Written {
        Written::Visible
    }

    fn unroute(&mut self, entry: &Entry) -> Unrouted {
        Unrouted::new(entry.index())
    }

    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        Ok(unrouted.flushed())
    }

    fn release(&mut self, _entry: Entry, _drained: Drained) {
        self.reserved -= 1;
    }

    fn entries_used(&self) -> u32 {
        self.reserved
    }
}
