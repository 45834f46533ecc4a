//! The protocol.

use alloc::collections::BTreeMap;

use init_control::{ClientGone, Release, SYSTEM_BADGE, SetDevice, SetSource, Source, Writes};
use libsys::ipc::{self, Request};
use libsys::object::{Capability, Endpoint};
use libsys::{println, sys};
use pci_core::{Function, SourceCheck, policy};
use tocsin_abi::{Handle, Rights};
use tocsin_proto::pci::{Claim as Ask, Claimed, ConfigValue, Error, Request as Asked};
use tocsin_proto::{Nothing, badge};

use crate::claim::Claim;
use crate::driver;
use crate::machine::Machine;
use crate::quirks::Quirks;
use crate::reply::Reply;
use crate::windows::Windows;

/// What a driver may do with the endpoints of its device.
const ENDPOINT_RIGHTS: Rights =
    Rights::CALL.union(Rights::DUPLICATE).union(Rights::TRANSFER).union(Rights::REVOKE);

/// The service.
pub struct Pci {
    machine: Machine,
    windows: Windows,
    quirks: Quirks,
    /// This server's endpoint and the interrupt server's, to mint from.
    own: Handle,
    interrupt: Handle,
    claims: BTreeMap<u16, Claim>,
}

impl Pci {
    /// With nothing claimed.
    pub fn new(
        machine: Machine,
        windows: Windows,
        quirks: Quirks,
        own: Handle,
        interrupt: Handle,
    ) -> Self {
        Self { machine, windows, quirks, own, interrupt, claims: BTreeMap::new() }
    }

    /// Takes a device. Whoever had it loses it: only who speaks with badge zero, and so for
    /// the whole machine, can do that.
    fn claim(&mut self, ask: &Ask, reply: &mut Reply) -> Result<(), Error> {
        let nth = usize::try_from(ask.nth).unwrap_or(usize::MAX);
        let found = self.machine.topology.find(ask.vendor, ask.device, nth);
        let function = *found.ok_or(Error::NoSuchDevice)?;
        let requester = function.address.id.bits();
        self.release(requester);
        self.tell_source(&function)?;
        self.tell_dma(&function)?;
        let badge = badge::of_device(requester);
        let mint = |from: Handle| {
            let made = sys::handle_duplicate(from, ENDPOINT_RIGHTS, badge);
            made.map(|made| Endpoint::own(made.handle())).map_err(|_| Error::NoMemory)
        };
        let endpoints = [mint(self.own)?, mint(self.interrupt)?];
        let page = self.machine.config.page(function.address);
        let page = page.ok_or(Error::NoSuchDevice)?.map_err(|_| Error::NoMemory)?;
        let bars = self.machine.all_bars(function.address);
        let claim = Claim::new(page, function, bars, ask.dma_quota, endpoints);
        let [pci, interrupt] = [claim.endpoints[0].handle(), claim.endpoints[1].handle()];
        self.claims.insert(requester, claim);
        let lent = [(pci, ENDPOINT_RIGHTS), (interrupt, ENDPOINT_RIGHTS)];
        reply.lend_both(&Claimed { requester }, lent);
        Ok(())
    }

    /// Tells the interrupt server which ids the device's messages arrive with, where a
    /// bridge puts others in place of its own.
    fn tell_source(&self, function: &Function) -> Result<(), Error> {
        let own = function.address.id;
        let requesters = self.machine.topology.requesters(function.address);
        let source = match requesters.map(|requesters| requesters.check()) {
            None => return Ok(()),
            Some(SourceCheck::Exact(id)) if id == own => return Ok(()),
            Some(SourceCheck::Exact(id)) => Source::Function(id.bits()),
            Some(SourceCheck::Buses { first, last }) => Source::Buses { first, last },
        };
        println!("pci: messages of {own} arrive with its bridge's id ({source:x?})");
        let set = SetSource { requester: own.bits(), source };
        let told = self.tell(SetSource::LABEL, &set.words());
        if told { Ok(()) } else { Err(Error::NoMemory) }
    }

    /// Tells the interrupt server what the manifest says of the device's DMA writes. It alone
    /// knows whether that matters here.
    fn tell_dma(&self, function: &Function) -> Result<(), Error> {
        let Some(device) = self.quirks.dma_device_id(function) else { return Ok(()) };
        let requester = function.address.id.bits();
        let set = SetDevice { requester, writes: Writes::Dma, device };
        let told = self.tell(SetDevice::LABEL, &set.words());
        if told { Ok(()) } else { Err(Error::NoMemory) }
    }

    /// Says something to the interrupt server as one part of the system to another.
    fn tell(&self, label: u32, words: &[u64]) -> bool {
        let Ok(made) = sys::handle_duplicate(self.interrupt, Rights::CALL, SYSTEM_BADGE) else {
            return false;
        };
        let system = Endpoint::own(made.handle());
        ipc::call(system.handle(), label, words, &[]).is_ok_and(|reply| reply.label == 0)
    }

    /// Takes back what a driver has. False when nobody has the device.
    fn release(&mut self, requester: u16) -> bool {
        let Some(claim) = self.claims.remove(&requester) else { return false };
        claim.end();
        let gone = ClientGone { requester };
        if !self.tell(ClientGone::LABEL, &gone.words()) {
            println!("pci: the interrupt server did not hear that {requester:04x} is free");
        }
        true
    }

    /// Does what whoever speaks for the whole machine asks.
    fn system(&mut self, request: Request, words: &[u64], reply: &mut Reply) -> Result<(), Error> {
        if request.label == Release::LABEL {
            let release = Release::decode(words).ok_or(Error::Malformed)?;
            let had = self.release(release.requester);
            return if had { Ok(()) } else { Err(Error::NoSuchDevice) };
        }
        match Asked::decode(request.label, words, request.handles)? {
            Asked::Claim(ask) => self.claim(&ask, reply),
            _ => Err(Error::NotAllowed),
        }
    }

    /// Does what a driver asks about its own device. Requests that answer nothing but
    /// success leave the reply as `call` made it.
    fn driver(
        &mut self,
        requester: u16,
        request: Request,
        words: &[u64],
        message: Option<Capability>,
        reply: &mut Reply,
    ) -> Result<(), Error> {
        let asked = Asked::decode(request.label, words, request.handles)?;
        let Self { machine, windows, claims, .. } = self;
        // A badge outlives the claim where somebody else minted it.
        let claim = claims.get_mut(&requester).ok_or(Error::NotAllowed)?;
        match asked {
            Asked::Claim(_) => Err(Error::NotAllowed),
            Asked::Describe(_) => {
                reply.ok(&driver::describe(claim));
                Ok(())
            }
            Asked::GetBar(ask) => driver::get_bar(machine, windows, claim, ask.index, reply),
            Asked::ConfigRead(ask) => {
                let register = driver::register(ask.offset, ask.width)?;
                let value = policy::read(&claim.config, &claim.function, register);
                reply.ok(&ConfigValue { value });
                Ok(())
            }
            Asked::ConfigWrite(ask) => {
                let register = driver::register(ask.offset, ask.width)?;
                policy::write(&mut claim.config, &claim.function, register, ask.value)
                    .map_err(|_| Error::Denied)
            }
            Asked::MsiWrite(ask) => {
                let message = message.ok_or(Error::Malformed)?;
                driver::msi_write(claim, ask.slot, &message)
            }
            Asked::MsiMask(ask) => driver::msi_mask(claim, ask.slot, true),
            Asked::MsiUnmask(ask) => driver::msi_mask(claim, ask.slot, false),
            Asked::Dma(ask) => driver::dma(claim, ask.size_bytes, reply),
            Asked::MsiXSet(ask) => driver::msix_set(claim, ask),
            Asked::Enable(ask) => driver::enable(machine, claim, ask.on),
        }
    }

    /// Answers a call; `message` is the handle that came with it.
    pub fn call(
        &mut self,
        request: Request,
        words: &[u64],
        message: Option<Capability>,
        reply: &mut Reply,
    ) {
        reply.ok(&Nothing);
        let result = match badge::device_of(request.badge) {
            Some(requester) => self.driver(requester, request, words, message, reply),
            None if request.badge == 0 => self.system(request, words, reply),
            None => Err(Error::NotAllowed),
        };
        if let Err(error) = result {
            reply.refuse(error);
        }
    }
}
