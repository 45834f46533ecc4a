//! Free addresses of this process, and mapping something there.

use crate::map::Mapping;
use crate::sys;
use crate::thread::{STACK_RIGHTS, stack_in};
use core::sync::atomic::{AtomicU64, Ordering};
use tocsin_abi::limits::{PAGE_BYTES, STACK_BLOCK_BYTES};
use tocsin_abi::{Error, Handle, Rights};

/// First address for mappings of `Mapping`. Below lie the program, the startup page and
/// the heap.
const FIRST: u64 = 0x10_0000_0000;
/// End of them. Above lies the first thread's stack.
const END: u64 = 0x7e_0000_0000;

/// Next address that was never used. Addresses are not used twice: a pointer into a
/// mapping that is gone faults instead of meeting somebody else's memory, and 440 GiB
/// last for a hundred million pages.
static NEXT: AtomicU64 = AtomicU64::new(FIRST);

/// Takes `size_bytes` of addresses, a multiple of `align_bytes` (a power of two, at least
/// a page), with an unmapped page behind them.
pub(crate) fn reserve(size_bytes: u64, align_bytes: u64) -> Result<u64, Error> {
    let mut chosen = 0;
    let update = |next: u64| {
        chosen = next.next_multiple_of(align_bytes);
        let end = chosen.checked_add(size_bytes)?.checked_next_multiple_of(PAGE_BYTES)?;
        let end = end.checked_add(PAGE_BYTES)?;
        (end <= END).then_some(end)
    };
    match NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update) {
        Ok(_) => Ok(chosen),
        Err(_) => Err(Error::NoMemory),
    }
}

/// Maps a part of a memory object or physical range at a free address.
pub(crate) fn map(object: Handle, offset: u64, size: u64, how: Rights) -> Result<usize, Error> {
    let address = reserve(size, PAGE_BYTES)?;
    sys::memory_map(Handle::NONE, object, address, offset, size, how)?;
    Ok(address as usize)
}

/// Undoes [`map`].
pub(crate) fn unmap(address: usize) {
    // It is gone already where the object's handle was revoked.
    let _ = sys::memory_unmap(Handle::NONE, address as u64);
}

/// Maps a stack at the end of a free stack block; returns its mapping and the block.
pub(crate) fn map_stack(memory: Handle, size: u64) -> Result<(Mapping, usize), Error> {
    let block = reserve(STACK_BLOCK_BYTES, STACK_BLOCK_BYTES)?;
    let address = stack_in(block, size);
    sys::memory_map(Handle::NONE, memory, address, 0, size, STACK_RIGHTS)?;
    Ok((Mapping::adopt(address as usize, size), block as usize))
}
