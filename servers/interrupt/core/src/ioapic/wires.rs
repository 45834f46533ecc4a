//! IOAPICs as line hardware: a line is a pin, and its message is one like any other, whose
//! redirection entry this server writes.

use super::{IoApicRegisters, IoApics, LineError, PinError};
use crate::wire::{LineError as Refused, LineHardware, LineId, LineTarget, Way, Wiring};

impl From<LineError> for Refused {
    fn from(error: LineError) -> Self {
        match error {
            LineError::NoSuchLine => Refused::NoSuchLine,
            // It is masked all the same.
            LineError::Pin(PinError::DeliveryPending) => Refused::Late,
            LineError::NoSource | LineError::NoLevels | LineError::Pair(_) | LineError::Pin(_) => {
                Refused::NotSupported
            }
        }
    }
}

impl<R: IoApicRegisters> LineHardware for IoApics<R> {
    fn check(&self, line: LineId, wiring: Wiring) -> Result<Way, Refused> {
        Ok(Way::Message(self.check(line.number(), wiring.trigger)?))
    }

    fn set(&mut self, line: LineId, wiring: Wiring, to: LineTarget) -> Result<(), Refused> {
        match to {
            LineTarget::Message(pair) => {
                Ok(self.program(line.number(), pair, wiring.trigger, wiring.polarity)?)
            }
            LineTarget::Cpu(_) => Err(Refused::NotSupported),
        }
    }

    fn unmask(&mut self, line: LineId) -> Result<(), Refused> {
        Ok(self.unmask(line.number())?)
    }

    fn mask(&mut self, line: LineId) -> Result<(), Refused> {
        Ok(self.mask(line.number())?)
    }

    fn end(&mut self, line: LineId) -> Result<(), Refused> {
        Ok(self.acknowledge(line.number())?)
    }

    fn clear(&mut self, line: LineId) -> Result<(), Refused> {
        Ok(self.clear(line.number())?)
    }
}
