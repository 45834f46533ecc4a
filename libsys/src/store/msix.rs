//! A store in the MSI-X table, which lies in the device's own memory (PCIe Base 6.0 §7.7.2).
//! The two bits that are in configuration space are the PCI server's.

use super::layout::Checked;
use super::{EntryLayout, MaskField, MessageStore, Prepared, StoreError, StoreKind};
use crate::map::Access;
use crate::pci::Device;
use tocsin_proto::pci::{MsiX, MsiXSet};

/// Bytes of a table entry (§7.7.2.5 to §7.7.2.8): address, upper address, data, vector
/// control with the mask in bit 0.
const ENTRY_BYTES: u64 = 16;
const MASK: MaskField = MaskField::bit_masks(12, 1);
/// What a read gives when nobody answers, for example while memory decoding is off.
const NOBODY: u32 = u32::MAX;

/// The slots of a device's MSI-X table. Dropping it switches the table off.
#[derive(Debug)]
pub struct MsixTable<T: Access, P: Access> {
    device: Device,
    table: T,
    layout: Checked,
    pending: P,
    pending_base: u64,
}

impl<T: Access, P: Access> MsixTable<T, P> {
    /// The table that `msix` describes, with every slot masked and the table as a whole
    /// switched on. `table` and `pending` are the BARs that it names, from `base` and
    /// `pending_base` on; the device must answer at its memory BARs by now.
    ///
    /// # Errors
    /// `OutOfRange` or another rule when the table does not fit the memory, `NotMasked` when
    /// the device does not answer or does not mask, or the PCI server's error.
    pub fn new(
        device: Device,
        msix: MsiX,
        (table, base): (T, u64),
        (pending, pending_base): (P, u64),
    ) -> Result<MsixTable<T, P>, StoreError> {
        let at = |base: u64, offset: u32| base.checked_add(offset.into());
        let layout = EntryLayout {
            base: at(base, msix.table.offset).ok_or(StoreError::OutOfRange)?,
            stride: ENTRY_BYTES,
            slots: msix.slots.into(),
            address: 0,
            address_high: Some(4),
            data: 8,
            mask: Some(MASK),
        };
        let layout = layout.check(table.size_bytes())?;
        let pending_base = at(pending_base, msix.pending.offset).ok_or(StoreError::OutOfRange)?;
        let pending_bytes = u64::from(msix.slots).div_ceil(64) * 8;
        let end = pending_base.checked_add(pending_bytes);
        if !pending_base.is_multiple_of(8) {
            return Err(StoreError::Misaligned);
        }
        if end.is_none_or(|end| end > pending.size_bytes()) {
            return Err(StoreError::OutOfRange);
        }
        // As a whole first: firmware or an earlier driver may have left slots unmasked.
        device.msix_set(MsiXSet::AllMasked)?;
        let mut store = MsixTable { device, table, layout, pending, pending_base };
        for slot in 0..msix.slots.into() {
            store.mask(slot)?;
        }
        device.msix_set(MsiXSet::On)?;
        Ok(store)
    }
}

impl<T: Access, P: Access> MessageStore for MsixTable<T, P> {
    fn kind(&self) -> StoreKind {
        StoreKind::MsiX
    }

    fn capacity(&self) -> Option<u32> {
        Some(self.layout.slots())
    }

    fn write(&mut self, slot: u32, message: Prepared) -> Result<(), StoreError> {
        let last = self.layout.write(&self.table, slot, message.pair)?;
        // A read comes back after the writes before it have arrived (§2.4.1).
        self.table.read32(last);
        Ok(())
    }

    fn mask(&mut self, slot: u32) -> Result<(), StoreError> {
        let at = self.layout.mask(&self.table, slot)?;
        let shown = self.table.read32(at);
        let masked = shown != NOBODY && self.layout.is_masked(shown);
        if masked { Ok(()) } else { Err(StoreError::NotMasked) }
    }

    fn unmask(&mut self, slot: u32) -> Result<(), StoreError> {
        let at = self.layout.unmask(&self.table, slot)?;
        self.table.read32(at);
        Ok(())
    }

    fn is_pending(&self, slot: u32) -> Option<bool> {
        // §7.7.2.9: bit n of the array is slot n's.
        let word = self.pending_base + u64::from(slot / 32) * 4;
        let exists = slot < self.layout.slots();
        exists.then(|| self.pending.read32(word) >> (slot % 32) & 1 != 0)
    }
}

impl<T: Access, P: Access> Drop for MsixTable<T, P> {
    fn drop(&mut self) {
        // When the PCI server does not answer it has ended the claim, and the table with it.
        let _ = self.device.msix_set(MsiXSet::Off);
    }
}

#[cfg(test)]
mod tests;
