//! Collected counts, and how they are printed.

use alloc::vec::Vec;
use libsys::println;

use crate::{ROUNDS, WARM_UP};

/// Counts of one figure, the warm-up left out.
pub struct Samples {
    counts: Vec<u64>,
    skip: usize,
}

impl Samples {
    /// None yet, with room for all: the heap must not grow while something is measured.
    pub fn new() -> Samples {
        Samples { counts: Vec::with_capacity(ROUNDS + WARM_UP), skip: WARM_UP }
    }

    /// Adds one.
    #[inline(always)]
    pub fn add(&mut self, count: u64) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if self.counts.len() < self.counts.capacity() {
            self.counts.push(count);
        }
    }

    /// Smallest of all.
    pub fn min(&self) -> u64 {
        self.counts.iter().copied().min().unwrap_or(0)
    }

    /// Prints the line for `cargo xtask bench`: every count less `overhead`, what the
    /// measuring itself costs.
    pub fn print(mut self, key: &str, overhead: u64) {
        self.counts.sort_unstable();
        let net =
            |index: usize| self.counts.get(index).map_or(0, |count| count.saturating_sub(overhead));
        let last = self.counts.len().saturating_sub(1);
        println!(
            "@bench {key} min={} median={} max={} rounds={}",
            net(0),
            net(self.counts.len() / 2),
            net(last),
            self.counts.len()
        );
        println!("bench: {key}: {overhead} for the measuring itself are subtracted");
    }
}
