//! Ends: what can not go on says so in one clear last line.

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use crate::arch;

/// Writes to the early console, whoever owns it by now: nothing comes after.
struct LastWords;

impl Write for LastWords {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        arch::early_print(text.as_bytes());
        Ok(())
    }
}

/// The machine or its loader does not give what the kernel needs.
pub fn fatal(reason: fmt::Arguments<'_>) -> ! {
    let _ = writeln!(LastWords, "\ntocsin: fatal: {reason}");
    arch::end(false)
}

/// A bug in the kernel.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(LastWords, "\ntocsin: panic: cpu {}: {info}", arch::cpu_index_or_zero());
    arch::end(false)
}
