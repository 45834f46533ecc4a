//! aarch64: the cycle counter of the performance monitors.

use core::arch::asm;

/// PMUSERENR_EL0: user mode may read the cycle counter if EN (bit 0) or CR (bit 2) is set;
/// it may read this register itself in any case (Arm ARM DDI 0487, PMUSERENR_EL0).
const READABLE: u64 = 1 << 0 | 1 << 2;

/// Whether the kernel opened the counter to user mode.
pub fn may_count() -> Result<(), &'static str> {
    let enable: u64;
    // SAFETY: reads a register that user mode may read.
    unsafe { asm!("mrs {}, pmuserenr_el0", out(reg) enable, options(nomem, nostack)) };
    match enable & READABLE {
        0 => Err("the cycle counter is closed: boot with `cycle-counter` on the command line"),
        _ => Ok(()),
    }
}

/// The cycle counter.
#[inline(always)]
pub fn counter() -> u64 {
    let cycles: u64;
    // SAFETY: reads a counter. `may_count` said that user mode may; where it may not, this
    // program ends.
    unsafe { asm!("mrs {}, pmccntr_el0", out(reg) cycles, options(nostack, preserves_flags)) };
    cycles
}

/// Executes 98 `nop`, `subs` and `b.ne`, so many times.
#[inline(always)]
pub fn spin(iterations: u64) {
    // SAFETY: counts down a register; no memory, no stack.
    unsafe {
        asm!(
            "2:",
            ".rept 98",
            "nop",
            ".endr",
            "subs {n}, {n}, #1",
            "b.ne 2b",
            n = inout(reg) iterations => _,
            options(nomem, nostack),
        );
    }
}
