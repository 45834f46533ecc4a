//! Numbers of address spaces, by which a translation cache tells them apart.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Numbers that any CPU has at most: 16 bits.
const MOST: usize = 1 << 16;

/// Which numbers are in use. Zero never is: it stands for the kernel's own space.
///
/// Only one exclusive context at a time is here; the atomics are what a static needs.
pub struct Asids {
    /// Bit `n % 64` of word `n / 64`: number `n` is in use.
    used: [AtomicU64; MOST / 64],
    count: AtomicU32,
}

impl Asids {
    /// With none to give, until `set_bits`.
    #[must_use]
    pub const fn new() -> Asids {
        Asids { used: [const { AtomicU64::new(0) }; MOST / 64], count: AtomicU32::new(0) }
    }

    /// Says how many bits a number has: 8 or 16 (Arm ARM DDI 0487, ID_AA64MMFR0_EL1.ASIDBits).
    pub fn set_bits(&self, bits: u32) {
        self.count.store(1 << bits.min(16), Ordering::Relaxed);
        self.used[0].fetch_or(1, Ordering::Relaxed);
    }

    /// Takes a number. `None`: all are in use.
    #[must_use]
    pub fn alloc(&self) -> Option<u16> {
        let words = self.count.load(Ordering::Relaxed) as usize / 64;
        let words = self.used.iter().take(words);
        let (index, word) =
            words.enumerate().find(|(_, w)| w.load(Ordering::Relaxed) != u64::MAX)?;
        let bit = word.load(Ordering::Relaxed).trailing_ones();
        word.fetch_or(1 << bit, Ordering::Relaxed);
        u16::try_from(index * 64 + bit as usize).ok()
    }

    /// Gives a number back, of which no translation cache knows anything any more.
    pub fn free(&self, asid: u16) {
        if asid != 0 {
            let word = &self.used[asid as usize / 64];
            word.fetch_and(!(1 << (asid % 64)), Ordering::Relaxed);
        }
    }
}

impl Default for Asids {
    fn default() -> Self {
        Asids::new()
    }
}
