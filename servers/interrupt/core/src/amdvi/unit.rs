//! One AMD IOMMU: what it needs, and how it is switched on.
//!
//! The order: stop what firmware left, with the unit off; tables and buffers; modes; the unit,
//! its log and its commands on; forget everything older. Every wait has a budget and a name.

use super::log::Log;
use super::queue::Queue;
use super::registers::{Control, DeviceTableBase, Features, Status, offset};
use super::tables::Tables;
use super::{Command, DeviceEntry, EntryFormat};
use crate::its::TableMemory;
use crate::vtd::{DmaRegion, ExtendedMode};
use crate::{HardwareError, HardwareStep, RequesterId, Source};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The unit's register page. Accesses are 64 bits wide, reach the device in program order, and
/// are not merged. All earlier writes to memory are visible to the unit before a register
/// write.
pub trait AmdViRegisters {
    /// Reads.
    fn read64(&mut self, offset: u16) -> u64;
    /// Writes.
    fn write64(&mut self, offset: u16, value: u64);
}

/// Memory for interrupt tables.
pub trait EntryMemory: DmaRegion {
    /// Writes 128 bits at a multiple of 16 so that no reader ever sees a mixture of old and
    /// new. Asked for only where [`AmdViConfig::writes_128`] says that it can be done.
    fn write128(&mut self, offset: usize, value: [u64; 2]);
}

/// What a unit works in. The unit must snoop it: it is written by no other means.
pub struct AmdViMemory<M> {
    /// The device table: 65,536 entries, 2 MiB, aligned to 4096. A smaller one would leave it
    /// to the unit what it does with ids past its end.
    pub device_table: M,
    /// The command buffer: 2^8 to 2^15 commands of 16 bytes, aligned to 4096.
    pub commands: M,
    /// The event log: the same.
    pub events: M,
    /// Where COMPLETION_WAIT stores: at least 8 bytes, aligned to 8.
    pub status: M,
    /// Where the devices' interrupt tables come from.
    pub tables: Box<dyn TableMemory<M>>,
}

/// Devices whose messages arrive with another id, as the IVRS has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alias {
    /// The first device.
    pub first: RequesterId,
    /// The last.
    pub last: RequesterId,
    /// What arrives.
    pub arrives: RequesterId,
}

/// How to run the unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AmdViConfig {
    /// 32-bit APIC ids.
    pub extended_mode: ExtendedMode,
    /// This CPU can write 128 bits at once (CMPXCHG16B).
    pub writes_128: bool,
    /// Polls of one wait before it is given up.
    pub wait_budget: u32,
    /// Of two that concern one device the later counts.
    pub aliases: Vec<Alias>,
    /// The ids that IOAPICs send with: the first 32 entries of their tables are for pins
    /// ([`Source::Pins`]), whoever else may send with the same id.
    pub io_apics: Vec<RequesterId>,
}

/// Why a unit was not taken into service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AmdViInitError {
    /// 32-bit APIC ids are required and the unit, or this CPU, can not have them.
    NoExtendedMode,
    /// The device table's size or alignment.
    BadDeviceTable,
    /// The command buffer's size or alignment.
    BadQueue,
    /// The event log's size or alignment.
    BadLog,
    /// The status word's size or alignment.
    BadStatus,
    /// No memory for bookkeeping.
    NoMemory,
    /// It did not follow.
    Hardware(HardwareError),
}

impl From<HardwareError> for AmdViInitError {
    fn from(error: HardwareError) -> Self {
        AmdViInitError::Hardware(error)
    }
}

/// How the unit was found: for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Initial {
    /// Firmware had the unit on.
    pub enabled: bool,
}

/// A unit in service.
pub struct AmdViUnit<R: AmdViRegisters, M: EntryMemory> {
    pub(super) registers: R,
    device_table: M,
    pub(super) queue: Queue<M>,
    pub(super) log: Log<M>,
    pub(super) tables: Tables<M>,
    pub(super) table_memory: Box<dyn TableMemory<M>>,
    aliases: Vec<Alias>,
    pub(super) io_apics: Vec<RequesterId>,
    initial: Initial,
}

impl<R: AmdViRegisters, M: EntryMemory> AmdViUnit<R, M> {
    /// Checks unit and memory, makes the device table abort every message, and switches the
    /// unit on.
    pub fn new(
        mut registers: R,
        memory: AmdViMemory<M>,
        config: AmdViConfig,
    ) -> Result<Self, AmdViInitError> {
        let first = registers.read64(offset::FEATURES);
        let features = Features::decode(first, registers.read64(offset::FEATURES_2));
        let format = entry_format(features, &config)?;
        let AmdViMemory { mut device_table, commands, events, status, tables: table_memory } =
            memory;
        if device_table.size_bytes() != 65_536 * DeviceEntry::BYTES
            || !device_table.bus_address().is_multiple_of(4096)
        {
            return Err(AmdViInitError::BadDeviceTable);
        }
        let queue = Queue::new(commands, status, config.wait_budget)?;
        let log = Log::new(events, config.wait_budget)?;
        let tables = Tables::new(format, features.large_tables());
        let tables = tables.ok_or(AmdViInitError::NoMemory)?;

        let found = Control::decode(registers.read64(offset::CONTROL));
        let initial = Initial { enabled: found.has(Control::ENABLED) };
        let budget = config.wait_budget;
        // The table must not be written while an older one of firmware's may lie there.
        stop_what_firmware_left(&mut registers, found, budget)?;
        for offset in (0..device_table.size_bytes()).step_by(DeviceEntry::BYTES) {
            for (place, word) in DeviceEntry::Abort.encode().into_iter().enumerate() {
                device_table.write64(offset + 8 * place, word);
            }
        }
        let (aliases, io_apics) = (config.aliases, config.io_apics);
        let mut unit = Self {
            registers,
            device_table,
            queue,
            log,
            tables,
            table_memory,
            aliases,
            io_apics,
            initial,
        };
        unit.start(found.idle(), features, budget)?;
        Ok(unit)
    }

    /// How the unit was found.
    pub const fn initial(&self) -> Initial {
        self.initial
    }

    /// How its entries are laid out.
    pub const fn entry_format(&self) -> EntryFormat {
        self.tables.format
    }

    /// Log2 of the entries of a device's table, the largest there are.
    pub fn most_entries_log2(&self) -> u8 {
        self.tables.next_log2()
    }

    /// The id under which `source` finds its table. What a bridge to plain PCI sends, it
    /// sends as function 0 of the bus behind it (PCI Express to PCI Bridge §2.3).
    pub(super) fn table_id(&self, source: Source) -> RequesterId {
        let id = match source {
            Source::Function(id) | Source::Device(id) | Source::Pins(id) => id,
            Source::Buses { first, .. } => RequesterId::from_bits(u16::from(first) << 8),
        };
        let is_it = |alias: &&Alias| (alias.first..=alias.last).contains(&id);
        self.aliases.iter().rev().find(is_it).map_or(id, |alias| alias.arrives)
    }

    /// One write: the unit sees the old entry or the new one.
    pub(super) fn write_device(&mut self, id: RequesterId, entry: DeviceEntry) {
        let at = usize::from(id.bits()) * DeviceEntry::BYTES + DeviceEntry::INTERRUPT_WORD;
        self.device_table.write64(at, entry.interrupt_word());
    }

    fn start(
        &mut self,
        idle: Control,
        features: Features,
        budget: u32,
    ) -> Result<(), AmdViInitError> {
        let registers = &mut self.registers;
        let pages = (self.device_table.size_bytes() / 4096) as u16;
        let base = DeviceTableBase { address: self.device_table.bus_address(), pages };
        registers.write64(offset::DEVICE_TABLE, base.encode());
        registers.write64(offset::COMMAND_BASE, self.queue.base().encode());
        registers.write64(offset::COMMAND_HEAD, 0);
        registers.write64(offset::COMMAND_TAIL, 0);
        registers.write64(offset::EVENT_BASE, self.log.base().encode());
        registers.write64(offset::EVENT_HEAD, 0);
        registers.write64(offset::EVENT_TAIL, 0);
        registers.write64(offset::STATUS, Status::OVERFLOW | Status::EVENT);

        // Modes change only while the unit is off (§3.4, GAEn and XTEn).
        let mut modes = Control::COHERENT;
        if self.tables.format != EntryFormat::Short {
            modes |= Control::WIDE_ENTRIES;
        }
        if self.tables.format.is_extended() {
            modes |= Control::X2APIC;
        }
        if features.large_tables() {
            modes |= Control::LARGE_TABLES;
        }
        let off = idle.with(modes);
        registers.write64(offset::CONTROL, off.encode());
        let on = off.with(Control::ENABLED | Control::EVENT_LOG | Control::COMMANDS);
        registers.write64(offset::CONTROL, on.encode());
        wait(registers, Status::COMMANDS_RUN, true, HardwareStep::QueueOn, budget)?;
        wait(registers, Status::LOG_RUNS, true, HardwareStep::LogOn, budget)?;
        self.forget_everything(features)?;
        Ok(())
    }

    /// The unit may hold entries of an older table.
    fn forget_everything(&mut self, features: Features) -> Result<(), HardwareError> {
        if features.invalidate_all() {
            return self.queue.run(&mut self.registers, &[Command::InvalidateAll]);
        }
        for group in 0..=u16::MAX / 32 {
            let ids = (0..32).map(|place| RequesterId::from_bits(32 * group + place));
            let mut commands = [Command::InvalidateAll; 64];
            for (pair, id) in commands.chunks_exact_mut(2).zip(ids) {
                pair[0] = Command::InvalidateDeviceEntry(id);
                pair[1] = Command::InvalidateInterruptTable(id);
            }
            self.queue.run(&mut self.registers, &commands)?;
        }
        Ok(())
    }
}

fn entry_format(features: Features, config: &AmdViConfig) -> Result<EntryFormat, AmdViInitError> {
    let wide = features.wide_entries() && config.writes_128;
    let extended = wide && features.x2apic();
    match config.extended_mode {
        ExtendedMode::Required if !extended => Err(AmdViInitError::NoExtendedMode),
        ExtendedMode::Required | ExtendedMode::IfSupported if extended => {
            Ok(EntryFormat::WideX2Apic)
        }
        _ if wide => Ok(EntryFormat::Wide),
        _ => Ok(EntryFormat::Short),
    }
}

/// Firmware may have used the unit. Log and commands first, then the unit.
fn stop_what_firmware_left(
    registers: &mut impl AmdViRegisters,
    found: Control,
    budget: u32,
) -> Result<(), HardwareError> {
    let quiet = found.without(Control::EVENT_LOG | Control::COMMANDS);
    registers.write64(offset::CONTROL, quiet.encode());
    wait(registers, Status::COMMANDS_RUN, false, HardwareStep::QueueOff, budget)?;
    wait(registers, Status::LOG_RUNS, false, HardwareStep::LogOff, budget)?;
    registers.write64(offset::CONTROL, found.idle().encode());
    Ok(())
}

fn wait(
    registers: &mut impl AmdViRegisters,
    bit: u64,
    set: bool,
    step: HardwareStep,
    budget: u32,
) -> Result<(), HardwareError> {
    for _ in 0..budget {
        if Status::decode(registers.read64(offset::STATUS)).has(bit) == set {
            return Ok(());
        }
    }
    Err(HardwareError::Timeout(step))
}
