//! What the entry code of each CPU needs at hand: `TPIDR_EL1` leads to it.
//!
//! The register is also the end of the CPU's stack, which lies right below. What is not here
//! is in other registers: the frame of the thread that runs in `SP_EL1` while user code runs,
//! its address space in `TTBR0_EL1`.

use core::arch::asm;
use core::cell::Cell;
use core::ptr;

use aarch64_cpu::registers::{Readable, TPIDR_EL1, TTBR0_EL1, Writeable};
use tocsin_abi::limits::MAX_CPUS;

use super::frame::Frame;
use super::paging;

/// Bytes of a CPU's kernel stack. Entries do not nest, so one is enough.
pub const STACK_BYTES: usize = 32 * 1024;
const FAULT_STACK_BYTES: usize = 8 * 1024;

/// One CPU's part, in line with what the entry code computes from `TPIDR_EL1`.
#[repr(C, align(64))]
struct Block {
    /// For exceptions of the kernel itself, which must not trust its stack.
    fault_stack: [u8; FAULT_STACK_BYTES],
    stack: [u8; STACK_BYTES],
    cpu: PerCpu,
}

/// What `TPIDR_EL1` leads to.
#[repr(C, align(64))]
struct PerCpu {
    /// The frame of the thread that runs on this CPU.
    frame: Cell<*const Frame>,
    /// Number of this CPU.
    index: Cell<usize>,
}

static mut CPUS: [Block; MAX_CPUS] = [const {
    Block {
        fault_stack: [0; FAULT_STACK_BYTES],
        stack: [0; STACK_BYTES],
        cpu: PerCpu { frame: Cell::new(ptr::null()), index: Cell::new(0) },
    }
}; MAX_CPUS];

fn pointer(index: usize) -> *mut PerCpu {
    assert!(index < MAX_CPUS);
    let block = (&raw mut CPUS).cast::<Block>().wrapping_add(index);
    // SAFETY: in bounds, and only the address of a field is taken.
    unsafe { &raw mut (*block).cpu }
}

/// Prepares CPU `index`'s part; called on that CPU, once.
pub fn init(index: usize) {
    TPIDR_EL1.set(pointer(index) as u64);
    this().index.set(index);
}

/// Notes that this CPU has none yet, whatever firmware left in the register.
pub fn begin() {
    TPIDR_EL1.set(0);
}

/// End of the kernel stack of a CPU that is about to start.
pub fn boot_stack_of(index: usize) -> u64 {
    pointer(index) as u64
}

/// This CPU's part.
#[inline(always)]
fn this() -> &'static PerCpu {
    let cpu = TPIDR_EL1.get() as *const PerCpu;
    // SAFETY: 1. `init` comes before anything else that asks. 2. only shared references to it
    // exist, and only this CPU has them.
    unsafe { &*cpu }
}

/// Number of this CPU.
#[inline(always)]
#[must_use]
pub fn cpu_index() -> usize {
    this().index.get()
}

/// As `cpu_index`, and zero while this CPU does not know.
#[must_use]
pub fn cpu_index_or_zero() -> usize {
    if TPIDR_EL1.get() == 0 { 0 } else { cpu_index() }
}

/// Notes which thread runs from now on: leaving the kernel leads the next entry to its frame.
#[inline(always)]
pub fn set_frame(frame: &Frame) {
    this().frame.set(frame);
}

/// The frame that this entry has saved registers to.
#[inline(always)]
pub fn current_frame() -> &'static Frame {
    let frame = this().frame.get();
    // SAFETY: 1. `set_frame` was given a frame of a thread before user code ran. 2. Memory
    // of threads is never used for anything else, and a frame's fields are cells that
    // only this CPU touches while the thread is on it.
    unsafe { &*frame }
}

/// Loads an address space unless it is loaded.
///
/// When this is done, this CPU looks at no table of the space that was loaded. The return to
/// user mode alone would be too late: the CPU gives up its lock before, and then another one
/// may free those tables. Its TLB invalidation forgets what had been found in them, but not
/// where to look (DDI 0487, D19, synchronization requirements for system registers).
#[inline(always)]
pub fn load_space(space: u64) {
    if loaded_space() != space {
        paging::load(space);
        synchronize();
    }
}

/// Loads the kernel's own address space, in which no user address means anything. When this
/// is done, this CPU looks at no table of the space that was loaded.
pub fn leave_space() {
    paging::load(paging::no_space());
    synchronize();
}

/// System registers that were written count from here on.
#[inline(always)]
fn synchronize() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// The address space that is loaded on this CPU.
#[inline(always)]
#[must_use]
pub fn loaded_space() -> u64 {
    TTBR0_EL1.get()
}
