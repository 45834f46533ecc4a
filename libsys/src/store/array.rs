//! A store in device memory: slots in a BAR.

use super::layout::Checked;
use super::{EntryLayout, MessageStore, Prepared, StoreError, StoreKind};
use crate::map::Access;

/// Slots in device memory (IMS).
#[derive(Debug)]
pub struct DeviceArray<A> {
    memory: A,
    layout: Checked,
}

impl<A: Access> DeviceArray<A> {
    /// The slots that `layout` describes in `memory`.
    ///
    /// # Errors
    /// The first rule that the layout breaks.
    pub fn new(memory: A, layout: EntryLayout) -> Result<DeviceArray<A>, StoreError> {
        let layout = layout.check(memory.size_bytes())?;
        Ok(DeviceArray { memory, layout })
    }

    /// Reads what was written: PCI Express delivers a read only after the posted writes
    /// before it (Base 6.0 §2.4.1), so the device has them when this returns.
    fn flush(&self, offset: u64) -> u32 {
        self.memory.read32(offset)
    }
}

impl<A: Access> MessageStore for DeviceArray<A> {
    fn kind(&self) -> StoreKind {
        StoreKind::DeviceArray
    }

    fn capacity(&self) -> Option<u32> {
        Some(self.layout.slots())
    }

    fn write(&mut self, slot: u32, message: Prepared) -> Result<(), StoreError> {
        let last = self.layout.write(&self.memory, slot, message.pair)?;
        self.flush(last);
        Ok(())
    }

    fn mask(&mut self, slot: u32) -> Result<(), StoreError> {
        let at = self.layout.mask(&self.memory, slot)?;
        let shown = self.flush(at);
        if self.layout.is_masked(shown) { Ok(()) } else { Err(StoreError::NotMasked) }
    }

    fn unmask(&mut self, slot: u32) -> Result<(), StoreError> {
        let at = self.layout.unmask(&self.memory, slot)?;
        self.flush(at);
        Ok(())
    }
}
