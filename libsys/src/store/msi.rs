//! A store in the PCI MSI capability, which is in configuration space and so belongs to
//! the PCI server: it takes the pair from the message itself.

use super::{MessageStore, Prepared, StoreError, StoreKind};
use crate::pci::Device;

/// The slots of a device's MSI capability.
///
/// With several slots the hardware forms their data from slot 0's by setting its low bits
/// (PCI 3.0 §6.8.1.6), so their messages must be allocated together, consecutive.
#[derive(Debug)]
pub struct PciMsi {
    device: Device,
    slots: u8,
}

impl PciMsi {
    /// The capability of a device.
    ///
    /// # Errors
    /// `NoCapacity` when the device has none, or the PCI server's error.
    pub fn new(device: Device) -> Result<PciMsi, StoreError> {
        let msi = device.describe()?.msi.ok_or(StoreError::NoCapacity)?;
        Ok(PciMsi { device, slots: msi.slots })
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

    fn write(&mut self, slot: u32, message: Prepared) -> Result<(), StoreError> {
        Ok(self.device.msi_write(self.slot(slot)?, message.message)?)
    }

    fn mask(&mut self, slot: u32) -> Result<(), StoreError> {
        Ok(self.device.msi_mask(self.slot(slot)?)?)
    }

    fn unmask(&mut self, slot: u32) -> Result<(), StoreError> {
        Ok(self.device.msi_unmask(self.slot(slot)?)?)
    }
}
