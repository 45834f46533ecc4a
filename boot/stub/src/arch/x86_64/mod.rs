//! A PC: entered through PVH (`qemu-system-x86_64 -kernel`).

mod end;
mod exceptions;
mod handoff;
mod input;
mod paging;
mod serial;

pub use end::fail;
pub use handoff::enter;
pub use input::read_input;
pub use paging::AddressSpace;

use boot_stub_core::elf::Machine;
use boot_stub_core::memory::Reach;
use serial::Serial;

/// Kernel files for this machine.
pub const MACHINE: Machine = Machine::X86_64;
/// The boot page tables map the first 4 GiB.
pub const REACH: Reach = Reach::PC;
/// The lowest address of the upper half.
pub const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;

core::arch::global_asm!(include_str!("entry.s"), options(att_syntax));

/// Entered from `entry.s` in 64-bit mode on the stub's own stack, interrupts off.
#[unsafe(no_mangle)]
extern "C" fn stub_main(start_info: u64) -> ! {
    Serial::program();
    exceptions::init();
    crate::run(start_info)
}

/// COM1.
pub const fn console() -> Serial {
    Serial::assume_ready()
}
