//! How an Arm machine ends: the last line, failure by semihosting to a debugger or QEMU that listens,
//! power off by PSCI, nothing. An instruction that nobody answers is undefined, and `runtime.s` steps
//! over it.

use super::console::{self, console};
use crate::end::fatal;
use boot_stub_core::tree::Conduit;
use core::fmt::{Arguments, Write};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Semihosting operations (Arm, "Semihosting for AArch32 and AArch64", 6.9 and 6.21).
const SYS_WRITE0: u64 = 0x04;
const SYS_EXIT_EXTENDED: u64 = 0x20;
/// `ADP_Stopped_ApplicationExit`, and the exit status: failure.
const EXIT: [u64; 2] = [0x2_0026, 35];

/// PSCI (Arm DEN 0022, 5.9): the machine is switched off.
const SYSTEM_OFF: u64 = 0x8400_0008;

unsafe extern "C" {
    // In `runtime.s`.
    fn probe_semihosting(operation: u64, argument: *const u64) -> u64;
    fn probe_hvc(function: u64) -> u64;
    fn probe_smc(function: u64) -> u64;
}

/// 0: unknown, 1: `hvc`, 2: `smc`.
static CONDUIT: AtomicU8 = AtomicU8::new(0);

/// Remembers how the firmware is called.
pub fn set_conduit(conduit: Option<Conduit>) {
    let number = match conduit {
        None => 0,
        Some(Conduit::Hvc) => 1,
        Some(Conduit::Smc) => 2,
    };
    CONDUIT.store(number, Ordering::Relaxed);
}

/// A text for semihosting: as much as fits, with its NUL.
struct Line(heapless::Vec<u8, 512>);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.0.capacity() - self.0.len() - 1;
        let text = text.as_bytes();
        let _ = self.0.extend_from_slice(&text[..text.len().min(room)]);
        Ok(())
    }
}

/// Prints the last line and ends.
pub fn fail(line: Arguments<'_>) -> ! {
    static FAILED: AtomicBool = AtomicBool::new(false);
    // A second failure is one of the line itself: the console is not what the device tree says.
    if FAILED.load(Ordering::Relaxed) {
        console::set(None);
    }
    FAILED.store(true, Ordering::Relaxed);
    if console().speaks() {
        // The console swallows all errors: there is no one else to tell.
        let _ = console().write_fmt(line);
    } else {
        let mut text = Line(heapless::Vec::new());
        let _ = text.write_fmt(line);
        let _ = text.0.push(0);
        // SAFETY: whoever listens reads up to the NUL; otherwise it does nothing.
        unsafe { probe_semihosting(SYS_WRITE0, text.0.as_ptr().cast()) };
    }
    // SAFETY: whoever listens ends the machine; otherwise it does nothing.
    unsafe { probe_semihosting(SYS_EXIT_EXTENDED, ptr::from_ref(&EXIT).cast()) };
    match CONDUIT.load(Ordering::Relaxed) {
        // SAFETY: the device tree says that the firmware listens there; it ends the machine.
        1 => _ = unsafe { probe_hvc(SYSTEM_OFF) },
        // SAFETY: as above.
        2 => _ = unsafe { probe_smc(SYSTEM_OFF) },
        _ => {}
    }
    loop {
        // SAFETY: interrupts are masked; waiting for one changes nothing.
        unsafe { core::arch::asm!("wfi", options(nomem, nostack)) };
    }
}

/// The processor's exceptions end here, from `runtime.s`.
#[unsafe(no_mangle)]
extern "C" fn stub_exception(syndrome: u64, address: u64, fault_address: u64) -> ! {
    fatal(format_args!(
        "processor exception (esr {syndrome:#x}) at {address:#x} (far {fault_address:#x}) in the \
         boot stub, or in the kernel before it has its own exception handlers; please report it"
    ));
}
