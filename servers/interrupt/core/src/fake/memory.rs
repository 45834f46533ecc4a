//! Memory that a model unit reads and writes, with a cache in between where the unit does
//! not snoop.

use super::vtd::Unit;
use crate::vtd::DmaRegion;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Which of the unit's three regions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Table,
    Queue,
    Status,
}

/// One region as both sides see it.
pub(super) struct Memory {
    pub(super) base: u64,
    /// What the driver has written.
    written: Vec<u64>,
    /// What is in memory, where the unit reads it.
    visible: Vec<u64>,
    snooped: bool,
}

impl Memory {
    /// Filled with ones, so that a driver that does not clear it is noticed.
    pub(super) fn new(base: u64, size_bytes: usize, snooped: bool) -> Self {
        let words = vec![u64::MAX; size_bytes / 8];
        Self { base, written: words.clone(), visible: words, snooped }
    }

    /// The unit's read at a bus address; `None` outside.
    pub(super) fn device_read(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.base)? as usize;
        self.visible.get(offset / 8).copied()
    }

    /// The unit's 32-bit write at a bus address.
    pub(super) fn device_write32(&mut self, address: u64, value: u32) -> bool {
        let Some(offset) = address.checked_sub(self.base) else { return false };
        let shift = 8 * (offset & 4);
        for side in [&mut self.written, &mut self.visible] {
            let Some(word) = side.get_mut(offset as usize / 8) else { return false };
            *word = *word & !(0xffff_ffff << shift) | (value as u64) << shift;
        }
        true
    }
}

/// A region as the driver holds it.
pub struct ModelRegion {
    pub(super) unit: Rc<RefCell<Unit>>,
    pub(super) role: Role,
}

impl DmaRegion for ModelRegion {
    fn bus_address(&self) -> u64 {
        self.unit.borrow_mut().memory(self.role).base
    }

    fn size_bytes(&self) -> usize {
        8 * self.unit.borrow_mut().memory(self.role).written.len()
    }

    fn read64(&self, offset: usize) -> u64 {
        let mut unit = self.unit.borrow_mut();
        if self.role == Role::Status {
            // Somebody waits: time passes.
            unit.step();
        }
        unit.memory(self.role).written[offset / 8]
    }

    fn write64(&mut self, offset: usize, value: u64) {
        let mut unit = self.unit.borrow_mut();
        let memory = unit.memory(self.role);
        let former = memory.written[offset / 8];
        memory.written[offset / 8] = value;
        if memory.snooped {
            memory.visible[offset / 8] = value;
        }
        if self.role == Role::Table {
            unit.check_table_write(offset, former, value);
        }
    }

    fn write_back(&mut self, offset: usize) {
        let mut unit = self.unit.borrow_mut();
        let memory = unit.memory(self.role);
        let line = offset / 64 * 8..(offset / 64 + 1) * 8;
        for word in line.start..line.end.min(memory.written.len()) {
            memory.visible[word] = memory.written[word];
        }
    }
}

impl Unit {
    /// The driver's half of an entry, written so far.
    pub(super) fn written_half(&mut self, index: usize, half: usize) -> u64 {
        self.memory(Role::Table).written[2 * index + half]
    }
}
