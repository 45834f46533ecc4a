//! The model unit's register page (§11.4).

use super::vtd::{Unit, VtdOptions};
use crate::vtd::{
    FaultRecord, FaultStatus, GlobalStatus, QueueAddress, TableAddress, VtdRegisters, offset,
};
use crate::{Pair, vtd::Malformed};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

const RECORDS: u16 = 0x400;
const EVENT_MASK: u32 = 1 << 31;
const EVENT_PENDING: u32 = 1 << 30;
const STATES: u32 = 0x96ff_ffff;

/// The page as the driver holds it.
pub struct ModelRegisters(pub(super) Rc<RefCell<Unit>>);

/// Register values.
pub(super) struct Registers {
    capability: u64,
    extended_capability: u64,
    status: u32,
    fault_status: u32,
    fault_control: u32,
    fault_data: u32,
    fault_address: u32,
    queue_head: u64,
    queue_tail: u64,
    queue_address: u64,
    table_address: u64,
    records: Vec<[u64; 2]>,
    next_record: usize,
    /// Taken by SIRTP.
    pub(super) table: Option<TableAddress>,
    pub(super) extended: bool,
    /// A global invalidation was done since.
    pub(super) cache_clean: bool,
    /// A queue error stands, or was cleared and the tail not written since.
    stopped: bool,
}

/// What raises the fault event, and keeps others from raising it again.
const CONDITIONS: u32 = FaultStatus::OVERFLOW | FaultStatus::PENDING | FaultStatus::QUEUE_ERRORS;

impl Registers {
    pub(super) fn new(options: &VtdOptions) -> Self {
        let records = options.fault_records.max(1);
        let flag = |on: bool, bit: u32| (on as u64) << bit;
        Self {
            capability: flag(options.caching_mode, 7)
                | (RECORDS as u64 / 16) << 24
                | (records as u64 - 1) << 40,
            extended_capability: flag(options.coherent, 0)
                | flag(options.queue, 1)
                | flag(options.remapping, 3)
                | flag(options.extended, 4)
                | 15 << 20,
            status: 0,
            fault_status: 0,
            fault_control: EVENT_MASK,
            fault_data: 0,
            fault_address: 0,
            queue_head: 0,
            queue_tail: 0,
            queue_address: 0,
            table_address: 0,
            records: vec![[0, 0]; records as usize],
            next_record: 0,
            table: None,
            extended: false,
            cache_clean: false,
            stopped: false,
        }
    }

    pub(super) fn leave_firmware_state(&mut self) {
        self.status = GlobalStatus::INTERRUPT_REMAPPING
            | GlobalStatus::QUEUED_INVALIDATION
            | GlobalStatus::TABLE_POINTER
            | GlobalStatus::COMPATIBILITY;
        (self.queue_head, self.queue_tail) = (0x40, 0x40);
        self.queue_address = 0x7000_0000;
    }

    fn has(&self, bit: u32) -> bool {
        self.status & bit != 0
    }

    pub(super) fn remapping_on(&self) -> bool {
        self.has(GlobalStatus::INTERRUPT_REMAPPING)
    }

    pub(super) fn compatibility_on(&self) -> bool {
        self.has(GlobalStatus::COMPATIBILITY)
    }

    pub(super) fn table_in_use(&self) -> bool {
        self.remapping_on() && self.table.is_some()
    }

    /// The bus address of the descriptor at the head, if there is one to fetch.
    pub(super) fn next_descriptor(&self) -> Option<u64> {
        let idle = self.stopped || self.queue_head == self.queue_tail;
        if idle || !self.has(GlobalStatus::QUEUED_INVALIDATION) {
            return None;
        }
        Some((self.queue_address & !0xfff) + self.queue_head)
    }

    pub(super) fn descriptor_done(&mut self) {
        let size = 4096 << (self.queue_address & 7);
        self.queue_head = (self.queue_head + 16) % size;
    }

    pub(super) fn queue_error(&mut self, events: &mut Vec<Pair>) {
        self.stopped = true;
        let before = self.fault_status;
        self.fault_status |= FaultStatus::QUEUE_ERROR;
        self.condition(before, events);
    }

    pub(super) fn record_fault(&mut self, fault: FaultRecord, events: &mut Vec<Pair>) {
        if self.fault_status & FaultStatus::OVERFLOW != 0 {
            return;
        }
        let pending = |halves: &[u64; 2]| FaultRecord::decode(*halves);
        if self.records.iter().filter_map(pending).any(|other| other.source == fault.source) {
            return;
        }
        if pending(&self.records[self.next_record]).is_some() {
            let before = self.fault_status;
            self.fault_status |= FaultStatus::OVERFLOW;
            return self.condition(before, events);
        }
        let before = self.fault_status;
        if before & FaultStatus::PENDING == 0 {
            self.fault_status &= !0xff00;
            self.fault_status |= (self.next_record as u32) << 8 | FaultStatus::PENDING;
        }
        self.records[self.next_record] = fault.encode();
        self.next_record = (self.next_record + 1) % self.records.len();
        self.condition(before, events);
    }

    /// §7.3: an event comes with the first condition only; while one stands, others add none.
    fn condition(&mut self, before: u32, events: &mut Vec<Pair>) {
        if before & CONDITIONS == 0 {
            self.fault_event(events);
        }
    }

    /// §11.4.10: with the last condition goes what is pending of an event.
    fn condition_gone(&mut self) {
        if self.fault_status & CONDITIONS == 0 {
            self.fault_control &= !EVENT_PENDING;
        }
    }

    fn fault_event(&mut self, events: &mut Vec<Pair>) {
        if self.fault_control & EVENT_MASK != 0 {
            self.fault_control |= EVENT_PENDING;
        } else {
            events.push(Pair { address: self.fault_address.into(), data: self.fault_data });
        }
    }

    fn record_at(&mut self, offset: u16) -> Option<(usize, usize)> {
        let place = offset.checked_sub(RECORDS)? as usize;
        (place / 16 < self.records.len()).then_some((place / 16, place / 8 % 2))
    }
}

impl Unit {
    /// One bit at a time; SIRTP is a command, the others are states (§11.4, GCMD_REG).
    fn command(&mut self, value: u32) {
        let changed = (value ^ self.registers.status) & STATES & !GlobalStatus::TABLE_POINTER;
        let commands = changed | value & GlobalStatus::TABLE_POINTER;
        if commands.count_ones() > 1 {
            self.violation("GCMD_REG: more than one bit changed");
        }
        if value & !(GlobalStatus::TABLE_POINTER | 0x8680_0000) != 0 {
            self.violation("GCMD_REG: a bit that the driver has no business with");
        }
        let acknowledged = !self.deaf;
        self.sleep = self.options.lag;
        if commands & acknowledged & GlobalStatus::TABLE_POINTER != 0 {
            match TableAddress::decode(self.registers.table_address) {
                Ok(table) => {
                    self.registers.extended = table.extended;
                    self.registers.table = Some(table);
                    self.registers.status |= GlobalStatus::TABLE_POINTER;
                }
                Err(error) => self.violation(error.field),
            }
            self.registers.cache_clean = false;
        }
        if changed & GlobalStatus::QUEUED_INVALIDATION != 0 {
            let idle = self.registers.queue_head == self.registers.queue_tail;
            if !idle {
                self.violation("GCMD_REG.QIE changed with descriptors in the queue");
            }
            self.registers.queue_head = 0;
        }
        if changed & value & GlobalStatus::INTERRUPT_REMAPPING != 0 {
            if self.registers.table.is_none() {
                self.violation("GCMD_REG.IRE before SIRTP");
            }
            if !self.registers.cache_clean {
                self.violation("GCMD_REG.IRE with entries of an older table in the cache");
            }
        }
        let flips = changed & acknowledged;
        self.registers.status ^= flips;
    }

    fn write_fault_status(&mut self, value: u32) {
        let clear = FaultStatus::OVERFLOW | FaultStatus::QUEUE_ERRORS;
        self.registers.fault_status &= !(value & clear);
        self.registers.condition_gone();
        if value & FaultStatus::QUEUE_ERROR != 0 && !self.options.resume_at_tail {
            self.registers.stopped = false;
            self.run_queue();
        }
    }

    fn write_tail(&mut self, value: u64) {
        let size = 4096 << (self.registers.queue_address & 7);
        if value & !0x7_fff0 != 0 || value >= size {
            self.violation("IQT_REG: reserved bits, or past the queue");
        }
        let enabled = self.registers.has(GlobalStatus::QUEUED_INVALIDATION);
        if !enabled && value != 0 {
            self.violation("IQT_REG: not zero before the queue is enabled");
        }
        self.registers.queue_tail = value;
        if self.registers.fault_status & FaultStatus::QUEUE_ERROR == 0 {
            self.registers.stopped = false;
        }
        self.sleep = self.options.lag;
        self.run_queue();
    }

    fn check(&mut self, outcome: Result<(), Malformed>) {
        if let Err(error) = outcome {
            self.violation(error.field);
        }
    }
}

impl VtdRegisters for ModelRegisters {
    fn read32(&mut self, offset: u16) -> u32 {
        let mut unit = self.0.borrow_mut();
        unit.step();
        match offset {
            offset::VERSION => 0x10,
            offset::GLOBAL_STATUS if unit.sleep > 0 => {
                // Not there yet: as if the last command had not been seen.
                unit.registers.status ^ unit.registers.status & 0x0700_0000
            }
            offset::GLOBAL_STATUS => unit.registers.status,
            offset::FAULT_STATUS => unit.registers.fault_status,
            offset::FAULT_CONTROL => unit.registers.fault_control,
            offset::FAULT_DATA => unit.registers.fault_data,
            offset::FAULT_ADDRESS => unit.registers.fault_address,
            offset::FAULT_UPPER_ADDRESS if unit.options.extended => 0,
            _ => {
                unit.violation("a 32-bit read of no such register");
                0
            }
        }
    }

    fn write32(&mut self, offset: u16, value: u32) {
        let mut unit = self.0.borrow_mut();
        match offset {
            offset::GLOBAL_COMMAND => unit.command(value),
            offset::FAULT_STATUS => unit.write_fault_status(value),
            offset::FAULT_DATA | offset::FAULT_ADDRESS
                if unit.registers.fault_control & EVENT_MASK == 0 =>
            {
                unit.violation("half of the fault event's pair written while it is not masked");
            }
            // 31:16 are reserved where extended interrupt data is not supported.
            offset::FAULT_DATA => unit.registers.fault_data = value & 0xffff,
            offset::FAULT_ADDRESS => unit.registers.fault_address = value & !3,
            offset::FAULT_UPPER_ADDRESS if unit.options.extended && value == 0 => {}
            offset::FAULT_CONTROL if unit.deaf_event => {}
            offset::FAULT_CONTROL => {
                let pending = unit.registers.fault_control & EVENT_PENDING;
                unit.registers.fault_control = value & EVENT_MASK | pending;
                if value & EVENT_MASK == 0 && pending != 0 {
                    unit.registers.fault_control = 0;
                    let unit = &mut *unit;
                    unit.registers.fault_event(&mut unit.fault_events);
                }
            }
            _ => unit.violation("a 32-bit write of no such register"),
        }
    }

    fn read64(&mut self, offset: u16) -> u64 {
        let mut unit = self.0.borrow_mut();
        unit.step();
        match offset {
            offset::CAPABILITY => unit.registers.capability,
            offset::EXTENDED_CAPABILITY => unit.registers.extended_capability,
            offset::QUEUE_HEAD => unit.registers.queue_head,
            offset::QUEUE_TAIL => unit.registers.queue_tail,
            _ => match unit.registers.record_at(offset) {
                Some((record, half)) => unit.registers.records[record][half],
                None => {
                    unit.violation("a 64-bit read of no such register");
                    0
                }
            },
        }
    }

    fn write64(&mut self, offset: u16, value: u64) {
        let mut unit = self.0.borrow_mut();
        match offset {
            offset::QUEUE_TAIL => unit.write_tail(value),
            offset::QUEUE_ADDRESS => {
                if unit.registers.has(GlobalStatus::QUEUED_INVALIDATION) {
                    unit.violation("IQA_REG written while the queue is on");
                }
                unit.check(QueueAddress::decode(value).map(|_| ()));
                unit.registers.queue_address = value;
            }
            offset::TABLE_ADDRESS => {
                unit.check(TableAddress::decode(value).map(|_| ()));
                unit.registers.table_address = value;
            }
            _ => match unit.registers.record_at(offset) {
                Some((record, 1)) if value == FaultRecord::CLEAR => {
                    unit.registers.records[record][1] &= !FaultRecord::CLEAR;
                    let left = |halves: &[u64; 2]| FaultRecord::decode(*halves).is_some();
                    if !unit.registers.records.iter().any(left) {
                        unit.registers.fault_status &= !FaultStatus::PENDING;
                        unit.registers.condition_gone();
                    }
                }
                _ => unit.violation("a 64-bit write of no such register"),
            },
        }
    }
}
