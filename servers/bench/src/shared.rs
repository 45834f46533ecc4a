//! Words that two processes see: when something was started, and what one of them counted.

use libsys::map::Mapping;
use libsys::sys;
use tocsin_abi::{Error, Handle, Rights};

use crate::{ROUNDS, WARM_UP};

/// Bytes of the shared memory.
const BYTES: u64 = 64 << 10;
/// Offset of the time when the round began.
const START: u64 = 0;
/// Offset of what the other side's measuring costs.
const OVERHEAD: u64 = 8;
/// Offset of the other side's counts.
const COUNTS: u64 = 4096;

/// The shared memory, mapped here.
pub struct Shared {
    memory: Handle,
    words: Mapping,
}

impl Shared {
    /// Makes it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Shared, Error> {
        Shared::of(sys::memory_create(BYTES)?.handle())
    }

    /// Maps what somebody else made.
    ///
    /// # Errors
    /// The kernel's.
    pub fn of(memory: Handle) -> Result<Shared, Error> {
        let words = Mapping::new(memory, 0, BYTES, Rights::READ | Rights::WRITE)?;
        Ok(Shared { memory, words })
    }

    /// The memory object.
    pub fn memory(&self) -> Handle {
        self.memory
    }

    /// A round begins.
    #[inline(always)]
    pub fn start(&self, ticks: u64) {
        self.words.write64(START, ticks);
    }

    /// When it began.
    #[inline(always)]
    pub fn started(&self) -> u64 {
        self.words.read64(START)
    }

    /// Says what the measuring costs on this side.
    pub fn set_overhead(&self, count: u64) {
        self.words.write64(OVERHEAD, count);
    }

    /// What it costs on the other side.
    pub fn overhead(&self) -> u64 {
        self.words.read64(OVERHEAD)
    }

    /// Keeps the count of a round.
    #[inline(always)]
    pub fn keep(&self, round: usize, count: u64) {
        self.words.write64(COUNTS + 8 * round as u64, count);
    }

    /// The counts that the other side kept, warm-up included.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        (0..ROUNDS + WARM_UP).map(|round| self.words.read64(COUNTS + 8 * round as u64))
    }
}

const _: () = assert!(COUNTS as usize + 8 * (ROUNDS + WARM_UP) <= BYTES as usize);
