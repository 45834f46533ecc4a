//! The few registers that start a script and show its end. Manual, chapter "Registers",
//! "SCSI Registers"; offsets into BAR 1.

/// A register and what touching it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// DMA status, 8 bits. **Reading clears it.**
    DmaStatus,
    /// Interrupt status zero, 8 bits. Reading has no effect. Bit 6 written resets the chip.
    InterruptStatus,
    /// DMA SCRIPTS pointer, 32 bits. **Writing its highest byte starts the script.**
    ScriptsPointer,
    /// DMA SCRIPTS pointer save, 32 bits: the second word of the last instruction.
    ScriptsPointerSave,
    /// DMA interrupt enable, 8 bits: which DMA conditions pull the interrupt pin.
    DmaInterruptEnable,
    /// SCSI interrupt enable zero, 8 bits.
    ScsiInterruptEnable0,
    /// SCSI interrupt enable one, 8 bits.
    ScsiInterruptEnable1,
}

impl Register {
    /// Offset into BAR 1.
    #[must_use]
    pub const fn offset(self) -> u64 {
        match self {
            Register::DmaStatus => 0x0c,
            Register::InterruptStatus => 0x14,
            Register::ScriptsPointer => 0x2c,
            Register::ScriptsPointerSave => 0x30,
            Register::DmaInterruptEnable => 0x39,
            Register::ScsiInterruptEnable0 => 0x40,
            Register::ScsiInterruptEnable1 => 0x41,
        }
    }
}

/// Bytes of BAR 1 that hold registers.
pub const REGISTER_BYTES: u64 = 0x400;
/// ISTAT0: software reset; must be cleared again by software.
pub const ISTAT_RESET: u8 = 0x40;
/// ISTAT0: a DMA condition stands in DSTAT.
pub const ISTAT_DMA: u8 = 0x01;
/// ISTAT0: a SCSI condition stands in SIST0 or SIST1.
pub const ISTAT_SCSI: u8 = 0x02;

/// What a read of DSTAT said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DmaStatus {
    /// An INT instruction ended the script (bit 2), and nothing went wrong.
    Interrupted,
    /// Nothing has happened yet.
    Quiet,
    /// Illegal instruction, abort, bus fault, parity error, or single step: a script of
    /// ours never ends so. The raw bits.
    Fault(u8),
}

/// DSTAT: the DMA FIFO is empty. Always so when no data moves; says nothing.
const DSTAT_FIFO_EMPTY: u8 = 0x80;
/// DSTAT: an INT instruction ran.
const DSTAT_SCRIPT_INTERRUPT: u8 = 0x04;

impl DmaStatus {
    /// Judges the value of DSTAT.
    #[must_use]
    pub const fn decode(value: u8) -> DmaStatus {
        match value & !DSTAT_FIFO_EMPTY {
            0 => DmaStatus::Quiet,
            DSTAT_SCRIPT_INTERRUPT => DmaStatus::Interrupted,
            other => DmaStatus::Fault(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_judged_as_a_whole() {
        assert_eq!(DmaStatus::decode(0x80), DmaStatus::Quiet);
        assert_eq!(DmaStatus::decode(0x84), DmaStatus::Interrupted);
        assert_eq!(DmaStatus::decode(0x04), DmaStatus::Interrupted);
        for bit in [0x01, 0x08, 0x10, 0x20, 0x40] {
            assert_eq!(DmaStatus::decode(0x84 | bit), DmaStatus::Fault(0x04 | bit));
        }
    }
}
