//! The SPIs that messages can have, and what is wanted of each.

use crate::gicd::{
    Distributor, GicdInitError, GicdRegisters, Route, Spi, SpiError, SpiSetup, offset,
};
use crate::its::Priority;
use crate::vtd::Trigger;
use crate::{CpuIndex, CpuLoads, EntryIndex, Pool, PoolEntry, RemapEntry};
use alloc::vec::Vec;

/// SPIs that there can be.
const SPIS: usize = (Spi::END - Spi::FIRST) as usize;

/// How to run it.
#[derive(Clone, Copy, Debug)]
pub struct MbiConfig<'a> {
    /// First INTID and how many, of each range (`mbi-ranges`).
    pub ranges: &'a [(u32, u32)],
    /// Where devices see the frame that they write to: the distributor's, or `mbi-alias`.
    pub frame: u64,
    /// The CPUs' affinities, by their kernel number.
    pub cpus: &'a [u32],
    /// The priority of every SPI.
    pub priority: Priority,
    /// Polls of one wait before it is given up.
    pub wait_budget: u32,
}

/// Why there are no message-based interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MbiInitError {
    /// The distributor was not taken.
    Gicd(GicdInitError),
    /// GICD_TYPER.MBIS is clear: it takes no messages, whatever firmware says.
    NoMessages,
    /// A range that is empty, holds what is no SPI, or overlaps another one.
    BadRange {
        /// Its first INTID.
        first: u32,
        /// How many.
        count: u32,
    },
    /// None of the SPIs can be used; why the last one can not.
    NoSpis(Option<SpiError>),
    /// The distributor did not follow.
    Late(SpiError),
    /// No CPU, or more than 64.
    BadCpus,
    /// Not enough memory.
    NoMemory,
}

/// What is wanted of an SPI.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Wanted {
    /// Disabled; what comes is forgotten before it is enabled again.
    #[default]
    Off,
    /// This CPU's.
    Routed(CpuIndex),
    /// Disabled; what comes stays pending.
    Blocked(CpuIndex),
}

/// One SPI.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) wanted: Wanted,
    pub(super) trigger: Trigger,
    /// It was disabled, and that is perhaps not seen everywhere.
    pub(super) unsettled: bool,
    /// What `route` could not do: `flush` says it.
    pub(super) trouble: Option<SpiError>,
}

/// SPIs as messages.
pub struct MbiUnit<R> {
    pub(super) distributor: Distributor<R>,
    /// GICD_SETSPI_NSR, as devices see it.
    pub(super) setter: u64,
    /// By CPU.
    pub(super) routes: Vec<Route>,
    pub(super) loads: CpuLoads,
    /// SPIs by their number, from 0, as device trees count them.
    pub(super) pool: Pool,
    /// By the same.
    pub(super) slots: Vec<Slot>,
    priority: Priority,
    left_out: u32,
}

impl<R: GicdRegisters> MbiUnit<R> {
    /// Checks firmware's word against hardware's, and sets every SPI of the ranges up: edge,
    /// disabled, not pending. One that secure firmware keeps or that can not be an edge is
    /// left out and counted.
    pub fn new(registers: R, config: &MbiConfig<'_>) -> Result<Self, MbiInitError> {
        let distributor = Distributor::new(registers, config.wait_budget);
        let distributor = distributor.map_err(MbiInitError::Gicd)?;
        if !distributor.kind().takes_messages() {
            return Err(MbiInitError::NoMessages);
        }
        let cpus = u8::try_from(config.cpus.len()).unwrap_or(u8::MAX);
        let loads = CpuLoads::new(cpus).ok_or(MbiInitError::BadCpus)?;
        let mut routes = Vec::new();
        let mut slots = Vec::new();
        let room = routes.try_reserve_exact(config.cpus.len()).is_ok()
            && slots.try_reserve_exact(SPIS).is_ok();
        let pool = Pool::empty(SPIS as u32).filter(|_| room).ok_or(MbiInitError::NoMemory)?;
        routes.extend(config.cpus.iter().map(|&affinity| Route { affinity }));
        let off =
            Slot { wanted: Wanted::Off, trigger: Trigger::Edge, unsettled: false, trouble: None };
        slots.resize(SPIS, off);
        let mut unit = Self {
            distributor,
            setter: config.frame + u64::from(offset::SET_SPI),
            routes,
            loads,
            pool,
            slots,
            priority: config.priority,
            left_out: 0,
        };
        unit.add_ranges(config.ranges)?;
        Ok(unit)
    }

    /// Checks all ranges before it touches any SPI.
    fn add_ranges(&mut self, ranges: &[(u32, u32)]) -> Result<(), MbiInitError> {
        let end = self.distributor.kind().spi_end();
        let mut seen = Pool::empty(SPIS as u32).ok_or(MbiInitError::NoMemory)?;
        for &(first, count) in ranges {
            let behind = first.checked_add(count).filter(|behind| *behind <= end);
            let good = behind.is_some_and(|behind| {
                let is_new = |intid| Spi::new(intid).is_some() && seen.add(intid - Spi::FIRST);
                count > 0 && (first..behind).all(is_new)
            });
            if !good {
                return Err(MbiInitError::BadRange { first, count });
            }
        }
        let mut why = None;
        for spi in ranges.iter().flat_map(|&(first, count)| first..first + count) {
            match Spi::new(spi).map_or(Ok(()), |spi| self.claim(spi)) {
                Ok(()) => {
                    self.pool.add(spi - Spi::FIRST);
                }
                Err(SpiError::Timeout) => return Err(MbiInitError::Late(SpiError::Timeout)),
                Err(error) => {
                    (why, self.left_out) = (Some(error), self.left_out + 1);
                }
            }
        }
        if self.pool.total() == 0 { Err(MbiInitError::NoSpis(why)) } else { Ok(()) }
    }

    /// Sets an SPI up, and sees whether it does what it is told.
    fn claim(&mut self, spi: Spi) -> Result<(), SpiError> {
        let setup = self.setup(Trigger::Edge)?;
        self.distributor.configure(spi, setup)?;
        // With two security states only this tells whose it is.
        let ours = self.distributor.enable(spi);
        self.distributor.disable(spi);
        self.distributor.settle()?;
        ours
    }

    fn setup(&self, trigger: Trigger) -> Result<SpiSetup, SpiError> {
        let &route = self.routes.first().ok_or(SpiError::RouteRefused)?;
        Ok(SpiSetup { trigger, priority: self.priority, route })
    }

    /// How many SPIs firmware offers that can not be used.
    pub const fn left_out(&self) -> u32 {
        self.left_out
    }

    /// How many SPIs messages can have.
    pub const fn total(&self) -> u32 {
        self.pool.total()
    }

    /// Makes a message that is off edge or level from here on. What is released is edge again.
    pub fn set_trigger(&mut self, entry: &PoolEntry, trigger: Trigger) -> Result<(), SpiError> {
        let slot = self.slots[entry.index().index()];
        if slot.wanted != Wanted::Off || slot.trigger == trigger {
            return Ok(());
        }
        let setup = self.setup(trigger)?;
        self.distributor.configure(spi(entry.index()), setup)?;
        self.slots[entry.index().index()].trigger = trigger;
        Ok(())
    }

    /// What is pending or up of an SPI that is off is nobody's.
    pub(super) fn forget(&mut self, spi: Spi) {
        self.distributor.clear_message(spi);
        self.distributor.clear_pending(spi);
    }

    /// Brings an SPI to a CPU from whatever it was.
    pub(super) fn aim(&mut self, index: EntryIndex, cpu: CpuIndex) -> Result<(), SpiError> {
        let spi = spi(index);
        let route = *self.routes.get(cpu.index()).ok_or(SpiError::RouteRefused)?;
        match self.slots[index.index()].wanted {
            Wanted::Routed(old) if old == cpu => Ok(()),
            Wanted::Routed(_) => self.distributor.route(spi, route),
            Wanted::Blocked(_) => {
                self.distributor.route(spi, route)?;
                self.distributor.enable(spi)
            }
            Wanted::Off => {
                self.distributor.route(spi, route)?;
                self.forget(spi);
                self.distributor.enable(spi)
            }
        }
    }
}

/// The SPI of an entry: the pool has no others.
pub(super) fn spi(index: EntryIndex) -> Spi {
    Spi::from_number(index.bits())
}
