//! aarch64: cleaning a cache line, which the kernel lets user mode do (SCTLR_EL1.UCI), and the
//! barrier that waits.

use core::arch::asm;

/// Cleans a cache line to the point of coherency and waits until it is there (Arm ARM DDI
/// 0487, "DC CVAC": complete at a DSB of the same CPU).
///
/// # Safety
/// 1. `address` is mapped readable in this process.
pub unsafe fn write_back(address: usize) {
    // SAFETY: cleaning a mapped line (1) changes no value that a program could see, and DSB
    // only waits. Neither touches registers, flags or the stack.
    unsafe {
        asm!("dc cvac, {line}", "dsb sy", line = in(reg) address, options(nostack, preserves_flags));
    }
}

/// Waits until earlier writes are seen by everybody: the GIC reads commands, tables and
/// properties from memory by itself, and may be in another shareability domain than the CPUs.
pub fn publish() {
    // SAFETY: a barrier. Not `nomem`: the compiler must keep the order, too.
    unsafe {
        asm!("dsb sy", options(nostack, preserves_flags));
    }
}

/// There is no AMD IOMMU beside an Arm CPU, and nothing else that asks for it.
pub fn writes_128() -> bool {
    false
}

/// Never called, because `writes_128()` says no; by halves, the lower one last.
///
/// # Safety
/// 1. 16 bytes at `address`, a multiple of 16, are mapped writable in this process.
pub unsafe fn write_128(address: usize, [low, high]: [u64; 2]) {
    let place = address as *mut u64;
    // SAFETY: the second 8 of 16 mapped bytes (1).
    let upper = unsafe { place.add(1) };
    // SAFETY: mapped and aligned (1).
    unsafe { upper.write_volatile(high) };
    // SAFETY: mapped and aligned (1).
    unsafe { place.write_volatile(low) };
}
