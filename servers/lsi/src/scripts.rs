//! Puts the slots' scripts into a store's memory, and knows where each one starts.

use libsys::map::Access;
use lsi_core::slot::{SLOT_BYTES, program};
use lsi_core::{AddressError, BusAddress, SlotId, Store};

/// The scripts of one store, as the chip sees them.
#[derive(Clone, Copy, Debug)]
pub struct Scripts {
    first: BusAddress,
}

impl Scripts {
    /// Writes `slots` masked scripts to `memory` from `base` on, which the chip sees at
    /// `bus_address`.
    ///
    /// # Errors
    /// The chip can not reach them all.
    pub fn write(
        memory: &dyn Access,
        base: u64,
        bus_address: u64,
        store: Store,
        slots: u32,
    ) -> Result<Scripts, AddressError> {
        let scripts = Scripts { first: BusAddress::new(bus_address)? };
        for index in 0..slots {
            // At most 65,536: `Plan` knows no more.
            let index = index as u16;
            let slot = SlotId { store, index };
            let words = program(scripts.start_of(index)?, slot)?;
            let start = base + u64::from(index) * u64::from(SLOT_BYTES);
            for (at, word) in (start..).step_by(4).zip(words) {
                memory.write32(at, word);
            }
        }
        Ok(scripts)
    }

    /// What to write to DSP to fire this slot.
    ///
    /// # Errors
    /// Never for a slot that [`Scripts::write`] wrote.
    pub fn start_of(self, index: u16) -> Result<BusAddress, AddressError> {
        self.first.plus(u64::from(index) * u64::from(SLOT_BYTES))
    }
}
