// What the stub needs of the processor after the entry: its exception vectors, the switches of the
// MMU, and the instructions by which it ends.

    .text
// --- Vectors of EL1. They stay in place until the kernel loads its own. All that arrives ends in
// Rust and does not return, except for the probes below.
    .balign 2048
    .global vectors
vectors:
    .rept 4                     // from EL1 with the stack pointer of EL0: the kernel
    .balign 128
    b exception
    .endr
    .balign 128                 // synchronous, from EL1 with its own stack pointer: the stub
    b synchronous
    .rept 11
    .balign 128
    b exception
    .endr
    .balign 128

// An instruction that nobody answers is undefined (class 0): the probe goes on behind it. No stack
// is used before it is known to be good.
synchronous:
    msr tpidr_el1, x0
    msr tpidr_el0, x1
    mrs x0, esr_el1
    lsr x0, x0, #26
    cbnz x0, exception
    mrs x0, elr_el1
    adr x1, probes
    cmp x0, x1
    b.lo exception
    adr x1, probes_end
    cmp x0, x1
    b.hs exception
    add x0, x0, #4
    msr elr_el1, x0
    mrs x1, tpidr_el0
    mrs x0, tpidr_el1
    eret

exception:
    adrp x0, stub_stack_top
    add x0, x0, :lo12:stub_stack_top
    mov sp, x0
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    mov x29, #0
    bl stub_exception
    b .

// --- probes: each takes what its listener wants in x0 and up, and returns whatever comes back.
probes:
    .global probe_semihosting
probe_semihosting:              // operation: x0, argument: x1
    hlt #0xf000
    ret
    .global probe_hvc
probe_hvc:                      // function: x0
    hvc #0
    ret
    .global probe_smc
probe_smc:
    smc #0
    ret
probes_end:

// --- mmu_on(MAIR: x0, TCR: x1, TTBR0: x2, SCTLR: x3): the stub's own tables. The code lies at the
// same address in them.
    .global mmu_on
mmu_on:
    dsb sy
    msr mair_el1, x0
    msr tcr_el1, x1
    msr ttbr0_el1, x2
    isb
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    msr sctlr_el1, x3
    isb
    ret

// --- handoff(TTBR0: x0, TTBR1: x1, TCR: x2, direct map: x3, stack: x4, entry: x5): the state of the
// Limine protocol, "Machine state at entry, aarch64".
    .global handoff
handoff:
    dsb sy
    msr ttbr1_el1, x1
    msr tcr_el1, x2             // the upper half is on from here
    isb
    tlbi vmalle1
    dsb nsh
    isb
    // The new lower half maps the stub in pages of another size than the old one. It must be off
    // between them (Arm ARM, D8.16, "break-before-make"), so this goes on in the direct map.
    adr x6, 1f
    add x6, x6, x3
    br x6
1:  orr x6, x2, #{no_lower_half}
    msr tcr_el1, x6
    isb
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    msr ttbr0_el1, x0
    isb
    msr tcr_el1, x2
    isb

    msr sp_el0, x4
    msr elr_el1, x5
    mov x0, #{spsr_kernel}
    msr spsr_el1, x0
    msr tpidr_el1, xzr
    msr tpidr_el0, xzr
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    mov x\number, xzr
    .endr
    eret
