//! How a PC ends: the last line on COM1, then failure to QEMU, then nothing.

use super::serial::Serial;
use crate::end::fatal;
use core::fmt::{Arguments, Write};
use x86_64::instructions::port::Port;
use x86_64::instructions::{hlt, interrupts};

/// QEMU's `isa-debug-exit`; the exit status becomes `value * 2 + 1`.
const DEBUG_EXIT: u16 = 0xf4;
/// Failure: status 35.
const FAILURE: u32 = 0x11;

/// Prints the last line and ends.
pub fn fail(line: Arguments<'_>) -> ! {
    // The serial port swallows all errors: there is no one else to tell.
    let _ = Serial::assume_ready().write_fmt(line);
    let mut exit = Port::<u32>::new(DEBUG_EXIT);
    // SAFETY: on QEMU with the device this ends the machine; elsewhere nothing decodes the port.
    unsafe { exit.write(FAILURE) };
    interrupts::disable();
    loop {
        hlt();
    }
}

/// The processor's exceptions end here. `frame` is the stack pointer at the entry: an error code
/// for the exceptions that have one, then the return address.
#[unsafe(no_mangle)]
extern "C" fn stub_exception(vector: u64, frame: *const u64, fault_address: u64) -> ! {
    // Intel SDM volume 3, table 6-1: exceptions with an error code.
    const WITH_ERROR_CODE: u64 = 1 << 8
        | 1 << 10
        | 1 << 11
        | 1 << 12
        | 1 << 13
        | 1 << 14
        | 1 << 17
        | 1 << 21
        | 1 << 29
        | 1 << 30;
    let has_code = WITH_ERROR_CODE >> vector & 1 != 0;
    let frame = frame.wrapping_add(usize::from(has_code));
    // SAFETY: the processor has pushed five or six words, of which this is the first or second.
    let address = unsafe { *frame };
    fatal(format_args!(
        "processor exception {vector} at {address:#x} (cr2 {fault_address:#x}) in the boot stub, \
         or in the kernel before it has its own exception handlers; please report it"
    ));
}
