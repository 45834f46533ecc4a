//! The interrupt descriptor table: every vector enters through its 16-byte stub.

use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::PrivilegeLevel;
use x86_64::VirtAddr;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

use super::entry;
use super::gdt::{IST_FAULT, KERNEL_CODE};

/// A 64-bit interrupt gate (Intel SDM vol. 3, 6.14.1).
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    low: u64,
    high: u64,
}

const PRESENT_INTERRUPT_GATE: u64 = 0x8e;
/// Exceptions that may come while the stack is not the kernel's: non-maskable
/// interrupt, double fault. (A machine check may as well, but 18 is also a number that
/// an interrupt message can carry, and that must be able to return.)
const ON_OWN_STACK: [usize; 2] = [2, 8];

static mut TABLE: [Gate; 256] = [Gate { low: 0, high: 0 }; 256];
static FILLED: AtomicBool = AtomicBool::new(false);

fn gate(number: usize) -> Gate {
    let address = entry::stub_address(number).as_u64();
    let stack = if ON_OWN_STACK.contains(&number) { u64::from(IST_FAULT) + 1 } else { 0 };
    let privilege = PrivilegeLevel::Ring0 as u64;
    let low = address & 0xffff
        | u64::from(KERNEL_CODE) << 16
        | stack << 32
        | PRESENT_INTERRUPT_GATE << 40
        | privilege << 45
        | (address >> 16 & 0xffff) << 48;
    Gate { low, high: address >> 32 }
}

/// Loads the table on this CPU; the first to come fills it.
pub fn load() {
    let table = &raw mut TABLE;
    if !FILLED.swap(true, Ordering::AcqRel) {
        for number in 0..256 {
            // SAFETY: the boot CPU fills the table before any other CPU runs.
            unsafe { (*table)[number] = gate(number) };
        }
    }
    let pointer = DescriptorTablePointer {
        limit: (size_of::<[Gate; 256]>() - 1) as u16,
        base: VirtAddr::from_ptr(table),
    };
    // SAFETY: the table is static and full of gates that lead to the entry code.
    unsafe { lidt(&pointer) };
}
