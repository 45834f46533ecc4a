//! System memory as a GIC, or an AMD IOMMU, and its driver see it, with the CPU's cache in between where the
//! GIC does not snoop.

use super::its::Its;
use crate::vtd::DmaRegion;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Between regions, so that an access past an end hits nothing.
const GAP: u64 = 0x1_0000;

struct Area {
    base: u64,
    /// What the driver has written.
    written: Vec<u64>,
    /// What is in memory.
    visible: Vec<u64>,
}

/// All memory.
pub(super) struct Memory {
    areas: Vec<Area>,
    next: u64,
    snooped: bool,
}

impl Memory {
    pub(super) fn new(snooped: bool) -> Self {
        Self { areas: Vec::new(), next: 0x4000_0000, snooped }
    }

    /// Filled with ones, so that a driver that does not clear it is noticed.
    pub(super) fn allocate(&mut self, bytes: usize, align: usize) -> usize {
        let base = self.next.next_multiple_of(align as u64);
        self.next = base + bytes as u64 + GAP;
        let words = vec![u64::MAX; bytes.div_ceil(8)];
        self.areas.push(Area { base, written: words.clone(), visible: words });
        self.areas.len() - 1
    }

    fn find(&self, address: u64) -> Option<(usize, usize)> {
        let area = self.areas.partition_point(|area| area.base <= address).checked_sub(1)?;
        let word = (address - self.areas[area].base) as usize / 8;
        (word < self.areas[area].visible.len()).then_some((area, word))
    }

    /// Where an area begins, and how many bytes it has.
    pub(super) fn place(&self, area: usize) -> (u64, usize) {
        (self.areas[area].base, 8 * self.areas[area].written.len())
    }

    /// The driver's read.
    pub(super) fn driver_read(&self, area: usize, offset: usize) -> u64 {
        self.areas[area].written[offset / 8]
    }

    /// The driver's write.
    pub(super) fn driver_write(&mut self, area: usize, offset: usize, value: u64) {
        let area = &mut self.areas[area];
        area.written[offset / 8] = value;
        if self.snooped {
            area.visible[offset / 8] = value;
        }
    }

    /// The GIC's read of the 64-bit word that holds `address`.
    pub(super) fn read(&self, address: u64) -> Option<u64> {
        self.find(address).map(|(area, word)| self.areas[area].visible[word])
    }

    /// The GIC's write.
    pub(super) fn write(&mut self, address: u64, value: u64) -> bool {
        let Some((area, word)) = self.find(address) else { return false };
        self.areas[area].visible[word] = value;
        self.areas[area].written[word] = value;
        true
    }

    /// Whether all these bytes are memory of one region.
    pub(super) fn covers(&self, address: u64, bytes: u64) -> bool {
        match (self.find(address), self.find(address + bytes.saturating_sub(1))) {
            (Some((first, _)), Some((last, _))) => first == last,
            _ => false,
        }
    }

    /// Whether all these bytes are zero, as the GIC sees them.
    pub(super) fn is_zero(&self, address: u64, bytes: u64) -> bool {
        (address..address + bytes).step_by(8).all(|at| self.read(at) == Some(0))
    }
}

/// A region as the driver holds it.
pub struct ItsRegion {
    its: Rc<RefCell<Its>>,
    area: usize,
}

impl ItsRegion {
    pub(super) fn new(its: Rc<RefCell<Its>>, bytes: usize, align: usize) -> Self {
        let area = its.borrow_mut().memory.allocate(bytes, align);
        Self { its, area }
    }
}

impl DmaRegion for ItsRegion {
    fn bus_address(&self) -> u64 {
        self.its.borrow().memory.areas[self.area].base
    }

    fn size_bytes(&self) -> usize {
        8 * self.its.borrow().memory.areas[self.area].written.len()
    }

    fn read64(&self, offset: usize) -> u64 {
        self.its.borrow().memory.areas[self.area].written[offset / 8]
    }

    fn write64(&mut self, offset: usize, value: u64) {
        let mut its = self.its.borrow_mut();
        let snooped = its.memory.snooped;
        let area = &mut its.memory.areas[self.area];
        area.written[offset / 8] = value;
        if snooped {
            area.visible[offset / 8] = value;
        }
        let address = area.base + offset as u64;
        its.check_driver_write(address);
    }

    fn write_back(&mut self, offset: usize) {
        let mut its = self.its.borrow_mut();
        let area = &mut its.memory.areas[self.area];
        let line = offset / 64 * 8..(offset / 64 + 1) * 8;
        for word in line.start..line.end.min(area.written.len()) {
            area.visible[word] = area.written[word];
        }
    }
}
