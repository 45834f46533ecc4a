//! The LPIs, what is wanted of each, and how redistributors are brought to it.

use super::{LpiWrite, SyncStatus, offset, setter};
use crate::its::{
    ItsRegisters, Lpi, LpiProperty, LpiTable, Priority, RedistributorControl, RedistributorType,
    offset as redistributor,
};
use crate::vtd::DmaRegion;
use crate::{CpuIndex, CpuLoads, CpuSet, EntryIndex, Pool};
use alloc::vec::Vec;
use core::fmt;

/// A redistributor that has its LPI tables and LPIs enabled
/// ([`enable_lpis`](crate::its::enable_lpis)).
pub struct DirectRedistributor<R> {
    /// Its RD_base frame.
    pub registers: R,
    /// Where devices see that frame.
    pub frame: u64,
}

/// How to run it.
#[derive(Clone, Copy, Debug)]
pub struct DirectLpiConfig {
    /// How many LPIs, from 8192: at most 65,536, and what the properties hold.
    pub lpis: u32,
    /// The priority of every LPI.
    pub priority: Priority,
    /// Polls of one wait before it is given up.
    pub wait_budget: u32,
}

/// Why there are no LPIs without an ITS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectLpiInitError {
    /// GICR_TYPER.DirectLPI of this CPU's redistributor is clear, whatever firmware says.
    NotThere(CpuIndex),
    /// GICR_CTLR.EnableLPIs of this CPU's redistributor is clear.
    NotEnabled(CpuIndex),
    /// GICR_SYNCR.Busy of this CPU's redistributor stays set.
    Late(CpuIndex),
    /// No LPI, more than the properties hold, or more than 65,536.
    BadLpiCount,
    /// No CPU, or more than 64.
    BadCpus,
    /// Not enough memory.
    NoMemory,
}

/// A redistributor did not do what the specification says it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectLpiError {
    /// GICR_SYNCR.Busy stays set.
    Timeout,
}

impl fmt::Display for DirectLpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a redistributor did not answer (GICR_SYNCR.Busy stays set)")
    }
}

/// What is wanted of an LPI.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Wanted {
    /// Disabled, and what comes is forgotten.
    #[default]
    Off,
    /// This CPU's.
    Routed(CpuIndex),
    /// Disabled; what comes stays pending.
    Blocked(CpuIndex),
}

/// One LPI.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) wanted: Wanted,
    /// The CPUs whose address some device was ever given with it: where it can be pending.
    pub(super) paired: CpuSet,
    /// Where its property may be cached as it was before.
    stale: CpuSet,
    /// Where it may be pending and must not be.
    unwanted: CpuSet,
    /// Where an operation of it was begun last, which is perhaps not done.
    begun: Option<CpuIndex>,
}

impl Slot {
    const NEW: Self = Self {
        wanted: Wanted::Off,
        paired: CpuSet::from_bits(0),
        stale: CpuSet::from_bits(0),
        unwanted: CpuSet::from_bits(0),
        begun: None,
    };

    /// Nothing about it is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.wanted == Wanted::Off
            && self.stale.is_empty()
            && self.unwanted.is_empty()
            && self.begun.is_none()
    }
}

/// LPIs without an ITS.
pub struct DirectLpiUnit<R, M> {
    /// By CPU.
    pub(super) redistributors: Vec<DirectRedistributor<R>>,
    properties: LpiTable<M>,
    pub(super) loads: CpuLoads,
    pub(super) pool: Pool,
    /// By LPI.
    pub(super) slots: Vec<Slot>,
    priority: Priority,
    wait_budget: u32,
}

impl<R: ItsRegisters, M: DmaRegion> DirectLpiUnit<R, M> {
    /// Checks firmware's word against hardware's. The properties are those that every one of
    /// the redistributors, by their CPU's kernel number, was given.
    pub fn new(
        mut redistributors: Vec<DirectRedistributor<R>>,
        properties: LpiTable<M>,
        config: &DirectLpiConfig,
    ) -> Result<Self, DirectLpiInitError> {
        let cpus = u8::try_from(redistributors.len()).unwrap_or(u8::MAX);
        let loads = CpuLoads::new(cpus).ok_or(DirectLpiInitError::BadCpus)?;
        for (cpu, each) in loads.cpus().iter().zip(&mut redistributors) {
            let kind = each.registers.read64(redistributor::REDISTRIBUTOR_TYPE);
            if !RedistributorType::decode(kind).direct_lpis() {
                return Err(DirectLpiInitError::NotThere(cpu));
            }
            let control = each.registers.read32(redistributor::REDISTRIBUTOR_CONTROL);
            if !RedistributorControl::decode(control).lpis_enabled() {
                return Err(DirectLpiInitError::NotEnabled(cpu));
            }
            wait_idle(&mut each.registers, config.wait_budget)
                .map_err(|_| DirectLpiInitError::Late(cpu))?;
        }
        if config.lpis == 0 || config.lpis > properties.lpis() || config.lpis > 1 << 16 {
            return Err(DirectLpiInitError::BadLpiCount);
        }
        let pool = Pool::full(config.lpis).ok_or(DirectLpiInitError::NoMemory)?;
        let mut slots = Vec::new();
        let room = slots.try_reserve_exact(config.lpis as usize);
        room.map_err(|_| DirectLpiInitError::NoMemory)?;
        slots.resize(config.lpis as usize, Slot::NEW);
        Ok(Self {
            redistributors,
            properties,
            loads,
            pool,
            slots,
            priority: config.priority,
            wait_budget: config.wait_budget,
        })
    }

    /// What devices write to for this CPU.
    pub(super) fn setter(&self, cpu: CpuIndex) -> Option<u64> {
        self.redistributors.get(cpu.index()).map(|each| setter(each.frame))
    }

    /// A device is told of the LPI at this CPU.
    pub(super) fn pair(&mut self, index: EntryIndex, cpu: CpuIndex) {
        let paired = &mut self.slots[index.index()].paired;
        *paired = CpuSet::from_bits(paired.bits() | CpuSet::one(cpu).bits());
    }

    /// Notes what is wanted. An LPI that is to stop is disabled in memory at once; one that is
    /// to start waits for `bring`, which forgets first what is pending from before.
    pub(super) fn want(&mut self, index: EntryIndex, wanted: Wanted) {
        let slot = &mut self.slots[index.index()];
        let begins = matches!(wanted, Wanted::Routed(_)) && slot.wanted == Wanted::Off;
        if begins || wanted == Wanted::Off {
            slot.unwanted = slot.paired;
        }
        slot.wanted = wanted;
        if !matches!(wanted, Wanted::Routed(_)) {
            self.write_property(index, false);
        }
    }

    fn write_property(&mut self, index: EntryIndex, enabled: bool) {
        let (lpi, property) =
            (Lpi::from_index(index), LpiProperty { priority: self.priority, enabled });
        if self.properties.read(lpi) != Ok(property) {
            self.properties.write(lpi, property);
            let slot = &mut self.slots[index.index()];
            slot.stale = slot.paired;
        }
    }

    /// Does what is missing between what redistributors have and what is wanted. Begins
    /// nothing twice: called again after a timeout, it waits and goes on.
    pub(super) fn bring(&mut self, index: EntryIndex) -> Result<(), DirectLpiError> {
        let Some(slot) = self.slots.get(index.index()) else { return Ok(()) };
        if let Some(cpu) = slot.begun {
            self.finish(index, cpu)?;
        }
        match self.slots[index.index()].wanted {
            // Forgotten before it can be seen again.
            Wanted::Routed(_) => {
                self.invalidate(index)?;
                self.clear(index)?;
                self.write_property(index, true);
                self.invalidate(index)
            }
            Wanted::Blocked(_) => self.invalidate(index),
            // Nothing of it reaches a CPU any more before it is forgotten.
            Wanted::Off => {
                self.invalidate(index)?;
                self.clear(index)
            }
        }
    }

    fn invalidate(&mut self, index: EntryIndex) -> Result<(), DirectLpiError> {
        for cpu in self.slots[index.index()].stale.iter() {
            self.begin(index, cpu, offset::INVALIDATE)?;
            let stale = &mut self.slots[index.index()].stale;
            *stale = without(*stale, cpu);
            self.finish(index, cpu)?;
        }
        Ok(())
    }

    /// Early issues of the specification say that GICR_SYNCR tells of GICR_CLRLPIR as well,
    /// issue H names invalidations only: so one follows, which it tells of in any case.
    fn clear(&mut self, index: EntryIndex) -> Result<(), DirectLpiError> {
        for cpu in self.slots[index.index()].unwanted.iter() {
            self.begin(index, cpu, offset::CLEAR_LPI)?;
            let slot = &mut self.slots[index.index()];
            slot.unwanted = without(slot.unwanted, cpu);
            slot.stale = CpuSet::from_bits(slot.stale.bits() | CpuSet::one(cpu).bits());
            self.finish(index, cpu)?;
        }
        self.invalidate(index)
    }

    /// A redistributor does one such thing at a time: what is written while it is busy may be
    /// lost (GICR_INVLPIR, GICR_CLRLPIR).
    fn begin(
        &mut self,
        index: EntryIndex,
        cpu: CpuIndex,
        register: u16,
    ) -> Result<(), DirectLpiError> {
        let registers = &mut self.redistributors[cpu.index()].registers;
        wait_idle(registers, self.wait_budget)?;
        registers.write64(register, LpiWrite(Lpi::from_index(index)).encode());
        self.slots[index.index()].begun = Some(cpu);
        Ok(())
    }

    fn finish(&mut self, index: EntryIndex, cpu: CpuIndex) -> Result<(), DirectLpiError> {
        wait_idle(&mut self.redistributors[cpu.index()].registers, self.wait_budget)?;
        self.slots[index.index()].begun = None;
        Ok(())
    }

    /// Makes an LPI pending, as its device would.
    pub(super) fn set_pending(&mut self, index: EntryIndex, cpu: CpuIndex) {
        let value = LpiWrite(Lpi::from_index(index)).encode();
        self.redistributors[cpu.index()].registers.write64(offset::SET_LPI, value);
    }
}

fn without(set: CpuSet, cpu: CpuIndex) -> CpuSet {
    CpuSet::from_bits(set.bits() & !CpuSet::one(cpu).bits())
}

fn wait_idle(registers: &mut impl ItsRegisters, budget: u32) -> Result<(), DirectLpiError> {
    for _ in 0..budget {
        if !SyncStatus::decode(registers.read32(offset::SYNC)).busy() {
            return Ok(());
        }
    }
    Err(DirectLpiError::Timeout)
}
