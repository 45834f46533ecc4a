//! The direct boot stub: what `qemu -kernel` or a board's `booti` starts. It loads the kernel and its
//! modules from the bundle (the initial ramdisk), answers the kernel's Limine requests and enters it
//! as Limine would. See `boot/README.md`; all decisions are in `boot-stub-core`, this binary copies,
//! maps and jumps.
#![no_std]
#![no_main]

mod arch;
mod end;
mod handoff;
mod input;
mod load;
mod physical;

use boot_stub_core::bundle::Bundle;
use boot_stub_core::fatal::Fatal;

/// Called by the architecture on its own stack, interrupts off and exceptions caught. `firmware` is
/// the address of what the firmware passes.
fn run(firmware: u64) -> ! {
    match boot(firmware) {
        Ok((input, handoff)) => arch::enter(handoff, &input.memory),
        Err(fatal) => end::fatal(fatal),
    }
}

fn boot(firmware: u64) -> Result<(input::Input, handoff::Handoff), Fatal> {
    let mut input = arch::read_input(firmware)?;
    let bundle = Bundle::parse(input.bundle)?;
    let loaded = load::load(&mut input, &bundle)?;
    load::say(&mut arch::console(), &input, &bundle);
    Ok((input, loaded))
}
