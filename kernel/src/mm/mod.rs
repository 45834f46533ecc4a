//! Physical memory: the direct map, and frames.

mod frames;
mod ram;

use core::sync::atomic::{AtomicU64, Ordering};

pub use frames::{
    add_free, alloc_block, alloc_boot, alloc_frame, free_block, free_bytes, free_frame,
};

pub use ram::{is_ram, note_ram, ranges};

/// What a part of the kernel's own address space is for, which decides how it is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Executable, never writable.
    Code,
    /// Neither.
    Constants,
    /// Writable, never executable.
    Data,
    /// A device's registers: as data, and every access reaches the device as it is.
    Device,
}

/// Where physical address 0 is mapped.
static OFFSET: AtomicU64 = AtomicU64::new(0);

/// Notes where the direct map is.
pub fn set_direct_offset(offset: u64) {
    OFFSET.store(offset, Ordering::Relaxed);
}

/// Where the direct map is.
pub fn direct_offset() -> u64 {
    OFFSET.load(Ordering::Relaxed)
}

/// A pointer to physical memory through the direct map.
#[inline(always)]
pub fn direct(physical: u64) -> *mut u8 {
    (physical + OFFSET.load(Ordering::Relaxed)) as *mut u8
}
