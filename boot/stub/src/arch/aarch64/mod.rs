//! A 64-bit Arm machine: entered as a Linux `Image` (`qemu-system-aarch64 -kernel`, `booti`).

mod cache;
mod console;
mod end;
mod input;
mod mmu;

pub use console::console;
pub use end::fail;
pub use input::read_input;
pub use mmu::{AddressSpace, enter};

use boot_stub_core::arm::{image, registers};
use boot_stub_core::elf::Machine;
use boot_stub_core::memory::Reach;

/// Kernel files for this machine.
pub const MACHINE: Machine = Machine::Aarch64;
/// Memory may lie anywhere.
pub const REACH: Reach = Reach::ARM;
/// The lowest address of the upper half of a 48-bit address space; Limine has the same.
pub const DIRECT_MAP: u64 = 0xffff_0000_0000_0000;

core::arch::global_asm!(
    include_str!("entry.s"),
    include_str!("runtime.s"),
    magic = const image::MAGIC,
    text_offset = const image::TEXT_OFFSET,
    flags = const image::FLAGS,
    sctlr_off = const registers::SCTLR_OFF,
    sctlr_el2_off = const registers::SCTLR_EL2_OFF,
    spsr_stub = const registers::SPSR_STUB,
    spsr_kernel = const registers::SPSR_KERNEL,
    no_lower_half = const registers::TCR_NO_LOWER_HALF,
);

/// Entered from `entry.s` at EL1, MMU off, on the stub's own stack, everything masked.
/// `left_el2` is nonzero if the firmware entered the image at EL2.
#[unsafe(no_mangle)]
extern "C" fn stub_main(device_tree: u64, left_el2: u64) -> ! {
    input::set_left_el2(left_el2 != 0);
    crate::run(device_tree)
}
