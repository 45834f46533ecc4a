//! What the firmware says about CPUs and interrupt controllers: the MADT (ACPI 6.5, 5.2.12).

use core::ops::Range;

use tocsin_abi::limits::{MAX_CPUS, PAGE_BYTES};
use tocsin_firmware::{Madt, PhysReader, Root, Signature};

use super::apic;

/// Bytes of the largest MADT that is read.
const MADT_BYTES: usize = 8192;
/// Where a local APIC is when nobody says otherwise (Intel SDM vol. 3, 11.4.1).
const LOCAL_APIC: u64 = 0xfee0_0000;

/// What the kernel needs to know.
pub struct Firmware {
    ids: [u32; MAX_CPUS],
    count: usize,
    /// Physical address of the local APIC.
    pub local_apic: u64,
}

impl Firmware {
    /// Asks the firmware. Without a usable MADT there is one CPU. PCs have no device tree.
    pub fn read(rsdp: Option<u64>, _device_tree: Option<&[u8]>, memory: &impl PhysReader) -> Self {
        let mut found = Self { ids: [0; MAX_CPUS], count: 0, local_apic: LOCAL_APIC };
        // A table of the size, on the start-up stack.
        let mut buffer = [0; MADT_BYTES];
        if let Some(madt) = rsdp.and_then(|rsdp| madt(rsdp, memory, &mut buffer)) {
            found.local_apic = madt.local_apic_address();
            for processor in madt.processors().filter(|processor| processor.enabled) {
                let known = found.local_apic_ids().contains(&processor.apic_id);
                if found.count < MAX_CPUS && !known {
                    found.ids[found.count] = processor.apic_id;
                    found.count += 1;
                }
            }
        }
        // The CPU knows better.
        found.local_apic = apic::base().unwrap_or(found.local_apic);
        found
    }

    /// Local APIC ids, at most as many as the kernel drives.
    pub fn local_apic_ids(&self) -> &[u32] {
        &self.ids[..self.count]
    }

    /// Physical addresses of the device registers that the kernel itself uses.
    pub fn devices(&self) -> impl Iterator<Item = Range<u64>> {
        core::iter::once(self.local_apic..self.local_apic + PAGE_BYTES)
    }
}

fn madt<'b>(rsdp: u64, memory: &impl PhysReader, buffer: &'b mut [u8]) -> Option<Madt<'b>> {
    let root = Root::read(memory, rsdp).ok()?;
    let location = root.find(memory, Signature::MADT, 0).ok()?;
    let table = location.copy(memory, buffer).ok()?;
    Madt::parse(table.bytes()).ok()
}
