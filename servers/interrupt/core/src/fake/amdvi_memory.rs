//! Memory of the model IOMMU, and what its driver may write there.

use super::amdvi::{Iommu, Known};
use crate::RequesterId;
use crate::amdvi::{DeviceEntry, EntryMemory};
use crate::its::TableMemory;
use crate::vtd::DmaRegion;
use alloc::rc::Rc;
use core::cell::RefCell;

/// A region as the driver holds it.
pub struct AmdViRegion {
    iommu: Rc<RefCell<Iommu>>,
    area: usize,
}

impl AmdViRegion {
    pub(super) fn new(iommu: &Rc<RefCell<Iommu>>, bytes: usize, align: usize) -> Self {
        let area = iommu.borrow_mut().memory.allocate(bytes, align);
        Self { iommu: iommu.clone(), area }
    }
}

impl DmaRegion for AmdViRegion {
    fn bus_address(&self) -> u64 {
        self.iommu.borrow().memory.place(self.area).0
    }

    fn size_bytes(&self) -> usize {
        self.iommu.borrow().memory.place(self.area).1
    }

    fn read64(&self, offset: usize) -> u64 {
        let mut iommu = self.iommu.borrow_mut();
        if iommu.memory.place(self.area).1 == 8 {
            // Somebody waits for the status word: time passes.
            iommu.step();
        }
        iommu.memory.driver_read(self.area, offset)
    }

    fn write64(&mut self, offset: usize, value: u64) {
        let mut iommu = self.iommu.borrow_mut();
        let former = iommu.memory.driver_read(self.area, offset);
        iommu.memory.driver_write(self.area, offset, value);
        let address = iommu.memory.place(self.area).0 + offset as u64;
        iommu.check_write(address, former, value);
    }

    fn write_back(&mut self, _offset: usize) {
        self.iommu.borrow_mut().violation("a line was written back, though the unit snoops");
    }
}

impl EntryMemory for AmdViRegion {
    fn write128(&mut self, offset: usize, value: [u64; 2]) {
        let mut iommu = self.iommu.borrow_mut();
        iommu.memory.driver_write(self.area, offset, value[0]);
        iommu.memory.driver_write(self.area, offset + 8, value[1]);
        if !offset.is_multiple_of(16) {
            iommu.violation("128 bits written across a boundary of 16 bytes");
        }
        iommu.check_entry(value);
    }
}

/// Memory for tables, as much as the options say.
pub(super) struct TablePool(pub(super) Rc<RefCell<Iommu>>);

impl TableMemory<AmdViRegion> for TablePool {
    fn take(&mut self, bytes: usize, align: usize) -> Option<AmdViRegion> {
        {
            let mut iommu = self.0.borrow_mut();
            iommu.pool_left = iommu.pool_left.checked_sub(bytes)?;
        }
        Some(AmdViRegion::new(&self.0, bytes, align))
    }

    fn give_back(&mut self, memory: AmdViRegion) {
        let mut iommu = self.0.borrow_mut();
        let (base, bytes) = iommu.memory.place(memory.area);
        iommu.pool_left += bytes;
        let leads = |words: &[u64; 4]| matches!(DeviceEntry::decode(*words), Ok(DeviceEntry::Remap { table, .. }) if table == base);
        if iommu.tables.contains_key(&base) || iommu.devices.values().any(leads) {
            iommu.violation("a table was given back while the unit may use it");
        }
    }
}

impl Iommu {
    /// A write of 64 bits by the driver.
    fn check_write(&mut self, address: u64, former: u64, value: u64) {
        if !self.registers.enabled() {
            return;
        }
        let offset = address.wrapping_sub(self.device_table);
        if offset < 2 << 20 {
            return self.check_device(RequesterId::from_bits((offset / 32) as u16));
        }
        let Some((base, known)) = self.tables.range(..=address).next_back() else { return };
        let (offset, known) = (address - base, *known);
        let size = if self.registers.wide() { 16 } else { 4 };
        if offset >= size << known.entries_log2 {
            return;
        }
        if size == 4 {
            self.check_entry([value & 0xffff_ffff, 0]);
            return self.check_entry([value >> 32, 0]);
        }
        let low = if offset.is_multiple_of(16) { value } else { 0 };
        let other = self.memory.read(address ^ 8).unwrap_or(0);
        let on = if offset.is_multiple_of(16) { low & 1 == 1 } else { other & 1 == 1 };
        if on && former != value {
            self.violation("a 128-bit entry that is on was written by halves");
        }
    }

    fn check_device(&mut self, id: RequesterId) {
        let decoded = self.fetch_device(id).map(DeviceEntry::decode);
        let former = self.tables.iter().find(|(_, known)| known.id == id).map(|(base, _)| *base);
        match decoded {
            Some(Ok(DeviceEntry::Abort)) => {
                former.and_then(|base| self.tables.remove(&base));
            }
            Some(Ok(DeviceEntry::Remap { table, entries_log2 })) => {
                if former.is_some_and(|base| base != table) {
                    self.violation("a device's table was replaced by another at once");
                }
                if self.tables.insert(table, Known { entries_log2, id }).is_some_and(|o| o.id != id)
                {
                    self.violation("two devices with one table");
                }
                let bytes = (if self.registers.wide() { 16 } else { 4 }) << entries_log2;
                if !self.memory.covers(table, bytes) {
                    self.violation("a table that is not all memory");
                }
                if !self.attached.contains(&id) {
                    self.attached.push(id);
                }
            }
            Some(Ok(DeviceEntry::Unmapped)) => self.violation("a device whose messages all pass"),
            Some(Err(error)) => self.violation(error.field),
            None => self.violation("a device table that is not all memory"),
        }
    }

    fn check_entry(&mut self, halves: [u64; 2]) {
        match self.decode_entry(halves) {
            Err(error) => self.violation(error.field),
            Ok(Some(entry)) if entry.suppress_faults => {
                self.violation("an entry whose faults are not logged");
            }
            Ok(_) => {}
        }
    }
}
