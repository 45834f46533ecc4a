//! Switching an ITS on: tables, queue, Enabled, one collection for each CPU.
//!
//! The redistributors have their LPI tables before this (see [`super::enable_lpis`]).

use super::devices::DeviceStore;
use super::probe::{ItsProbe, TableNeed, written};
use super::queue::Queue;
use super::registers::{offset, translater};
use super::unit::{ItsError, ItsRegisters, ItsUnit, Slot};
use super::{
    CollectionId, Command, Control, LpiTable, MemoryAttributes, Priority, RdBase, TableBase,
    TableKind, TableMemory,
};
use crate::numbers::Bitmap;
use crate::vtd::{DmaRegion, Malformed};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The device table's memory.
pub enum DeviceTable<M> {
    /// An entry for each DeviceID from 0.
    Flat(M),
    /// Level-one entries; level-two pages follow, one by one, when devices need them.
    TwoLevel(M),
}

/// All memory that an ITS starts with. Tables are whole pages of the size that
/// [`TableNeed::page`] says, at most 256, and aligned to it.
pub struct ItsMemory<M> {
    /// 1 to 256 pages of 4 KiB, aligned to 64 KiB.
    pub queue: M,
    /// The device table.
    pub devices: DeviceTable<M>,
    /// The collection table, where [`ItsProbe::collections`] asks for one.
    pub collections: Option<M>,
    /// The vPE table, where [`ItsProbe::virtual_processors`] asks for one.
    pub virtual_processors: Option<M>,
    /// The properties, which all redistributors know.
    pub properties: LpiTable<M>,
    /// For the tables of devices, when they need them.
    pub tables: Box<dyn TableMemory<M>>,
}

/// A CPU's redistributor, by both names that an ITS may want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RedistributorTarget {
    /// GICR_TYPER.Processor_Number.
    pub processor: u16,
    /// Physical address of its RD_base frame.
    pub frame: u64,
}

/// How to run the ITS.
#[derive(Clone, Copy, Debug)]
pub struct ItsConfig<'a> {
    /// Where devices see the control frame: what GITS_TRANSLATER's address follows from.
    pub control_frame: u64,
    /// The CPUs, by their kernel number.
    pub cpus: &'a [RedistributorTarget],
    /// How many LPIs to manage, from 8192: at most 65,536, and what the properties hold.
    pub lpis: u32,
    /// The priority of every LPI.
    pub priority: Priority,
    /// Polls of one wait before it is given up.
    pub wait_budget: u32,
}

/// Why an ITS was not taken into service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItsInitError {
    /// GITS_TYPER.Physical is clear.
    NoPhysicalLpis,
    /// No GITS_BASER<n> is for devices.
    NoDeviceTable,
    /// A register holds what the specification reserves.
    Malformed(Malformed),
    /// The ITS asks for a table that was not given.
    MissingTable(TableKind),
    /// A table's size or alignment, or two levels where there is only one.
    BadTable(TableKind),
    /// GITS_BASER<n> did not take it.
    TableRefused(TableKind),
    /// The queue's size or alignment.
    BadQueue,
    /// GITS_CBASER did not take it.
    QueueRefused,
    /// No CPU, more than 64, or a frame that is not a multiple of 64 KiB.
    BadCpus,
    /// More CPUs than collections.
    TooFewCollections,
    /// No LPI, more than the properties hold, or more than 65,536.
    BadLpiCount,
    /// No memory for bookkeeping.
    NoMemory,
    /// Enabled reads back clear.
    NotEnabled,
    /// It did not follow.
    Its(ItsError),
}

impl From<ItsError> for ItsInitError {
    fn from(error: ItsError) -> Self {
        Self::Its(error)
    }
}

impl<R: ItsRegisters, M: DmaRegion> ItsUnit<R, M> {
    /// Checks memory and numbers, clears the tables, and switches the ITS on. `probe` is
    /// what this very ITS has just answered.
    pub fn new(
        mut registers: R,
        probe: &ItsProbe,
        memory: ItsMemory<M>,
        config: ItsConfig<'_>,
    ) -> Result<Self, ItsInitError> {
        let targets = targets(probe, config.cpus)?;
        let held = memory.collections.as_ref().map(DmaRegion::size_bytes);
        if probe.collections_for(held) < targets.len() as u64 {
            return Err(match (probe.collections, held) {
                (Some(_), None) => ItsInitError::MissingTable(TableKind::Collections),
                _ => ItsInitError::TooFewCollections,
            });
        }
        if config.lpis == 0 || config.lpis > memory.properties.lpis().min(65_536) {
            return Err(ItsInitError::BadLpiCount);
        }
        let mut slots = Vec::new();
        slots.try_reserve_exact(config.lpis as usize).map_err(|_| ItsInitError::NoMemory)?;
        slots.resize_with(config.lpis as usize, Slot::default);
        let lpis = Bitmap::full(config.lpis).ok_or(ItsInitError::NoMemory)?;
        let mut queue = Queue::new(memory.queue, config.wait_budget)?;

        let (devices, two_level) = match memory.devices {
            DeviceTable::Flat(memory) => (memory, false),
            DeviceTable::TwoLevel(memory) => (memory, true),
        };
        let (devices, coherent) = install(&mut registers, probe.devices, devices, two_level)?;
        let devices = DeviceStore::new(probe.devices, devices, two_level, coherent);
        let mut install_if_asked = |need: Option<TableNeed>, memory: Option<M>| match (need, memory)
        {
            (None, _) => Ok(None),
            (Some(need), None) if need.kind == TableKind::Collections => Ok(None),
            (Some(need), None) => Err(ItsInitError::MissingTable(need.kind)),
            (Some(need), Some(memory)) => {
                install(&mut registers, need, memory, false).map(|(memory, _)| Some(memory))
            }
        };
        let collections = install_if_asked(probe.collections, memory.collections)?;
        let vpes = install_if_asked(probe.virtual_processors, memory.virtual_processors)?;
        queue.install(&mut registers)?;
        let on = Control { enabled: true, ..probe.control };
        registers.write32(offset::CONTROL, on.encode());
        let now = Control::decode(registers.read32(offset::CONTROL));
        if !now.map_err(ItsInitError::Malformed)?.enabled {
            return Err(ItsInitError::NotEnabled);
        }
        let mut unit = Self {
            registers,
            queue,
            its_type: probe.its_type,
            devices,
            _tables: [collections, vpes],
            properties: memory.properties,
            table_memory: memory.tables,
            targets,
            lpis,
            slots,
            translater: translater(config.control_frame),
            priority: config.priority,
        };
        unit.map_collections()?;
        Ok(unit)
    }

    /// Collection n is CPU n's. INVALL, because a redistributor may hold properties of an
    /// older table.
    fn map_collections(&mut self) -> Result<(), ItsError> {
        for index in 0..self.targets.len() {
            let (collection, target) = (CollectionId::from_bits(index as u16), self.targets[index]);
            let ticket = self.queue.submit(
                &mut self.registers,
                &[
                    Command::MapCollection { collection, target },
                    Command::Sync { target },
                    Command::InvalidateAll { collection },
                    Command::Sync { target },
                ],
            )?;
            self.queue.wait(&mut self.registers, ticket)?;
        }
        Ok(())
    }
}

fn targets(probe: &ItsProbe, cpus: &[RedistributorTarget]) -> Result<Vec<RdBase>, ItsInitError> {
    if cpus.is_empty() || cpus.len() > 64 {
        return Err(ItsInitError::BadCpus);
    }
    let mut targets = Vec::new();
    targets.try_reserve_exact(cpus.len()).map_err(|_| ItsInitError::NoMemory)?;
    for cpu in cpus {
        let target = if probe.its_type.target_is_address() {
            RdBase::address(cpu.frame).ok_or(ItsInitError::BadCpus)?
        } else {
            RdBase::processor(cpu.processor)
        };
        targets.push(target);
    }
    Ok(targets)
}

/// Clears a table and tells the ITS of it. Returns whether its accesses are coherent.
fn install<M: DmaRegion>(
    registers: &mut impl ItsRegisters,
    need: TableNeed,
    mut memory: M,
    indirect: bool,
) -> Result<(M, bool), ItsInitError> {
    let (page, address) = (need.page.bytes(), memory.bus_address());
    let pages = memory.size_bytes() / page;
    let whole = memory.size_bytes().is_multiple_of(page) && (1..=256).contains(&pages);
    if !whole || !address.is_multiple_of(page as u64) || indirect && !need.two_level {
        return Err(ItsInitError::BadTable(need.kind));
    }
    clear(&mut memory);
    let mut wanted = TableBase {
        valid: true,
        indirect,
        attributes: MemoryAttributes::SHARED,
        kind: need.kind,
        entry_bytes: need.entry_bytes as u8,
        address,
        page: need.page,
        pages: pages as u16,
    };
    for attributes in [MemoryAttributes::SHARED, MemoryAttributes::UNCACHED] {
        wanted.attributes = attributes;
        let taken = written(registers, need.register, wanted)?;
        if (TableBase { attributes, ..taken }) != wanted {
            return Err(ItsInitError::TableRefused(need.kind));
        }
        if taken.attributes.coherent() {
            return Ok((memory, true));
        }
    }
    Ok((memory, false))
}

/// Zero, for hardware that snoops and for hardware that does not.
pub(super) fn clear(memory: &mut impl DmaRegion) {
    for offset in (0..memory.size_bytes()).step_by(8) {
        memory.write64(offset, 0);
        memory.write_back(offset);
    }
}
