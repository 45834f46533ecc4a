//! CPUs for interrupts that are not any CPU's own: what is leased is a place on a CPU.

use super::{EventLease, EventSpace, NoVectors};
use crate::numbers::CpuVectors;
use crate::{CpuEvent, CpuIndex, CpuSet, EventNumber};
use alloc::vec::Vec;

/// How many messages each CPU has been chosen for.
pub struct CpuLoads {
    /// By CPU.
    loads: Vec<u32>,
    present: CpuSet,
}

/// A CPU, chosen for an INTID.
#[must_use = "the CPU's load is never taken back"]
#[derive(PartialEq, Eq, Debug)]
pub struct CpuLease {
    cpu: CpuIndex,
    number: EventNumber,
}

impl EventLease for CpuLease {
    fn event(&self) -> CpuEvent {
        CpuEvent { cpu: self.cpu, vector: self.number }
    }
}

impl CpuLoads {
    /// For CPUs 0..cpus. `None` for no CPU, more than 64, or when memory is short.
    pub fn new(cpus: u8) -> Option<Self> {
        if cpus == 0 || cpus > 64 {
            return None;
        }
        let mut loads = Vec::new();
        loads.try_reserve_exact(cpus.into()).ok()?;
        loads.resize(cpus.into(), 0);
        Some(Self { loads, present: CpuSet::first(cpus) })
    }

    /// The CPUs that there are.
    pub const fn cpus(&self) -> CpuSet {
        self.present
    }

    /// The least loaded CPU of `wanted`, for this INTID.
    #[inline]
    pub fn take(&mut self, wanted: CpuSet, number: EventNumber) -> Result<CpuLease, NoVectors> {
        let cpus = wanted.intersect(self.present).iter();
        let cpu = cpus.min_by_key(|cpu| self.loads[cpu.index()]).ok_or(NoVectors)?;
        self.loads[cpu.index()] += 1;
        Ok(CpuLease { cpu, number })
    }

    /// It is chosen no more.
    #[inline]
    pub fn give_back(&mut self, lease: CpuLease) {
        self.loads[lease.cpu.index()] -= 1;
    }
}

impl EventSpace {
    /// One space for all CPUs.
    pub(crate) fn shared(free: u32, total: u32) -> Self {
        let most = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let count = CpuVectors { free: most(free), quarantined: 0, total: most(total) };
        Self { cpu: None, count }
    }
}
