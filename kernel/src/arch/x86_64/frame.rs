//! Saved registers of a user thread.

use core::cell::Cell;

use super::gdt::{USER_CODE, USER_DATA};

/// Bytes of a frame. The end is 16-byte aligned with the thread, because the CPU aligns
/// the stack pointer before it pushes (Intel SDM vol. 3, 6.14.2).
pub const FRAME_BYTES: usize = size_of::<Frame>();

/// `kind`: the thread came in by `syscall`; only some registers are saved.
pub const KIND_CALL: u64 = 0;
/// `kind`: everything is saved.
pub const KIND_FULL: u64 = 1;

/// Registers, in the order in which the entry code pushes them from the end down.
#[derive(Default)]
#[repr(C)]
pub struct Frame {
    /// How much of this is meaningful.
    pub kind: Cell<u64>,
    r15: Cell<u64>,
    r14: Cell<u64>,
    r13: Cell<u64>,
    r12: Cell<u64>,
    rbp: Cell<u64>,
    rbx: Cell<u64>,
    r11: Cell<u64>,
    r10: Cell<u64>,
    r9: Cell<u64>,
    r8: Cell<u64>,
    rax: Cell<u64>,
    rcx: Cell<u64>,
    rdx: Cell<u64>,
    rsi: Cell<u64>,
    rdi: Cell<u64>,
    /// Error code of an exception.
    pub error: Cell<u64>,
    rip: Cell<u64>,
    cs: Cell<u64>,
    rflags: Cell<u64>,
    /// Stack pointer.
    pub rsp: Cell<u64>,
    ss: Cell<u64>,
}

impl Frame {
    /// Where the thread is.
    pub fn program_counter(&self) -> u64 {
        self.rip.get()
    }

    /// Makes this frame equal to another (or to itself).
    pub fn take_from(&self, other: &Frame) {
        for (to, from) in self.words().into_iter().zip(other.words()) {
            to.set(from.get());
        }
    }

    fn words(&self) -> [&Cell<u64>; FRAME_BYTES / 8] {
        [
            &self.kind,
            &self.r15,
            &self.r14,
            &self.r13,
            &self.r12,
            &self.rbp,
            &self.rbx,
            &self.r11,
            &self.r10,
            &self.r9,
            &self.r8,
            &self.rax,
            &self.rcx,
            &self.rdx,
            &self.rsi,
            &self.rdi,
            &self.error,
            &self.rip,
            &self.cs,
            &self.rflags,
            &self.rsp,
            &self.ss,
        ]
    }
}

/// Bytes of the `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;
/// Interrupts on; bit 1 always reads one.
const INITIAL_RFLAGS: u64 = 0x202;

impl kernel_core::Frame for Frame {
    #[inline(always)]
    fn set_result(&self, value: u64) {
        self.rax.set(value);
    }

    #[inline(always)]
    fn set_values4(&self, values: [u64; 4]) {
        self.rdi.set(values[0]);
        self.rsi.set(values[1]);
        self.rdx.set(values[2]);
        self.r10.set(values[3]);
    }

    #[inline(always)]
    fn set_value(&self, index: usize, value: u64) {
        match index {
            0 => self.rdi.set(value),
            1 => self.rsi.set(value),
            2 => self.rdx.set(value),
            3 => self.r10.set(value),
            4 => self.r8.set(value),
            _ => self.r9.set(value),
        }
    }

    fn start(&self, entry: u64, stack: u64, argument: u64) {
        for register in [
            &self.r15, &self.r14, &self.r13, &self.r12, &self.rbp, &self.rbx, &self.r11, &self.r10,
            &self.r9, &self.r8, &self.rax, &self.rcx, &self.rdx, &self.rsi,
        ] {
            register.set(0);
        }
        self.kind.set(KIND_FULL);
        self.rdi.set(argument);
        self.rip.set(entry);
        self.cs.set(u64::from(USER_CODE));
        self.rflags.set(INITIAL_RFLAGS);
        self.rsp.set(stack);
        self.ss.set(u64::from(USER_DATA));
    }

    fn restart(&self, number: u64, argument0: u64) {
        self.rip.set(self.rip.get() - SYSCALL_BYTES);
        self.rax.set(number);
        self.rdi.set(argument0);
    }
}
