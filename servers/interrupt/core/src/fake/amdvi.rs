//! An AMD IOMMU: the interrupt side. Registers and commands are in `amdvi_registers`, memory
//! in `amdvi_memory`.

use super::MessageOutcome;
use super::amdvi_memory::{AmdViRegion, TablePool};
use super::amdvi_registers::{AmdViModelRegisters, Registers};
use super::its_memory::Memory;
use crate::amdvi::{AmdViMemory, Command, DeviceEntry, EventCode, IndexMessage, Irte, LogEvent};
use crate::vtd::{CompatibilityMessage, Destination};
use crate::{ApicId, FaultReason, Pair, RequesterId};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

/// What a write without a requester id counts as: the IO APIC's, as in QEMU 7.2.
const IO_APIC: RequesterId = RequesterId::from_bits(0x00a0);

/// What kind of unit, and how it misbehaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AmdViOptions {
    /// EFR.GASup.
    pub wide: bool,
    /// EFR.XTSup.
    pub x2apic: bool,
    /// EFR.IASup.
    pub invalidate_all: bool,
    /// EFR2.NumIntRemapSup.
    pub large: bool,
    /// Bytes for tables of devices.
    pub table_bytes: usize,
    /// Places in the log, at least 256.
    pub log_events: u16,
    /// Polls before anything happens.
    pub lag: u32,
}

impl Default for AmdViOptions {
    /// A unit as QEMU 7.2's `amd-iommu,intremap=on`, and strict.
    fn default() -> Self {
        Self {
            wide: true,
            x2apic: false,
            invalidate_all: true,
            large: false,
            table_bytes: 64 << 10,
            log_events: 256,
            lag: 0,
        }
    }
}

/// A unit; clones are the same unit.
#[derive(Clone)]
pub struct AmdViModel(pub(super) Rc<RefCell<Iommu>>);

/// A table that the device table in memory leads to.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) entries_log2: u8,
    pub(super) id: RequesterId,
}

/// The unit's state.
pub(super) struct Iommu {
    pub(super) options: AmdViOptions,
    pub(super) registers: Registers,
    pub(super) memory: Memory,
    /// Bus address of the device table.
    pub(super) device_table: u64,
    pub(super) tables: BTreeMap<u64, Known>,
    /// Ids that were given a table, in order, each once.
    pub(super) attached: Vec<RequesterId>,
    /// What was used stays until it is invalidated: device table entries …
    pub(super) devices: BTreeMap<RequesterId, [u64; 4]>,
    /// … and entries of tables, also those that were off.
    pub(super) entries: BTreeMap<(RequesterId, u16), [u64; 2]>,
    /// Commands stand still.
    pub(super) hung: bool,
    /// Bits of the status register that never change to set.
    pub(super) deaf: u64,
    /// So many invalidations will be refused.
    pub(super) refuse: u32,
    /// Steps until commands move.
    pub(super) sleep: u32,
    pub(super) pool_left: usize,
    pub(super) violations: Vec<String>,
    /// All invalidations done, newest last, at most 64.
    pub(super) commands: VecDeque<Command>,
}

impl AmdViModel {
    /// A unit after reset.
    pub fn new(options: AmdViOptions) -> Self {
        Self(Rc::new(RefCell::new(Iommu {
            options,
            registers: Registers::new(&options),
            memory: Memory::new(true),
            device_table: 0,
            tables: BTreeMap::new(),
            attached: Vec::new(),
            devices: BTreeMap::new(),
            entries: BTreeMap::new(),
            hung: false,
            deaf: 0,
            refuse: 0,
            sleep: 0,
            pool_left: options.table_bytes,
            violations: Vec::new(),
            commands: VecDeque::new(),
        })))
    }

    /// The register page.
    pub fn registers(&self) -> AmdViModelRegisters {
        AmdViModelRegisters(self.0.clone())
    }

    /// Memory of all regions.
    pub fn memory(&self) -> AmdViMemory<AmdViRegion> {
        let region = |bytes| AmdViRegion::new(&self.0, bytes, 4096);
        let events = 16 * usize::from(self.0.borrow().options.log_events);
        AmdViMemory {
            device_table: region(2 << 20),
            commands: region(4096),
            events: region(events),
            status: region(8),
            tables: Box::new(TablePool(self.0.clone())),
        }
    }

    /// A device writes `pair`. Without a source it is a write that carries no requester id
    /// (QEMU's devices' DMA), which counts as the IO APIC's.
    pub fn message(&self, source: Option<RequesterId>, pair: Pair) -> MessageOutcome {
        let mut iommu = self.0.borrow_mut();
        let source = source.unwrap_or(IO_APIC);
        match iommu.remap(source, pair) {
            Ok(outcome) => outcome,
            Err((reason, event)) => {
                iommu.log(event);
                MessageOutcome::Blocked(reason)
            }
        }
    }

    /// What the driver did that the specification does not allow.
    pub fn violations(&self) -> Vec<String> {
        self.0.borrow().violations.clone()
    }

    /// The unit will not set, and not clear, these bits of its status.
    pub fn ignore(&self, status: u64) {
        self.0.borrow_mut().deaf = status;
    }

    /// Commands stand still, or move again.
    pub fn hang(&self, hung: bool) {
        let mut iommu = self.0.borrow_mut();
        iommu.hung = hung;
        iommu.run_commands();
    }

    /// The next `count` invalidations are refused as illegal.
    pub fn refuse_commands(&self, count: u32) {
        self.0.borrow_mut().refuse = count;
    }

    /// The last invalidations, at most 64.
    pub fn commands(&self) -> Vec<Command> {
        self.0.borrow().commands.iter().copied().collect()
    }

    /// An id's device table entry in memory.
    pub fn device_entry(&self, id: RequesterId) -> Option<DeviceEntry> {
        DeviceEntry::decode(self.0.borrow().fetch_device(id)?).ok()
    }

    /// Whether an entry in memory is on: that number of the table that was the `table`th to be
    /// given to an id.
    pub fn is_on(&self, table: usize, number: u16) -> Option<bool> {
        let iommu = self.0.borrow();
        let id = *iommu.attached.get(table)?;
        let words = iommu.fetch_device(id)?;
        let Ok(DeviceEntry::Remap { table, .. }) = DeviceEntry::decode(words) else {
            return Some(false);
        };
        Some(iommu.fetch_entry(table, number)?[0] & 1 == 1)
    }

    /// Firmware leaves the unit on, with its own tables.
    pub fn leave_firmware_state(&self) {
        self.0.borrow_mut().registers.leave_firmware_state();
    }
}

type Blocked = (FaultReason, LogEvent);

impl Iommu {
    pub(super) fn violation(&mut self, what: &str) {
        self.violations.push(String::from(what));
    }

    pub(super) fn fetch_device(&self, id: RequesterId) -> Option<[u64; 4]> {
        let at = self.device_table + 32 * u64::from(id.bits());
        let word = |place: u64| self.memory.read(at + 8 * place);
        Some([word(0)?, word(1)?, word(2)?, word(3)?])
    }

    /// 32-bit entries in the low half.
    pub(super) fn fetch_entry(&self, table: u64, number: u16) -> Option<[u64; 2]> {
        if self.registers.wide() {
            let at = table + 16 * u64::from(number);
            return Some([self.memory.read(at)?, self.memory.read(at + 8)?]);
        }
        let at = table + 4 * u64::from(number);
        Some([self.memory.read(at & !7)? >> (8 * (at & 4)) & 0xffff_ffff, 0])
    }

    pub(super) fn decode_entry(
        &self,
        halves: [u64; 2],
    ) -> Result<Option<Irte>, crate::vtd::Malformed> {
        if self.registers.wide() {
            Irte::decode_wide(halves, self.registers.x2apic())
        } else {
            Irte::decode_short(halves[0] as u32)
        }
    }

    /// §2.2.5: the checks in their order.
    fn remap(&mut self, id: RequesterId, pair: Pair) -> Result<MessageOutcome, Blocked> {
        let refused =
            |reason, present, reserved| Err((reason, LogEvent::interrupt(id, present, reserved)));
        if !self.registers.enabled() {
            return Ok(compatible(pair));
        }
        let cached = self.devices.get(&id).copied();
        let Some(words) = cached.or_else(|| self.fetch_device(id)) else {
            let event = LogEvent {
                code: EventCode::DeviceTableError,
                ..LogEvent::interrupt(id, false, false)
            };
            return Err((FaultReason::TableAccess, event));
        };
        self.devices.insert(id, words);
        let (table, entries_log2) = match DeviceEntry::decode(words) {
            Ok(DeviceEntry::Unmapped) => return Ok(compatible(pair)),
            Ok(DeviceEntry::Abort) => return refused(FaultReason::NotPresent, false, false),
            Ok(DeviceEntry::Remap { table, entries_log2 }) => (table, entries_log2),
            Err(_) => {
                let code = EventCode::IllegalDeviceEntry;
                let event = LogEvent { code, ..LogEvent::interrupt(id, false, false) };
                return Err((FaultReason::EntryReserved, event));
            }
        };
        let invalid =
            LogEvent { code: EventCode::InvalidRequest, ..LogEvent::interrupt(id, false, false) };
        let Ok(IndexMessage { number }) = IndexMessage::decode(pair) else {
            return Err((FaultReason::RequestReserved, invalid));
        };
        // Without large tables bits 10:8 are the delivery mode: fixed or arbitrated.
        if number >> 9 != 0 && !self.registers.large() {
            return Err((FaultReason::RequestReserved, invalid));
        }
        if number >> entries_log2 != 0 {
            return refused(FaultReason::IndexTooLarge, false, false);
        }
        let halves = match self.entries.get(&(id, number)) {
            Some(halves) => *halves,
            None => match self.fetch_entry(table, number) {
                Some(halves) => halves,
                None => return refused(FaultReason::TableAccess, false, false),
            },
        };
        self.entries.insert((id, number), halves);
        match self.decode_entry(halves) {
            Ok(Some(entry)) => {
                let apic = match entry.destination {
                    Destination::XApic(id) => ApicId::from_bits(id.into()),
                    Destination::X2Apic(id) => ApicId::from_bits(id),
                };
                Ok(MessageOutcome::Event { apic, vector: entry.vector })
            }
            Ok(None) => refused(FaultReason::NotPresent, false, false),
            Err(_) => refused(FaultReason::EntryReserved, true, true),
        }
    }
}

/// As if there were no IOMMU.
fn compatible(pair: Pair) -> MessageOutcome {
    match CompatibilityMessage::decode(pair) {
        Ok(message) => MessageOutcome::Event {
            apic: ApicId::from_bits(message.destination.into()),
            vector: message.vector,
        },
        Err(_) => MessageOutcome::Blocked(FaultReason::Compatibility),
    }
}
