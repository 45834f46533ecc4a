//! aarch64: the `svc` instruction and the first instruction of a program.

use crate::sys::Values;
use core::arch::{asm, global_asm};
use tocsin_abi::limits::STACK_BLOCK_BYTES;

/// `EM_AARCH64` (ELF for the Arm 64-bit Architecture, IHI 0056, "ELF header").
pub(crate) const ELF_MACHINE: u16 = 183;

pub(crate) use super::space::{map, map_stack, unmap};

/// One stub per number of arguments, so that a call loads no register it does not need.
macro_rules! stubs {
    ($($name:ident($($arg:ident $register:tt),*), lateout $($value:ident $free:tt),*;)*) => {$(
        #[inline(always)]
        pub(crate) fn $name(number: u64, $(mut $arg: u64),*) -> Values {
            let result: u64;
            $(let $value: u64;)*
            // SAFETY: `svc` enters the kernel, which returns to the next instruction.
            // 1. Registers: results come in the seven outputs, what the kernel destroys is
            //    declared (flags by the missing `preserves_flags`), and it preserves the
            //    rest (`tocsin_abi`, "Registers"). There are no vector registers here.
            // 2. Memory: the block is not `nomem`, so the compiler assumes that any memory
            //    it can not prove private may change; what the kernel writes lies in buffers
            //    whose addresses were given away, or in the IPC buffer, which is only read
            //    through raw pointers.
            // 3. Stack: the kernel does not use it (the block may be `nostack`).
            unsafe {
                asm!(
                    "svc #0",
                    inlateout("x8") number => result,
                    $(inlateout($register) $arg,)*
                    $(lateout($free) $value,)*
                    lateout("x6") _, lateout("x7") _, lateout("x9") _, lateout("x10") _,
                    lateout("x11") _, lateout("x12") _, lateout("x13") _, lateout("x14") _,
                    lateout("x15") _, lateout("x16") _, lateout("x17") _, lateout("x18") _,
                    options(nostack),
                );
            }
            Values { result, values: [$($arg,)* $($value,)*] }
        }
    )*};
}

stubs! {
    syscall0(), lateout v0 "x0", v1 "x1", v2 "x2", v3 "x3", v4 "x4", v5 "x5";
    syscall1(a0 "x0"), lateout v1 "x1", v2 "x2", v3 "x3", v4 "x4", v5 "x5";
    syscall2(a0 "x0", a1 "x1"), lateout v2 "x2", v3 "x3", v4 "x4", v5 "x5";
    syscall3(a0 "x0", a1 "x1", a2 "x2"), lateout v3 "x3", v4 "x4", v5 "x5";
    syscall4(a0 "x0", a1 "x1", a2 "x2", a3 "x3"), lateout v4 "x4", v5 "x5";
    syscall5(a0 "x0", a1 "x1", a2 "x2", a3 "x3", a4 "x4"), lateout v5 "x5";
    syscall6(a0 "x0", a1 "x1", a2 "x2", a3 "x3", a4 "x4", a5 "x5"), lateout;
}

/// The lowest page of the stack block that the stack pointer is in.
#[inline(always)]
pub(crate) fn ipc_buffer() -> usize {
    let stack: usize;
    // SAFETY: copies a register.
    unsafe {
        asm!("mov {}, sp", out(reg) stack, options(nomem, nostack, preserves_flags, pure));
    }
    stack & !(STACK_BLOCK_BYTES as usize - 1)
}

/// Orders every access before against every access after, device registers included, for
/// the whole system. A fence of the language is only for the CPUs (`dmb ish`), and a device
/// may be outside of that domain (Arm ARM DDI 0487 §B2.3.12, "Data Memory Barrier").
#[inline(always)]
pub(crate) fn ordering() {
    // SAFETY: a barrier. Not `nomem`: the compiler must keep the order, too.
    unsafe {
        asm!("dmb sy", options(nostack, preserves_flags));
    }
}

/// Where threads of `thread::spawn` start.
pub(crate) fn thread_entry() -> usize {
    tocsin_thread_start as *const () as usize
}

unsafe extern "C" {
    fn tocsin_thread_start();
}

// Both entries come with the one argument in `x0` and any stack alignment; an access
// through a stack pointer that is no multiple of 16 faults (Arm ARM DDI 0487 §D1.8.2). The
// chain of frames ends at a frame pointer of zero.
global_asm!(
    ".globl _start",
    ".globl tocsin_thread_start",
    "_start:",
    "mov x9, sp",
    "and sp, x9, #-16",
    "mov x29, xzr",
    "bl {start}",
    "udf #0",
    "tocsin_thread_start:",
    "mov x9, sp",
    "and sp, x9, #-16",
    "mov x29, xzr",
    "bl {thread}",
    "udf #0",
    start = sym crate::runtime::start,
    thread = sym crate::thread::run,
);
