//! Saved registers of a user thread.

use core::cell::Cell;
use core::mem::offset_of;

/// Bytes of a frame.
pub const FRAME_BYTES: usize = size_of::<Frame>();

/// Everything that a thread has, in the order in which the entry code stores it.
///
/// A system call stores only what its caller expects back. Nothing says so: the places of the
/// other registers keep what the thread itself had there before, or zero, and a call destroys
/// them anyway. So there is one way out, and it restores all.
#[derive(Default)]
#[repr(C, align(16))]
pub struct Frame {
    x: [Cell<u64>; 31],
    sp: Cell<u64>,
    /// `TPIDR_EL0`: user mode's own, so it goes with the thread.
    thread_pointer: Cell<u64>,
    pc: Cell<u64>,
    pstate: Cell<u64>,
    /// `ESR_EL1` of an exception.
    pub error: Cell<u64>,
}

// The entry code stores and loads these pairs.
const _: () = {
    assert!(offset_of!(Frame, sp) + 8 == offset_of!(Frame, thread_pointer));
    assert!(offset_of!(Frame, pc) + 8 == offset_of!(Frame, pstate));
    assert!(FRAME_BYTES == 36 * 8);
};

/// Offset of the stack pointer; the thread pointer follows.
pub const SP: usize = offset_of!(Frame, sp);
/// Offset of the program counter; the processor state follows.
pub const PC: usize = offset_of!(Frame, pc);
/// Offset of `error`.
pub const ERROR: usize = offset_of!(Frame, error);

/// Register of a call's number, and of its first result.
const RESULT: usize = 8;
/// Bytes of the `svc` instruction.
const CALL_BYTES: u64 = 4;
/// User mode, with interrupts on. Debug exceptions are masked, and so are fast interrupts,
/// which a GIC sends only for what is not ours (DDI 0487, C5.2, `SPSR_EL1`).
const INITIAL_PSTATE: u64 = 1 << 9 | 1 << 6;

impl Frame {
    /// Makes this frame equal to another (or to itself).
    pub fn take_from(&self, other: &Frame) {
        for (to, from) in self.x.iter().zip(&other.x) {
            to.set(from.get());
        }
        self.sp.set(other.sp.get());
        self.thread_pointer.set(other.thread_pointer.get());
        self.pc.set(other.pc.get());
        self.pstate.set(other.pstate.get());
        self.error.set(other.error.get());
    }

    /// Where the thread is.
    pub fn program_counter(&self) -> u64 {
        self.pc.get()
    }
}

impl kernel_core::Frame for Frame {
    #[inline(always)]
    fn set_result(&self, value: u64) {
        self.x[RESULT].set(value);
    }

    #[inline(always)]
    fn set_values4(&self, values: [u64; 4]) {
        for (register, value) in self.x.iter().zip(values) {
            register.set(value);
        }
    }

    #[inline(always)]
    fn set_value(&self, index: usize, value: u64) {
        self.x[index.min(5)].set(value);
    }

    fn start(&self, entry: u64, stack: u64, argument: u64) {
        for register in &self.x {
            register.set(0);
        }
        self.x[0].set(argument);
        self.sp.set(stack);
        self.thread_pointer.set(0);
        self.pc.set(entry);
        self.pstate.set(INITIAL_PSTATE);
    }

    fn restart(&self, number: u64, argument0: u64) {
        self.pc.set(self.pc.get() - CALL_BYTES);
        self.x[RESULT].set(number);
        self.x[0].set(argument0);
    }
}
