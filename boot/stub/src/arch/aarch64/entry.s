// From the entry of a Linux `Image` to Rust code at EL1. Everything here lies in the image's first
// page, runs with the MMU off and is position-independent. Names like s3_4_c12_c9_5 are registers of
// extensions that the assembler is not told about; the comment beside each says which.

    .section .head, "ax"
    .balign 4096
    .global image_header
image_header:
    b entry                     // code0
    nop                         // code1
    .quad {text_offset}
    .quad __image_size
    .quad {flags}
    .quad 0, 0, 0               // reserved
    .long {magic}
    .long 0                     // no PE header

// --- x0: device tree; EL2 or EL1, MMU off, or on with the image at its physical address.
entry:
    msr daifset, #0xf
    mov x19, x0
    adrp x20, __stub_start
    adrp x21, __stub_end
    mov x22, #0                 // nonzero: entered at EL2

    // The firmware has written the image, perhaps through a cache, and what follows writes past the
    // caches: write back what is in them and let nothing stay that could be written back later.
    mov x0, x20
    mov x1, x21
    bl clean_and_invalidate

    mrs x0, CurrentEL
    cmp x0, #(2 << 2)
    b.eq at_el2
    cmp x0, #(1 << 2)
    b.eq at_el1
    // EL3: nobody can have meant that, and there is no console yet. A debugger or QEMU may listen to
    // semihosting (SYS_WRITE0, SYS_EXIT_EXTENDED).
    mov x0, #0x04
    adr x1, at_el3
    hlt #0xf000
    mov x0, #0x20
    adr x1, at_el3_exit
    hlt #0xf000
1:  wfi
    b 1b
at_el3:
    .asciz "tocsin: fatal: entered at EL3; the firmware must start the stub at EL2 or EL1\r\n"
    .balign 8
at_el3_exit:
    .quad 0x20026, 35

// --- EL2 is left for good. Every register that could trap EL1 or translate its addresses gets a
// value, since all of them are unknown after reset.
at_el2:
    ldr x0, ={sctlr_el2_off}
    msr sctlr_el2, x0
    isb
    tlbi alle2
    ic iallu
    dsb sy
    isb

    // EL1 runs in AArch64 state (RW, bit 31) and may use pointer authentication (APK and API, bits
    // 40 and 41); no second stage, nothing routed to EL2. Bit 34 (E2H) cannot be cleared on some
    // processors; then registers of EL2 have the layout of EL1's, and EL1's have other names.
    mov x0, #(1 << 31)
    orr x0, x0, #(3 << 40)
    msr hcr_el2, x0
    isb
    mrs x23, hcr_el2
    ubfx x23, x23, #34, #1

    ldr x0, ={sctlr_off}
    cbnz x23, 1f
    msr sctlr_el1, x0
    mov x0, #3                  // EL1PCTEN, EL1PCEN: counter and timer of EL1
    mov x1, #0x33ff             // CPTR_EL2: no floating-point trap; bits that are reserved as one
    mrs x2, id_aa64pfr0_el1
    ubfx x2, x2, #32, #4        // SVE: bit 8 (TZ) would trap it
    cbz x2, 2f
    bic x1, x1, #(1 << 8)
2:  mrs x2, id_aa64pfr1_el1
    ubfx x2, x2, #24, #4        // SME: bit 12 (TSM) would trap it
    cbz x2, 3f
    bic x1, x1, #(1 << 12)
    b 3f
1:  msr s3_5_c1_c0_0, x0        // SCTLR_EL12
    mov x0, #(3 << 10)          // EL1PCTEN, EL1PTEN
    mov x1, #(3 << 20)          // FPEN
    orr x1, x1, #(3 << 16)      // ZEN
    orr x1, x1, #(3 << 24)      // SMEN
3:  msr cnthctl_el2, x0
    msr cptr_el2, x1
    msr cntvoff_el2, xzr
    msr hstr_el2, xzr
    msr vttbr_el2, xzr
    mrs x0, midr_el1
    msr vpidr_el2, x0
    mrs x0, mpidr_el1
    msr vmpidr_el2, x0

    // All event counters for EL1 (HPMN), where there is a counter unit.
    mov x1, #0
    mrs x0, id_aa64dfr0_el1
    ubfx x0, x0, #8, #4         // PMUVer: 0 is none, 15 is one of another kind
    cbz x0, 4f
    cmp x0, #15
    b.eq 4f
    mrs x0, pmcr_el0
    ubfx x1, x0, #11, #5        // N
4:  msr mdcr_el2, x1

    // Fine-grained traps.
    mrs x0, id_aa64mmfr0_el1
    ubfx x0, x0, #56, #4        // FGT
    cbz x0, 5f
    msr s3_4_c1_c1_4, xzr       // HFGRTR_EL2
    msr s3_4_c1_c1_5, xzr       // HFGWTR_EL2
    msr s3_4_c1_c1_6, xzr       // HFGITR_EL2
    msr s3_4_c3_c1_4, xzr       // HDFGRTR_EL2
    msr s3_4_c3_c1_5, xzr       // HDFGWTR_EL2
    mrs x0, id_aa64pfr0_el1
    ubfx x0, x0, #44, #4        // AMU
    cbz x0, 5f
    msr s3_4_c3_c1_6, xzr       // HAFGRTR_EL2
5:  mrs x0, id_aa64mmfr1_el1
    ubfx x0, x0, #40, #4        // HCX
    cbz x0, 6f
    msr s3_4_c1_c2_2, xzr       // HCRX_EL2
6:
    // GICv3 and newer: EL1 may use the system registers (SRE, Enable), and the virtual interface,
    // which would take their place, is off.
    mrs x0, id_aa64pfr0_el1
    ubfx x0, x0, #24, #4        // GIC
    cbz x0, 7f
    mrs x0, s3_4_c12_c9_5       // ICC_SRE_EL2
    orr x0, x0, #(1 << 0)
    orr x0, x0, #(1 << 3)
    msr s3_4_c12_c9_5, x0
    isb
    mrs x0, s3_4_c12_c9_5
    tbz x0, #0, 7f              // EL3 does not allow it; the kernel says so
    msr s3_4_c12_c11_0, xzr     // ICH_HCR_EL2
7:
    adr x0, el2_vectors
    msr vbar_el2, x0
    mov x22, #1
    mov x0, #{spsr_stub}
    msr spsr_el2, x0
    adr x0, at_el1
    msr elr_el2, x0
    eret

// --- EL1
at_el1:
    ldr x0, ={sctlr_off}
    msr sctlr_el1, x0
    isb
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    msr spsel, #1
    msr mdscr_el1, xzr          // no debug exceptions

    // Relocations: pairs of words and addend; R_AARCH64_RELATIVE (1027) is the only kind there is.
    adrp x0, __relocations_start
    add x0, x0, :lo12:__relocations_start
    adrp x1, __relocations_end
    add x1, x1, :lo12:__relocations_end
1:  cmp x0, x1
    b.hs 3f
    ldp x2, x3, [x0]
    ldr x4, [x0, #16]
    add x0, x0, #24
    cmp x3, #1027
2:  b.ne 2b
    add x4, x4, x20
    str x4, [x20, x2]
    b 1b

3:  adrp x0, __bss_start
    add x0, x0, :lo12:__bss_start
    adrp x1, __bss_end
    add x1, x1, :lo12:__bss_end
4:  cmp x0, x1
    b.hs 5f
    stp xzr, xzr, [x0], #16
    b 4b

5:  adrp x0, vectors
    add x0, x0, :lo12:vectors
    msr vbar_el1, x0
    isb
    adrp x0, stub_stack_top
    add x0, x0, :lo12:stub_stack_top
    mov sp, x0
    mov x29, #0
    mov x30, #0
    mov x0, x19
    mov x1, x22
    bl stub_main
    b .

// --- clean_and_invalidate(start: x0, end: x1): data caches, down to what an observer without caches
// sees. Uses x2 to x4.
    .global clean_and_invalidate
clean_and_invalidate:
    mrs x2, ctr_el0
    ubfx x2, x2, #16, #4        // DminLine: words of 4 bytes, as a power of two
    mov x3, #4
    lsl x3, x3, x2
    sub x4, x3, #1
    bic x0, x0, x4
1:  cmp x0, x1
    b.hs 2f
    dc civac, x0
    add x0, x0, x3
    b 1b
2:  dsb sy
    ret

    .ltorg

// --- What stays at EL2: nothing of EL1 is trapped, so only `hvc` comes here. It gets the answer of
// PSCI and of SMCCC for a function that does not exist. The page is never given away.
    .balign 2048
el2_vectors:
    .rept 8
    .balign 128
    b .
    .endr
    .balign 128                 // synchronous, from a lower level in AArch64 state
    msr tpidr_el2, x0
    mrs x0, esr_el2
    lsr x0, x0, #26
    cmp x0, #0x16               // the class of `hvc`
1:  b.ne 1b
    mov x0, #-1
    eret
    .rept 7
    .balign 128
    b .
    .endr

    .section .bss.stack, "aw", @nobits
    .balign 16
    .skip 0x40000
stub_stack_top:
