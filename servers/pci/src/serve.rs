//! The protocol.

use alloc::collections::BTreeMap;

use init_control::{ClientGone, Release, SYSTEM_BADGE, SetSource, Source};
use libsys::ipc::{self, Request};
use libsys::object::{Capability, Endpoint, Memory};
use libsys::{println, sys};
use pci_core::bars::{Bar, Space};
use pci_core::msi::{MessageError, Pair};
use pci_core::placement::Range;
use pci_core::{Command, Function, Register, SourceCheck, Width, policy};
use tocsin_abi::message::MessageStatus;
use tocsin_abi::{Handle, Rights};
use tocsin_proto::pci::{
    self as protocol, BarKind, Claim as Ask, Claimed, ConfigValue, Description, DmaMemory, Enables,
    Error, Request as Asked,
};
use tocsin_proto::{Nothing, badge};

use crate::claim::{Claim, DMA_RIGHTS};
use crate::machine::Machine;
use crate::reply::Reply;
use crate::windows::Windows;

/// What a driver may do with the endpoints of its device.
const ENDPOINT_RIGHTS: Rights =
    Rights::CALL.union(Rights::DUPLICATE).union(Rights::TRANSFER).union(Rights::REVOKE);
/// What it may do with a BAR's range.
const BAR_RIGHTS: Rights = Rights::READ
    .union(Rights::WRITE)
    .union(Rights::ADDRESS)
    .union(Rights::DUPLICATE)
    .union(Rights::TRANSFER)
    .union(Rights::REVOKE);

/// The service.
pub struct Pci {
    machine: Machine,
    windows: Windows,
    /// This server's endpoint and the interrupt server's, to mint from.
    own: Handle,
    interrupt: Handle,
    claims: BTreeMap<u16, Claim>,
}

impl Pci {
    /// With nothing claimed.
    pub fn new(machine: Machine, windows: Windows, own: Handle, interrupt: Handle) -> Self {
        Self { machine, windows, own, interrupt, claims: BTreeMap::new() }
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
        let badge = badge::of_device(requester);
        let mint = |from: Handle| {
            let made = sys::handle_duplicate(from, ENDPOINT_RIGHTS, badge);
            made.map(|made| Endpoint::own(made.handle())).map_err(|_| Error::NoMemory)
        };
        let endpoints = [mint(self.own)?, mint(self.interrupt)?];
        let claim = Claim::new(&mut self.machine.config, function, ask.dma_quota, endpoints);
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
        claim.end(&mut self.machine.config);
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
                reply.ok(&describe(claim));
                Ok(())
            }
            Asked::GetBar(ask) => get_bar(machine, windows, claim, ask.index, reply),
            Asked::ConfigRead(ask) => {
                let register = register(ask.offset, ask.width)?;
                let value = policy::read(&machine.config, &claim.function, register);
                reply.ok(&ConfigValue { value });
                Ok(())
            }
            Asked::ConfigWrite(ask) => {
                let register = register(ask.offset, ask.width)?;
                policy::write(&mut machine.config, &claim.function, register, ask.value)
                    .map_err(|_| Error::Denied)
            }
            Asked::MsiWrite(ask) => {
                let message = message.ok_or(Error::Malformed)?;
                msi_write(machine, claim, ask.slot, &message)
            }
            Asked::MsiMask(ask) => msi_mask(machine, claim, ask.slot, true),
            Asked::MsiUnmask(ask) => msi_mask(machine, claim, ask.slot, false),
            Asked::Dma(ask) => dma(claim, ask.size_bytes, reply),
            Asked::Enable(ask) => enable(machine, claim, ask.on),
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

fn describe(claim: &Claim) -> Description {
    let function = &claim.function;
    Description {
        requester: function.address.id.bits(),
        vendor: function.vendor,
        device: function.device,
        revision: function.revision,
        class: function.class,
        // One slot: several messages of one capability need consecutive pairs, and nobody
        // asks for them yet.
        msi: claim.msi.map(|msi| protocol::Msi {
            slots: 1,
            per_slot_mask: msi.is_maskable(),
            wide_address: msi.bytes() == 14 || msi.bytes() == 24,
        }),
        // MSI-X is found and not served yet.
        msix_slots: 0,
    }
}

fn register(offset: u16, width: protocol::Width) -> Result<Register, Error> {
    let width = match width {
        protocol::Width::Byte => Width::Byte,
        protocol::Width::Word => Width::Word,
        protocol::Width::Long => Width::Dword,
    };
    Register::new(offset, width).ok_or(Error::BadOffset)
}

fn get_bar(
    machine: &Machine,
    windows: &Windows,
    claim: &mut Claim,
    index: u8,
    reply: &mut Reply,
) -> Result<(), Error> {
    let address = claim.function.address;
    let bar = machine.bar(address, index).ok_or(Error::NoSuchBar)?;
    let is_port = bar.space == Space::Io;
    let found = protocol::Bar {
        size_bytes: bar.size,
        kind: if is_port { BarKind::Io } else { BarKind::Memory },
        prefetchable: bar.prefetchable,
        bus_address: bar.address,
    };
    let rights = if is_port { BAR_RIGHTS - Rights::ADDRESS } else { BAR_RIGHTS };
    let handle = match claim.bar(index) {
        Some(known) => known.handle(),
        None => {
            let made = slice(machine, windows, claim, &bar)?;
            claim.keep_bar(index, made).handle()
        }
    };
    reply.lend(&found, (handle, rights));
    Ok(())
}

/// Authority over a BAR's range: only in a window, and only if its pages hold nothing of
/// anybody else.
fn slice(
    machine: &Machine,
    windows: &Windows,
    claim: &Claim,
    bar: &Bar,
) -> Result<Capability, Error> {
    let address = claim.function.address;
    if bar.space == Space::Io {
        let made = windows.ports(Range::new(bar.address, bar.size));
        return made.ok_or(Error::NoSuchBar)?.map_err(|_| Error::NoMemory);
    }
    let pages = machine.placement.check(address, bar).map_err(|conflict| {
        println!("pci: BAR {} of {address} is not handed out: {conflict:?}", bar.index);
        Error::NoSuchBar
    })?;
    let Some(made) = windows.memory(pages) else {
        println!("pci: BAR {} of {address} lies outside of the windows", bar.index);
        return Err(Error::NoSuchBar);
    };
    made.map(|physical| Capability::own(physical.leak())).map_err(|_| Error::NoMemory)
}

/// Puts a message's pair into the capability. The pair comes from the kernel.
fn msi_write(
    machine: &mut Machine,
    claim: &mut Claim,
    slot: u8,
    message: &Capability,
) -> Result<(), Error> {
    let msi = claim.msi.ok_or(Error::NotSupported)?;
    if slot != 0 {
        return Err(Error::BadSlot);
    }
    let read = sys::message_read(message.handle()).map_err(|_| Error::NotAMessage)?;
    let [a, b, c, d, e, _] = read.values;
    let status = MessageStatus::from_values([a, b, c, d, e]);
    let pair = Pair { address: status.address, data: status.data };
    msi.write(&mut machine.config, pair, 0).map_err(message_error)?;
    claim.msi_written = true;
    Ok(())
}

/// Masks or unmasks the one slot: by its mask bit, or, where it has none, by the
/// capability's enable bit.
fn msi_mask(machine: &mut Machine, claim: &Claim, slot: u8, masked: bool) -> Result<(), Error> {
    let msi = claim.msi.ok_or(Error::NotSupported)?;
    if slot != 0 {
        return Err(Error::BadSlot);
    }
    // Without a pair from this driver the device would write to wherever the last one's
    // pair, or none, leads.
    if !claim.msi_written {
        return if masked { Ok(()) } else { Err(Error::BadPair) };
    }
    let config = &mut machine.config;
    if msi.is_maskable() {
        msi.set_masked(config, slot.into(), masked).map_err(message_error)?;
        if masked {
            return Ok(());
        }
    }
    msi.set_enabled(config, !masked).map_err(message_error)
}

fn message_error(error: MessageError) -> Error {
    match error {
        MessageError::NotThere | MessageError::DoesNotFit | MessageError::Reserved => {
            Error::NotSupported
        }
        MessageError::AddressTooHigh | MessageError::Misaligned | MessageError::DataTooWide => {
            Error::BadPair
        }
        MessageError::NoSlot | MessageError::NotMaskable => Error::BadSlot,
    }
}

fn dma(claim: &mut Claim, size_bytes: u64, reply: &mut Reply) -> Result<(), Error> {
    if size_bytes == 0 {
        return Err(Error::BadArgument);
    }
    // What the kernel rounds it up to is what it costs.
    let cost = size_bytes.max(4096).checked_next_power_of_two().ok_or(Error::BadArgument)?;
    if cost > claim.dma_left {
        return Err(Error::QuotaExceeded);
    }
    let memory = Memory::new(cost).map_err(|_| Error::NoMemory)?;
    let (size_bytes, bus_address) = memory.info().map_err(|_| Error::NoMemory)?;
    claim.dma_left -= cost;
    let handle = claim.keep_dma(memory).handle();
    reply.lend(&DmaMemory { bus_address, size_bytes }, (handle, DMA_RIGHTS));
    Ok(())
}

fn enable(machine: &mut Machine, claim: &Claim, on: Enables) -> Result<(), Error> {
    let function = &claim.function;
    let unassigned = |bar: Bar| bar.space != Space::Io && !bar.is_assigned();
    if on.memory && machine.bars(function.address).any(unassigned) {
        // It would answer at address zero, over RAM.
        println!("pci: {} has a BAR without an address, memory stays off", function.address);
        return Err(Error::Denied);
    }
    let mut set = Command::empty();
    set.set(Command::IO, on.io);
    set.set(Command::MEMORY, on.memory);
    set.set(Command::BUS_MASTER, on.bus_master);
    let clear = (Command::IO | Command::MEMORY | Command::BUS_MASTER) - set;
    policy::change_command(&mut machine.config, function, set, clear)
        .map(drop)
        .map_err(|_| Error::Denied)
}
