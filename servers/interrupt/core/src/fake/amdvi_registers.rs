//! The model IOMMU's registers (§3.4), its commands (§2.4) and its log (§2.5).

use super::amdvi::{AmdViOptions, Iommu};
use crate::RequesterId;
use crate::amdvi::{
    AmdViRegisters, BufferBase, Command, Control, DeviceTableBase, EventCode, LogEvent, Status,
    offset,
};
use crate::vtd::Malformed;
use alloc::rc::Rc;
use core::cell::RefCell;

/// Modes that change only while the unit is off.
const MODES: u64 = Control::WIDE_ENTRIES | Control::LARGE_TABLES | Control::X2APIC;

/// The page as the driver holds it.
pub struct AmdViModelRegisters(pub(super) Rc<RefCell<Iommu>>);

/// Register values.
pub(super) struct Registers {
    features: [u64; 2],
    control: u64,
    status: u64,
    command_base: u64,
    command_head: u64,
    command_tail: u64,
    event_base: u64,
    event_head: u64,
    event_tail: u64,
    /// Everything was forgotten since the unit was switched on, or so many ids were.
    forgotten: u32,
}

impl Registers {
    pub(super) fn new(options: &AmdViOptions) -> Self {
        let flag = |on: bool, bit: u32| u64::from(on) << bit;
        let first =
            flag(options.x2apic, 2) | flag(options.invalidate_all, 6) | flag(options.wide, 7);
        Self {
            features: [first, flag(options.large, 8)],
            control: 0,
            status: 0,
            command_base: 0,
            command_head: 0,
            command_tail: 0,
            event_base: 0,
            event_head: 0,
            event_tail: 0,
            forgotten: 0,
        }
    }

    pub(super) fn leave_firmware_state(&mut self) {
        self.control = Control::ENABLED | Control::COMMANDS | Control::EVENT_LOG | 1 << 13 | 1 << 1;
        self.status = Status::COMMANDS_RUN | Status::LOG_RUNS | Status::EVENT;
        (self.command_head, self.command_tail) = (0x40, 0x40);
    }

    pub(super) fn enabled(&self) -> bool {
        self.control & Control::ENABLED != 0
    }

    pub(super) fn wide(&self) -> bool {
        self.control & Control::WIDE_ENTRIES != 0
    }

    pub(super) fn x2apic(&self) -> bool {
        self.control & Control::X2APIC != 0
    }

    pub(super) fn large(&self) -> bool {
        self.control & Control::LARGE_TABLES != 0
    }
}

/// Bytes of a buffer.
fn bytes(base: u64) -> u64 {
    BufferBase::decode(base).map_or(4096, |base| 16 << base.entries_log2)
}

impl Iommu {
    /// Time passes while the driver polls.
    pub(super) fn step(&mut self) {
        self.sleep = self.sleep.saturating_sub(1);
        if self.sleep == 0 {
            self.run_commands();
        }
    }

    /// Fetches commands until the buffer is empty or one is refused.
    pub(super) fn run_commands(&mut self) {
        while !self.hung && self.sleep == 0 && self.registers.status & Status::COMMANDS_RUN != 0 {
            let head = self.registers.command_head;
            if head == self.registers.command_tail {
                return;
            }
            let at = (self.registers.command_base & 0x000f_ffff_ffff_f000) + head;
            let (Some(low), Some(high)) = (self.memory.read(at), self.memory.read(at + 8)) else {
                self.violation("the command buffer is not where its base says");
                return self.halt(EventCode::CommandError);
            };
            match Command::decode([low, high]) {
                Ok(Command::CompletionWait { address, data }) => {
                    if !self.memory.write(address, data) {
                        self.violation("a completion stored outside memory");
                    }
                }
                Ok(_) if self.refuse > 0 => {
                    self.refuse -= 1;
                    return self.halt(EventCode::IllegalCommand);
                }
                Ok(command) => self.execute(command),
                Err(error) => {
                    self.violation(error.field);
                    return self.halt(EventCode::IllegalCommand);
                }
            }
            self.registers.command_head = (head + 16) % bytes(self.registers.command_base);
        }
    }

    /// §2.5.6: the unit stands still at the command, and says so.
    fn halt(&mut self, code: EventCode) {
        self.registers.status &= !Status::COMMANDS_RUN;
        let nobody = RequesterId::from_bits(0);
        self.log(LogEvent { code, interrupt: false, ..LogEvent::interrupt(nobody, false, false) });
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::InvalidateAll if !self.options.invalidate_all => {
                self.violation("INVALIDATE_IOMMU_ALL where there is none");
            }
            Command::InvalidateAll => {
                self.devices.clear();
                self.entries.clear();
                self.registers.forgotten = 65_536;
            }
            Command::InvalidateDeviceEntry(id) => {
                self.devices.remove(&id);
                self.registers.forgotten += 1;
            }
            Command::InvalidateInterruptTable(id) => self.entries.retain(|(of, _), _| *of != id),
            Command::CompletionWait { .. } => {}
        }
        if self.commands.len() == 64 {
            self.commands.pop_front();
        }
        self.commands.push_back(command);
    }

    /// §2.5.1: no room, no entry, and no more until the log is started anew.
    pub(super) fn log(&mut self, event: LogEvent) {
        if self.registers.status & Status::LOG_RUNS == 0 {
            return;
        }
        let next = (self.registers.event_tail + 16) % bytes(self.registers.event_base);
        if next == self.registers.event_head {
            self.registers.status |= Status::OVERFLOW;
            self.registers.status &= !Status::LOG_RUNS;
            return;
        }
        let at = (self.registers.event_base & 0x000f_ffff_ffff_f000) + self.registers.event_tail;
        let [low, high] = event.encode();
        if !self.memory.write(at, low) || !self.memory.write(at + 8, high) {
            self.violation("the event log is not where its base says");
        }
        self.registers.event_tail = next;
        self.registers.status |= Status::EVENT;
    }

    fn check(&mut self, result: Result<(), Malformed>) {
        if let Err(error) = result {
            self.violation(error.field);
        }
    }

    fn write_control(&mut self, value: u64) {
        let former = self.registers.control;
        if former & value & Control::ENABLED != 0 && (former ^ value) & MODES != 0 {
            self.violation("modes changed while the unit is on");
        }
        if value & Control::ENABLED != 0
            && value & Control::X2APIC != 0
            && value & Control::WIDE_ENTRIES == 0
        {
            self.violation("XTEn without GAEn");
        }
        let offered = [
            (self.options.wide, Control::WIDE_ENTRIES),
            (self.options.x2apic, Control::X2APIC),
            (self.options.large, Control::LARGE_TABLES),
        ];
        if offered.iter().any(|(has, bit)| !has && value & bit != 0) {
            self.violation("a mode that the unit has not");
        }
        if value & !former & Control::ENABLED != 0 {
            if value & Control::COHERENT == 0 {
                self.violation("a device table that is not snooped");
            }
            self.registers.forgotten = 0;
        }
        self.registers.control = value;
        let on = |bit| value & Control::ENABLED != 0 && value & bit != 0;
        for (bit, runs) in
            [(Control::COMMANDS, Status::COMMANDS_RUN), (Control::EVENT_LOG, Status::LOG_RUNS)]
        {
            let rose = former & bit == 0 || former & Control::ENABLED == 0;
            if runs & self.deaf != 0 {
                continue;
            }
            if !on(bit) {
                self.registers.status &= !runs;
            } else if rose {
                self.registers.status |= runs;
            }
        }
        self.sleep = self.options.lag;
        self.step();
    }
}

impl AmdViRegisters for AmdViModelRegisters {
    fn read64(&mut self, offset: u16) -> u64 {
        let mut iommu = self.0.borrow_mut();
        iommu.step();
        let registers = &iommu.registers;
        match offset {
            offset::FEATURES => registers.features[0],
            offset::FEATURES_2 => registers.features[1],
            offset::CONTROL => registers.control,
            offset::STATUS => registers.status,
            offset::COMMAND_HEAD => registers.command_head,
            offset::EVENT_TAIL => registers.event_tail,
            _ => {
                iommu.violation("a read of no such register, or one of the driver's own");
                0
            }
        }
    }

    fn write64(&mut self, offset: u16, value: u64) {
        let mut iommu = self.0.borrow_mut();
        let iommu = &mut *iommu;
        let on = iommu.registers.enabled();
        let commands = iommu.registers.status & Status::COMMANDS_RUN != 0;
        let log = iommu.registers.status & Status::LOG_RUNS != 0;
        match offset {
            offset::CONTROL => iommu.write_control(value),
            offset::STATUS => {
                iommu.registers.status &= !(value & (Status::OVERFLOW | Status::EVENT));
            }
            offset::DEVICE_TABLE => {
                let base = DeviceTableBase::decode(value);
                iommu.check(base.map(|_| ()));
                if on {
                    iommu.violation("the device table was moved while the unit is on");
                }
                iommu.device_table = base.map_or(0, |base| base.address);
                if base.is_ok_and(|base| base.pages != 512) {
                    iommu.violation("a device table that does not hold all ids");
                }
            }
            offset::COMMAND_BASE | offset::EVENT_BASE => {
                iommu.check(BufferBase::decode(value).map(|_| ()));
                if on {
                    iommu.violation("a buffer was moved while the unit is on");
                }
                if offset == offset::COMMAND_BASE {
                    iommu.registers.command_base = value;
                } else {
                    iommu.registers.event_base = value;
                }
            }
            offset::COMMAND_HEAD | offset::EVENT_TAIL
                if if offset == offset::COMMAND_HEAD { commands } else { log } =>
            {
                iommu.violation("the unit's own pointer was written while it runs");
            }
            offset::COMMAND_HEAD => iommu.registers.command_head = value,
            offset::EVENT_TAIL => iommu.registers.event_tail = value,
            offset::EVENT_HEAD => iommu.registers.event_head = value,
            offset::COMMAND_TAIL => {
                if !value.is_multiple_of(16) || value >= bytes(iommu.registers.command_base) {
                    iommu.violation("a tail outside the command buffer");
                }
                iommu.registers.command_tail = value;
                iommu.sleep = iommu.options.lag;
                iommu.step();
            }
            _ => iommu.violation("a write of no such register"),
        }
    }
}
