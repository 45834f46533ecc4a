//! x86_64: the `syscall` instruction and the first instruction of a program.

use crate::sys::Values;
use core::arch::{asm, global_asm};
use tocsin_abi::limits::STACK_BLOCK_BYTES;

/// `EM_X86_64` (ELF, System V ABI AMD64 supplement §4.1.1).
pub(crate) const ELF_MACHINE: u16 = 62;

pub(crate) use super::space::{map, map_stack, unmap};

/// One stub per number of arguments, so that a call loads no register it does not need.
macro_rules! stubs {
    ($($name:ident($($arg:ident $register:tt),*), lateout $($value:ident $free:tt),*;)*) => {$(
        #[inline(always)]
        pub(crate) fn $name(number: u64, $(mut $arg: u64),*) -> Values {
            let result: u64;
            $(let $value: u64;)*
            // SAFETY: `syscall` enters the kernel, which returns to the next instruction.
            // 1. Registers: results come in the seven outputs, `rcx` and `r11` are declared
            //    destroyed, and the kernel preserves the rest (`tocsin_abi`, "Registers").
            // 2. Memory: the block is not `nomem`, so the compiler assumes that any memory
            //    it can not prove private may change; what the kernel writes lies in buffers
            //    whose addresses were given away, or in the IPC buffer, which is only read
            //    through raw pointers.
            // 3. Stack: the kernel does not use it (the block may be `nostack`).
            unsafe {
                asm!(
                    "syscall",
                    inlateout("rax") number => result,
                    $(inlateout($register) $arg,)*
                    $(lateout($free) $value,)*
                    lateout("rcx") _,
                    lateout("r11") _,
                    options(nostack),
                );
            }
            Values { result, values: [$($arg,)* $($value,)*] }
        }
    )*};
}

stubs! {
    syscall0(), lateout v0 "rdi", v1 "rsi", v2 "rdx", v3 "r10", v4 "r8", v5 "r9";
    syscall1(a0 "rdi"), lateout v1 "rsi", v2 "rdx", v3 "r10", v4 "r8", v5 "r9";
    syscall2(a0 "rdi", a1 "rsi"), lateout v2 "rdx", v3 "r10", v4 "r8", v5 "r9";
    syscall3(a0 "rdi", a1 "rsi", a2 "rdx"), lateout v3 "r10", v4 "r8", v5 "r9";
    syscall4(a0 "rdi", a1 "rsi", a2 "rdx", a3 "r10"), lateout v4 "r8", v5 "r9";
    syscall5(a0 "rdi", a1 "rsi", a2 "rdx", a3 "r10", a4 "r8"), lateout v5 "r9";
    syscall6(a0 "rdi", a1 "rsi", a2 "rdx", a3 "r10", a4 "r8", a5 "r9"), lateout;
}

/// The lowest page of the stack block that the stack pointer is in.
#[inline(always)]
pub(crate) fn ipc_buffer() -> usize {
    let stack: usize;
    // SAFETY: copies a register.
    unsafe {
        asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags, pure));
    }
    stack & !(STACK_BLOCK_BYTES as usize - 1)
}

/// Orders every access before against every access after, device registers included
/// (SDM 3A §9.2: `mfence` orders loads and stores of all memory types).
#[inline(always)]
pub(crate) fn ordering() {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

/// Where threads of `thread::spawn` start.
pub(crate) fn thread_entry() -> usize {
    tocsin_thread_start as *const () as usize
}

unsafe extern "C" {
    fn tocsin_thread_start();
}

// Both entries come with the one argument in `rdi` and any stack alignment; Rust wants
// `rsp + 8` to be a multiple of 16 at a function's first instruction (System V ABI §3.2.2),
// which `call` on an aligned stack gives.
global_asm!(
    ".globl _start",
    ".globl tocsin_thread_start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    "tocsin_thread_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {thread}",
    "ud2",
    start = sym crate::runtime::start,
    thread = sym crate::thread::run,
);
