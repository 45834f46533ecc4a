//! Ways into the kernel and out of it.
//!
//! The task state's stack pointer is the end of the current thread's frame, so the CPU
//! itself saves the program counter there on an interrupt, and `push` does the rest. No
//! stack is needed until the registers are safe; then every entry starts from the top of
//! this CPU's kernel stack, because the kernel never sleeps and entries do not nest. The
//! one exception is the idle loop, which runs with interrupts on: it is recognised by
//! its privilege level, nothing of it is saved, and nothing returns to it. Nothing returns to
//! an entry either: the way out is `enter`.

use core::arch::{asm, global_asm};
use core::sync::atomic::AtomicU32;

use super::frame::{FRAME_BYTES, Frame, KIND_CALL, KIND_FULL};
use super::percpu::{FRAME_END, KERNEL_STACK, SCRATCH};

global_asm!(
    r#"
    .section .text.entry, "ax"

    // Leaves the kernel to the thread whose frame is in rax.
    .balign 16
    .global tocsin_leave
tocsin_leave:
    cmp qword ptr [rax], {call}
    jne 2f
    mov r15, [rax + 8]
    mov r14, [rax + 16]
    mov r13, [rax + 24]
    mov r12, [rax + 32]
    mov rbp, [rax + 40]
    mov rbx, [rax + 48]
    mov r10, [rax + 64]
    mov r9, [rax + 72]
    mov r8, [rax + 80]
    mov rdx, [rax + 104]
    mov rsi, [rax + 112]
    mov rdi, [rax + 120]
    mov rcx, [rax + 136]
    mov r11, [rax + 152]
    mov rsp, [rax + 160]
    mov rax, [rax + 88]
    swapgs
    sysretq
2:
    lea rsp, [rax + 8]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    add rsp, 8
    swapgs
    iretq

    // syscall: rcx is the program counter, r11 the flags. The caller expects its
    // callee-saved registers back; arguments stay in registers.
    .balign 16
    .global tocsin_system_call
tocsin_system_call:
    swapgs
    mov gs:[{scratch}], rsp
    mov rsp, gs:[{frame_end}]
    mov [rsp - 40], rcx
    mov [rsp - 24], r11
    mov rcx, gs:[{scratch}]
    mov [rsp - 16], rcx
    mov qword ptr [rsp - {frame_bytes}], {call}
    mov [rsp - {frame_bytes} + 8], r15
    mov [rsp - {frame_bytes} + 16], r14
    mov [rsp - {frame_bytes} + 24], r13
    mov [rsp - {frame_bytes} + 32], r12
    mov [rsp - {frame_bytes} + 40], rbp
    mov [rsp - {frame_bytes} + 48], rbx
    mov rsp, gs:[{stack}]
    mov rcx, r10
    cmp rax, {calls}
    jae 2f
    lea r10, [rip + {table}]
    call [r10 + 8 * rax]
    ud2
2:
    call {unknown}
    ud2

    // A vector without an error code has pushed its number in place of one.
    .balign 16
tocsin_interrupt:
    test byte ptr [rsp + 16], 3
    jz 2f
    push rdi
    push rsi
    push rdx
    push rcx
    push rax
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push {full}
    cld
    swapgs
    mov edi, [rsp + 128]
    mov rsp, gs:[{stack}]
    call {interrupt}
    ud2
2:
    mov edi, [rsp]
    mov rsp, gs:[{stack}]
    call {interrupt}
    ud2

    // An exception that pushes an error code, unless it is none: an interrupt message can
    // carry its number, and pushes no code. The CPU aligns the stack to 16
    // bytes before it pushes, so the alignment tells.
    .balign 16
tocsin_exception_with_code:
    test spl, 8
    jnz tocsin_exception
    push [rsp]
    mov qword ptr [rsp + 8], 0

    // An exception: the error code is on the stack, and above it rdi, which holds the
    // exception's number.
tocsin_exception:
    test byte ptr [rsp + 24], 3
    jz 2f
    push rsi
    push rdx
    push rcx
    push rax
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push {full}
    cld
    swapgs
    mov rsi, rsp
    mov rsp, gs:[{stack}]
    call {exception}
    ud2
2:
    mov rsi, rsp
    and rsp, -16
    call {kernel_exception}
    ud2

    .macro tocsin_vector number
    .balign 16
    push \number
    jmp tocsin_interrupt
    .endm

    .macro tocsin_fault number
    .balign 16
    push 0
    push rdi
    mov edi, \number
    jmp tocsin_exception
    .endm

    .macro tocsin_fault_with_code number
    .balign 16
    push rdi
    mov edi, \number
    jmp tocsin_exception_with_code
    .endm

    // One stub of 16 bytes per vector, so that the table is computed.
    .balign 16
    .global tocsin_stubs
tocsin_stubs:
    .altmacro
    .set n, 0
    .rept 2
    tocsin_fault %n
    .set n, n + 1
    .endr
    // Non-maskable interrupts are counted and ignored: a device whose messages nobody
    // checks can send one at any time, and the entry code can not be interrupted safely.
    .balign 16
    inc dword ptr [rip + {nmis}]
    iretq
    .set n, 3
    .rept 5
    tocsin_fault %n
    .set n, n + 1
    .endr
    tocsin_fault_with_code 8
    tocsin_fault 9
    .set n, 10
    .rept 5
    tocsin_fault_with_code %n
    .set n, n + 1
    .endr
    tocsin_fault 15
    tocsin_fault 16
    tocsin_fault_with_code 17
    tocsin_fault 18
    tocsin_fault 19
    tocsin_fault 20
    tocsin_fault_with_code 21
    .set n, 22
    .rept 7
    tocsin_fault %n
    .set n, n + 1
    .endr
    tocsin_fault_with_code 29
    tocsin_fault_with_code 30
    tocsin_fault 31
    .set n, 32
    .rept 224
    tocsin_vector %n
    .set n, n + 1
    .endr
    .noaltmacro
    .balign 16
    "#,
    call = const KIND_CALL,
    full = const KIND_FULL,
    scratch = const SCRATCH,
    frame_end = const FRAME_END,
    frame_bytes = const FRAME_BYTES,
    stack = const KERNEL_STACK,
    calls = const crate::syscall::CALLS.len(),
    table = sym crate::syscall::CALLS,
    unknown = sym crate::syscall::unknown,
    interrupt = sym interrupt,
    nmis = sym NON_MASKABLE,
    exception = sym crate::irq::user_exception,
    kernel_exception = sym kernel_exception,
);

/// Non-maskable interrupts that came, for a debugger to look at.
static NON_MASKABLE: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    fn tocsin_system_call();
    fn tocsin_leave();
    safe static tocsin_stubs: [[u8; 16]; 256];
}

/// Where `syscall` enters.
#[must_use]
pub fn system_call_address() -> ::x86_64::VirtAddr {
    ::x86_64::VirtAddr::from_ptr(tocsin_system_call as *const ())
}

/// Where vector `number` enters.
#[must_use]
pub fn stub_address(number: usize) -> ::x86_64::VirtAddr {
    ::x86_64::VirtAddr::from_ptr(&raw const tocsin_stubs[number])
}

/// Leaves the kernel to a thread; its address space is loaded.
#[inline(always)]
pub fn enter(frame: *const Frame) -> ! {
    // SAFETY: `tocsin_leave` wants the frame in rax and uses no stack of ours after.
    unsafe {
        asm!("jmp {leave}", leave = sym tocsin_leave, in("rax") frame, options(noreturn));
    }
}

/// An interrupt, from user space or from the idle loop.
extern "C" fn interrupt(vector: u64) -> ! {
    match vector as u16 {
        super::TIMER_VECTOR => crate::irq::timer(super::TIMER_VECTOR),
        super::POKE_VECTOR => crate::irq::poke(super::POKE_VECTOR),
        super::SPURIOUS_VECTOR => crate::irq::spurious(super::SPURIOUS_VECTOR),
        vector => crate::irq::device(vector),
    }
}

/// An exception in the kernel itself: a bug, or a machine that breaks; or, in the idle
/// loop, an interrupt message with an exception's number.
extern "C" fn kernel_exception(number: u64, stack: *const [u64; 6]) -> ! {
    if super::take_forged_interrupt(number) {
        crate::irq::forged();
    }
    // SAFETY: the entry code passes the stack pointer, on which are rdi, the error code,
    // and what the CPU pushed.
    let [_, error, rip, _, _, _] = unsafe { *stack };
    let address = ::x86_64::registers::control::Cr2::read_raw();
    panic!("exception {number}, error {error:#x}, at {rip:#x}, address {address:#x}");
}
