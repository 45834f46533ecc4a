//! The protocol.

use alloc::collections::BTreeMap;

use init_control::Release;
use libsys::ipc::Request;
use libsys::object::{Capability, Endpoint, Message, Port};
use libsys::{println, sys};
use pci_core::policy;
use tocsin_abi::{Handle, Rights};
use tocsin_proto::pci::{Claim as Ask, Claimed, ConfigValue, Error, Request as Asked};
use tocsin_proto::{Nothing, badge};

use crate::claim::Claim;
use crate::driver;
use crate::machine::Machine;
use crate::messages::Messages;
use crate::pin;
use crate::reply::Reply;
use crate::windows::Windows;
use crate::wires::Wires;

/// What a driver may do with the endpoints of its device.
const ENDPOINT_RIGHTS: Rights =
    Rights::CALL.union(Rights::DUPLICATE).union(Rights::TRANSFER).union(Rights::REVOKE);

/// The service.
pub struct Pci {
    machine: Machine,
    windows: Windows,
    wires: Wires,
    /// This server's endpoint, to mint from.
    own: Handle,
    messages: Messages,
    claims: BTreeMap<u16, Claim>,
    /// Brings the packets about owners of lines that do not answer.
    watch: Option<Message>,
}

impl Pci {
    /// With nothing claimed.
    pub fn new(
        machine: Machine,
        windows: Windows,
        wires: Wires,
        own: Handle,
        messages: Messages,
    ) -> Self {
        Self { machine, windows, wires, own, messages, claims: BTreeMap::new(), watch: None }
    }

    /// Takes a device. Whoever had it loses it: only who speaks with badge zero, and so for
    /// the whole machine, can do that.
    fn claim(&mut self, ask: &Ask, reply: &mut Reply) -> Result<(), Error> {
        let nth = usize::try_from(ask.nth).unwrap_or(usize::MAX);
        let found = self.machine.topology.find(ask.vendor, ask.device, nth);
        let function = *found.ok_or(Error::NoSuchDevice)?;
        let requester = function.address.id.bits();
        self.release(requester);
        self.messages.announce(&self.machine.topology, &function)?;
        let badge = badge::of_device(requester);
        let mint = |from: Handle| {
            let made = sys::handle_duplicate(from, ENDPOINT_RIGHTS, badge);
            made.map(|made| Endpoint::own(made.handle())).map_err(|_| Error::NoMemory)
        };
        let endpoints = [mint(self.own)?, mint(self.messages.interrupt())?];
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

    /// Hears of owners of lines that do not answer, on the port that is bound to the endpoint.
    pub fn watch_lines(&mut self, port: &Port) {
        self.watch = self.messages.watch_lines(port);
        if self.watch.is_none() {
            println!("pci: the interrupt server will not say which owner of a line is late");
        }
    }

    /// Owners of lines have not answered: their devices let go of their pins, because others are
    /// on the line.
    pub fn take_late_off(&mut self) {
        // Each has its turn once: whoever is asked about has no line any more.
        while let Some(requester) = self.messages.next_late() {
            if let Some(claim) = self.claims.get_mut(&requester) {
                println!(
                    "pci: the driver of {} did not answer its interrupt pin, which is off now",
                    claim.function.address
                );
                claim.switch_pin_off();
            }
        }
    }

    /// Takes back what a driver has. False when nobody has the device.
    fn release(&mut self, requester: u16) -> bool {
        let Some(claim) = self.claims.remove(&requester) else { return false };
        claim.end();
        self.messages.gone(requester);
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
        let Self { machine, windows, wires, messages, claims, .. } = self;
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
            Asked::MsiPending(_) => {
                reply.ok(&driver::msi_pending(claim)?);
                Ok(())
            }
            Asked::Dma(ask) => driver::dma(claim, ask.size_bytes, reply),
            Asked::MsiXSet(ask) => driver::msix_set(claim, ask),
            Asked::Enable(ask) => driver::enable(machine, claim, ask.on),
            Asked::PinLine(_) => {
                reply.ok(&pin::line(machine, wires, messages, claim)?);
                Ok(())
            }
            Asked::PinSet(ask) => pin::set(claim, ask),
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
