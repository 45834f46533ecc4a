//! What the entry code of each CPU needs at hand, at the base of GS.

use core::arch::asm;
use core::cell::Cell;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use tocsin_abi::limits::MAX_CPUS;
use x86_64::VirtAddr;
use x86_64::registers::model_specific::{GsBase, KernelGsBase};
use x86_64::structures::gdt::GlobalDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;

use super::frame::{FRAME_BYTES, Frame};
use super::paging;

/// Bytes of a CPU's kernel stack. Entries do not nest, so one is enough.
const STACK_BYTES: usize = 32 * 1024;
const FAULT_STACK_BYTES: usize = 8 * 1024;

/// A value set once.
pub struct Once<T>(Cell<Option<T>>);

impl<T> Once<T> {
    /// Sets it and gives it back.
    pub fn call_once(&'static self, value: T) -> &'static T {
        self.0.set(Some(value));
        // SAFETY: 1. just set. 2. never set again: this CPU initialises itself once.
        let value = unsafe { &*self.0.as_ptr() };
        value.as_ref().expect("just set")
    }
}

/// One CPU's part.
#[repr(C, align(64))]
pub struct PerCpu {
    /// Scratch for the user's stack pointer at `syscall`.
    pub scratch: Cell<u64>,
    /// Top of the kernel stack.
    pub kernel_stack: Cell<u64>,
    /// Number of this CPU.
    pub index: Cell<usize>,
    /// Address space that is loaded; zero: the kernel's own.
    space: Cell<u64>,
    /// Task state; its first stack pointer is the end of the current thread's frame.
    pub tss: TaskStateSegment,
    /// Descriptor table.
    pub gdt: Once<GlobalDescriptorTable<8>>,
    stack: [u8; STACK_BYTES],
    fault_stack: [u8; FAULT_STACK_BYTES],
}

/// Offset of `scratch` from GS.
pub const SCRATCH: usize = offset_of!(PerCpu, scratch);
/// Offset of `kernel_stack` from GS.
pub const KERNEL_STACK: usize = offset_of!(PerCpu, kernel_stack);
/// Offset of the task state's first stack pointer from GS.
pub const FRAME_END: usize =
    offset_of!(PerCpu, tss) + offset_of!(TaskStateSegment, privilege_stack_table);

impl PerCpu {
    const fn new() -> PerCpu {
        PerCpu {
            scratch: Cell::new(0),
            kernel_stack: Cell::new(0),
            index: Cell::new(0),
            space: Cell::new(0),
            tss: TaskStateSegment::new(),
            gdt: Once(Cell::new(None)),
            stack: [0; STACK_BYTES],
            fault_stack: [0; FAULT_STACK_BYTES],
        }
    }

    /// End of the stack for faults that must not trust the current one.
    pub fn fault_stack_end(&self) -> u64 {
        self.fault_stack.as_ptr_range().end as u64 & !15
    }
}

static mut CPUS: [PerCpu; MAX_CPUS] = [const { PerCpu::new() }; MAX_CPUS];
/// Whether GS leads to a `PerCpu` at all yet.
static READY: AtomicBool = AtomicBool::new(false);

fn pointer(index: usize) -> *mut PerCpu {
    assert!(index < MAX_CPUS);
    (&raw mut CPUS).cast::<PerCpu>().wrapping_add(index)
}

/// Prepares CPU `index`'s part; called on that CPU, once.
pub fn init(index: usize) {
    install_base(pointer(index));
    // SAFETY: 1. in bounds. 2. only this CPU uses it, and only from here on.
    let cpu = unsafe { &mut *pointer(index) };
    cpu.index.set(index);
    cpu.kernel_stack.set(cpu.stack.as_ptr_range().end as u64 & !15);
}

/// End of the kernel stack of a CPU that is about to start.
pub fn boot_stack_of(index: usize) -> u64 {
    let cpu = pointer(index);
    // SAFETY: `pointer` is in bounds; only the address of the field is taken.
    let stack = unsafe { &raw mut (*cpu).stack };
    (stack as u64 + STACK_BYTES as u64) & !15
}

fn install_base(cpu: *mut PerCpu) {
    GsBase::write(VirtAddr::new(cpu as u64));
    KernelGsBase::write(VirtAddr::new(0));
}

/// Points GS at CPU `index`'s part (loading a GS selector has cleared it).
pub fn install(index: usize) {
    install_base(pointer(index));
    READY.store(true, Ordering::Release);
}

/// This CPU's part, before threads run: the only mutable use.
pub fn get() -> &'static mut PerCpu {
    let base = GsBase::read().as_u64() as *mut PerCpu;
    // SAFETY: 1. `init` has set the base. 2. nobody else holds a reference: the CPU is
    // still initialising itself.
    unsafe { &mut *base }
}

/// Reads the word at a fixed offset from GS.
#[inline(always)]
fn read<const OFFSET: usize>() -> u64 {
    let value: u64;
    // SAFETY: GS leads to this CPU's `PerCpu`, and the offset is that of a word in it.
    unsafe {
        asm!("mov {}, gs:[{offset}]", out(reg) value, offset = const OFFSET,
            options(nostack, preserves_flags, readonly));
    }
    value
}

/// Writes the word at a fixed offset from GS.
#[inline(always)]
fn write<const OFFSET: usize>(value: u64) {
    // SAFETY: as in `read`; the words written so belong to this CPU alone.
    unsafe {
        asm!("mov gs:[{offset}], {}", in(reg) value, offset = const OFFSET,
            options(nostack, preserves_flags));
    }
}

const INDEX: usize = offset_of!(PerCpu, index);
const SPACE: usize = offset_of!(PerCpu, space);

/// Number of this CPU.
#[inline(always)]
#[must_use]
pub fn cpu_index() -> usize {
    read::<INDEX>() as usize
}

/// As `cpu_index`, and zero while this CPU does not know.
#[must_use]
pub fn cpu_index_or_zero() -> usize {
    if READY.load(Ordering::Acquire) { cpu_index() } else { 0 }
}

/// Where the next entry from user space saves registers.
#[inline(always)]
pub fn set_frame(frame: &Frame) {
    let end = ptr::from_ref(frame) as u64 + FRAME_BYTES as u64;
    write::<FRAME_END>(end);
}

/// The frame that this entry has saved registers to.
#[inline(always)]
pub fn current_frame() -> &'static Frame {
    let frame = (read::<FRAME_END>() - FRAME_BYTES as u64) as *const Frame;
    // SAFETY: 1. `set_frame` was given a frame of a thread before user code ran. 2. Memory
    // of threads is never used for anything else, and a frame's fields are cells that
    // only this CPU touches while the thread is on it.
    unsafe { &*frame }
}

/// Loads an address space unless it is loaded.
#[inline(always)]
pub fn load_space(space: u64) {
    if read::<SPACE>() != space {
        write::<SPACE>(space);
        paging::load(space);
    }
}

/// Loads the kernel's own address space; forgets every user translation.
pub fn leave_space() {
    write::<SPACE>(0);
    paging::load(paging::kernel_root());
}

/// The address space that is loaded on this CPU; zero: the kernel's own.
#[must_use]
pub fn loaded_space() -> u64 {
    read::<SPACE>()
}
