//! Reads what the firmware says about the machine, before the kernel has tables of its own.

use limine::memory_map::EntryType;
use tocsin_firmware::{PhysReader, Unreadable};

use super::loader;
use crate::arch;
use crate::mm;

/// The loader's direct map has everything below, RAM or not (Limine protocol, "Entry memory
/// layout").
const MAPPED_END: u64 = 4 << 30;

/// Physical memory, through the loader's direct map.
struct DirectMap;

impl PhysReader for DirectMap {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        let end = address.checked_add(into.len() as u64).ok_or(Unreadable)?;
        if end > MAPPED_END && !is_mapped(address, end) {
            return Err(Unreadable);
        }
        // SAFETY: the range is mapped, and firmware's tables do not change. Wrong pointers
        // read whatever is there, and checksums refuse it.
        unsafe { into.as_mut_ptr().copy_from_nonoverlapping(mm::direct(address), into.len()) };
        Ok(())
    }
}

/// Whether a range above 4 GiB is in the loader's direct map: in one entry of the memory map
/// that is neither reserved nor bad (base revisions 1 and 2).
fn is_mapped(start: u64, end: u64) -> bool {
    loader::memory_map().iter().any(|entry| {
        entry.entry_type != EntryType::RESERVED
            && entry.entry_type != EntryType::BAD_MEMORY
            && entry.base <= start
            && end - entry.base <= entry.length
    })
}

/// Asks the firmware.
pub fn read() -> arch::Firmware {
    arch::Firmware::read(loader::rsdp(), loader::device_tree(), &DirectMap)
}
