//! What a driver may do with its own device.

use libsys::object::{Capability, Memory};
use libsys::{println, sys};
use pci_core::bars::{Bar, Space};
use pci_core::msi::{MessageError, Pair};
use pci_core::msix::Location;
use pci_core::placement::Range;
use pci_core::slots::MsiSlots;
use pci_core::{Command, Register, Width, policy};
use tocsin_abi::Rights;
use tocsin_abi::message::MessageStatus;
use tocsin_proto::pci::{
    self as protocol, BarKind, BarOffset, Description, DmaMemory, Enables, Error, MsiPendingSlots,
    MsiXSet,
};

use crate::claim::{Claim, DMA_RIGHTS};
use crate::machine::Machine;
use crate::reply::Reply;
use crate::windows::Windows;

/// What a driver may do with a BAR's range.
const BAR_RIGHTS: Rights = Rights::READ
    .union(Rights::WRITE)
    .union(Rights::ADDRESS)
    .union(Rights::DUPLICATE)
    .union(Rights::TRANSFER)
    .union(Rights::REVOKE);

/// What the device is.
pub fn describe(claim: &Claim) -> Description {
    let function = &claim.function;
    Description {
        requester: function.address.id.bits(),
        vendor: function.vendor,
        device: function.device,
        revision: function.revision,
        class: function.class,
        msi: claim.msi.as_ref().map(MsiSlots::msi).map(|msi| protocol::Msi {
            // At most 32.
            slots: msi.capacity() as u8,
            per_slot_mask: msi.is_maskable(),
            wide_address: msi.has_wide_address(),
        }),
        msix: claim.msix.map(|msix| {
            let place = |it: Location| BarOffset { bar: it.bar, offset: it.offset };
            let (table, pending) = (place(msix.table()), place(msix.pending()));
            // At most 2048, so it fits.
            protocol::MsiX { slots: msix.capacity() as u16, table, pending }
        }),
    }
}

/// A place in configuration space.
pub fn register(offset: u16, width: protocol::Width) -> Result<Register, Error> {
    let width = match width {
        protocol::Width::Byte => Width::Byte,
        protocol::Width::Word => Width::Word,
        protocol::Width::Long => Width::Dword,
    };
    Register::new(offset, width).ok_or(Error::BadOffset)
}

/// Lends the range behind a BAR.
pub fn get_bar(
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
    let made = machine.cpu_range(pages).and_then(|pages| windows.memory(pages));
    let Some(made) = made else {
        println!("pci: BAR {} of {address} lies outside of the windows", bar.index);
        return Err(Error::NoSuchBar);
    };
    made.map(|physical| Capability::own(physical.leak())).map_err(|_| Error::NoMemory)
}

/// A device's messages can be on only while its pin is off.
fn messages_may_be_on(claim: &Claim) -> Result<(), Error> {
    match &claim.pin {
        Ok(pin) if pin.is_on() => Err(Error::Exclusive),
        _ => Ok(()),
    }
}

/// Puts a message's pair into a slot. The pair comes from the kernel.
pub fn msi_write(claim: &mut Claim, slot: u8, message: &Capability) -> Result<(), Error> {
    let msi = claim.msi.as_mut().ok_or(Error::NotSupported)?;
    let read = sys::message_read(message.handle()).map_err(|_| Error::NotAMessage)?;
    let [a, b, c, d, e, _] = read.values;
    let status = MessageStatus::from_values([a, b, c, d, e]);
    let pair = Pair { address: status.address, data: status.data };
    msi.fill(slot.into(), pair).map_err(message_error)
}

/// Closes a slot, or opens it for its message.
pub fn msi_mask(claim: &mut Claim, slot: u8, masked: bool) -> Result<(), Error> {
    if !masked {
        messages_may_be_on(claim)?;
    }
    let msi = claim.msi.as_mut().ok_or(Error::NotSupported)?;
    let config = &mut claim.config;
    let done = match masked {
        true => msi.close(config, slot.into()),
        false => msi.open(config, slot.into()),
    };
    done.map_err(message_error)
}

/// Which masked slots have an event.
pub fn msi_pending(claim: &Claim) -> Result<MsiPendingSlots, Error> {
    let msi = claim.msi.as_ref().map(MsiSlots::msi).filter(|msi| msi.is_maskable());
    let slots = msi.ok_or(Error::NotSupported)?.pending(&claim.config);
    Ok(MsiPendingSlots { slots })
}

/// Switches the MSI-X table as a whole. What is in it is the driver's affair.
pub fn msix_set(claim: &mut Claim, set: MsiXSet) -> Result<(), Error> {
    let msix = claim.msix.ok_or(Error::NotSupported)?;
    if set != MsiXSet::Off {
        messages_may_be_on(claim)?;
    }
    msix.set(&mut claim.config, set != MsiXSet::Off, set != MsiXSet::On);
    Ok(())
}

fn message_error(error: MessageError) -> Error {
    match error {
        MessageError::NotThere | MessageError::DoesNotFit | MessageError::Reserved => {
            Error::NotSupported
        }
        MessageError::AddressTooHigh
        | MessageError::Misaligned
        | MessageError::DataTooWide
        | MessageError::NotConsecutive
        | MessageError::Empty => Error::BadPair,
        MessageError::NoSlot | MessageError::NotMaskable => Error::BadSlot,
        MessageError::InUse => Error::SlotsInUse,
        MessageError::Incomplete => Error::IncompleteBlock,
    }
}

/// Lends memory that the device can reach, from its quota.
pub fn dma(claim: &mut Claim, size_bytes: u64, reply: &mut Reply) -> Result<(), Error> {
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

/// Switches decoders and bus mastering to exactly this.
pub fn enable(machine: &Machine, claim: &mut Claim, on: Enables) -> Result<(), Error> {
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
    policy::change_command(&mut claim.config, function, set, clear)
        .map(drop)
        .map_err(|_| Error::Denied)
}
