//! Ways into the kernel and out of it.
//!
//! While user code runs, the kernel's stack pointer is the address of the current thread's
//! frame, so an entry stores registers without having to find a place or a free register
//! first. Then every entry starts from the top of this CPU's kernel stack, because the kernel
//! never sleeps and entries do not nest: in the kernel all interrupts are masked, the idle
//! loop included, which asks for them instead. What arrives from the kernel itself is a bug.
//! Nothing returns to an entry: the way out is `enter`.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicBool, Ordering};

use aarch64_cpu::registers::{ELR_EL1, ESR_EL1, FAR_EL1, Readable, VBAR_EL1, Writeable};

use super::exceptions::{CALL, CLASS_SHIFT};
use super::frame::{ERROR, Frame, PC, SP};
use super::percpu::STACK_BYTES;

global_asm!(
    r#"
    .section .text.entry, "ax"

    // Other object files of the kernel use them.
    .global tocsin_vectors
    .global tocsin_leave

    // The vectors, of 32 instructions each (DDI 0487, D1.3.1).
    .macro tocsin_unexpected number
    .balign 128
    mov x0, \number
    b tocsin_from_kernel
    .endm

    // Stores what no entry can do without. x10 to x13 are free.
    .macro tocsin_store_state
    mrs x10, elr_el1
    mrs x11, spsr_el1
    mrs x12, sp_el0
    mrs x13, tpidr_el0
    stp x10, x11, [sp, {pc}]
    stp x12, x13, [sp, {sp}]
    .endm

    .balign 2048
tocsin_vectors:
    // From the kernel, whichever stack pointer it uses.
    .altmacro
    .set n, 0
    .rept 8
    tocsin_unexpected %n
    .set n, n + 1
    .endr

    // From user mode: svc, or an exception. The caller of svc expects x19 to x30 back;
    // arguments stay in registers. An exception ends the process, so the registers that
    // finding out destroys are not missed.
    .balign 128
    stp x19, x20, [sp, 8 * 19]
    stp x21, x22, [sp, 8 * 21]
    stp x23, x24, [sp, 8 * 23]
    stp x25, x26, [sp, 8 * 25]
    stp x27, x28, [sp, 8 * 27]
    stp x29, x30, [sp, 8 * 29]
    mrs x9, esr_el1
    tocsin_store_state
    ubfx x9, x9, {class_shift}, 6
    cmp x9, {call}
    b.ne tocsin_exception
    mrs x14, tpidr_el1
    mov sp, x14
    cmp x8, {calls}
    b.hs 2f
    adrp x9, {table}
    add x9, x9, :lo12:{table}
    ldr x9, [x9, x8, lsl 3]
    br x9
2:  b {unknown}

    // From user mode: an interrupt.
    .balign 128
    stp x0, x1, [sp]
    stp x2, x3, [sp, 8 * 2]
    stp x4, x5, [sp, 8 * 4]
    stp x6, x7, [sp, 8 * 6]
    stp x8, x9, [sp, 8 * 8]
    stp x10, x11, [sp, 8 * 10]
    stp x12, x13, [sp, 8 * 12]
    stp x14, x15, [sp, 8 * 14]
    stp x16, x17, [sp, 8 * 16]
    stp x18, x19, [sp, 8 * 18]
    stp x20, x21, [sp, 8 * 20]
    stp x22, x23, [sp, 8 * 22]
    stp x24, x25, [sp, 8 * 24]
    stp x26, x27, [sp, 8 * 26]
    stp x28, x29, [sp, 8 * 28]
    str x30, [sp, 8 * 30]
    tocsin_store_state
    mrs x14, tpidr_el1
    mov sp, x14
    b {interrupt}

    // From user mode: a fast interrupt, which is masked.
    tocsin_unexpected 10

    // From user mode: an error that the memory system reports late.
    .balign 128
    tocsin_store_state
    b tocsin_exception

    // From user mode of 32 bits, which there is none.
    .set n, 12
    .rept 4
    tocsin_unexpected %n
    .set n, n + 1
    .endr
    .noaltmacro
    .balign 128

    // An exception of user code.
tocsin_exception:
    mrs x9, esr_el1
    str x9, [sp, {error}]
    ubfx x0, x9, {class_shift}, 6
    mov x1, sp
    mrs x14, tpidr_el1
    mov sp, x14
    b {exception}

    // Leaves the kernel to the thread whose frame is in x0.
tocsin_leave:
    mov sp, x0
    ldp x1, x2, [sp, {pc}]
    ldp x3, x4, [sp, {sp}]
    msr elr_el1, x1
    msr spsr_el1, x2
    msr sp_el0, x3
    msr tpidr_el0, x4
    ldp x0, x1, [sp]
    ldp x2, x3, [sp, 8 * 2]
    ldp x4, x5, [sp, 8 * 4]
    ldp x6, x7, [sp, 8 * 6]
    ldp x8, x9, [sp, 8 * 8]
    ldp x10, x11, [sp, 8 * 10]
    ldp x12, x13, [sp, 8 * 12]
    ldp x14, x15, [sp, 8 * 14]
    ldp x16, x17, [sp, 8 * 16]
    ldp x18, x19, [sp, 8 * 18]
    ldp x20, x21, [sp, 8 * 20]
    ldp x22, x23, [sp, 8 * 22]
    ldp x24, x25, [sp, 8 * 24]
    ldp x26, x27, [sp, 8 * 26]
    ldp x28, x29, [sp, 8 * 28]
    ldr x30, [sp, 8 * 30]
    eret
    // Nothing runs ahead past it, either.
    dsb nsh
    isb

    // An exception of the kernel. x0: number of the vector. The stack may be what is broken,
    // so there is another; before `percpu::init` there is only the loader's.
tocsin_from_kernel:
    mrs x9, tpidr_el1
    cbz x9, 2f
    sub x9, x9, {stack_bytes}
    mov sp, x9
2:  bl {kernel_exception}
    "#,
    pc = const PC,
    sp = const SP,
    error = const ERROR,
    class_shift = const CLASS_SHIFT,
    call = const CALL,
    stack_bytes = const STACK_BYTES,
    calls = const crate::syscall::CALLS.len(),
    table = sym crate::syscall::CALLS,
    unknown = sym crate::syscall::unknown,
    interrupt = sym super::interrupt,
    exception = sym crate::irq::user_exception,
    kernel_exception = sym kernel_exception,
);

unsafe extern "C" {
    safe static tocsin_vectors: u8;
    fn tocsin_leave();
}

/// Makes exceptions of this CPU come here.
pub fn install_vectors() {
    VBAR_EL1.set(&raw const tocsin_vectors as u64);
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// Leaves the kernel to a thread; its address space is loaded.
#[inline(always)]
pub fn enter(frame: *const Frame) -> ! {
    // SAFETY: `tocsin_leave` wants the frame in x0 and uses no stack of ours after.
    unsafe { asm!("b {leave}", leave = sym tocsin_leave, in("x0") frame, options(noreturn)) };
}

/// Waits for an interrupt with nothing to run, and takes it.
///
/// The wait ends for an interrupt that is masked as well (DDI 0487, D1.6.2), so there is no
/// need to be interrupted.
pub fn idle() -> ! {
    // SAFETY: nothing on the stack is needed any more; it begins anew, so that no number of
    // interrupts makes it grow.
    unsafe {
        asm!("mrs x9, tpidr_el1", "mov sp, x9", "dsb sy", "wfi", "b {interrupt}",
            interrupt = sym super::interrupt, options(noreturn));
    }
}

/// Whether the kernel has had an exception already.
static FAULTED: AtomicBool = AtomicBool::new(false);

/// An exception in the kernel itself: a bug, or a machine that breaks.
extern "C" fn kernel_exception(vector: u64) -> ! {
    if FAULTED.swap(true, Ordering::Relaxed) {
        // Saying so is what fails.
        super::end(false);
    }
    panic!(
        "exception from vector {vector}, syndrome {:#x}, at {:#x}, address {:#x}",
        ESR_EL1.get(),
        ELR_EL1.get(),
        FAR_EL1.get()
    );
}
