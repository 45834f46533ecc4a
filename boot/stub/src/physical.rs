//! Physical memory as slices. All that the architecture's `REACH` allows is mapped at its own
//! address, or the MMU is off.

use crate::arch::REACH;
use boot_stub_core::fatal::Fatal;
use core::ops::Range;
use core::ptr::addr_of;
use core::slice;

unsafe extern "C" {
    static __stub_start: u8;
    static __stub_end: u8;
    static __text_start: u8;
    static __text_end: u8;
}

/// The pages of the stub itself.
pub fn stub() -> Range<u64> {
    addr_of!(__stub_start) as u64..addr_of!(__stub_end) as u64
}

/// The pages of its code.
pub fn stub_text() -> Range<u64> {
    addr_of!(__text_start) as u64..addr_of!(__text_end) as u64
}

/// Bytes that someone else has put into memory.
///
/// # Safety
/// 1. Nothing writes to them while the slice lives.
pub unsafe fn bytes(base: u64, length: u64) -> Result<&'static [u8], Fatal> {
    let end = base.checked_add(length).ok_or(Fatal::BadAddress)?;
    if base == 0 || end > REACH.highest {
        return Err(Fatal::BadAddress);
    }
    // SAFETY: not null, mapped (within reach), and unchanged by condition 1.
    Ok(unsafe { slice::from_raw_parts(base as *const u8, length as usize) })
}

/// A fixed number of bytes, copied.
pub fn read<const N: usize>(base: u64) -> Result<[u8; N], Fatal> {
    // SAFETY: the bytes are copied before anything else happens.
    let bytes = unsafe { bytes(base, N as u64)? };
    let mut copy = [0; N];
    copy.copy_from_slice(bytes);
    Ok(copy)
}

/// Memory that was just allocated, as bytes.
///
/// # Safety
/// 1. `base..base + length` was allocated from the memory map, which hands out memory within reach.
/// 2. No other reference to it exists.
pub unsafe fn bytes_mut(base: u64, length: u64) -> &'static mut [u8] {
    // SAFETY: mapped, not null (never the first page) and not aliased, by the two conditions.
    unsafe { slice::from_raw_parts_mut(base as *mut u8, length as usize) }
}

/// Memory that was allocated and initialised, as words.
///
/// # Safety
/// As [`bytes_mut`]; the memory map hands out whole pages, so it is aligned.
pub unsafe fn words_mut(base: u64, length: u64) -> &'static mut [u64] {
    // SAFETY: mapped, aligned and not aliased, by the two conditions.
    unsafe { slice::from_raw_parts_mut(base as *mut u64, (length / 8) as usize) }
}
