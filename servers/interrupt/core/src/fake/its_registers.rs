//! The register frames of the model ITS and of its redistributors.

use super::its::{Its, ItsOptions, target};
use crate::direct_lpi::offset as direct;
use crate::its::{
    CommandBase, Control, ItsRegisters, MemoryAttributes, PageSize, PendingBase, PropertyBase,
    TableBase, TableKind, WritePointer, offset,
};
use alloc::rc::Rc;
use core::cell::RefCell;

const QUIESCENT: u32 = 1 << 31;
const READ_ONLY: u64 = 0x071f_0000_0000_0000;

/// Register values.
pub(super) struct Registers {
    kind: u64,
    pub(super) control: u32,
    pub(super) command_base: u64,
    /// Byte offsets in the queue.
    pub(super) read: u64,
    pub(super) write: u64,
    pub(super) stalled: bool,
    tables: [u64; 8],
}

impl Registers {
    pub(super) fn new(options: &ItsOptions) -> Self {
        let flag = |on: bool, bit: u32| u64::from(on) << bit;
        let table = |kind: TableKind, entry_bytes: u8| {
            let attributes = MemoryAttributes { shareability: 0, inner: 0, outer: 0 };
            let page = options.page.unwrap_or(PageSize::Size4K);
            TableBase {
                valid: false,
                indirect: false,
                attributes,
                kind,
                entry_bytes,
                address: 0,
                page,
                pages: 1,
            }
            .encode()
        };
        let mut tables = [0; 8];
        // Not the order in which one would expect them.
        tables[2] = table(TableKind::Devices, 8);
        if options.hardware_collections == 0 {
            tables[0] = table(TableKind::Collections, 8);
        }
        if options.virtual_lpis {
            tables[5] = table(TableKind::VirtualProcessors, 16);
        }
        Self {
            kind: flag(options.physical, 0)
                | flag(options.virtual_lpis, 1)
                | 7 << 4
                | u64::from(options.event_bits - 1) << 8
                | u64::from(options.device_bits - 1) << 13
                | flag(options.target_is_address, 19)
                | u64::from(options.hardware_collections) << 24
                | 15 << 32
                | 1 << 36,
            control: QUIESCENT,
            command_base: 0,
            read: 0,
            write: 0,
            stalled: false,
            tables,
        }
    }

    pub(super) fn enabled(&self) -> bool {
        self.control & 1 == 1
    }

    /// A table in use.
    pub(super) fn table(&self, kind: TableKind) -> Option<TableBase> {
        let mut found = self.tables.iter().filter_map(|value| TableBase::decode(*value).ok());
        found.find(|base| base.kind == kind && base.valid)
    }
}

/// The control frame as the driver holds it.
pub struct ItsFrame(pub(super) Rc<RefCell<Its>>);

/// A redistributor's RD_base frame as the driver holds it.
pub struct RedistributorFrame {
    pub(super) its: Rc<RefCell<Its>>,
    pub(super) cpu: usize,
}

impl Its {
    fn write_control(&mut self, value: u32) {
        let decoded = Control::decode(value);
        self.check(decoded.map(|_| ()));
        let was = self.registers.enabled();
        self.registers.control = value & 1 | QUIESCENT;
        if was || !self.registers.enabled() {
            return;
        }
        for table in self.registers.tables {
            if table != 0 && table >> 63 == 0 {
                self.violation("GITS_CTLR.Enabled with a table that is not valid");
            }
        }
        if self.registers.command_base >> 63 == 0 {
            self.violation("GITS_CTLR.Enabled without a queue");
        }
        if self.redistributors.iter().any(|cpu| !cpu.enabled) {
            self.violation("GITS_CTLR.Enabled before a redistributor has its tables");
        }
    }

    fn write_table(&mut self, place: usize, value: u64) {
        let former = self.registers.tables[place];
        if self.registers.enabled() {
            self.violation("GITS_BASER<n> written while the ITS is on");
        }
        if former == 0 {
            return;
        }
        let mut value = value & !READ_ONLY | former & READ_ONLY;
        if let Some(page) = self.options.page {
            value = value & !0x300 | (page as u64) << 8;
        }
        let Ok(mut base) = TableBase::decode(value) else {
            return self.violation("GITS_BASER<n>: reserved value");
        };
        base.indirect &= self.options.two_level && base.kind == TableKind::Devices;
        base.attributes = self.taken(base.attributes);
        let bytes = u64::from(base.pages) * base.page.bytes() as u64;
        if base.valid {
            if !self.memory.covers(base.address, bytes) {
                self.violation("GITS_BASER<n>: the table is not memory");
            } else if !self.memory.is_zero(base.address, bytes) {
                self.violation("GITS_BASER<n>: the table is not zero");
            }
        }
        self.registers.tables[place] = base.encode();
    }

    fn write_command_base(&mut self, value: u64) {
        if self.registers.enabled() {
            self.violation("GITS_CBASER written while the ITS is on");
        }
        let Ok(mut base) = CommandBase::decode(value) else {
            return self.violation("GITS_CBASER: reserved value");
        };
        if base.valid && !self.memory.covers(base.address, u64::from(base.pages) * 4096) {
            self.violation("GITS_CBASER: the queue is not memory");
        }
        base.attributes = self.taken(base.attributes);
        self.registers.command_base = base.encode();
        (self.registers.read, self.registers.stalled) = (0, false);
    }

    fn write_tail(&mut self, value: u64) {
        let size = ((self.registers.command_base & 0xff) + 1) * 4096;
        match WritePointer::decode(value) {
            Ok(tail) if u64::from(tail.command) * 32 < size => {
                self.registers.write = u64::from(tail.command) * 32;
                if tail.retry {
                    self.registers.stalled = false;
                }
            }
            _ => self.violation("GITS_CWRITER: reserved bits, or past the queue"),
        }
        self.sleep = self.options.lag;
        self.run();
    }

    /// An ITS that does not snoop takes no shareability.
    fn taken(&self, wanted: MemoryAttributes) -> MemoryAttributes {
        let shareability = if self.options.coherent { wanted.shareability } else { 0 };
        MemoryAttributes { shareability, ..wanted }
    }

    fn enable_redistributor(&mut self, cpu: usize, on: bool) {
        let (was, redistributor) =
            (self.redistributors[cpu].enabled, &mut self.redistributors[cpu]);
        if was && !on && !self.options.can_disable_lpis {
            return;
        }
        redistributor.enabled = on;
        if !on || was {
            return;
        }
        let (properties, pending) = (redistributor.properties, redistributor.pending_base);
        let Ok(properties) = PropertyBase::decode(properties) else { return };
        let bytes = (1 << properties.id_bits) - 8192;
        if !self.memory.covers(properties.address, bytes) {
            self.violation("GICR_PROPBASER: the table is not memory");
        }
        // Disabled with a priority, in each of eight bytes.
        let sane = |word: Option<u64>| {
            word.is_some_and(|word| word & 0x0303_0303_0303_0303 == 0x0202_0202_0202_0202)
        };
        if !(0..bytes).step_by(8).all(|at| sane(self.memory.read(properties.address + at))) {
            self.violation("GICR_PROPBASER: an LPI is enabled from the start");
        }
        let Ok(pending) = PendingBase::decode(pending) else { return };
        if !self.memory.is_zero(pending.address, 1 << properties.id_bits >> 3) {
            self.violation("GICR_PENDBASER: PTZ, and the table is not zero");
        }
    }
}

impl ItsRegisters for ItsFrame {
    fn read32(&mut self, offset: u16) -> u32 {
        let mut its = self.0.borrow_mut();
        its.step();
        match offset {
            offset::CONTROL if its.options.restless => its.registers.control & !QUIESCENT,
            offset::CONTROL => its.registers.control,
            _ => {
                its.violation("a 32-bit read of no such register");
                0
            }
        }
    }

    fn write32(&mut self, offset: u16, value: u32) {
        let mut its = self.0.borrow_mut();
        match offset {
            offset::CONTROL => its.write_control(value),
            _ => its.violation("a 32-bit write of no such register"),
        }
    }

    fn read64(&mut self, offset: u16) -> u64 {
        let mut its = self.0.borrow_mut();
        its.step();
        match offset {
            offset::TYPE => its.registers.kind,
            offset::COMMAND_BASE => its.registers.command_base,
            offset::COMMAND_READ => its.registers.read | u64::from(its.registers.stalled),
            0x100..=0x138 if offset.is_multiple_of(8) => {
                its.registers.tables[(offset as usize - 0x100) / 8]
            }
            _ => {
                its.violation("a 64-bit read of no such register");
                0
            }
        }
    }

    fn write64(&mut self, offset: u16, value: u64) {
        let mut its = self.0.borrow_mut();
        match offset {
            offset::COMMAND_BASE => its.write_command_base(value),
            offset::COMMAND_WRITE => its.write_tail(value),
            0x100..=0x138 if offset.is_multiple_of(8) => {
                its.write_table((offset as usize - 0x100) / 8, value);
            }
            _ => its.violation("a 64-bit write of no such register"),
        }
    }
}

impl ItsRegisters for RedistributorFrame {
    fn read32(&mut self, offset: u16) -> u32 {
        let mut its = self.its.borrow_mut();
        match offset {
            offset::REDISTRIBUTOR_CONTROL => {
                let enabled = u32::from(its.redistributors[self.cpu].enabled);
                enabled | u32::from(its.options.can_disable_lpis) << 1
            }
            direct::SYNC => its.read_sync(self.cpu),
            _ => {
                its.violation("a 32-bit read of no such register (GICR)");
                0
            }
        }
    }

    fn write32(&mut self, offset: u16, value: u32) {
        let mut its = self.its.borrow_mut();
        match offset {
            offset::REDISTRIBUTOR_CONTROL => its.enable_redistributor(self.cpu, value & 1 == 1),
            _ => its.violation("a 32-bit write of no such register (GICR)"),
        }
    }

    fn read64(&mut self, offset: u16) -> u64 {
        let mut its = self.its.borrow_mut();
        let last = self.cpu + 1 == its.redistributors.len();
        match offset {
            offset::REDISTRIBUTOR_TYPE => {
                u64::from(its.options.redistributor_lpis)
                    | u64::from(its.options.direct_lpis) << 3
                    | u64::from(last) << 4
                    | u64::from(target(self.cpu).processor) << 8
            }
            offset::PROPERTY_BASE => its.redistributors[self.cpu].properties,
            // PTZ reads as zero.
            offset::PENDING_BASE => its.redistributors[self.cpu].pending_base & !(1 << 62),
            _ => {
                its.violation("a 64-bit read of no such register (GICR)");
                0
            }
        }
    }

    fn write64(&mut self, offset: u16, value: u64) {
        let mut its = self.its.borrow_mut();
        if let direct::SET_LPI | direct::CLEAR_LPI | direct::INVALIDATE = offset {
            return its.write_direct(self.cpu, offset, value);
        }
        if its.redistributors[self.cpu].enabled {
            its.violation("a table of a redistributor changed while LPIs are enabled");
        }
        let shareability = if its.options.coherent { 0 } else { 0xc00 };
        match offset {
            offset::PROPERTY_BASE => {
                its.check(PropertyBase::decode(value).map(|_| ()));
                its.redistributors[self.cpu].properties = value & !shareability;
            }
            offset::PENDING_BASE => {
                its.check(PendingBase::decode(value).map(|_| ()));
                its.redistributors[self.cpu].pending_base = value & !shareability;
            }
            _ => its.violation("a 64-bit write of no such register (GICR)"),
        }
    }
}
