//! Caches, where somebody looks at memory without them.

use core::arch::asm;

/// Makes memory hold what the caches hold of a range, for who reads it without them: a CPU whose
/// MMU is off, or who has it mapped as a device's.
pub fn write_back(start: *const u8, bytes: usize) {
    // CTR_EL0.DminLine: the smallest line of any cache, in words of 4 (DDI 0487, D19).
    let kind: u64;
    // SAFETY: reading an identification register changes nothing.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) kind, options(nomem, nostack, preserves_flags)) };
    let line = 4usize << (kind >> 16 & 0xf);
    let first = start as usize & !(line - 1);
    for at in (first..start as usize + bytes).step_by(line) {
        // SAFETY: memory keeps its contents; the range is mapped.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}
