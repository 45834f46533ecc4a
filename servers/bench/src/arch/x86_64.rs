//! x86_64: the time-stamp counter.

use core::arch::asm;

/// User mode may always read it here: the kernel does not set CR4.TSD (Intel SDM 2B, RDTSC).
pub fn may_count() -> Result<(), &'static str> {
    Ok(())
}

/// The time-stamp counter.
#[inline(always)]
pub fn counter() -> u64 {
    // SAFETY: reads a counter that user mode may read.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Executes 98 `nop`, `dec` and `jnz`, so many times.
#[inline(always)]
pub fn spin(iterations: u64) {
    // SAFETY: counts down a register; no memory, no stack.
    unsafe {
        asm!(
            "2:",
            ".rept 98",
            "nop",
            ".endr",
            "dec {n}",
            "jnz 2b",
            n = inout(reg) iterations => _,
            options(nomem, nostack),
        );
    }
}
