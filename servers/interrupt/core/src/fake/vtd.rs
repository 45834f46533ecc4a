//! A VT-d unit: the interrupt side. Registers are in `vtd_registers`.

use super::memory::{Memory, ModelRegion, Role};
use super::vtd_registers::{ModelRegisters, Registers};
use crate::vtd::{
    CacheInvalidate, Descriptor, Destination, FaultRecord, Irte, RemappableMessage, VtdMemory,
};
use crate::{ApicId, EntryIndex, FaultReason, Pair, RequesterId, Vector};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

/// What kind of unit, and how it misbehaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VtdOptions {
    /// ECAP.IR.
    pub remapping: bool,
    /// ECAP.QI.
    pub queue: bool,
    /// ECAP.EIM.
    pub extended: bool,
    /// ECAP.C.
    pub coherent: bool,
    /// CAP.CM: entries that are not present are cached as well.
    pub caching_mode: bool,
    /// Log2 of the table's entries.
    pub entries_log2: u8,
    /// Log2 of the queue's pages.
    pub queue_pages_log2: u8,
    /// Fault records: 1..=256.
    pub fault_records: u16,
    /// After a queue error is cleared, go on only when the tail is written (QEMU 7.2), not at
    /// once (§6.5.2.10).
    pub resume_at_tail: bool,
    /// Compatibility format passes even when it is off, as in QEMU 7.2.
    pub compatibility_leaks: bool,
    /// Polls before anything happens.
    pub lag: u32,
}

impl Default for VtdOptions {
    /// A unit as QEMU 7.2's `intel-iommu,intremap=on`, but with a small table, and strict.
    fn default() -> Self {
        Self {
            remapping: true,
            queue: true,
            extended: false,
            coherent: false,
            caching_mode: false,
            entries_log2: 8,
            queue_pages_log2: 0,
            fault_records: 1,
            resume_at_tail: false,
            compatibility_leaks: false,
            lag: 0,
        }
    }
}

/// What became of a device's write into the interrupt window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageOutcome {
    /// It reached a CPU.
    Event {
        /// Which.
        apic: ApicId,
        /// As which vector.
        vector: Vector,
    },
    /// It was dropped.
    Blocked(FaultReason),
}

/// A unit; clones are the same unit.
#[derive(Clone)]
pub struct VtdModel(Rc<RefCell<Unit>>);

/// The unit's state.
pub(super) struct Unit {
    pub(super) options: VtdOptions,
    pub(super) registers: Registers,
    table: Memory,
    queue: Memory,
    status: Memory,
    /// The interrupt entry cache: what was used stays until it is invalidated.
    cache: BTreeMap<u16, [u64; 2]>,
    /// Global command bits that the unit will not acknowledge.
    pub(super) deaf: u32,
    /// FECTL_REG takes no writes.
    pub(super) deaf_event: bool,
    /// The queue stands still.
    pub(super) hung: bool,
    /// So many invalidations will be refused.
    pub(super) refuse: u32,
    /// The refused descriptor, which stays refused until it is replaced.
    pub(super) poisoned: Option<(u64, [u64; 2])>,
    /// Steps until the queue moves.
    pub(super) sleep: u32,
    pub(super) violations: Vec<String>,
    pub(super) fault_events: Vec<Pair>,
    /// All invalidations done, newest last, at most 64.
    pub(super) invalidations: VecDeque<CacheInvalidate>,
}

impl VtdModel {
    /// A unit after reset, with its memory.
    pub fn new(options: VtdOptions) -> Self {
        let table = 16 << options.entries_log2;
        let queue = 4096 << options.queue_pages_log2;
        Self(Rc::new(RefCell::new(Unit {
            options,
            registers: Registers::new(&options),
            table: Memory::new(0x4000_0000, table, options.coherent),
            queue: Memory::new(0x5000_0000, queue, true),
            status: Memory::new(0x6000_0000, 4096, true),
            cache: BTreeMap::new(),
            deaf: 0,
            deaf_event: false,
            hung: false,
            refuse: 0,
            poisoned: None,
            sleep: 0,
            violations: Vec::new(),
            fault_events: Vec::new(),
            invalidations: VecDeque::new(),
        })))
    }

    /// The register page.
    pub fn registers(&self) -> ModelRegisters {
        ModelRegisters(self.0.clone())
    }

    /// The three regions.
    pub fn memory(&self) -> VtdMemory<ModelRegion> {
        let region = |role| ModelRegion { unit: self.0.clone(), role };
        VtdMemory {
            table: region(Role::Table),
            queue: region(Role::Queue),
            status: region(Role::Status),
        }
    }

    /// A device writes `pair`. Without a source it is a write that carries no requester id:
    /// no source check (QEMU's devices' DMA).
    pub fn message(&self, source: Option<RequesterId>, pair: Pair) -> MessageOutcome {
        let mut unit = self.0.borrow_mut();
        let (outcome, index) = unit.remap(source, pair);
        if let MessageOutcome::Blocked(reason) = outcome {
            let source = source.unwrap_or(RequesterId::from_bits(0));
            let silent = index.is_some_and(|index| unit.fault_disabled(index));
            if !silent {
                let index = index.unwrap_or(EntryIndex::new(0));
                unit.record_fault(FaultRecord::interrupt(source, reason, index));
            }
        }
        outcome
    }

    /// What the driver did that the specification does not allow.
    pub fn violations(&self) -> Vec<String> {
        self.0.borrow().violations.clone()
    }

    /// The unit will not acknowledge these global command bits.
    pub fn ignore_commands(&self, bits: u32) {
        self.0.borrow_mut().deaf = bits;
    }

    /// The queue stands still, or moves again.
    pub fn hang(&self, hung: bool) {
        let mut unit = self.0.borrow_mut();
        unit.hung = hung;
        unit.run_queue();
    }

    /// FECTL_REG takes no more writes, or takes them again.
    pub fn deafen_event(&self, deaf: bool) {
        self.0.borrow_mut().deaf_event = deaf;
    }

    /// The next `count` invalidations are refused with IQE.
    pub fn refuse_invalidations(&self, count: u32) {
        self.0.borrow_mut().refuse = count;
    }

    /// Fault events sent.
    pub fn fault_events(&self) -> Vec<Pair> {
        self.0.borrow().fault_events.clone()
    }

    /// The last invalidations, at most 64.
    pub fn invalidations(&self) -> Vec<CacheInvalidate> {
        self.0.borrow().invalidations.iter().copied().collect()
    }

    /// An entry in memory, as the unit would fetch it. `None` past the table.
    pub fn entry(&self, index: EntryIndex) -> Option<[u64; 2]> {
        self.0.borrow().fetch(index.bits())
    }

    /// Firmware leaves remapping and an idle queue on, with compatibility format let through.
    pub fn leave_firmware_state(&self) {
        self.0.borrow_mut().registers.leave_firmware_state();
    }
}

impl Unit {
    pub(super) fn memory(&mut self, role: Role) -> &mut Memory {
        match role {
            Role::Table => &mut self.table,
            Role::Queue => &mut self.queue,
            Role::Status => &mut self.status,
        }
    }

    pub(super) fn violation(&mut self, what: &str) {
        self.violations.push(String::from(what));
    }

    /// Time passes while the driver polls.
    pub(super) fn step(&mut self) {
        self.sleep = self.sleep.saturating_sub(1);
        if self.sleep == 0 {
            self.run_queue();
        }
    }

    /// §9.10: P guards the rest, so it is written last, and the source check is never
    /// touched under it.
    pub(super) fn check_table_write(&mut self, offset: usize, former: u64, value: u64) {
        if !self.registers.table_in_use() {
            return;
        }
        let (index, half) = (offset / 16, offset / 8 % 2);
        if half == 1 {
            let present = self.written_half(index, 0) & 1 == 1;
            if present && value != former {
                self.violation("the source check of a present entry was changed");
            }
            return;
        }
        if value & 1 == 1 {
            let high = self.written_half(index, 1);
            match Irte::decode([value, high], self.registers.extended) {
                Err(error) => self.violation(error.field),
                Ok(None) => {}
                Ok(Some(entry)) => {
                    if entry.source == crate::vtd::SourceCheck::None {
                        self.violation("a present entry without a source check");
                    }
                    if entry.fault_disable {
                        self.violation("an entry whose faults are not recorded");
                    }
                }
            }
        }
    }

    fn fetch(&self, index: u16) -> Option<[u64; 2]> {
        let base = self.registers.table?.address;
        if u32::from(index) >= 1 << self.registers.table?.entries_log2 {
            return None;
        }
        let at = base + 16 * index as u64;
        Some([self.table.device_read(at)?, self.table.device_read(at + 8)?])
    }

    fn fault_disabled(&self, index: EntryIndex) -> bool {
        self.fetch(index.bits()).is_some_and(|halves| halves[0] & 2 != 0)
    }

    /// §5.1.4: the checks in their order.
    fn remap(
        &mut self,
        source: Option<RequesterId>,
        pair: Pair,
    ) -> (MessageOutcome, Option<EntryIndex>) {
        let blocked = |reason, index| (MessageOutcome::Blocked(reason), index);
        let remapping = self.registers.remapping_on();
        if !remapping || pair.address >> 32 == 0 && pair.address & 0x10 == 0 {
            let leaks = self.options.compatibility_leaks || self.registers.compatibility_on();
            return match crate::vtd::CompatibilityMessage::decode(pair) {
                Ok(message) if !remapping || leaks => {
                    let apic = ApicId::from_bits(message.destination.into());
                    (MessageOutcome::Event { apic, vector: message.vector }, None)
                }
                _ => blocked(FaultReason::Compatibility, None),
            };
        }
        let Ok(message) = RemappableMessage::decode(pair) else {
            return blocked(FaultReason::RequestReserved, None);
        };
        let Some(index) = message.entry() else {
            return blocked(FaultReason::IndexTooLarge, None);
        };
        let halves = match self.cache.get(&index.bits()) {
            Some(halves) => *halves,
            None => match self.fetch(index.bits()) {
                Some(halves) => halves,
                None => return blocked(FaultReason::IndexTooLarge, Some(index)),
            },
        };
        if halves[0] & 1 == 1 || self.options.caching_mode {
            self.cache.insert(index.bits(), halves);
        }
        let entry = match Irte::decode(halves, self.registers.extended) {
            Err(_) => return blocked(FaultReason::EntryReserved, Some(index)),
            Ok(None) => return blocked(FaultReason::NotPresent, Some(index)),
            Ok(Some(entry)) => entry,
        };
        if source.is_some_and(|source| !entry.source.accepts(source)) {
            return blocked(FaultReason::WrongSource, Some(index));
        }
        let apic = match entry.destination {
            Destination::XApic(id) => ApicId::from_bits(id.into()),
            Destination::X2Apic(id) => ApicId::from_bits(id),
        };
        (MessageOutcome::Event { apic, vector: entry.vector }, Some(index))
    }

    /// Fetches descriptors until the queue is empty or one is refused.
    pub(super) fn run_queue(&mut self) {
        if self.hung || self.sleep > 0 {
            return;
        }
        while let Some(address) = self.registers.next_descriptor() {
            let halves = (self.queue.device_read(address), self.queue.device_read(address + 8));
            let (Some(low), Some(high)) = halves else {
                self.violation("the queue is not where IQA_REG says");
                return self.registers.queue_error(&mut self.fault_events);
            };
            if self.poisoned == Some((address, [low, high])) {
                return self.registers.queue_error(&mut self.fault_events);
            }
            self.poisoned = None;
            match Descriptor::decode([low, high]) {
                Ok(Descriptor::Cache(_)) if self.refuse > 0 => {
                    self.refuse -= 1;
                    self.poisoned = Some((address, [low, high]));
                    return self.registers.queue_error(&mut self.fault_events);
                }
                Ok(Descriptor::Cache(what)) => self.invalidate(what),
                Ok(Descriptor::Wait(wait)) => {
                    let status = wait.status_address;
                    if !self.status.device_write32(status, wait.status_data) {
                        self.violation("a status write outside the status region");
                    }
                }
                Err(error) => {
                    self.violation(error.field);
                    return self.registers.queue_error(&mut self.fault_events);
                }
            }
            self.registers.descriptor_done();
        }
    }

    fn invalidate(&mut self, what: CacheInvalidate) {
        match what {
            CacheInvalidate::Global => {
                self.cache.clear();
                self.registers.cache_clean = true;
            }
            CacheInvalidate::Selective { index, mask } => {
                let block = |index: u16| index >> mask;
                self.cache.retain(|cached, _| block(*cached) != block(index.bits()));
            }
        }
        if self.invalidations.len() == 64 {
            self.invalidations.pop_front();
        }
        self.invalidations.push_back(what);
    }

    /// §7.2.1: one record per source at a time; no free record: overflow.
    fn record_fault(&mut self, fault: FaultRecord) {
        self.registers.record_fault(fault, &mut self.fault_events);
    }
}
