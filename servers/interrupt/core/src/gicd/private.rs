//! PPIs as lines, beside SPIs.
//!
//! A private peripheral interrupt, INTID 16 to 31 (§2.2.1), is each CPU's own: the same number is
//! another wire at every CPU. Its registers are in the CPU's redistributor, in the frame that
//! also has the kernel's own timer and pokes, so the kernel keeps that frame, and turns a PPI on
//! and off with its message. Nothing is left for a chip to do here.
//!
//! As a line, a number is had once in the machine at a time: the CPU is the one that the opener's
//! set names (of several, the one with the fewest lines), and the same PPI of the other CPUs is
//! nobody's until the line is closed.

use super::{GicdRegisters, SpiLines};
use crate::wire::{LineError, LineHardware, LineId, LineTarget, Polarity, Way, Wiring};
use crate::{CpuIndex, EventNumber};

/// A private peripheral interrupt that a device can have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ppi(u16);

impl Ppi {
    /// The lowest INTID.
    pub const FIRST: u32 = 16;
    /// Behind the highest. The extended ones of GICv3.1 (1056 to 1119) are not used.
    pub const END: u32 = 32;
    /// The virtual timer's (Arm BSA, PPI assignments), by which the kernel keeps time. Where
    /// firmware has it elsewhere, the kernel refuses that one.
    pub const TIMER: u32 = 27;

    /// `None` when the INTID is no PPI's.
    pub const fn new(intid: u32) -> Option<Self> {
        if intid < Self::FIRST || intid >= Self::END { None } else { Some(Self(intid as u16)) }
    }
}

/// All lines of a GIC: every CPU's PPIs, and the SPIs where the distributor can be used.
pub struct GicLines<R> {
    spis: Option<SpiLines<R>>,
}

impl<R: GicdRegisters> GicLines<R> {
    /// With these SPIs.
    pub const fn new(spis: Option<SpiLines<R>>) -> Self {
        Self { spis }
    }

    fn spis(&mut self) -> Result<&mut SpiLines<R>, LineError> {
        self.spis.as_mut().ok_or(LineError::NoSuchLine)
    }
}

impl<R: GicdRegisters> LineHardware for GicLines<R> {
    /// A redistributor knows no polarity either.
    fn check(&self, line: LineId, wiring: Wiring) -> Result<Way, LineError> {
        let Some(Ppi(intid)) = Ppi::new(line.number()) else {
            return self.spis.as_ref().ok_or(LineError::NoSuchLine)?.check(line, wiring);
        };
        if u32::from(intid) == Ppi::TIMER || wiring.polarity == Polarity::Low {
            return Err(LineError::NotSupported);
        }
        Ok(Way::Private(EventNumber::of_line(intid)))
    }

    fn set(&mut self, line: LineId, wiring: Wiring, to: LineTarget) -> Result<(), LineError> {
        match (is_private(line), to) {
            (true, LineTarget::Cpu(_)) => Ok(()),
            (true, LineTarget::Message(_)) => Err(LineError::NotSupported),
            (false, _) => self.spis()?.set(line, wiring, to),
        }
    }

    fn unmask(&mut self, line: LineId) -> Result<(), LineError> {
        if is_private(line) { Ok(()) } else { self.spis()?.unmask(line) }
    }

    fn mask(&mut self, line: LineId) -> Result<(), LineError> {
        if is_private(line) { Ok(()) } else { self.spis()?.mask(line) }
    }

    fn move_to(&mut self, line: LineId, cpu: CpuIndex) -> Result<(), LineError> {
        if is_private(line) {
            return Err(LineError::NotSupported);
        }
        self.spis()?.move_to(line, cpu)
    }

    fn clear(&mut self, line: LineId) -> Result<(), LineError> {
        if is_private(line) { Ok(()) } else { self.spis()?.clear(line) }
    }
}

const fn is_private(line: LineId) -> bool {
    Ppi::new(line.number()).is_some()
}
