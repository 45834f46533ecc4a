//! One page at its own physical address, in the lower half, which belongs to nobody yet.
//!
//! Two things need it while the kernel starts: the early console, which the loader has not
//! mapped as a device (Limine protocol, "Caching"); and the code that turns the MMU on or off,
//! which must be at the same address before and after.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{MAIR_EL1, Readable, TCR_EL1, TTBR0_EL1, Writeable};

use super::regime;

/// Tables from the root down.
const LEVELS: usize = 4;
const ENTRIES: usize = 512;

// A descriptor's bits (DDI 0487, D8.3).
const VALID: u64 = 0b11;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESSED: u64 = 1 << 10;
const NOT_GLOBAL: u64 = 1 << 11;
const NO_EXECUTE: u64 = 1 << 53;
const NO_USER_EXECUTE: u64 = 1 << 54;
/// The half of `TCR_EL1` that is about the lower half of the address space.
const LOWER_BITS: u64 = 0xffff;
/// Addresses that these tables can express.
const ADDRESS_BITS: u32 = 48;

#[repr(C, align(4096))]
struct Tables([[AtomicU64; ENTRIES]; LEVELS]);

static TABLES: Tables = Tables([const { [const { AtomicU64::new(0) }; ENTRIES] }; LEVELS]);

/// Physical address of something in the kernel's image, as the CPU translates it (DDI 0487,
/// AT S1E1R and PAR_EL1).
pub fn physical(address: *const u8) -> u64 {
    let result: u64;
    // SAFETY: the instructions read the tables and change one register that nobody else uses.
    unsafe {
        asm!("at s1e1r, {}", "isb", "mrs {}, par_el1", in(reg) address, out(reg) result,
            options(nostack, preserves_flags));
    }
    assert!(result & 1 == 0, "the kernel's own image is mapped");
    (result & 0x000f_ffff_ffff_f000) + (address as u64 & 0xfff)
}

/// Maps a page of device registers. Says `false` where the loader's setting of the MMU has no
/// word for that.
#[must_use]
pub fn map_device(page: u64) -> bool {
    // Device-nGnRnE is what every place in the register is that nobody has set.
    let place = place(regime::DEVICE_BYTE).or_else(|| place(0));
    let Some(place) = place.filter(|_| page >> ADDRESS_BITS == 0) else { return false };
    map(page, place << 2 | NOT_GLOBAL | NO_EXECUTE | NO_USER_EXECUTE);
    true
}

/// Maps a page of the kernel's code. Says `false` where the loader has no ordinary memory.
#[must_use]
pub fn map_code(page: u64) -> bool {
    let Some(place) = place(regime::NORMAL_BYTE) else { return false };
    map(page, place << 2 | NOT_GLOBAL | READ_ONLY | INNER_SHAREABLE | NO_USER_EXECUTE);
    true
}

/// The root, for other CPUs.
pub fn root() -> u64 {
    physical((&raw const TABLES).cast())
}

/// Unmaps the page, on this CPU.
pub fn clear() {
    for entry in TABLES.0.iter().flatten() {
        entry.store(0, Ordering::Relaxed);
    }
    synchronize();
}

/// Where in `MAIR_EL1` an attribute is.
fn place(attribute: u8) -> Option<u64> {
    let bytes = MAIR_EL1.get().to_le_bytes();
    bytes.iter().position(|&byte| byte == attribute).map(|place| place as u64)
}

fn map(page: u64, attributes: u64) {
    clear();
    for (level, table) in TABLES.0.iter().enumerate() {
        let index = page >> (12 + 9 * (LEVELS - 1 - level)) & (ENTRIES as u64 - 1);
        let value = match TABLES.0.get(level + 1) {
            Some(below) => physical(below.as_ptr().cast()) | VALID,
            None => page | attributes | ACCESSED | VALID,
        };
        table[index as usize].store(value, Ordering::Relaxed);
    }
    TTBR0_EL1.set(root());
    TCR_EL1.set(TCR_EL1.get() & !LOWER_BITS | regime::LOWER);
    synchronize();
}

/// Makes the table walker of this CPU see the tables as they are.
fn synchronize() {
    // SAFETY: forgets translations, all of which can be made again from the tables.
    unsafe {
        asm!("dsb ish", "isb", "tlbi vmalle1", "dsb nsh", "isb", options(nostack, preserves_flags));
    }
}
