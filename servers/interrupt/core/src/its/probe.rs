//! What an ITS asks for, found out before any memory is given to it.

use super::bringup::ItsInitError;
use super::registers::offset;
use super::unit::{ItsError, ItsRegisters, ItsStep};
use super::{Control, ItsType, LevelOneEntry, MemoryAttributes, PageSize, TableBase, TableKind};

/// GITS_BASER0 to GITS_BASER7.
pub(super) const TABLES: u16 = 8;

/// One table that the ITS wants in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableNeed {
    /// n of GITS_BASER<n>.
    pub register: u16,
    /// What it is for.
    pub kind: TableKind,
    /// Bytes of one entry.
    pub entry_bytes: usize,
    /// The largest page size that the register takes. Tables are aligned to it.
    pub page: PageSize,
    /// Whether it may have two levels.
    pub two_level: bool,
    /// Bits of a number that looks into it.
    pub id_bits: u8,
}

impl TableNeed {
    /// Bytes of a flat table for the numbers 0..ids: whole pages. `None` when that is more
    /// than the 256 pages that the register can say.
    pub const fn flat_bytes(&self, ids: u64) -> Option<usize> {
        let pages = ids.saturating_mul(self.entry_bytes as u64).div_ceil(self.page.bytes() as u64);
        if pages == 0 || pages > 256 { None } else { Some(pages as usize * self.page.bytes()) }
    }

    /// Bytes of a level-one table for the numbers 0..ids: whole pages.
    pub const fn level_one_bytes(&self, ids: u64) -> Option<usize> {
        let entries = ids.div_ceil(self.ids_per_page());
        let pages =
            entries.saturating_mul(LevelOneEntry::SIZE as u64).div_ceil(self.page.bytes() as u64);
        if pages == 0 || pages > 256 { None } else { Some(pages as usize * self.page.bytes()) }
    }

    /// How many numbers one level-two page serves.
    pub const fn ids_per_page(&self) -> u64 {
        (self.page.bytes() / self.entry_bytes) as u64
    }

    /// All numbers there can be.
    pub const fn all_ids(&self) -> u64 {
        1 << self.id_bits
    }
}

/// An ITS that is off, and what it needs to be switched on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItsProbe {
    /// GITS_TYPER.
    pub its_type: ItsType,
    /// GITS_CTLR as it is now: off.
    pub(super) control: Control,
    /// The device table: every ITS here has one.
    pub devices: TableNeed,
    /// The collection table; `None`: collections are held in hardware.
    pub collections: Option<TableNeed>,
    /// The vPE table of a GICv4 ITS. Not used here, but enabling an ITS with a table that is
    /// not valid is unpredictable.
    pub virtual_processors: Option<TableNeed>,
}

impl ItsProbe {
    /// Switches the ITS off, waits until it is quiet (§12.19.3), and asks each GITS_BASER<n>
    /// which page size it takes and whether it takes two levels.
    pub fn new(registers: &mut impl ItsRegisters, wait_budget: u32) -> Result<Self, ItsInitError> {
        let its_type = ItsType::decode(registers.read64(offset::TYPE));
        if !its_type.physical() {
            return Err(ItsInitError::NoPhysicalLpis);
        }
        let control = switch_off(registers, wait_budget)?;
        let (mut devices, mut collections, mut virtual_processors) = (None, None, None);
        for register in 0..TABLES {
            let found = TableBase::decode(registers.read64(base(register)))
                .map_err(ItsInitError::Malformed)?;
            let (place, id_bits) = match found.kind {
                TableKind::None => continue,
                TableKind::Devices => (&mut devices, its_type.device_bits()),
                TableKind::Collections => (&mut collections, its_type.collection_bits()),
                TableKind::VirtualProcessors => (&mut virtual_processors, 16),
            };
            *place = Some(ask(registers, register, found, id_bits)?);
        }
        let devices = devices.ok_or(ItsInitError::NoDeviceTable)?;
        Ok(Self { its_type, control, devices, collections, virtual_processors })
    }

    /// How many CPUs the collections suffice for: with a table as many as it holds, without
    /// one GITS_TYPER.HCC.
    pub fn collections_for(&self, table_bytes: Option<usize>) -> u64 {
        match (self.collections, table_bytes) {
            (Some(need), Some(bytes)) => need.all_ids().min((bytes / need.entry_bytes) as u64),
            _ => self.its_type.hardware_collections().into(),
        }
    }
}

/// The offset of GITS_BASER<n>.
pub(super) const fn base(register: u16) -> u16 {
    offset::TABLE_BASE + 8 * register
}

fn switch_off(registers: &mut impl ItsRegisters, budget: u32) -> Result<Control, ItsInitError> {
    let mut control = read_control(registers)?;
    if control.enabled {
        control.enabled = false;
        registers.write32(offset::CONTROL, control.encode());
    }
    for _ in 0..budget {
        let now = read_control(registers)?;
        if now.quiescent && !now.enabled {
            return Ok(now);
        }
    }
    Err(ItsError::Timeout(ItsStep::Quiescent).into())
}

fn read_control(registers: &mut impl ItsRegisters) -> Result<Control, ItsInitError> {
    Control::decode(registers.read32(offset::CONTROL)).map_err(ItsInitError::Malformed)
}

/// Fields that hardware does not have read back as something else.
fn ask(
    registers: &mut impl ItsRegisters,
    register: u16,
    found: TableBase,
    id_bits: u8,
) -> Result<TableNeed, ItsInitError> {
    let mut wanted = TableBase {
        valid: false,
        indirect: false,
        attributes: MemoryAttributes::SHARED,
        address: 0,
        pages: 1,
        ..found
    };
    for page in [PageSize::Size64K, PageSize::Size16K, PageSize::Size4K] {
        wanted.page = page;
        if written(registers, register, wanted)?.page != page {
            continue;
        }
        wanted.indirect = true;
        let two_level = written(registers, register, wanted)?.indirect;
        let entry_bytes = found.entry_bytes as usize;
        return Ok(TableNeed { register, kind: found.kind, entry_bytes, page, two_level, id_bits });
    }
    Err(ItsInitError::TableRefused(found.kind))
}

/// Writes GITS_BASER<n> and reads what was taken.
pub(super) fn written(
    registers: &mut impl ItsRegisters,
    register: u16,
    value: TableBase,
) -> Result<TableBase, ItsInitError> {
    registers.write64(base(register), value.encode());
    TableBase::decode(registers.read64(base(register))).map_err(ItsInitError::Malformed)
}
