//! An interrupt descriptor table that turns every processor exception into a last line. Without it
//! a fault would reset the machine without a word. It stays loaded after the handoff, in memory
//! that is mapped until the kernel loads tables of its own.

use core::cell::UnsafeCell;
use core::ptr::addr_of;
use x86_64::VirtAddr;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

/// Exceptions of the processor: vectors 0 to 31.
const COUNT: usize = 32;
/// Bytes between two entries in `entry.s`.
const ENTRY_SIZE: u64 = 16;
/// Selector of the 64-bit code segment in `entry.s`.
const CODE: u64 = 0x28;
/// Present, privilege level 0, 64-bit interrupt gate: Intel SDM volume 3, section 6.14.1.
const INTERRUPT_GATE: u64 = 0x8e << 40;

#[repr(C, align(16))]
struct Table(UnsafeCell<[[u64; 2]; COUNT]>);

// SAFETY: the stub runs on one processor and writes the table once, before it is loaded.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([[0; 2]; COUNT]));

unsafe extern "C" {
    static exception_entries: u8;
}

/// A gate to `handler`.
const fn gate(handler: u64) -> [u64; 2] {
    let low = handler & 0xffff | CODE << 16 | INTERRUPT_GATE | (handler & 0xffff_0000) << 32;
    [low, handler >> 32]
}

/// Loads the table.
pub fn init() {
    let entries = addr_of!(exception_entries) as u64;
    let gates = core::array::from_fn(|vector| gate(entries + vector as u64 * ENTRY_SIZE));
    // SAFETY: nothing else refers to the table yet, and the processor reads it after `lidt` only.
    unsafe { TABLE.0.get().write(gates) };
    let pointer = DescriptorTablePointer {
        limit: (size_of::<Table>() - 1) as u16,
        base: VirtAddr::new(TABLE.0.get() as u64),
    };
    // SAFETY: the table is static and its gates lead to the entries in `entry.s`.
    unsafe { lidt(&pointer) };
}
