//! What this server tells the interrupt server: how a device's messages arrive there, and
//! when nobody drives it any more.

use init_control::late::{Late, NextLate, WatchLines};
use init_control::{ClientGone, SYSTEM_BADGE, SetDevice, SetSource, SetWire, Source, Writes};
use libsys::object::{Endpoint, Message, Port};
use libsys::{ipc, println, sys};
use pci_core::{Function, SourceCheck, Topology};
use tocsin_abi::startup::Startup;
use tocsin_abi::{Handle, Rights};
use tocsin_firmware::pci_host::{Arrival, DeviceIds};
use tocsin_proto::interrupt::{LineId, Wiring};
use tocsin_proto::pci::Error;

use crate::firmware::SEGMENT;
use crate::quirks::Quirks;

/// The interrupt server, and what is known of the way there.
pub struct Messages {
    interrupt: Handle,
    ids: DeviceIds<'static>,
    quirks: Quirks,
}

impl Messages {
    /// With the interrupt server's endpoint, to mint from.
    pub fn new(env: &Startup, interrupt: Handle, ids: DeviceIds<'static>) -> Self {
        Self { interrupt, ids, quirks: Quirks::new(env) }
    }

    /// The interrupt server's endpoint.
    pub fn interrupt(&self) -> Handle {
        self.interrupt
    }

    /// Tells the interrupt server how a device's writes arrive, as far as firmware, the
    /// bridges above it and the manifest have something to say.
    pub fn announce(&self, topology: &Topology, function: &Function) -> Result<(), Error> {
        let own = function.address.id;
        let requester = own.bits();
        let Some(requesters) = topology.requesters(function.address) else { return Ok(()) };
        let source = match requesters.check() {
            SourceCheck::Exact(id) if id == own => None,
            SourceCheck::Exact(id) => Some(Source::Function(id.bits())),
            SourceCheck::Buses { first, last } => Some(Source::Buses { first, last }),
        };
        if let Some(source) = source {
            println!("pci: messages of {own} arrive with its bridge's id ({source:x?})");
            let set = SetSource { client: requester.into(), source };
            self.must_tell(SetSource::LABEL, &set.words())?;
        }
        let arrives = requesters.at_remapper();
        match self.ids.map(SEGMENT, arrives.bits()) {
            Some(Arrival { its: 0, device }) => {
                let set = SetDevice { client: requester.into(), writes: Writes::Messages, device };
                self.must_tell(SetDevice::LABEL, &set.words())?;
            }
            // The interrupt server drives the first.
            Some(Arrival { its, .. }) => {
                println!("pci: messages of {own} go to ITS {its}, where nobody takes them");
            }
            None if self.ids.is_known() => {
                println!("pci: messages of {own} go to no ITS that firmware names");
            }
            None => {}
        }
        if let Some(device) = self.quirks.dma_device_id(function) {
            let set = SetDevice { client: requester.into(), writes: Writes::Dma, device };
            self.must_tell(SetDevice::LABEL, &set.words())?;
        }
        if let Some(device) = self.quirks.amdvi_dma_id(function) {
            let set = SetDevice { client: requester.into(), writes: Writes::AmdViDma, device };
            self.must_tell(SetDevice::LABEL, &set.words())?;
        }
        Ok(())
    }

    /// Nobody drives this device any more.
    pub fn gone(&self, requester: u16) {
        let gone = ClientGone { client: requester.into() };
        if !self.tell(ClientGone::LABEL, &gone.words()) {
            println!("pci: the interrupt server did not hear that {requester:04x} is free");
        }
    }

    /// The driver of this device may open this line.
    pub fn set_wire(&self, requester: u16, line: LineId, wiring: Wiring) -> Result<(), Error> {
        let set = SetWire { client: requester.into(), line, wiring };
        if self.tell(SetWire::LABEL, &set.words()) {
            return Ok(());
        }
        println!("pci: the interrupt server does not give out {line} ({wiring})");
        Err(Error::NoLine)
    }

    fn must_tell(&self, label: u32, words: &[u64]) -> Result<(), Error> {
        if self.tell(label, words) { Ok(()) } else { Err(Error::NoMemory) }
    }

    /// Hears on `port` of owners of lines that do not answer. The message is to be kept.
    pub fn watch_lines(&self, port: &Port) -> Option<Message> {
        let message = self.say(WatchLines::LABEL, &[])?.handles.pop().map(Message::from)?;
        message.bind(port.handle(), 0).ok().map(|_| message)
    }

    /// The next device whose driver did not answer on its line.
    pub fn next_late(&self) -> Option<u16> {
        Late::decode(&self.say(NextLate::LABEL, &[])?.words)?.requester
    }

    /// Says something to the interrupt server that answers nothing else than that it was good.
    fn tell(&self, label: u32, words: &[u64]) -> bool {
        self.say(label, words).is_some()
    }

    /// Says something to the interrupt server as one part of the system to another. `None`: it
    /// did not hear it, or refused.
    fn say(&self, label: u32, words: &[u64]) -> Option<ipc::Reply> {
        let made = sys::handle_duplicate(self.interrupt, Rights::CALL, SYSTEM_BADGE).ok()?;
        let system = Endpoint::own(made.handle());
        let reply = ipc::call(system.handle(), label, words, &[]).ok()?;
        (reply.label == 0).then_some(reply)
    }
}
