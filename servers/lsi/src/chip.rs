//! The chip's registers: reset it, keep its own interrupt pin quiet, run scripts.

use core::fmt;

use libsys::object::now_ns;
use libsys::pci::MappedBar;
use lsi_core::registers::{ISTAT_DMA, ISTAT_RESET, ISTAT_SCSI, REGISTER_BYTES};
use lsi_core::{BusAddress, DmaStatus, Ending, Register};

/// How long a script of three instructions may take.
const SCRIPT_NS: u64 = 100_000_000;
/// Looks at ISTAT before the clock is asked: reading a register is cheaper than a call.
const QUICK_LOOKS: u32 = 16;

/// What the chip did that it should not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChipError {
    /// BAR 1 is too small to be this chip's.
    NoRegisters,
    /// No end of the script in time.
    Hangs,
    /// DSTAT shows an error; its bits.
    Dma(u8),
    /// A SCSI condition, though no script of ours touches the SCSI bus.
    Scsi,
    /// The script ended with a code that no slot has.
    UnknownEnd(u32),
}

impl fmt::Display for ChipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChipError::NoRegisters => f.write_str("BAR 1 has no room for the registers"),
            ChipError::Hangs => f.write_str("the script did not end in time"),
            ChipError::Dma(bits) => write!(f, "the script ended with DSTAT {bits:#04x}"),
            ChipError::Scsi => f.write_str("the chip reports a SCSI condition"),
            ChipError::UnknownEnd(code) => write!(f, "the script ended with DSPS {code:#010x}"),
        }
    }
}

/// The chip.
pub struct Chip {
    registers: MappedBar,
}

impl Chip {
    /// Takes the registers (BAR 1), resets the chip, and leaves every interrupt of its own
    /// off: an INT instruction is seen in ISTAT, and must not pull the pin.
    ///
    /// # Errors
    /// When this can not be the chip.
    pub fn start(registers: MappedBar) -> Result<Chip, ChipError> {
        if registers.size_bytes < REGISTER_BYTES {
            return Err(ChipError::NoRegisters);
        }
        let chip = Chip { registers };
        // "ISTAT0", software reset: set, then cleared by software.
        chip.write8(Register::InterruptStatus, ISTAT_RESET);
        chip.write8(Register::InterruptStatus, 0);
        for enable in [
            Register::DmaInterruptEnable,
            Register::ScsiInterruptEnable0,
            Register::ScsiInterruptEnable1,
        ] {
            chip.write8(enable, 0);
        }
        // Reading clears what the reset may have left.
        let _ = chip.read8(Register::DmaStatus);
        Ok(chip)
    }

    /// Runs the script at `script` and says how it ended.
    ///
    /// # Errors
    /// When it does not end as a slot's script does.
    pub fn run(&self, script: BusAddress) -> Result<Ending, ChipError> {
        self.registers.mapping.write32(self.at(Register::ScriptsPointer), script.raw());
        self.await_end()?;
        match DmaStatus::decode(self.read8(Register::DmaStatus)) {
            DmaStatus::Interrupted => {}
            // ISTAT announced a DMA condition: DSTAT must have it.
            DmaStatus::Quiet => return Err(ChipError::Dma(0)),
            DmaStatus::Fault(bits) => return Err(ChipError::Dma(bits)),
        }
        let code = self.registers.mapping.read32(self.at(Register::ScriptsPointerSave));
        Ending::decode(code).ok_or(ChipError::UnknownEnd(code))
    }

    /// Only ISTAT may be read while a script runs (manual, "Interrupt Status Zero").
    fn await_end(&self) -> Result<(), ChipError> {
        let mut looks = 0;
        let mut deadline_ns = None;
        loop {
            let status = self.read8(Register::InterruptStatus);
            if status & ISTAT_SCSI != 0 {
                return Err(ChipError::Scsi);
            }
            if status & ISTAT_DMA != 0 {
                return Ok(());
            }
            looks += 1;
            if looks >= QUICK_LOOKS {
                let now = now_ns();
                if now > *deadline_ns.get_or_insert(now.saturating_add(SCRIPT_NS)) {
                    return Err(ChipError::Hangs);
                }
            }
        }
    }

    /// Where a register is in the mapping.
    fn at(&self, register: Register) -> u64 {
        self.registers.base + register.offset()
    }

    fn read8(&self, register: Register) -> u8 {
        self.registers.mapping.read8(self.at(register))
    }

    fn write8(&self, register: Register, value: u8) {
        self.registers.mapping.write8(self.at(register), value);
    }
}
