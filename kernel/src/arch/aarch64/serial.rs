//! The early console: a PL011, polled (Arm DDI 0183). The console server takes it over.
//!
//! Where it is, only the firmware knows, and what was said before would be lost; so asking is
//! the first thing that the kernel does. Its speed is as the firmware left it.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use tocsin_abi::limits::PAGE_BYTES;
use tocsin_firmware::arm::Console;

use super::identity;
use crate::mm;

// Registers that a PL011 and the part of it that BSA demands (DEN 0094, appendix B) share.
const DATA: u64 = 0x00;
const FLAGS: u64 = 0x18;
const TRANSMITTER_FULL: u32 = 1 << 5;
/// Polls before a character is given up: a UART that is stuck must not stop the machine.
const PATIENCE: u32 = 1_000_000;

/// Where its registers are mapped; zero: nowhere.
static BASE: AtomicU64 = AtomicU64::new(0);
static PHYSICAL: AtomicU64 = AtomicU64::new(0);

/// Its first page, to be mapped.
pub fn page(console: &Console) -> Range<u64> {
    let start = console.range.base & !(PAGE_BYTES - 1);
    start..start + PAGE_BYTES
}

/// Makes the console usable under the loader's page tables, which have it as memory or not at
/// all.
pub fn init_early(console: &Console) {
    let page = page(console).start;
    if identity::map_device(page) {
        PHYSICAL.store(console.range.base, Ordering::Relaxed);
        BASE.store(console.range.base, Ordering::Relaxed);
    }
}

/// Says nothing for a while.
pub fn suspend() {
    BASE.store(0, Ordering::Relaxed);
}

/// Goes on under the kernel's page tables.
pub fn move_to_direct_map() {
    let physical = PHYSICAL.load(Ordering::Relaxed);
    if physical != 0 {
        BASE.store(mm::direct(physical) as u64, Ordering::Relaxed);
    }
}

/// Writes text, with carriage returns.
pub fn early_print(text: &[u8]) {
    let base = BASE.load(Ordering::Relaxed);
    if base == 0 {
        return;
    }
    for &byte in text {
        if byte == b'\n' {
            put(base, b'\r');
        }
        put(base, byte);
    }
}

fn put(base: u64, byte: u8) {
    for _ in 0..PATIENCE {
        // SAFETY: the UART's registers are mapped here as a device's; reading the flags
        // changes nothing.
        let flags = unsafe { ((base + FLAGS) as *const u32).read_volatile() };
        if flags & TRANSMITTER_FULL == 0 {
            break;
        }
    }
    // SAFETY: as above; the write sends a character.
    unsafe { ((base + DATA) as *mut u32).write_volatile(u32::from(byte)) };
}
