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
