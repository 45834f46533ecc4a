//! A store in the PCI MSI capability, which is in configuration space and so belongs to
//! the PCI server: it takes the pair from the message itself.
//!
//! With several slots the hardware forms their data from slot 0's by setting its low bits
//! (PCI 3.0 §6.8.1.6), so their messages are one block, made by
//! [`Interrupts::add_block`](crate::interrupt::Interrupts::add_block). Slot 0 can be used alone;
//! the device then sends that message whatever it has to say.
//!
//! Mask and pending bits are optional in this capability. Without them a slot's mask is the
//! remapper, and the store only turns messages on with the first slot and off with the last.

use super::{MessageStore, Prepared, StoreError, StoreKind};
use crate::pci::Device;

/// The slots of a device's MSI capability.
#[derive(Debug)]
pub struct PciMsi {
    device: Device,
    slots: u8,
    per_slot_mask: bool,
    /// Slots that are masked for sure, one bit each: nobody else can unmask them, and each
    /// question costs two calls.
    masked: u32,
}

impl PciMsi {
    /// The capability of a device.
    ///
    /// # Errors
    /// `NoCapacity` when the device has none, or the PCI server's error.
    pub fn new(device: Device) -> Result<PciMsi, StoreError> {
        let msi = device.describe()?.msi.ok_or(StoreError::NoCapacity)?;
        Ok(PciMsi { device, slots: msi.slots, per_slot_mask: msi.per_slot_mask, masked: 0 })
    }

    fn slot(&self, slot: u32) -> Result<u8, StoreError> {
        match u8::try_from(slot) {
            Ok(slot) if slot < self.slots => Ok(slot),
            _ => Err(StoreError::BadSlot),
        }
    }
}

impl MessageStore for PciMsi {
    fn kind(&self) -> StoreKind {
        StoreKind::PciMsi
    }

    fn capacity(&self) -> Option<u32> {
        Some(self.slots.into())
    }

    fn masks_slots(&self) -> bool {
        self.per_slot_mask
    }

    /// `None` also when the PCI server does not say.
    fn is_pending(&self, slot: u32) -> Option<bool> {
        let slot = self.slot(slot).ok().filter(|_| self.per_slot_mask)?;
        Some(self.device.msi_pending().ok()? & bit(slot) != 0)
    }

    fn write(&mut self, slot: u32, message: Prepared) -> Result<(), StoreError> {
        Ok(self.device.msi_write(self.slot(slot)?, message.message)?)
    }

    fn mask(&mut self, slot: u32) -> Result<(), StoreError> {
        let slot = self.slot(slot)?;
        if self.masked & bit(slot) == 0 {
            self.device.msi_mask(slot)?;
            self.masked |= bit(slot);
        }
        Ok(())
    }

    fn unmask(&mut self, slot: u32) -> Result<(), StoreError> {
        let slot = self.slot(slot)?;
        // Whether it worked or not, it may be unmasked now.
        self.masked &= !bit(slot);
        Ok(self.device.msi_unmask(slot)?)
    }
}

/// The bit of a slot; the protocol has at most 32 of them.
const fn bit(slot: u8) -> u32 {
    1 << slot
}
