//! The event log, §2.5: what the unit blocked, read as faults.

use super::LogEvent;
use super::registers::{BufferBase, Control, Status, offset};
use super::unit::{AmdViInitError, AmdViRegisters};
use crate::Fault;
use crate::vtd::DmaRegion;

/// The log's memory and our end of it.
pub(super) struct Log<M> {
    ring: M,
    size: u32,
    head: u32,
    budget: u32,
}

impl<M: DmaRegion> Log<M> {
    /// Checks the memory, and clears it: a place that the unit has not written yet has no
    /// event code.
    pub(super) fn new(mut ring: M, budget: u32) -> Result<Self, AmdViInitError> {
        let entries = ring.size_bytes() / LogEvent::BYTES;
        let sized = entries.is_power_of_two() && (256..=32_768).contains(&entries);
        if !sized || !ring.bus_address().is_multiple_of(4096) {
            return Err(AmdViInitError::BadLog);
        }
        for offset in (0..ring.size_bytes()).step_by(8) {
            ring.write64(offset, 0);
        }
        Ok(Self { ring, size: entries as u32, head: 0, budget })
    }

    /// What the base register says about it.
    pub(super) fn base(&self) -> BufferBase {
        BufferBase { address: self.ring.bus_address(), entries_log2: self.size.ilog2() as u8 }
    }

    /// The next event that a device caused. What the log holds about commands is passed over:
    /// whoever waits for a command sees by itself that the unit stands still.
    pub(super) fn next_fault(&mut self, registers: &mut impl AmdViRegisters) -> Option<Fault> {
        for _ in 0..self.size {
            let tail = registers.read64(offset::EVENT_TAIL) as u32 / LogEvent::BYTES as u32;
            if tail == self.head {
                break;
            }
            let at = self.head as usize * LogEvent::BYTES;
            let halves = [self.ring.read64(at), self.ring.read64(at + 8)];
            // The tail may be seen before the entry: it is read next time.
            let event = LogEvent::decode(halves).ok()?;
            self.ring.write64(at, 0);
            self.head = (self.head + 1) & (self.size - 1);
            registers.write64(offset::EVENT_HEAD, self.head as u64 * LogEvent::BYTES as u64);
            if let Some(fault) = event.fault() {
                return Some(fault);
            }
        }
        None
    }

    /// §2.5.1: a log that was full has stopped, and goes on after EventLogEn was off and on
    /// again. Whether that was so: events were lost.
    pub(super) fn take_overflow(&mut self, registers: &mut impl AmdViRegisters) -> bool {
        let status = |registers: &mut _| status(registers);
        if !status(registers).has(Status::OVERFLOW) {
            return false;
        }
        let control = Control::decode(registers.read64(offset::CONTROL));
        registers.write64(offset::CONTROL, control.without(Control::EVENT_LOG).encode());
        for _ in 0..self.budget {
            if !status(registers).has(Status::LOG_RUNS) {
                break;
            }
        }
        registers.write64(offset::STATUS, Status::OVERFLOW | Status::EVENT);
        registers.write64(offset::EVENT_HEAD, 0);
        registers.write64(offset::EVENT_TAIL, 0);
        for offset in (0..self.ring.size_bytes()).step_by(LogEvent::BYTES) {
            self.ring.write64(offset, 0);
        }
        self.head = 0;
        registers.write64(offset::CONTROL, control.with(Control::EVENT_LOG).encode());
        true
    }
}

fn status(registers: &mut impl AmdViRegisters) -> Status {
    Status::decode(registers.read64(offset::STATUS))
}
