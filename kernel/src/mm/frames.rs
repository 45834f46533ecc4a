//! Frames, from `buddy_system_allocator`.
//!
//! Its heap keeps the free lists inside the free blocks, under the direct map, so it
//! needs no memory of its own. It has no lock: frames are only taken and given back in
//! an exclusive context or during boot.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::NonNull;

use buddy_system_allocator::Heap;
use tocsin_abi::limits::PAGE_BYTES;

use super::{direct, direct_offset};

/// Blocks of up to 2^(ORDERS - 1) bytes.
const ORDERS: usize = 40;

struct Frames(UnsafeCell<Heap<ORDERS>>);

// SAFETY: `with` is only called while one CPU has the kernel to itself.
unsafe impl Sync for Frames {}

static FRAMES: Frames = Frames(UnsafeCell::new(Heap::new()));

fn with<R>(action: impl FnOnce(&mut Heap<ORDERS>) -> R) -> R {
    // SAFETY: 1. one CPU has the kernel to itself, see above. 2. `action` does not call
    // back into this module.
    action(unsafe { &mut *FRAMES.0.get() })
}

fn layout(bytes: u64) -> Layout {
    let bytes = bytes as usize;
    Layout::from_size_align(bytes, bytes.next_power_of_two()).expect("a block of frames")
}

/// Hands over free RAM.
pub fn add_free(address: u64, bytes: u64) {
    let start = direct(address) as usize;
    // SAFETY: `boot` hands over each usable range of the memory map once, under the
    // direct map, and nothing else uses it.
    with(|heap| unsafe { heap.add_to_heap(start, start + bytes as usize) });
}

/// A zeroed block of `pages`, a power of two.
pub fn alloc_block(pages: u64) -> Option<u64> {
    let bytes = pages * PAGE_BYTES;
    let block = with(|heap| heap.alloc(layout(bytes))).ok()?;
    // SAFETY: the block is ours and `bytes` long.
    unsafe { block.as_ptr().write_bytes(0, bytes as usize) };
    Some(block.as_ptr() as u64 - direct_offset())
}

/// Gives back a block.
pub fn free_block(address: u64, pages: u64) {
    let pointer = NonNull::new(direct(address)).expect("not null");
    // SAFETY: the block came from `alloc_block` with the same size and is not in use.
    with(|heap| unsafe { heap.dealloc(pointer, layout(pages * PAGE_BYTES)) });
}

/// A zeroed frame.
pub fn alloc_frame() -> Option<u64> {
    alloc_block(1)
}

/// Gives back a frame.
pub fn free_frame(address: u64) {
    free_block(address, 1);
}

/// Memory that the kernel keeps for good.
pub fn alloc_boot(bytes: u64) -> Option<u64> {
    alloc_block(bytes.div_ceil(PAGE_BYTES).next_power_of_two())
}

/// Bytes of free frames.
pub fn free_bytes() -> u64 {
    with(|heap| (heap.stats_total_bytes() - heap.stats_alloc_actual()) as u64)
}
