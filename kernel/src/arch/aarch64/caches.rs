//! Caches, where somebody looks at memory without them.

use core::arch::asm;

/// Makes memory hold what the caches hold of a range, for who reads it without them: a CPU whose
/// MMU is off, or who has it mapped as a device's.
pub fn write_back(start: *const u8, bytes: usize) {
    for at in lines(start, bytes) {
        // SAFETY: memory keeps its contents; the range is mapped.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}

/// Makes all CPUs execute what a range holds. Instruction caches can know it by other addresses
/// than this one, so they forget everything (DDI 0487, D7.5).
pub fn publish_code(start: *const u8, bytes: usize) {
    for at in lines(start, bytes) {
        // SAFETY: memory keeps its contents; the range is mapped.
        unsafe { asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers, and instructions are fetched anew from memory.
    unsafe { asm!("dsb ish", "ic ialluis", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// Addresses of a range's cache lines.
fn lines(start: *const u8, bytes: usize) -> impl Iterator<Item = usize> {
    // CTR_EL0.DminLine: the smallest line of any cache, in words of 4 (DDI 0487, D19).
    let kind: u64;
    // SAFETY: reading an identification register changes nothing.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) kind, options(nomem, nostack, preserves_flags)) };
    let line = 4usize << (kind >> 16 & 0xf);
    let first = start as usize & !(line - 1);
    (first..start as usize + bytes).step_by(line)
}
