//! How the stub gives up: one last line, then failure to whoever listens, then nothing.

use crate::arch;
use core::fmt::Display;
use core::panic::PanicInfo;

/// Prints why there is no kernel and ends.
pub fn fatal(reason: impl Display) -> ! {
    arch::fail(format_args!("tocsin: fatal: {reason}\r\n"))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
    fatal(format_args!("error in the boot stub: {} ({file}:{line})", info.message()));
}
