//! What this server tells the interrupt server: how a device's messages arrive there, and
//! when nobody drives it any more.

use init_control::{ClientGone, SYSTEM_BADGE, SetDevice, SetSource, SetWire, Source, Writes};
use libsys::object::Endpoint;
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

    /// Says something to the interrupt server as one part of the system to another.
    fn tell(&self, label: u32, words: &[u64]) -> bool {
        let Ok(made) = sys::handle_duplicate(self.interrupt, Rights::CALL, SYSTEM_BADGE) else {
            return false;
        };
        let system = Endpoint::own(made.handle());
        ipc::call(system.handle(), label, words, &[]).is_ok_and(|reply| reply.label == 0)
    }
}
