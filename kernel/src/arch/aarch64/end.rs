//! The end of the machine.

use core::arch::{asm, global_asm};

use aarch64_cpu::registers::{VBAR_EL1, Writeable};

use super::psci;

/// Semihosting operation SYS_EXIT_EXTENDED, and its reason ADP_Stopped_ApplicationExit (Arm,
/// Semihosting for AArch32 and AArch64).
const EXIT_EXTENDED: u64 = 0x20;
const APPLICATION_EXIT: u64 = 0x2_0026;
/// What QEMU's status is, the same as on x86_64.
const SUCCESS: u64 = 33;
const FAILURE: u64 = 35;

// Where no debugger listens, HLT is an undefined instruction (DDI 0487, C6.2): exceptions
// from the current level, with either stack pointer, go on behind it.
global_asm!(
    r#"
    .section .text.end, "ax"
    .balign 2048
tocsin_skip_vectors:
    .rept 16
    .balign 128
    mrs x2, elr_el1
    add x2, x2, #4
    msr elr_el1, x2
    eret
    .endr
    "#
);

unsafe extern "C" {
    safe static tocsin_skip_vectors: u8;
}

/// Ends QEMU by semihosting, else powers off by PSCI, else stops this CPU for good.
pub fn end(success: bool) -> ! {
    // SAFETY: masks every interrupt; nothing is waited for any more.
    unsafe { asm!("msr daifset, #0xf", options(nomem, nostack)) };
    VBAR_EL1.set(&raw const tocsin_skip_vectors as u64);
    let block = [APPLICATION_EXIT, if success { SUCCESS } else { FAILURE }];
    // SAFETY: 1. the call reads two words at the block. 2. where nobody takes it, the vectors
    // above step over it, and use x2.
    unsafe {
        asm!("isb", "hlt #0xf000", inout("x0") EXIT_EXTENDED => _, in("x1") &raw const block,
            out("x2") _, options(nostack));
    }
    psci::system_off();
    loop {
        // SAFETY: stops this CPU; interrupts, all masked, only make it look again.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}
