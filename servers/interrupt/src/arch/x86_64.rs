//! x86_64: CLFLUSH, which user mode may use (Intel SDM 2A).

use core::arch::asm;

/// Writes a cache line back and waits until it is in memory.
///
/// # Safety
/// 1. `address` is mapped in this process.
pub unsafe fn write_back(address: usize) {
    // SAFETY: CLFLUSH of a mapped line changes no value that a program could see (1), and
    // MFENCE only orders. Neither touches registers, flags or the stack.
    unsafe {
        asm!("clflush [{line}]", "mfence", line = in(reg) address, options(nostack, preserves_flags));
    }
}
