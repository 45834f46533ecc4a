//! The memory map: frames for the allocator, and the kernel's own page tables.

use limine::memory_map::{Entry, EntryType};
use tocsin_abi::limits::PAGE_BYTES;
use x86_64::structures::paging::PageTableFlags as Flags;

use super::loader;
use crate::arch::paging;
use crate::fatal::fatal;
use crate::mm;

/// What the kernel and a useful set of servers need, in free RAM.
const LEAST_BYTES: u64 = 48 << 20;
/// Below this, frames are kept for CPUs that start in real mode.
const LOW_END: u64 = 1 << 20;
/// Code and tables for that.
const LOW_BYTES: u64 = 4 * PAGE_BYTES;
/// Everything below is mapped, RAM or not: device registers, tables of the firmware.
const MAPPED_END: u64 = 4 << 30;

unsafe extern "C" {
    safe static __text_start: u8;
    safe static __text_end: u8;
    safe static __rodata_start: u8;
    safe static __rodata_end: u8;
    safe static __data_start: u8;
    safe static __data_end: u8;
}

fn page_down(address: u64) -> u64 {
    address & !(PAGE_BYTES - 1)
}

fn page_up(address: u64) -> u64 {
    page_down(address.saturating_add(PAGE_BYTES - 1))
}

/// RAM whose contents the loader or we own. Firmware tables are not: they are mapped by
/// whoever may read them.
fn is_ram(kind: EntryType) -> bool {
    kind == EntryType::USABLE
        || kind == EntryType::BOOTLOADER_RECLAIMABLE
        || kind == EntryType::EXECUTABLE_AND_MODULES
}

/// Gives frames to the allocator and moves to the kernel's own page tables. Returns the
/// physical address of four frames below 1 MiB.
pub fn init() -> u64 {
    let map = loader::memory_map();
    let usable = || map.iter().filter(|entry| entry.entry_type == EntryType::USABLE);
    if usable().next().is_none() {
        fatal(format_args!("the loader gave no usable memory map"));
    }
    mm::set_direct_offset(loader::direct_offset());
    let low = usable().find_map(|entry| low_frames(entry));
    let Some(low) = low else {
        fatal(format_args!("no 16 KiB of free memory below 1 MiB to start other CPUs with"))
    };
    let mut free = 0;
    for entry in usable() {
        let start = page_up(entry.base).max(LOW_END);
        let end = page_down(entry.base + entry.length);
        if start < end {
            free += end - start;
            mm::add_free(start, end - start);
        }
    }
    if free < LEAST_BYTES {
        fatal(format_args!(
            "too little memory: {} KiB are free, {} KiB are needed",
            free >> 10,
            LEAST_BYTES >> 10
        ));
    }
    for entry in map.iter().filter(|entry| is_ram(entry.entry_type)) {
        if !mm::note_ram(page_down(entry.base), page_up(entry.base + entry.length)) {
            fatal(format_args!("the memory map has too many separate ranges of RAM"));
        }
    }
    if build_tables(map).is_none() {
        fatal(format_args!("too little memory for the kernel's page tables"));
    }
    paging::load(paging::kernel_root());
    low
}

fn low_frames(entry: &Entry) -> Option<u64> {
    let start = page_up(entry.base).max(PAGE_BYTES);
    let end = (entry.base + entry.length).min(LOW_END);
    (start + LOW_BYTES <= end).then_some(start)
}

/// The kernel's image, W^X, and the direct map, never executable.
fn build_tables(map: &[&Entry]) -> Option<()> {
    paging::create_kernel_root()?;
    let (physical, virt) = loader::image();
    let data = Flags::PRESENT | Flags::WRITABLE | Flags::NO_EXECUTE;
    for (start, end, flags) in [
        (&raw const __text_start, &raw const __text_end, Flags::PRESENT),
        (&raw const __rodata_start, &raw const __rodata_end, Flags::PRESENT | Flags::NO_EXECUTE),
        (&raw const __data_start, &raw const __data_end, data),
    ] {
        let (start, end) = (page_down(start as u64), page_up(end as u64));
        paging::map_kernel(start, physical + (start - virt), end - start, flags)?;
    }
    let device = data | Flags::NO_CACHE | Flags::WRITE_THROUGH;
    let mut at = 0;
    for entry in map {
        let start = page_down(entry.base).max(at);
        let end = page_up(entry.base + entry.length);
        if end <= start {
            continue;
        }
        direct(at, start.min(MAPPED_END), device)?;
        let kept = is_ram(entry.entry_type)
            || entry.entry_type == EntryType::ACPI_RECLAIMABLE
            || entry.entry_type == EntryType::ACPI_NVS;
        if kept {
            direct(start, end, data)?;
        } else {
            direct(start, end.min(MAPPED_END), device)?;
        }
        at = end;
    }
    direct(at, MAPPED_END, device)
}

fn direct(start: u64, end: u64, flags: Flags) -> Option<()> {
    if end <= start {
        return Some(());
    }
    paging::map_kernel(loader::direct_offset() + start, start, end - start, flags)
}
