//! Lines: the machine's chips behind one face, and the protocol about them.

use init_control::SetWire;
use interrupt_core::gicd::GicLines;
use interrupt_core::ioapic::IoApics;
use interrupt_core::wire::{
    self, LineError, LineHardware, LineTarget, Mode, OpenRequest, Polarity, Storm, Trigger, Way,
    WireError, WireId, Wiring,
};
use interrupt_core::{BackEnd, ClientId, CpuIndex, MessageId};
use libsys::object::now_ns;
use libsys::println;
use tocsin_proto::interrupt::{self, Activated, Error, WireMode, WireOpen, WireOpened};

use crate::answer;
use crate::find::ChipPage;
use crate::memory::Frame;
use crate::reply::Reply;
use crate::serve::Interrupts;

/// Where this machine's lines end.
pub enum Lines {
    /// It has none, or none that can be had.
    None,
    /// A PC's IOAPICs.
    IoApics(IoApics<ChipPage>),
    /// The SPIs of a GIC, and its CPUs' PPIs.
    Gic(GicLines<Frame>),
}

/// Hands a call on to the machine's chips.
macro_rules! to_chips {
    ($self:ident, $chips:ident => $call:expr) => {
        match $self {
            Lines::None => Err(LineError::NoSuchLine),
            Lines::IoApics($chips) => $call,
            Lines::Gic($chips) => $call,
        }
    };
}

impl LineHardware for Lines {
    fn check(&self, line: wire::LineId, wiring: Wiring) -> Result<Way, LineError> {
        to_chips!(self, chips => LineHardware::check(chips, line, wiring))
    }

    fn set(&mut self, line: wire::LineId, wiring: Wiring, to: LineTarget) -> Result<(), LineError> {
        to_chips!(self, chips => chips.set(line, wiring, to))
    }

    fn unmask(&mut self, line: wire::LineId) -> Result<(), LineError> {
        to_chips!(self, chips => LineHardware::unmask(chips, line))
    }

    fn mask(&mut self, line: wire::LineId) -> Result<(), LineError> {
        to_chips!(self, chips => LineHardware::mask(chips, line))
    }

    fn end(&mut self, line: wire::LineId) -> Result<(), LineError> {
        to_chips!(self, chips => chips.end(line))
    }

    fn move_to(&mut self, line: wire::LineId, cpu: CpuIndex) -> Result<(), LineError> {
        to_chips!(self, chips => chips.move_to(line, cpu))
    }

    fn clear(&mut self, line: wire::LineId) -> Result<(), LineError> {
        to_chips!(self, chips => LineHardware::clear(chips, line))
    }
}

impl<B: BackEnd> Interrupts<B> {
    pub(crate) fn wire_open(
        &mut self,
        client: ClientId,
        ask: &WireOpen,
        reply: &mut Reply,
    ) -> Result<(), Error> {
        let request = OpenRequest {
            line: wire::LineId::new(ask.line.0),
            wiring: wiring(ask.wiring),
            mode: match ask.mode {
                WireMode::Exclusive => Mode::Exclusive,
                WireMode::Shared => Mode::Shared,
            },
            cpus: answer::cpus(ask.cpus),
        };
        let opened = self.wires.open(&mut self.core, client, &request);
        self.look_after_wires();
        let opened = opened.map_err(error)?;
        let words = WireOpened {
            id: interrupt::MessageId(opened.id.bits()),
            acknowledge: match opened.acknowledge {
                wire::Acknowledge::Nobody => interrupt::Acknowledge::Nobody,
                wire::Acknowledge::Kernel => interrupt::Acknowledge::Kernel,
                wire::Acknowledge::Server => interrupt::Acknowledge::Server,
            },
            // At most 8 CPUs.
            cpu: opened.event.cpu.index() as u8,
            vector: opened.event.vector.bits(),
        };
        reply.message(&words, opened.handle, opened.id.bits());
        Ok(())
    }

    pub(crate) fn wire_close(
        &mut self,
        client: ClientId,
        id: interrupt::MessageId,
    ) -> Result<(), Error> {
        let id = WireId::from_bits(id.0).ok_or(Error::BadId)?;
        let closed = self.wires.close(&mut self.core, client, id).map_err(error);
        self.look_after_wires();
        closed
    }

    pub(crate) fn wire_acknowledge(
        &mut self,
        client: ClientId,
        id: interrupt::MessageId,
    ) -> Result<(), Error> {
        let id = WireId::from_bits(id.0).ok_or(Error::BadId)?;
        let done = self.wires.acknowledge(&mut self.core, client, id).map_err(error);
        self.look_after_wires();
        done
    }

    pub(crate) fn wire_affinity(
        &mut self,
        client: ClientId,
        id: WireId,
        cpus: u64,
    ) -> Result<Activated, Error> {
        let moved = self.wires.set_affinity(&mut self.core, client, id, answer::cpus(cpus));
        self.look_after_wires();
        let info = moved.map_err(error)?;
        Ok(answer::activated(info.event, None))
    }

    /// Says who may have a line.
    pub(crate) fn set_wire(&mut self, set: SetWire) -> Result<(), Error> {
        let client = ClientId::from_bits(set.client).ok_or(Error::Malformed)?;
        let line = wire::LineId::new(set.line.0);
        self.wires.grant(client, line, wiring(set.wiring)).map_err(error)
    }

    /// A client's wires end before its messages: a line is masked at its source first.
    pub(crate) fn client_gone(&mut self, client: ClientId) {
        self.wires.client_gone(&mut self.core, client);
        self.core.client_gone(client);
        self.look_after_wires();
    }

    /// Nobody but this server holds a message any more.
    pub(crate) fn orphaned(&mut self, key: u64) {
        // A late packet is about nobody.
        if self.wires.orphaned(&mut self.core, key).is_none() && WireId::from_bits(key).is_none() {
            let _ = self.core.orphaned(MessageId::from_bits(key));
        }
        self.look_after_wires();
    }

    /// A message that comes too often is held back.
    pub(crate) fn stormed(&mut self, key: u64) {
        match self.wires.storm(&mut self.core, key, now_ns()) {
            Storm::NoWire => self.storm(MessageId::from_bits(key)),
            Storm::Late => {}
            Storm::HeldOff(line) => {
                println!("interrupt: {line} is past its rate budget and held off");
            }
        }
        self.look_after_wires();
    }

    /// A shared line's packet.
    pub(crate) fn line_fired(&mut self, key: u64) {
        self.wires.fired(&mut self.core, key, now_ns());
        self.look_after_wires();
    }

    pub(crate) fn tick_wires(&mut self) {
        if self.wires_wait {
            self.wires_wait = self.wires.tick(&mut self.core, now_ns());
            self.tell_of_late();
        }
    }

    fn look_after_wires(&mut self) {
        self.wires_wait = self.wires.needs_tick();
    }
}

/// The protocol's, as the core's.
fn wiring(wiring: interrupt::Wiring) -> Wiring {
    Wiring {
        trigger: match wiring.trigger {
            interrupt::Trigger::Edge => Trigger::Edge,
            interrupt::Trigger::Level => Trigger::Level,
        },
        polarity: match wiring.polarity {
            interrupt::Polarity::High => Polarity::High,
            interrupt::Polarity::Low => Polarity::Low,
        },
    }
}

/// The core's, as the protocol's.
pub(crate) const fn wiring_row(wiring: Wiring) -> interrupt::Wiring {
    interrupt::Wiring {
        trigger: match wiring.trigger {
            Trigger::Edge => interrupt::Trigger::Edge,
            Trigger::Level => interrupt::Trigger::Level,
        },
        polarity: match wiring.polarity {
            Polarity::High => interrupt::Polarity::High,
            Polarity::Low => interrupt::Polarity::Low,
        },
    }
}

fn error(error: WireError<tocsin_abi::Error>) -> Error {
    match error {
        WireError::NotYours => Error::NotYours,
        WireError::WrongWiring => Error::WrongTrigger,
        WireError::InUse => Error::LineInUse,
        WireError::Conflict => Error::LineConflict,
        WireError::Busy => Error::LineBusy,
        WireError::NotSupported | WireError::Line(LineError::NotSupported) => Error::NotSupported,
        WireError::BadId => Error::BadId,
        WireError::BadState => Error::BadState,
        WireError::BadArgument => Error::BadArgument,
        WireError::NoMemory => Error::NoMemory,
        WireError::Line(LineError::NoSuchLine) => Error::NoSuchLine,
        WireError::Line(LineError::Late) => Error::Hardware,
        WireError::Message(error) => answer::error(error),
        WireError::Kernel(error) => answer::error(interrupt_core::Error::Kernel(error)),
    }
}
