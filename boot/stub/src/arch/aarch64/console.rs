//! The PL011 that the device tree has for a console (Arm DDI 0183, chapter 3): the only voice of
//! the stub, silent without one. The firmware has programmed it: only it knows the clock.

use boot_stub_core::PAGE;
use core::fmt::{self, Write};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// Data register.
const DATA: u64 = 0x00;
/// Flag register; bit 5 (TXFF): no room for another byte.
const FLAGS: u64 = 0x18;
const FULL: u32 = 1 << 5;

/// How often to look for room before a byte is given up: a device that is not there, or has no clock,
/// must not hang the stub.
const PATIENCE: u32 = 1_000_000;

/// Physical address of the registers; zero is none. Mapped at this address at all times.
static BASE: AtomicU64 = AtomicU64::new(0);

/// Speaks through the PL011 at this address from now on.
pub fn set(base: Option<u64>) {
    BASE.store(base.unwrap_or(0), Ordering::Relaxed);
}

/// The page of the registers, if there is a console.
pub fn page() -> Option<Range<u64>> {
    let base = BASE.load(Ordering::Relaxed);
    let page = boot_stub_core::page_down(base);
    (base != 0).then_some(page..page + PAGE)
}

/// The console, or silence.
#[derive(Clone, Copy)]
pub struct Console(u64);

/// The console as it is known now.
pub fn console() -> Console {
    Console(BASE.load(Ordering::Relaxed))
}

impl Console {
    /// True if somebody may read what is written.
    pub const fn speaks(self) -> bool {
        self.0 != 0
    }

    fn put(self, byte: u8) {
        for _ in 0..PATIENCE {
            // SAFETY: the flag register of the device that the device tree names; reading it has no
            // effect on memory.
            let flags = unsafe { ptr::read_volatile((self.0 + FLAGS) as *const u32) };
            if flags & FULL == 0 {
                break;
            }
        }
        // SAFETY: the data register of the same device; it takes the byte out.
        unsafe { ptr::write_volatile((self.0 + DATA) as *mut u32, u32::from(byte)) };
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.speaks() {
            text.bytes().for_each(|byte| self.put(byte));
        }
        Ok(())
    }
}
