//! Where devices differ from what firmware says: what the manifest says of them.

use alloc::vec::Vec;

use pci_core::Function;
use tocsin_abi::startup::Startup;

/// The startup entries `dma-device-id` and `amdvi-dma-id`, which come with the grant `ecam`.
pub struct Quirks {
    /// Vendor, device, and the DeviceID that an interrupt translation service sees with
    /// DMA writes of such a device.
    dma: Vec<(u16, u16, u32)>,
    /// The same for the requester id that an AMD IOMMU takes them for.
    amdvi_dma: Vec<(u16, u16, u32)>,
}

impl Quirks {
    /// From the startup page.
    pub fn new(env: &Startup) -> Self {
        let named = |name: &str| {
            let entries = env.entries().iter().filter(|entry| entry.name() == name);
            let quirks = entries.map(|entry| {
                let (kind, id) = (entry.value as u32, entry.value2 as u32);
                (kind as u16, (kind >> 16) as u16, id)
            });
            quirks.collect()
        };
        Self { dma: named("dma-device-id"), amdvi_dma: named("amdvi-dma-id") }
    }

    /// The DeviceID of a function's DMA writes, where it is not that of its messages.
    pub fn dma_device_id(&self, function: &Function) -> Option<u32> {
        find(&self.dma, function)
    }

    /// The requester id that an AMD IOMMU takes a function's DMA writes for, where it is not
    /// its own.
    pub fn amdvi_dma_id(&self, function: &Function) -> Option<u32> {
        find(&self.amdvi_dma, function)
    }
}

fn find(quirks: &[(u16, u16, u32)], function: &Function) -> Option<u32> {
    let is_it = |quirk: &&(u16, u16, u32)| (quirk.0, quirk.1) == (function.vendor, function.device);
    quirks.iter().find(is_it).map(|quirk| quirk.2)
}
