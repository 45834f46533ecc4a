//! The memory map: frames for the allocator, and the kernel's own page tables.

use limine::memory_map::{Entry, EntryType};
use tocsin_abi::limits::PAGE_BYTES;

use super::loader;
use crate::arch::{self, paging};
use crate::fatal::fatal;
use crate::mm::{self, PageKind};

/// What the kernel and a useful set of servers need, in free RAM.
const LEAST_BYTES: u64 = 48 << 20;

unsafe extern "C" {
    safe static __text_start: u8;
    safe static __text_end: u8;
    safe static __rodata_start: u8;
    safe static __rodata_end: u8;
    safe static __data_start: u8;
    safe static __data_end: u8;
}

/// What is set aside before anybody can use it.
pub struct Reserved {
    /// `arch::START_UP_BYTES` below `arch::FIRST_FRAME`.
    pub start_up: u64,
    /// The device tree, in frames of its own: where it is, and its bytes.
    pub device_tree: Option<(u64, u64)>,
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

/// Where firmware keeps its tables.
fn is_table(kind: EntryType) -> bool {
    kind == EntryType::ACPI_RECLAIMABLE || kind == EntryType::ACPI_NVS
}

/// Gives frames to the allocator and moves to the kernel's own page tables.
pub fn init(firmware: &arch::Firmware) -> Reserved {
    let map = loader::memory_map();
    let usable = || map.iter().filter(|entry| entry.entry_type == EntryType::USABLE);
    if usable().next().is_none() {
        fatal(format_args!("the loader gave no usable memory map"));
    }
    let Some(start_up) = usable().find_map(|entry| start_up_area(entry)) else {
        fatal(format_args!(
            "no {} KiB of free memory below {} KiB to start other CPUs with",
            arch::START_UP_BYTES >> 10,
            arch::FIRST_FRAME >> 10
        ))
    };
    let mut free = 0;
    for entry in usable() {
        let start = page_up(entry.base).max(arch::FIRST_FRAME);
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
    // Now: the loader's memory need not be mapped any more after this, and firmware's tables
    // will be read by those who have them mapped as a device's.
    let device_tree = loader::device_tree().map(keep);
    for entry in map.iter().filter(|entry| is_table(entry.entry_type)) {
        arch::write_back(mm::direct(entry.base), entry.length as usize);
    }
    if build_tables(map, firmware).is_none() {
        fatal(format_args!("too little memory for the kernel's page tables"));
    }
    arch::load_kernel_tables();
    Reserved { start_up, device_tree }
}

fn start_up_area(entry: &Entry) -> Option<u64> {
    if arch::START_UP_BYTES == 0 {
        return Some(0);
    }
    let start = page_up(entry.base).max(PAGE_BYTES);
    let end = (entry.base + entry.length).min(arch::FIRST_FRAME);
    (start + arch::START_UP_BYTES <= end).then_some(start)
}

/// Copies bytes to frames that nobody else uses.
fn keep(bytes: &[u8]) -> (u64, u64) {
    let Some(frames) = mm::alloc_boot(bytes.len() as u64) else {
        fatal(format_args!("too little memory for a copy of the device tree"))
    };
    // SAFETY: the block is ours, and at least as long.
    unsafe { mm::direct(frames).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    (frames, bytes.len() as u64)
}

/// The kernel's image, W^X, and the direct map, never executable: RAM, and the devices that
/// the kernel itself uses.
fn build_tables(map: &[&Entry], firmware: &arch::Firmware) -> Option<()> {
    paging::create_kernel_root()?;
    let (physical, virt) = loader::image();
    for (start, end, kind) in [
        (&raw const __text_start, &raw const __text_end, PageKind::Code),
        (&raw const __rodata_start, &raw const __rodata_end, PageKind::Constants),
        (&raw const __data_start, &raw const __data_end, PageKind::Data),
    ] {
        let (start, end) = (page_down(start as u64), page_up(end as u64));
        paging::map_kernel(start, physical + (start - virt), end - start, kind)?;
    }
    let mut mapped_end = 0;
    for entry in map.iter().filter(|entry| is_ram(entry.entry_type)) {
        // Neighbours can share a page.
        let start = page_down(entry.base).max(mapped_end);
        mapped_end = mapped_end.max(page_up(entry.base + entry.length));
        direct(start, mapped_end, PageKind::Data)?;
    }
    for range in firmware.devices() {
        let (start, end) = (page_down(range.start), page_up(range.end));
        if mm::is_ram(start, end - start) {
            fatal(format_args!(
                "the firmware says that {start:#x} is a device, the loader that it is RAM"
            ));
        }
        direct(start, end, PageKind::Device)?;
    }
    Some(())
}

fn direct(start: u64, end: u64, kind: PageKind) -> Option<()> {
    if end <= start {
        return Some(());
    }
    paging::map_kernel(mm::direct(start) as u64, start, end - start, kind)
}
