//! What a line's chip has to do.

use super::{LineId, Wiring};
use crate::{CpuIndex, EventNumber, Pair, Source};
use core::fmt;

/// How a line reaches a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// It is a CPU event, with this number: an SPI. While a level is taken and not acknowledged,
    /// the kernel holds it back, and what comes while it is masked stays pending.
    Event(EventNumber),
    /// It is an event of one CPU, with this number, and each CPU has another under it: a PPI. The
    /// kernel turns it on with its message and off with it, so its chip has nothing to do, and it
    /// stays on the CPU for which it was opened. What comes while it is off stays pending.
    Private(EventNumber),
    /// A chip sends a message for it, which arrives with this source: an IOAPIC. While a level is
    /// taken and not ended, the chip holds it back; an edge that comes while it is masked is lost.
    Message(Source),
}

/// Where a line leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineTarget {
    /// To this CPU, as itself ([`Way::Event`], [`Way::Private`]).
    Cpu(CpuIndex),
    /// It sends this pair ([`Way::Message`]).
    Message(Pair),
}

/// Why the chip did not do it. Except for `Late`, nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineError {
    /// No chip has this line.
    NoSuchLine,
    /// A chip has it, but it can not be had in this way: a trigger or polarity that is not there,
    /// a level that nobody could hold, messages whose source firmware has not told.
    NotSupported,
    /// It did not follow in time. What was written may take effect later.
    Late,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchLine => "no interrupt controller has this line",
            Self::NotSupported => "the line can not be had in this way here",
            Self::Late => "the interrupt controller did not answer",
        })
    }
}

/// The chip, or all of them. Every wait is bounded.
///
/// Called for one line in this order: `set`, `unmask`, then any of `mask`, `unmask`, `end` and
/// `move_to`, at last `mask` and `clear`. All but `check` may be repeated after `Late`.
pub trait LineHardware {
    /// Whether a line can be had in this way, and how it reaches a CPU. Changes nothing, and
    /// answers the same each time.
    fn check(&self, line: LineId, wiring: Wiring) -> Result<Way, LineError>;

    /// Gives the line its wiring and its destination. It is masked before and after, and what it
    /// did in an earlier life is forgotten: not held, and no edge is remembered.
    fn set(&mut self, line: LineId, wiring: Wiring, to: LineTarget) -> Result<(), LineError>;

    /// The line is heard from here on: a level that stands at once.
    fn unmask(&mut self, line: LineId) -> Result<(), LineError>;

    /// When it returns, the line sends nothing more, and all that it sent has reached a CPU, or
    /// the remapper. A level that is held stays held.
    fn mask(&mut self, line: LineId) -> Result<(), LineError>;

    /// The level's cause is gone: if it stands all the same, it comes again. Where the kernel
    /// holds levels back ([`Way::Event`], [`Way::Private`]) there is nothing to do; it is not called.
    fn end(&mut self, line: LineId) -> Result<(), LineError> {
        let _ = line;
        Ok(())
    }

    /// The line arrives at another CPU, now or at its next event ([`Way::Event`]). Where it is a
    /// message the remapper moves it, and this is not called.
    fn move_to(&mut self, line: LineId, cpu: CpuIndex) -> Result<(), LineError> {
        let _ = (line, cpu);
        Err(LineError::NotSupported)
    }

    /// The masked line's life is over: it leads nowhere.
    fn clear(&mut self, line: LineId) -> Result<(), LineError> {
        let _ = line;
        Ok(())
    }
}

/// A machine on which no line can be had.
#[derive(Clone, Copy, Debug)]
pub struct NoLines;

impl LineHardware for NoLines {
    fn check(&self, _line: LineId, _wiring: Wiring) -> Result<Way, LineError> {
        Err(LineError::NoSuchLine)
    }

    fn set(&mut self, _line: LineId, _wiring: Wiring, _to: LineTarget) -> Result<(), LineError> {
        Err(LineError::NoSuchLine)
    }

    fn unmask(&mut self, _line: LineId) -> Result<(), LineError> {
        Err(LineError::NoSuchLine)
    }

    fn mask(&mut self, _line: LineId) -> Result<(), LineError> {
        Err(LineError::NoSuchLine)
    }
}
