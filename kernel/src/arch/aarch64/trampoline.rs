//! The way to the kernel's own translation regime: for the boot CPU from the loader's, for the
//! others from reset.
//!
//! The registers that say how memory is translated can not be changed one by one under running
//! code. So this code runs at its physical address, where the MMU may be off.

use core::arch::global_asm;
use core::mem::offset_of;

use super::regime;

/// What the code loads, in memory that has been cleaned from the caches: it is read with the
/// MMU off.
#[repr(C, align(64))]
pub struct Switch {
    mair: u64,
    tcr: u64,
    lower_root: u64,
    upper_root: u64,
    /// Of a CPU that has none yet; zero: it stays as it is.
    stack: u64,
    /// Where to go on, in the kernel's half.
    next: u64,
}

/// Bytes of the code, which its alignment keeps within one page.
pub const BYTES: usize = 1024;
/// `HCR_EL2`: EL1 is AArch64; pointer authentication does not trap.
const HCR: u64 = 1 << 31 | 1 << 40 | 1 << 41;

global_asm!(
    r#"
    // All within one page: aligned to more than its length.
    .section .text.trampoline, "ax"
    .balign {bytes}
    .global tocsin_trampoline, tocsin_started, tocsin_return

    // The boot CPU, under the loader's tables. x0: physical address of the switch.
tocsin_trampoline:
    mrs x1, sctlr_el1
    bic x1, x1, #1
    msr sctlr_el1, x1
    isb
    b 3f

    // Another CPU, from firmware, with its MMU off. x0 as above.
tocsin_started:
    msr daifset, #0xf
    mrs x1, currentel
    cmp x1, #(2 << 2)
    b.ne 2f

    // EL2: nothing that EL0 or EL1 does may come here. For the fields, see DDI 0487, D19.
    ldr x1, =({hcr})
    msr hcr_el2, x1
    isb
    ldr x1, =({sctlr_off})
    msr sctlr_el1, x1
    mov x1, #3                          // counter and timer for EL1
    msr cnthctl_el2, x1
    msr cntvoff_el2, xzr
    mov x1, #0x33ff                     // its ones; no traps
    msr cptr_el2, x1
    msr hstr_el2, xzr
    msr vttbr_el2, xzr
    mrs x1, midr_el1
    msr vpidr_el2, x1
    mrs x1, mpidr_el1
    msr vmpidr_el2, x1
    mrs x1, id_aa64dfr0_el1             // all event counters for EL1
    ubfx x1, x1, #8, #4
    sub x2, x1, #1
    cmp x2, #14                         // 0 and 15: there are none to speak of
    mov x2, xzr
    b.hs 4f
    mrs x2, pmcr_el0
    ubfx x2, x2, #11, #5
4:  msr mdcr_el2, x2
    mrs x1, id_aa64mmfr0_el1            // fine-grained traps
    ubfx x1, x1, #56, #4
    cbz x1, 5f
    msr s3_4_c1_c1_4, xzr               // HFGRTR_EL2
    msr s3_4_c1_c1_5, xzr               // HFGWTR_EL2
    msr s3_4_c1_c1_6, xzr               // HFGITR_EL2
    msr s3_4_c3_c1_4, xzr               // HDFGRTR_EL2
    msr s3_4_c3_c1_5, xzr               // HDFGWTR_EL2
5:  mrs x1, id_aa64pfr0_el1             // the GIC's system registers for EL1
    ubfx x1, x1, #24, #4
    cbz x1, 6f
    mrs x1, icc_sre_el2
    orr x1, x1, #1                      // SRE
    orr x1, x1, #8                      // Enable
    msr icc_sre_el2, x1
    isb
    msr ich_hcr_el2, xzr
6:  mov x1, #0x3c5                      // EL1 with its own stack pointer, all masked
    msr spsr_el2, x1
    adr x1, 2f
    msr elr_el2, x1
    eret

    // EL1.
2:  ldr x1, =({sctlr_off})
    msr sctlr_el1, x1
    isb
3:  ldp x1, x2, [x0, {mair}]
    ldp x3, x4, [x0, {lower_root}]
    ldp x5, x6, [x0, {stack}]
    msr mair_el1, x1
    msr tcr_el1, x2
    msr ttbr0_el1, x3
    msr ttbr1_el1, x4
    isb
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    ldr x1, =({sctlr_on})
    msr sctlr_el1, x1
    isb
    cbz x5, 1f
    mov sp, x5
1:  br x6
    .ltorg
    .org tocsin_trampoline + {bytes}    // an error if it is longer

    // The boot CPU is back.
tocsin_return:
    ret
    "#,
    bytes = const BYTES,
    hcr = const HCR,
    sctlr_off = const regime::OFF,
    sctlr_on = const regime::ON,
    mair = const offset_of!(Switch, mair),
    lower_root = const offset_of!(Switch, lower_root),
    stack = const offset_of!(Switch, stack),
);

unsafe extern "C" {
    pub safe static tocsin_trampoline: u8;
    pub safe static tocsin_started: u8;
    safe static tocsin_return: u8;
}

impl Switch {
    pub fn new(lower_root: u64, upper_root: u64, stack: u64, next: u64) -> Self {
        Self { mair: regime::MAIR, tcr: regime::tcr(), lower_root, upper_root, stack, next }
    }

    /// For the boot CPU, which goes on where it is.
    pub fn back(lower_root: u64, upper_root: u64) -> Self {
        Self::new(lower_root, upper_root, 0, &raw const tocsin_return as u64)
    }
}
