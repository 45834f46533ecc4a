//! The other CPUs: which there are (ACPI MADT), and when they may run.

use core::sync::atomic::{AtomicBool, Ordering};

use tocsin_abi::limits::MAX_CPUS;
use tocsin_firmware::{Madt, PhysReader, Root, Signature, Unreadable};

use super::loader;
use crate::arch;
use crate::mm;

/// Bytes of the largest MADT that is read.
const MADT_BYTES: usize = 8192;
/// Where a local APIC is when nobody says otherwise (Intel SDM vol. 3, 11.4.1).
const LOCAL_APIC: u64 = 0xfee0_0000;

/// What the firmware says about CPUs.
pub struct Cpus {
    ids: [u32; MAX_CPUS],
    count: usize,
    /// Physical address of the local APIC.
    pub local_apic: u64,
}

impl Cpus {
    /// Local APIC ids, at most as many as the kernel drives.
    pub fn ids(&self) -> &[u32] {
        &self.ids[..self.count]
    }
}

/// Reads physical memory below the end of the direct map.
struct DirectMap;

impl PhysReader for DirectMap {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        let end = address.checked_add(into.len() as u64).ok_or(Unreadable)?;
        if end > 4 << 30 {
            return Err(Unreadable);
        }
        // SAFETY: everything below 4 GiB is mapped; firmware tables do not change. Wrong
        // pointers read whatever is there, and checksums refuse it.
        unsafe { into.as_mut_ptr().copy_from_nonoverlapping(mm::direct(address), into.len()) };
        Ok(())
    }
}

/// Asks the firmware. Without a usable MADT there is one CPU.
pub fn find() -> Cpus {
    let mut cpus = Cpus { ids: [0; MAX_CPUS], count: 0, local_apic: LOCAL_APIC };
    // A table of the size, on the start-up stack.
    let mut buffer = [0; MADT_BYTES];
    if let Some(madt) = madt(&mut buffer) {
        cpus.local_apic = madt.local_apic_address();
        for processor in madt.processors().filter(|processor| processor.enabled) {
            let known = cpus.ids[..cpus.count].contains(&processor.apic_id);
            if cpus.count < MAX_CPUS && !known {
                cpus.ids[cpus.count] = processor.apic_id;
                cpus.count += 1;
            }
        }
    }
    cpus
}

fn madt(buffer: &mut [u8]) -> Option<Madt<'_>> {
    let root = Root::read(&DirectMap, loader::rsdp()?).ok()?;
    let location = root.find(&DirectMap, Signature::MADT, 0).ok()?;
    let table = location.copy(&DirectMap, buffer).ok()?;
    Madt::parse(table.bytes()).ok()
}

static RELEASED: AtomicBool = AtomicBool::new(false);

/// Lets the other CPUs run threads.
pub fn release_others() {
    RELEASED.store(true, Ordering::Release);
}

/// Waits, on another CPU, until the boot CPU has made the kernel's state whole.
pub fn wait_for_release() {
    while !RELEASED.load(Ordering::Acquire) {
        arch::pause();
    }
}
