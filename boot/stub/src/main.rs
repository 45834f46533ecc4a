//! The direct boot stub: what `qemu-system-x86_64 -kernel` starts through the PVH protocol. It
//! loads the kernel and its modules from the bundle (`-initrd`), answers the kernel's Limine
//! requests and enters it as Limine would. See `boot/README.md`; all decisions are in
//! `boot-stub-core`, this binary copies, maps and jumps.
#![no_std]
#![no_main]

mod end;
mod exceptions;
mod handoff;
mod input;
mod load;
mod paging;
mod physical;
mod serial;

use boot_stub_core::bundle::Bundle;
use boot_stub_core::fatal::Fatal;

core::arch::global_asm!(include_str!("entry.s"), options(att_syntax));

/// Entered from `entry.s` in 64-bit mode on the stub's own stack, interrupts off.
#[unsafe(no_mangle)]
extern "C" fn stub_main(start_info: u64) -> ! {
    let serial = serial::Serial::new();
    exceptions::init();
    match boot(start_info, serial) {
        Ok(handoff) => handoff.enter(),
        Err(fatal) => end::fatal(fatal),
    }
}

fn boot(start_info: u64, mut serial: serial::Serial) -> Result<handoff::Handoff, Fatal> {
    let mut input = input::Input::read(start_info)?;
    let bundle = Bundle::parse(input.bundle)?;
    let loaded = load::load(&mut input, &bundle)?;
    load::say(&mut serial, &input, &bundle);
    Ok(loaded)
}
