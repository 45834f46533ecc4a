//! SPIs as lines: each is a CPU event of its own.

use super::{Distributor, GicdRegisters, Route, Spi, SpiError, SpiSetup};
use crate::its::Priority;
use crate::wire::{LineError, LineHardware, LineId, LineTarget, Polarity, Way, Wiring};
use crate::{CpuIndex, EventNumber};
use alloc::vec::Vec;

/// All SPIs of a machine that are wires.
pub struct SpiLines<R> {
    distributor: Distributor<R>,
    /// By CPU.
    routes: Vec<Route>,
    priority: Priority,
    /// INTIDs that messages raise: no wires, whatever anybody says.
    messages: Vec<(u32, u32)>,
}

impl<R: GicdRegisters> SpiLines<R> {
    /// Over a distributor in service. `routes` are the affinities of the CPUs by their kernel
    /// number, `priority` what the kernel gives devices.
    pub const fn new(distributor: Distributor<R>, routes: Vec<Route>, priority: Priority) -> Self {
        Self { distributor, routes, priority, messages: Vec::new() }
    }

    /// These INTIDs are message-based SPIs: `first` and how many. False when memory is short.
    pub fn exclude(&mut self, first: u32, count: u32) -> bool {
        let room = self.messages.try_reserve(1).is_ok();
        if room {
            self.messages.push((first, count));
        }
        room
    }

    fn spi(&self, line: LineId) -> Result<Spi, LineError> {
        let intid = line.number();
        let is_message = |(first, count): &(u32, u32)| intid >= *first && intid - *first < *count;
        let spi = Spi::new(intid).filter(|spi| self.distributor.kind().has(*spi));
        spi.filter(|_| !self.messages.iter().any(is_message)).ok_or(LineError::NoSuchLine)
    }
}

fn error(error: SpiError) -> LineError {
    match error {
        SpiError::NoSuchSpi => LineError::NoSuchLine,
        SpiError::NotOurs | SpiError::TriggerFixed | SpiError::RouteRefused => {
            LineError::NotSupported
        }
        SpiError::Timeout => LineError::Late,
    }
}

impl<R: GicdRegisters> LineHardware for SpiLines<R> {
    /// The distributor knows no polarity: a board inverts what it has to, and then firmware says
    /// high or rising (devicetree binding `arm,gic-v3`).
    fn check(&self, line: LineId, wiring: Wiring) -> Result<Way, LineError> {
        let spi = self.spi(line)?;
        if wiring.polarity == Polarity::Low {
            return Err(LineError::NotSupported);
        }
        // An SPI has 16 bits.
        Ok(Way::Event(EventNumber::of_line(spi.intid() as u16)))
    }

    fn set(&mut self, line: LineId, wiring: Wiring, to: LineTarget) -> Result<(), LineError> {
        let (spi, LineTarget::Cpu(cpu)) = (self.spi(line)?, to) else {
            return Err(LineError::NotSupported);
        };
        let route = *self.routes.get(cpu.index()).ok_or(LineError::NotSupported)?;
        let setup = SpiSetup { trigger: wiring.trigger, priority: self.priority, route };
        self.distributor.configure(spi, setup).map_err(error)
    }

    fn unmask(&mut self, line: LineId) -> Result<(), LineError> {
        let spi = self.spi(line)?;
        self.distributor.enable(spi).map_err(error)
    }

    fn mask(&mut self, line: LineId) -> Result<(), LineError> {
        let spi = self.spi(line)?;
        self.distributor.disable(spi);
        self.distributor.settle().map_err(error)
    }

    fn move_to(&mut self, line: LineId, cpu: CpuIndex) -> Result<(), LineError> {
        let spi = self.spi(line)?;
        let route = *self.routes.get(cpu.index()).ok_or(LineError::NotSupported)?;
        self.distributor.route(spi, route).map_err(error)
    }

    fn clear(&mut self, line: LineId) -> Result<(), LineError> {
        let spi = self.spi(line)?;
        self.distributor.clear_pending(spi);
        Ok(())
    }
}
