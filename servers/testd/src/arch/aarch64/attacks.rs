//! Attacks with A64 instructions. Exception classes (Arm ARM DDI 0487, ESR_EL1): 0x00 unknown
//! (undefined at this level), 0x01 trapped WFI or WFE, 0x07 trapped floating point, 0x18
//! trapped system register or instruction, 0x20 instruction abort, 0x22 misaligned program
//! counter, 0x24 data abort, 0x26 misaligned stack pointer, 0x3c BRK.

use core::arch::asm;

use super::{DATA_FAULT, DISTRIBUTOR, FETCH_FAULT, RETURN, counter, jump, load, store};
use crate::arch::{Attack, Fate};

const UNDEFINED: Fate = Fate::Fault(0x00);
const FLOATING: Fate = Fate::Fault(0x07);
const TRAPPED: Fate = Fate::Fault(0x18);
const FETCH: Fate = Fate::Fault(FETCH_FAULT);
const DATA: Fate = Fate::Fault(DATA_FAULT);

/// First byte of the kernel's image.
const KERNEL_IMAGE: u64 = 0xffff_ffff_8000_0000;
/// First byte of the loaders' direct map of physical memory (and of ours, or nothing).
const DIRECT_MAP: u64 = 0xffff_0000_0000_0000;
/// First address of the hole between what TTBR0_EL1 and TTBR1_EL1 translate.
const HOLE: u64 = 0x0001_0000_0000_0000;
/// Runs instructions that touch no memory of ours; whether they fault is the question.
macro_rules! instructions {
    ($($text:literal),*) => {
        // SAFETY: either the first instruction that is not allowed faults and the process
        // ends, or the sequence does not change anything of ours: nothing lives in the
        // clobbers.
        || unsafe { asm!($($text,)* clobber_abi("C")) }
    };
}

/// Attacks that end in an exception, and attacks that must do no good. Registers of a higher
/// level are undefined here, those that EL1 can open to user mode are trapped.
#[rustfmt::skip]
pub const ATTACKS: &[Attack] = &[
    Attack { name: "read_null", fate: DATA, run: || { load(0); } },
    Attack { name: "write_null", fate: DATA, run: || store(8, 1) },
    Attack { name: "jump_to_null", fate: FETCH, run: || jump(0) },
    Attack { name: "read_kernel_image", fate: DATA, run: || { load(KERNEL_IMAGE); } },
    Attack { name: "write_kernel_image", fate: DATA, run: || store(KERNEL_IMAGE + 0x10_0000, 0) },
    Attack { name: "jump_to_kernel_image", fate: FETCH, run: || jump(KERNEL_IMAGE) },
    Attack { name: "read_direct_map", fate: DATA, run: || { load(DIRECT_MAP); } },
    Attack { name: "write_direct_map", fate: DATA, run: || store(DIRECT_MAP + 0x4010_0000, 0) },
    Attack { name: "read_top_of_memory", fate: DATA, run: || { load(u64::MAX - 7); } },
    Attack { name: "read_between_the_halves", fate: DATA, run: || { load(HOLE); } },
    Attack { name: "write_between_the_halves", fate: DATA, run: || store(0x8000_dead_beef_0000, 0) },
    Attack { name: "jump_between_the_halves", fate: FETCH, run: || jump(HOLE) },
    Attack { name: "jump_misaligned", fate: Fate::Fault(0x22), run: || jump(counter as *const () as u64 + 2) },
    Attack { name: "read_with_a_tag", fate: DATA, run: || { load(1 << 56 | counter as *const () as u64); } },
    Attack { name: "read_distributor", fate: DATA, run: || { load(DISTRIBUTOR); } },
    Attack { name: "write_own_code", fate: DATA, run: || store(counter as *const () as u64, 0) },
    Attack { name: "execute_stack", fate: FETCH, run: execute_stack },
    Attack { name: "overflow_stack", fate: DATA, run: || { overflow_stack(0); } },
    // QEMU does not check the stack pointer's alignment.
    Attack { name: "misaligned_stack", fate: Fate::MayFault(0x26), run: instructions!("mov x9, sp", "sub x10, x9, #8", "mov sp, x10", "ldr x11, [sp]", "mov sp, x9") },
    // Across a multiple of 16: inside of one, CPUs with FEAT_LSE2 allow it.
    Attack { name: "exclusive_misaligned", fate: DATA, run: instructions!("mov x9, sp", "and x9, x9, #-16", "sub x9, x9, #4", "ldxr x10, [x9]") },
    Attack { name: "mask_interrupts", fate: TRAPPED, run: instructions!("msr daifset, #15") },
    Attack { name: "unmask_interrupts", fate: TRAPPED, run: instructions!("msr daifclr, #15") },
    Attack { name: "read_daif", fate: TRAPPED, run: instructions!("mrs x0, daif") },
    Attack { name: "select_kernel_stack", fate: UNDEFINED, run: instructions!("msr spsel, #1") },
    Attack { name: "read_sp_el0", fate: UNDEFINED, run: instructions!("mrs x0, sp_el0") },
    Attack { name: "read_current_el", fate: UNDEFINED, run: instructions!("mrs x0, currentel") },
    Attack { name: "write_elr", fate: UNDEFINED, run: instructions!("msr elr_el1, xzr") },
    Attack { name: "write_spsr", fate: UNDEFINED, run: instructions!("msr spsr_el1, xzr") },
    Attack { name: "eret", fate: UNDEFINED, run: instructions!("eret") },
    Attack { name: "drps", fate: UNDEFINED, run: instructions!("drps") },
    Attack { name: "read_sctlr", fate: UNDEFINED, run: instructions!("mrs x0, sctlr_el1") },
    Attack { name: "write_sctlr", fate: UNDEFINED, run: instructions!("msr sctlr_el1, xzr") },
    Attack { name: "write_ttbr0", fate: UNDEFINED, run: instructions!("msr ttbr0_el1, xzr") },
    Attack { name: "write_ttbr1", fate: UNDEFINED, run: instructions!("msr ttbr1_el1, xzr") },
    Attack { name: "write_tcr", fate: UNDEFINED, run: instructions!("msr tcr_el1, xzr") },
    Attack { name: "write_vbar", fate: UNDEFINED, run: instructions!("msr vbar_el1, xzr") },
    Attack { name: "read_esr", fate: UNDEFINED, run: instructions!("mrs x0, esr_el1") },
    Attack { name: "read_tpidr_el1", fate: UNDEFINED, run: instructions!("mrs x0, tpidr_el1") },
    Attack { name: "write_tpidrro", fate: UNDEFINED, run: instructions!("msr tpidrro_el0, xzr") },
    Attack { name: "read_tpidr_el2", fate: UNDEFINED, run: instructions!("mrs x0, tpidr_el2") },
    Attack { name: "read_mpidr", fate: Fate::AnyFault, run: instructions!("mrs x0, mpidr_el1") },
    Attack { name: "read_id_register", fate: Fate::AnyFault, run: instructions!("mrs x0, id_aa64mmfr0_el1") },
    Attack { name: "write_cpacr", fate: UNDEFINED, run: instructions!("mov x0, #0x300000", "msr cpacr_el1, x0") },
    Attack { name: "translate_as_kernel", fate: UNDEFINED, run: instructions!("at s1e1r, xzr") },
    Attack { name: "tlbi_all", fate: UNDEFINED, run: instructions!("tlbi vmalle1is") },
    Attack { name: "tlbi_address", fate: UNDEFINED, run: instructions!("tlbi vae1is, xzr") },
    Attack { name: "invalidate_instructions", fate: UNDEFINED, run: instructions!("ic iallu") },
    Attack { name: "invalidate_data", fate: UNDEFINED, run: instructions!("mov x0, sp", "dc ivac, x0") },
    Attack { name: "clean_by_set", fate: UNDEFINED, run: instructions!("dc csw, xzr") },
    Attack { name: "wait_for_interrupt", fate: Fate::Fault(0x01), run: instructions!("wfi") },
    Attack { name: "hypervisor_call", fate: UNDEFINED, run: instructions!("mov w0, #0x84000000", "movk w0, #8", "hvc #0") },
    Attack { name: "secure_monitor_call", fate: UNDEFINED, run: instructions!("mov w0, #0x84000000", "movk w0, #8", "smc #0") },
    Attack { name: "breakpoint", fate: Fate::Fault(0x3c), run: instructions!("brk #1") },
    // SYS_EXIT, as the kernel itself ends the machine where a debugger or QEMU listens.
    Attack { name: "semihosting_exit", fate: UNDEFINED, run: instructions!("mov w0, #0x18", "mov x1, #0x26", "movk x1, #2, lsl #16", "hlt #0xf000") },
    Attack { name: "halt", fate: UNDEFINED, run: instructions!("hlt #1") },
    Attack { name: "undefined", fate: UNDEFINED, run: instructions!("udf #0") },
    // `fmov d0, xzr`, `ldr q0, [sp]` and `rdvl x0, #1`, which this target's assembler does not know.
    Attack { name: "floating_point", fate: FLOATING, run: instructions!(".inst 0x9e6703e0") },
    Attack { name: "simd_load", fate: FLOATING, run: instructions!(".inst 0x3dc003e0") },
    Attack { name: "scalable_vectors", fate: Fate::AnyFault, run: instructions!(".inst 0x04bf5020") },
    Attack { name: "write_fpcr", fate: FLOATING, run: instructions!("msr s3_3_c4_c4_0, xzr") },
    Attack { name: "write_timer_control", fate: TRAPPED, run: instructions!("msr cntv_ctl_el0, xzr") },
    Attack { name: "write_timer_deadline", fate: TRAPPED, run: instructions!("msr cntv_cval_el0, xzr") },
    Attack { name: "read_timer", fate: TRAPPED, run: instructions!("mrs x0, cntv_tval_el0") },
    Attack { name: "write_physical_timer", fate: TRAPPED, run: instructions!("msr cntp_ctl_el0, xzr") },
    Attack { name: "write_timer_authority", fate: UNDEFINED, run: instructions!("mov x0, #0x303", "msr cntkctl_el1, x0") },
    Attack { name: "acknowledge_interrupt", fate: UNDEFINED, run: instructions!("mrs x0, icc_iar1_el1") },
    Attack { name: "end_of_interrupt", fate: UNDEFINED, run: instructions!("msr icc_eoir1_el1, xzr") },
    Attack { name: "deactivate_interrupt", fate: UNDEFINED, run: instructions!("mov x0, #32", "msr icc_dir_el1, x0") },
    Attack { name: "software_interrupt", fate: UNDEFINED, run: instructions!("mov x0, #1", "movk x0, #0x100, lsl #16", "msr icc_sgi1r_el1, x0") },
    Attack { name: "mask_by_priority", fate: UNDEFINED, run: instructions!("msr icc_pmr_el1, xzr") },
    Attack { name: "write_debug_control", fate: UNDEFINED, run: instructions!("mov x0, #1", "msr mdscr_el1, x0") },
    Attack { name: "write_breakpoint", fate: UNDEFINED, run: instructions!("msr dbgbcr0_el1, xzr") },
    Attack { name: "write_watchpoint", fate: UNDEFINED, run: instructions!("msr dbgwvr0_el1, xzr") },
    // QEMU's debug channel has no trap.
    Attack { name: "read_debug_channel", fate: Fate::MayFault(0x18), run: instructions!("mrs x0, mdccsr_el0") },
    Attack { name: "unlock_debug", fate: UNDEFINED, run: instructions!("msr oslar_el1, xzr") },
    Attack { name: "write_monitor_control", fate: TRAPPED, run: instructions!("msr pmcr_el0, xzr") },
    Attack { name: "read_cycles", fate: TRAPPED, run: instructions!("mrs x0, pmccntr_el0") },
    Attack { name: "open_monitors", fate: Fate::AnyFault, run: instructions!("mov x0, #15", "msr pmuserenr_el0, x0") },
    Attack { name: "syscall_kernel_stack", fate: Fate::Survives, run: || syscall_with_stack(KERNEL_IMAGE + 0x1000) },
    Attack { name: "syscall_null_stack", fate: Fate::Survives, run: || syscall_with_stack(0) },
    Attack { name: "syscall_stack_between_the_halves", fate: Fate::Survives, run: || syscall_with_stack(HOLE + 8) },
    Attack { name: "syscall_odd_stack", fate: Fate::Survives, run: || syscall_with_stack(u64::MAX) },
    Attack { name: "syscall_with_exclusive_monitor", fate: Fate::Survives, run: syscall_with_exclusive_monitor },
    Attack { name: "syscall_unaligned_words", fate: Fate::Survives, run: unaligned },
    Attack { name: "syscall_result_registers", fate: Fate::Survives, run: syscall_leaves_nothing },
    Attack { name: "thread_pointer", fate: Fate::Survives, run: thread_pointer },
];

/// Makes system calls with a stack pointer that nobody may follow, first one that returns
/// at once and then one that gives up the CPU, so that it is saved and restored too.
fn syscall_with_stack(stack: u64) {
    // SAFETY: the old stack pointer is kept in a register that calls preserve and is put
    // back before anything uses the stack; interrupts of user code do not use it.
    unsafe {
        asm!(
            "mov x20, sp",
            "mov sp, {stack}",
            "mov x8, #0",
            "svc #0",
            "mov x8, #1",
            "svc #0",
            "mov sp, x20",
            stack = in(reg) stack,
            out("x20") _,
            clobber_abi("C"),
        );
    }
}

/// A reservation of an address does not outlive a turn in the kernel: whatever ran there
/// may have written to it.
fn syscall_with_exclusive_monitor() {
    let word = core::cell::UnsafeCell::new(0u64);
    let failed: u64;
    // SAFETY: reads and writes a word that is ours, and yields in between.
    unsafe {
        asm!(
            "ldxr x0, [x20]",
            "mov x8, #1",
            "svc #0",
            "stxr w21, xzr, [x20]",
            in("x20") word.get(),
            out("x21") failed,
            clobber_abi("C"),
        );
    }
    assert!(failed == 1, "a reservation survived a system call");
}

/// What a call destroys has no value of the kernel's, of which every address has ones on top.
fn syscall_leaves_nothing() {
    for call in [0u64, 1] {
        let mut found = [u64::MAX; 12];
        // SAFETY: makes a call, and stores twelve registers to an array of twelve.
        unsafe {
            asm!(
                "svc #0",
                "stp x6, x7, [x20]",
                "stp x9, x10, [x20, #16]",
                "stp x11, x12, [x20, #32]",
                "stp x13, x14, [x20, #48]",
                "stp x15, x16, [x20, #64]",
                "stp x17, x18, [x20, #80]",
                in("x20") found.as_mut_ptr(),
                in("x8") call,
                clobber_abi("C"),
            );
        }
        assert!(found.iter().all(|value| value >> 48 == 0), "a value of the kernel's");
    }
}

/// The thread pointer is a thread's own: zero at first, whoever ran before, and kept.
fn thread_pointer() {
    let (first, kept): (u64, u64);
    // SAFETY: nothing in this program uses the register; yields in between.
    unsafe {
        asm!(
            "mrs x20, tpidr_el0",
            "mov x21, #0x1234",
            "msr tpidr_el0, x21",
            "mov x8, #1",
            "svc #0",
            "mrs x21, tpidr_el0",
            out("x20") first,
            out("x21") kept,
            clobber_abi("C"),
        );
    }
    assert!(first == 0 && kept == 0x1234, "another thread's value");
}

/// Unaligned words in ordinary memory are no fault.
fn unaligned() {
    let mut words = core::hint::black_box([0x0102_0304_0506_0708u64; 4]);
    let address = words.as_mut_ptr().expose_provenance() as u64;
    assert!(load(address + 1) == 0x0801_0203_0405_0607, "an unaligned word");
}

/// Puts a `ret` on the stack and calls it.
fn execute_stack() {
    let code = [RETURN; 2];
    jump(core::hint::black_box(&code).as_ptr() as u64);
}

/// Eats stack until the guard page ends it.
fn overflow_stack(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 64]);
    if depth > 1 << 30 {
        return room[0];
    }
    overflow_stack(depth + 1) + room[(depth % 64) as usize]
}
