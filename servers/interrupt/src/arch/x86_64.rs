//! x86_64: CLFLUSH, which user mode may use (Intel SDM 2A). Stores are seen in program order
//! (Intel SDM 3A §9.2.2), so nothing but the compiler has to be told of it.

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

/// Orders earlier writes before later ones.
pub fn publish() {
    libsys::map::ordering();
}
