//! CPU vectors: each CPU's are a space of their own.

use crate::{CpuEvent, CpuIndex, CpuSet, Drained, EventLease, NoVectors, Vector, VectorRange};
use alloc::vec::Vec;

/// Ownership of one vector on one CPU.
#[must_use = "a vector that is dropped is lost"]
#[derive(PartialEq, Eq, Debug)]
pub struct VectorLease {
    cpu: CpuIndex,
    vector: Vector,
}

impl VectorLease {
    /// The CPU.
    pub const fn cpu(&self) -> CpuIndex {
        self.cpu
    }

    /// The vector there.
    pub const fn vector(&self) -> Vector {
        self.vector
    }
}

/// A vector that waits until no event of its old owner can arrive.
#[must_use = "a vector in quarantine must be reclaimed"]
#[derive(PartialEq, Eq, Debug)]
pub struct RetiredVector(VectorLease);

impl RetiredVector {
    /// The CPU.
    pub const fn cpu(&self) -> CpuIndex {
        self.0.cpu
    }

    /// The vector there.
    pub const fn vector(&self) -> Vector {
        self.0.vector
    }
}

impl EventLease for VectorLease {
    #[inline]
    fn event(&self) -> CpuEvent {
        CpuEvent { cpu: self.cpu, vector: self.vector.into() }
    }
}

impl EventLease for RetiredVector {
    #[inline]
    fn event(&self) -> CpuEvent {
        self.0.event()
    }
}

/// One CPU's numbers, for the inspector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuVectors {
    /// Vectors that nobody has.
    pub free: u16,
    /// Vectors that wait to be drained.
    pub quarantined: u16,
    /// All vectors for devices.
    pub total: u16,
}

/// A CPU's free vectors, one bit each.
struct Space {
    free: [u64; 4],
    count: CpuVectors,
}

/// Which vectors are free, per CPU.
pub struct VectorAllocator {
    spaces: Vec<Space>,
    present: CpuSet,
}

impl VectorAllocator {
    /// CPUs 0..cpus, each with all of `range` free. `None` for no CPU or more than 64, or
    /// when memory is short.
    pub fn new(cpus: u8, range: VectorRange) -> Option<Self> {
        if cpus == 0 || cpus > 64 {
            return None;
        }
        let mut free = [0; 4];
        for number in range.first().number()..=range.last().number() {
            free[number as usize / 64] |= 1 << (number % 64);
        }
        let total = range.count();
        let mut spaces = Vec::new();
        spaces.try_reserve_exact(cpus as usize).ok()?;
        for _ in 0..cpus {
            let count = CpuVectors { free: total, quarantined: 0, total };
            spaces.push(Space { free, count });
        }
        Some(Self { spaces, present: CpuSet::first(cpus) })
    }

    /// The CPUs there are.
    pub const fn cpus(&self) -> CpuSet {
        self.present
    }

    /// Takes a vector on the CPU of `wanted` that has most of them free; the lowest such
    /// CPU when several have.
    pub fn take(&mut self, wanted: CpuSet) -> Result<VectorLease, NoVectors> {
        let mut best = None;
        let mut most = 0;
        for cpu in wanted.intersect(self.present).iter() {
            let free = self.spaces[cpu.index()].count.free;
            if free > most {
                (best, most) = (Some(cpu), free);
            }
        }
        let cpu = best.ok_or(NoVectors)?;
        let space = &mut self.spaces[cpu.index()];
        let word = space.free.iter().position(|word| *word != 0).ok_or(NoVectors)?;
        let bit = space.free[word].trailing_zeros();
        let vector = Vector::new((64 * word as u32 + bit) as u8).ok_or(NoVectors)?;
        space.free[word] &= space.free[word] - 1;
        space.count.free -= 1;
        Ok(VectorLease { cpu, vector })
    }

    /// Gives back a vector that no entry was ever pointed at: no quarantine needed.
    pub fn cancel(&mut self, lease: VectorLease) {
        self.insert(lease);
    }

    /// Starts the quarantine of a vector.
    pub fn retire(&mut self, lease: VectorLease) -> RetiredVector {
        self.spaces[lease.cpu.index()].count.quarantined += 1;
        RetiredVector(lease)
    }

    /// Ends it. The proof is about the entry that last pointed at the vector.
    pub fn reclaim(&mut self, retired: RetiredVector, _proof: &Drained) {
        self.spaces[retired.0.cpu.index()].count.quarantined -= 1;
        self.insert(retired.0);
    }

    /// One CPU's numbers.
    pub fn count(&self, cpu: CpuIndex) -> Option<CpuVectors> {
        self.spaces.get(cpu.index()).map(|space| space.count)
    }

    /// Whether a vector is free: neither leased nor in quarantine.
    pub fn is_free(&self, cpu: CpuIndex, vector: Vector) -> bool {
        let number = vector.number();
        self.spaces
            .get(cpu.index())
            .is_some_and(|space| space.free[number as usize / 64] >> (number % 64) & 1 == 1)
    }

    fn insert(&mut self, lease: VectorLease) {
        let space = &mut self.spaces[lease.cpu.index()];
        space.free[lease.vector.number() as usize / 64] |= 1 << (lease.vector.number() % 64);
        space.count.free += 1;
    }
}
