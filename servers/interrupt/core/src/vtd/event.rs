//! The unit's own message, which it sends when it has recorded a fault (§7.3), and what keeps it
//! from sending the next one.
//!
//! Its pair is in four registers of the unit's page: FEADDR, FEUADDR, FEDATA, and FECTL with
//! the mask (§11.4.10 to §11.4.13). Like any pair it is written while masked, read back, and
//! only then unmasked, so that the unit never sends half of an old and half of a new one.

use super::registers::{FAULT_CONTROL_MASK, FaultStatus, offset};
use super::unit::{DmaRegion, VtdRegisters, VtdUnit};
use crate::{EventSource, HardwareError, Pair, Rearmed};

impl<R: VtdRegisters, M: DmaRegion> VtdUnit<R, M> {
    /// Writes a register and reads it back, which also waits for the write to arrive.
    fn put(&mut self, offset: u16, value: u32) -> Result<(), HardwareError> {
        self.registers.write32(offset, value);
        let shown = self.registers.read32(offset);
        if shown == value { Ok(()) } else { Err(HardwareError::EventNotWritten) }
    }

    fn fault_event_is_masked(&mut self) -> bool {
        self.registers.read32(offset::FAULT_CONTROL) & FAULT_CONTROL_MASK != 0
    }

    /// The unit raises its message when the first of these conditions comes, and not again
    /// before all of them are gone (§7.3): faults pending, overflow, errors of the queue.
    /// Records are read by [`Remapper::next_fault`](crate::Remapper::next_fault); this
    /// clears the others.
    pub(super) fn clear_conditions(&mut self) -> Rearmed {
        let status = FaultStatus::decode(self.registers.read32(offset::FAULT_STATUS));
        let lost = status.of(FaultStatus::OVERFLOW) != 0;
        if lost {
            self.registers.write32(offset::FAULT_STATUS, FaultStatus::OVERFLOW);
        }
        let stalled = status.of(FaultStatus::QUEUE_ERRORS) != 0;
        if stalled {
            self.queue.resume(&mut self.registers);
        }
        Rearmed { lost, stalled }
    }
}

impl<R: VtdRegisters, M: DmaRegion> EventSource for VtdUnit<R, M> {
    fn mask(&mut self) -> Result<(), HardwareError> {
        self.registers.write32(offset::FAULT_CONTROL, FAULT_CONTROL_MASK);
        if self.fault_event_is_masked() { Ok(()) } else { Err(HardwareError::EventNotWritten) }
    }

    fn write(&mut self, pair: Pair) -> Result<(), HardwareError> {
        if !self.fault_event_is_masked() {
            return Err(HardwareError::EventNotWritten);
        }
        // FEUADDR is reserved where 32-bit APIC ids are not supported (§11.4.13).
        let has_upper = self.extended_capability.extended_mode();
        if pair.address >> 32 != 0 && !has_upper {
            return Err(HardwareError::EventNotWritten);
        }
        self.put(offset::FAULT_DATA, pair.data)?;
        self.put(offset::FAULT_ADDRESS, pair.address as u32)?;
        // QEMU 7.2 knows extended mode and has no FEUADDR: zero is what it shows.
        if has_upper {
            self.put(offset::FAULT_UPPER_ADDRESS, (pair.address >> 32) as u32)
        } else {
            Ok(())
        }
    }

    fn unmask(&mut self) {
        self.registers.write32(offset::FAULT_CONTROL, 0);
        self.registers.read32(offset::FAULT_CONTROL);
    }

    fn provoke(&mut self) -> Result<(), HardwareError> {
        self.queue.submit_refused(&mut self.registers)
    }
}
