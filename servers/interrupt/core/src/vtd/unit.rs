//! One VT-d unit: what it needs, and how it is switched on.
//!
//! The order follows §5.1 and §6.5.2: stop what firmware left, fault event, queue, table
//! pointer, forget cached entries, remapping on, compatibility format off. Every wait has a
//! budget and a name.

use super::queue::Queue;
use super::registers::{
    Capability, ExtendedCapability, FAULT_CONTROL_MASK, FaultStatus, GlobalStatus, QueueAddress,
    TableAddress, offset,
};
use super::{CacheInvalidate, FaultRecord};
use crate::numbers::EntryAllocator;
use crate::{Fault, HardwareError, HardwareStep};

/// The unit's register page. The accesses have the width that their names say, reach the
/// device in program order, and are not merged.
pub trait VtdRegisters {
    /// Reads 32 bits.
    fn read32(&mut self, offset: u16) -> u32;
    /// Writes 32 bits.
    fn write32(&mut self, offset: u16, value: u32);
    /// Reads 64 bits.
    fn read64(&mut self, offset: u16) -> u64;
    /// Writes 64 bits. All earlier writes to DMA memory are visible to the unit before it.
    fn write64(&mut self, offset: u16, value: u64);
}

/// Memory that the unit reads or writes. Each 64-bit access is atomic and volatile, and
/// accesses are seen by the unit in program order (on x86: normal memory and a compiler
/// barrier).
pub trait DmaRegion {
    /// Where the unit sees it.
    fn bus_address(&self) -> u64;
    /// Its length.
    fn size_bytes(&self) -> usize;
    /// Reads 64 bits at a multiple of 8.
    fn read64(&self, offset: usize) -> u64;
    /// Writes 64 bits at a multiple of 8.
    fn write64(&mut self, offset: usize, value: u64);
    /// Writes the cache line of `offset` back to memory (CLFLUSH and a fence). Called only
    /// for units whose reads do not snoop.
    fn write_back(&mut self, offset: usize);
}

/// The three regions of a unit.
pub struct VtdMemory<M> {
    /// The table: 16 bytes an entry; 2^1 to 2^16 entries; aligned to its size and to 4096.
    pub table: M,
    /// The invalidation queue: 1 to 128 pages, a power of two; aligned to 4096.
    pub queue: M,
    /// Where wait descriptors write: at least 8 bytes, aligned to 8.
    pub status: M,
}

/// How to run the unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VtdConfig {
    /// 32-bit APIC ids.
    pub extended_mode: ExtendedMode,
    /// Polls of one wait before it is given up.
    pub wait_budget: u32,
}

/// Extended interrupt mode (EIME): wanted when the CPUs run in x2APIC mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExtendedMode {
    /// Leave it off: the CPUs run in xAPIC mode.
    Off,
    /// On where the unit has it.
    IfSupported,
    /// On, and an error where the unit has it not.
    Required,
}

/// Why a unit was not taken into service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VtdInitError {
    /// ECAP_REG.IR is clear (`intremap=off`).
    NoInterruptRemapping,
    /// ECAP_REG.QI is clear.
    NoQueuedInvalidation,
    /// Extended mode is required and ECAP_REG.EIM is clear (`eim=off`).
    NoExtendedMode,
    /// The table's size or alignment, or no memory for its bookkeeping.
    BadTable,
    /// The queue's size or alignment.
    BadQueue,
    /// The status word's size or alignment.
    BadStatus,
    /// It did not follow.
    Hardware(HardwareError),
}

impl From<HardwareError> for VtdInitError {
    fn from(error: HardwareError) -> Self {
        VtdInitError::Hardware(error)
    }
}

/// How the unit was found: for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Initial {
    /// VER_REG: major version in 7:4, minor in 3:0.
    pub version: u32,
    /// Firmware had interrupt remapping on.
    pub remapping: bool,
    /// Firmware has DMA translation on. It is left as found.
    pub translation: bool,
}

/// A unit in service.
pub struct VtdUnit<R: VtdRegisters, M: DmaRegion> {
    pub(super) registers: R,
    pub(super) table: M,
    pub(super) queue: Queue<M>,
    pub(super) entries: EntryAllocator,
    pub(super) capability: Capability,
    pub(super) extended_capability: ExtendedCapability,
    pub(super) extended: bool,
    initial: Initial,
}

impl<R: VtdRegisters, M: DmaRegion> VtdUnit<R, M> {
    /// Checks the unit and the memory, clears the table, and switches the unit on.
    pub fn new(
        mut registers: R,
        memory: VtdMemory<M>,
        config: VtdConfig,
    ) -> Result<Self, VtdInitError> {
        let capability = Capability::decode(registers.read64(offset::CAPABILITY));
        let ecap = ExtendedCapability::decode(registers.read64(offset::EXTENDED_CAPABILITY));
        if !ecap.interrupt_remapping() {
            return Err(VtdInitError::NoInterruptRemapping);
        }
        if !ecap.queued_invalidation() {
            return Err(VtdInitError::NoQueuedInvalidation);
        }
        let extended = match (config.extended_mode, ecap.extended_mode()) {
            (ExtendedMode::Off, _) | (ExtendedMode::IfSupported, false) => false,
            (_, true) => true,
            (ExtendedMode::Required, false) => return Err(VtdInitError::NoExtendedMode),
        };
        let mut table = memory.table;
        let table_address = table_address(&table, extended)?;
        let queue = Queue::new(memory.queue, memory.status, config.wait_budget)?;
        let entries =
            EntryAllocator::new(1 << table_address.entries_log2).ok_or(VtdInitError::BadTable)?;
        clear_table(&mut table, ecap.coherent());
        let status = GlobalStatus::decode(registers.read32(offset::GLOBAL_STATUS));
        let initial = Initial {
            version: registers.read32(offset::VERSION),
            remapping: status.has(GlobalStatus::INTERRUPT_REMAPPING),
            translation: status.has(GlobalStatus::TRANSLATION),
        };
        let mut unit = Self {
            registers,
            table,
            queue,
            entries,
            capability,
            extended_capability: ecap,
            extended,
            initial,
        };
        unit.stop_what_firmware_left(config.wait_budget)?;
        unit.start(table_address, config.wait_budget)?;
        Ok(unit)
    }

    /// How the unit was found.
    pub const fn initial(&self) -> Initial {
        self.initial
    }

    /// Whether entries hold 32-bit APIC ids.
    pub const fn extended_mode(&self) -> bool {
        self.extended
    }

    /// Reads and gives back one fault record. Looks at each record once at most.
    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        let status = FaultStatus::decode(self.registers.read32(offset::FAULT_STATUS));
        if status.of(FaultStatus::PENDING) == 0 {
            return None;
        }
        let count = self.capability.fault_records();
        for step in 0..count {
            let record = (status.first_record() + step) % count;
            let low = self.capability.fault_record_offset() + 16 * record;
            let halves = [self.registers.read64(low), self.registers.read64(low + 8)];
            if let Some(fault) = FaultRecord::decode(halves) {
                self.registers.write64(low + 8, FaultRecord::CLEAR);
                return Some(fault.fault());
            }
        }
        None
    }

    /// Firmware may have used the unit. Off with remapping first, while the old table still
    /// stands; then with the queue, which must be empty for that (§6.5.2).
    fn stop_what_firmware_left(&mut self, budget: u32) -> Result<(), HardwareError> {
        if self.status().has(GlobalStatus::INTERRUPT_REMAPPING) {
            self.clear(GlobalStatus::INTERRUPT_REMAPPING, HardwareStep::RemappingOff, budget)?;
        }
        if self.status().has(GlobalStatus::QUEUED_INVALIDATION) {
            let mut polls = 0;
            while self.registers.read64(offset::QUEUE_HEAD)
                != self.registers.read64(offset::QUEUE_TAIL)
            {
                polls += 1;
                if polls >= budget {
                    return Err(HardwareError::Timeout(HardwareStep::QueueEmpty));
                }
            }
            self.clear(GlobalStatus::QUEUED_INVALIDATION, HardwareStep::QueueOff, budget)?;
        }
        Ok(())
    }

    fn start(&mut self, table: TableAddress, budget: u32) -> Result<(), HardwareError> {
        // Records stay on, the event stays off until it has somewhere to go. What is left
        // from before is dropped: it is not about our entries.
        self.registers.write32(offset::FAULT_CONTROL, FAULT_CONTROL_MASK);
        for _ in 0..self.capability.fault_records() {
            if self.take_fault().is_none() {
                break;
            }
        }
        let stale = FaultStatus::OVERFLOW | FaultStatus::QUEUE_ERRORS;
        self.registers.write32(offset::FAULT_STATUS, stale);

        // The tail before the queue is enabled, and zero (§6.5.2).
        self.registers.write64(offset::QUEUE_TAIL, 0);
        let queue: QueueAddress = self.queue.address();
        self.registers.write64(offset::QUEUE_ADDRESS, queue.encode());
        self.set(GlobalStatus::QUEUED_INVALIDATION, HardwareStep::QueueOn, budget)?;

        self.registers.write64(offset::TABLE_ADDRESS, table.encode());
        self.set(GlobalStatus::TABLE_POINTER, HardwareStep::TablePointer, budget)?;
        // The unit may hold entries of an older table (§6.5.3.1).
        self.queue.invalidate(&mut self.registers, CacheInvalidate::Global)?;
        self.set(GlobalStatus::INTERRUPT_REMAPPING, HardwareStep::RemappingOn, budget)?;
        if self.status().has(GlobalStatus::COMPATIBILITY) {
            self.clear(GlobalStatus::COMPATIBILITY, HardwareStep::CompatibilityOff, budget)?;
        }
        Ok(())
    }

    fn status(&mut self) -> GlobalStatus {
        GlobalStatus::decode(self.registers.read32(offset::GLOBAL_STATUS))
    }

    fn set(&mut self, bit: u32, step: HardwareStep, budget: u32) -> Result<(), HardwareError> {
        let command = self.status().command_set(bit);
        self.registers.write32(offset::GLOBAL_COMMAND, command);
        self.wait(|status| status.has(bit), step, budget)
    }

    fn clear(&mut self, bit: u32, step: HardwareStep, budget: u32) -> Result<(), HardwareError> {
        let command = self.status().command_clear(bit);
        self.registers.write32(offset::GLOBAL_COMMAND, command);
        self.wait(|status| !status.has(bit), step, budget)
    }

    fn wait(
        &mut self,
        done: impl Fn(GlobalStatus) -> bool,
        step: HardwareStep,
        budget: u32,
    ) -> Result<(), HardwareError> {
        for _ in 0..budget {
            if done(self.status()) {
                return Ok(());
            }
        }
        Err(HardwareError::Timeout(step))
    }
}

/// Size and alignment of the table, as IRTA_REG wants them.
fn table_address(table: &impl DmaRegion, extended: bool) -> Result<TableAddress, VtdInitError> {
    let (size, address) = (table.size_bytes() as u64, table.bus_address());
    let entries = size / 16;
    if !size.is_power_of_two() || !(2..=65_536).contains(&entries) {
        return Err(VtdInitError::BadTable);
    }
    // A table above one page is aligned to its size.
    if !address.is_multiple_of(size.max(4096)) {
        return Err(VtdInitError::BadTable);
    }
    Ok(TableAddress { address, extended, entries_log2: entries.ilog2() as u8 })
}

/// Every entry not present, before the unit learns of the table.
fn clear_table(table: &mut impl DmaRegion, coherent: bool) {
    for offset in (0..table.size_bytes()).step_by(8) {
        table.write64(offset, 0);
        if !coherent {
            table.write_back(offset);
        }
    }
}
