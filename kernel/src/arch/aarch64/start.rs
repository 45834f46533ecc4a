//! The first instructions, and the move to the kernel's own page tables.

use core::arch::global_asm;

use super::trampoline::{self, Switch};
use super::{identity, paging, serial, smp, write_back};
use crate::fatal::fatal;

// The loader enters in EL1 with the stack pointer that EL0 uses (Limine protocol, "Machine
// state at entry"); the kernel uses its own.
global_asm!(
    r#"
    .section .text.start, "ax"
    .global _start
_start:
    msr daifset, #0xf
    mov x0, sp
    msr spsel, #1
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    b {start}
    "#,
    start = sym start,
);

extern "C" fn start() -> ! {
    crate::boot::start()
}

/// Leaves the loader's page tables, and its setting of the MMU, for the kernel's own.
pub fn load_kernel_tables() {
    let code = &raw const trampoline::tocsin_trampoline;
    write_back(code, trampoline::BYTES);
    // The page through which it is reached gives way to that of the code.
    serial::suspend();
    if !identity::map_code(smp::code_page()) {
        fatal(format_args!("the loader's setting of the MMU has no ordinary memory"));
    }
    let switch = Switch::back(identity::root(), paging::kernel_root());
    write_back((&raw const switch).cast(), size_of::<Switch>());
    let switch = identity::physical((&raw const switch).cast());
    let code = identity::physical(code) as *const ();
    // SAFETY: 1. the code is there: its page is mapped at its physical address, and the bytes
    // have been cleaned to memory. 2. it keeps to the calling convention: it changes x0 to x6
    // only, and returns to its caller, which both page tables map at the same address, as they
    // do the stack.
    let code = unsafe { core::mem::transmute::<*const (), extern "C" fn(u64)>(code) };
    code(switch);
    serial::move_to_direct_map();
    identity::clear();
}
