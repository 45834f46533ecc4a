//! Lines: who may have one, what a device's level does to its owners, and what is left of those
//! that died (invariants 1, 2, 4, 5 and 9). The device is `edu` by its interrupt pin.

use libsys::ipc::{AskError, ask};
use libsys::sys;
use tocsin_abi::{Error as KernelError, Rights};
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{Error, LineId, MessageId, Polarity, Trigger, WireMode, Wiring};
use tocsin_proto::pci::{self, PinLine, PinSet, PinWire};

use crate::arch::UNUSED_LINE;
use crate::driver::{Client, Edu, IrqError, OpenWire};
use crate::harness::{Failure, Outcome, check, refused, same, skip, wrong};
use crate::kit::{self, Ctx, Own};

crate::tests![
    line_is_had_by_grant_only,
    line_has_one_owner_or_many_who_agree,
    line_names_are_no_messages,
    line_owners_rights_are_narrow,
    line_ends_with_its_owner,
    line_level_is_held_until_acknowledged,
    line_level_is_told_to_all_and_waits_for_all,
    line_level_survives_an_owner_that_dies,
    line_level_moves_and_is_not_lost,
    line_is_silent_after_its_end,
];

use WireMode::{Exclusive, Shared};

/// Requester ids on a bus that the machine does not have.
const GHOST: u16 = 0xfe30;
const OTHER_GHOST: u16 = 0xfe38;

const LINE: LineId = LineId(UNUSED_LINE);
const EDGE: Wiring = Wiring { trigger: Trigger::Edge, polarity: Polarity::High };
const LEVEL: Wiring = Wiring { trigger: Trigger::Level, polarity: Polarity::High };

fn denied<T>(result: Result<T, IrqError>, wanted: Error, what: impl core::fmt::Display) -> Outcome {
    match result {
        Err(AskError::Refused(error)) => same(error, wanted, what),
        Err(error) => Err(wrong(alloc::format!("{what}: {error:?}, wanted {wanted:?}"))),
        Ok(_) => Err(wrong(alloc::format!("{what}: allowed, wanted {wanted:?}"))),
    }
}

/// Lets a client have a line, or skips the test on a machine that has none like it.
fn grant(client: &Client, line: LineId, wiring: Wiring) -> Outcome {
    match client.set_wire(line, wiring)? {
        0 => Ok(()),
        label if label == Error::NotSupported as u32 => Err(skip("no such lines here")),
        label => Err(wrong(alloc::format!("a grant of {line}: refused with {label}"))),
    }
}

/// Opens a line whose former owner's interrupts may still be on their way.
fn open(
    client: &Client,
    line: LineId,
    wiring: Wiring,
    mode: WireMode,
) -> Result<OpenWire, Failure> {
    let deadline = kit::now() + kit::PATIENCE_NS;
    loop {
        match client.wire(line, wiring, mode) {
            Err(AskError::Refused(Error::LineBusy)) if kit::now() < deadline => kit::sleep(100_000),
            other => return Ok(other?),
        }
    }
}

fn line_is_had_by_grant_only(ctx: &Ctx) -> Outcome {
    let (client, other) = (Client::new(ctx, GHOST)?, Client::new(ctx, OTHER_GHOST)?);
    let messages = ctx.stats()?.messages;
    denied(client.wire(LINE, LEVEL, Exclusive), Error::NotYours, "before the grant")?;
    let nowhere = LineId(5000);
    same(client.set_wire(nowhere, LEVEL)?, Error::NoSuchLine as u32, "a line that there is not")?;
    denied(client.wire(nowhere, LEVEL, Exclusive), Error::NotYours, "that line")?;
    grant(&client, LINE, LEVEL)?;
    denied(client.wire(LINE, EDGE, Exclusive), Error::WrongTrigger, "another trigger")?;
    let low = Wiring { polarity: Polarity::Low, ..LEVEL };
    denied(client.wire(LINE, low, Exclusive), Error::WrongTrigger, "another polarity")?;
    denied(other.wire(LINE, LEVEL, Exclusive), Error::NotYours, "somebody else's grant")?;
    let no_cpu =
        tocsin_proto::interrupt::WireOpen { line: LINE, wiring: LEVEL, mode: Exclusive, cpus: 0 };
    denied(ask(client.h(), &no_cpu), Error::BadArgument, "no CPU")?;
    let wire = open(&client, LINE, LEVEL, Exclusive)?;
    denied(other.close_wire(wire.id), Error::NotYours, "closed by another")?;
    denied(other.acknowledge(wire.id), Error::NotYours, "acknowledged by another")?;
    denied(other.move_to(wire.id, 1), Error::NotYours, "moved by another")?;
    client.close_wire(wire.id)?;
    same(ctx.stats()?.messages, messages, "live messages")
}

fn line_has_one_owner_or_many_who_agree(ctx: &Ctx) -> Outcome {
    let (a, b) = (Client::new(ctx, GHOST)?, Client::new(ctx, OTHER_GHOST)?);
    let messages = ctx.stats()?.messages;
    grant(&a, LINE, EDGE)?;
    denied(a.wire(LINE, EDGE, Shared), Error::NotSupported, "a shared edge")?;
    grant(&a, LINE, LEVEL)?;
    grant(&b, LINE, LEVEL)?;
    let wire = open(&a, LINE, LEVEL, Exclusive)?;
    for mode in [Exclusive, Shared] {
        denied(b.wire(LINE, LEVEL, mode), Error::LineInUse, "beside an exclusive owner")?;
        denied(a.wire(LINE, LEVEL, mode), Error::LineInUse, "twice")?;
    }
    a.close_wire(wire.id)?;
    let wires = [open(&a, LINE, LEVEL, Shared)?, open(&b, LINE, LEVEL, Shared)?];
    denied(b.wire(LINE, LEVEL, Shared), Error::LineInUse, "its own twice")?;
    b.close_wire(wires[1].id)?;
    denied(b.wire(LINE, LEVEL, Exclusive), Error::LineInUse, "beside a sharing owner")?;
    grant(&b, LINE, EDGE)?;
    denied(b.wire(LINE, EDGE, Exclusive), Error::LineInUse, "another trigger, alone")?;
    a.close_wire(wires[0].id)?;
    drop(wires);
    same(ctx.stats()?.messages, messages, "live messages")
}

fn line_names_are_no_messages(ctx: &Ctx) -> Outcome {
    let client = Client::new(ctx, GHOST)?;
    grant(&client, LINE, LEVEL)?;
    let wire = open(&client, LINE, LEVEL, Exclusive)?;
    denied(client.free(wire.id), Error::BadId, "freed as a message")?;
    denied(client.activate(wire.id), Error::BadId, "activated as a message")?;
    denied(client.block(wire.id), Error::BadId, "blocked as a message")?;
    // The low words of messages' names are small, and those of wires are not.
    for bits in [0, 1, wire.id.0 & !(1 << 31), wire.id.0 | 1 << 30, wire.id.0 + (1 << 32), u64::MAX]
    {
        let id = MessageId(bits);
        denied(client.close_wire(id), Error::BadId, format_args!("{bits:#x} closed"))?;
        denied(client.acknowledge(id), Error::BadId, format_args!("{bits:#x} acknowledged"))?;
    }
    client.close_wire(wire.id)?;
    denied(client.close_wire(wire.id), Error::BadId, "closed twice")?;
    let next = open(&client, LINE, LEVEL, Exclusive)?;
    check(next.id != wire.id, "a name that comes again")?;
    denied(client.acknowledge(wire.id), Error::BadId, "an old name")?;
    client.close_wire(next.id)?;
    match client.alloc(StoreKind::Wire, 1, 1) {
        Err(AskError::Refused(Error::BadArgument | Error::NotSupported)) => Ok(()),
        other => Err(wrong(alloc::format!("a pin's message by itself: {other:?}"))),
    }
}

fn line_owners_rights_are_narrow(ctx: &Ctx) -> Outcome {
    let client = Client::new(ctx, GHOST)?;
    grant(&client, LINE, LEVEL)?;
    for mode in [Exclusive, Shared] {
        let wire = open(&client, LINE, LEVEL, mode)?;
        check(!kit::rights_of(wire.message.h())?.contains(Rights::CONTROL), "no CONTROL")?;
        let blocked = sys::message_block(wire.message.h());
        refused(blocked, KernelError::MissingRight, "blocked past the server")?;
        let port = kit::port()?;
        sys::message_bind(wire.message.h(), port.h(), 1)?;
        refused(kit::poll(&port), KernelError::TimedOut, "a packet without a device")?;
        client.close_wire(wire.id)?;
        let read = sys::message_read(wire.message.h());
        refused(read, KernelError::BadHandle, "the message after the end")?;
    }
    Ok(())
}

fn line_ends_with_its_owner(ctx: &Ctx) -> Outcome {
    let (a, b) = (Client::new(ctx, GHOST)?, Client::new(ctx, OTHER_GHOST)?);
    grant(&a, LINE, LEVEL)?;
    grant(&b, LINE, LEVEL)?;
    let messages = ctx.stats()?.messages;
    for mode in [Exclusive, Shared] {
        // The handle alone goes: the kernel tells the server.
        drop(open(&a, LINE, LEVEL, mode)?);
        let deadline = kit::now() + kit::PATIENCE_NS;
        let next = loop {
            match b.wire(LINE, LEVEL, Exclusive) {
                Err(AskError::Refused(Error::LineBusy | Error::LineInUse))
                    if kit::now() < deadline =>
                {
                    kit::sleep(100_000);
                }
                other => break other?,
            }
        };
        // As pci or init say it.
        b.gone()?;
        let read = sys::message_read(next.message.h());
        refused(read, KernelError::BadHandle, "the message of who is gone")?;
        denied(b.close_wire(next.id), Error::BadId, "the wire of who is gone")?;
    }
    same(ctx.stats()?.messages, messages, "live messages")
}

/// `edu`, with its pin on.
struct Pin {
    edu: Edu,
    client: Client,
    line: LineId,
    wiring: Wiring,
}

impl Pin {
    fn new(ctx: &Ctx) -> Result<Pin, Failure> {
        let edu = Edu::new(ctx)?;
        let client = edu.client(ctx)?;
        let (line, wiring) = match ask(edu.claim.h(), &PinLine) {
            Ok(PinWire { line, wiring, .. }) => (line, wiring),
            Err(AskError::Refused(pci::Error::NoWire | pci::Error::NoPin)) => {
                return Err(skip("nobody says where the device's pin leads"));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Pin { edu, client, line, wiring })
    }

    fn on(&self) -> Outcome {
        ask(self.edu.claim.h(), &PinSet::On)?;
        Ok(())
    }

    /// Opens its line, bound to a new port, with the pin on.
    fn open(&self, mode: WireMode) -> Result<(OpenWire, Own), Failure> {
        let wire = open(&self.client, self.line, self.wiring, mode)?;
        let port = kit::port()?;
        sys::message_bind(wire.message.h(), port.h(), 0xed)?;
        self.on()?;
        Ok((wire, port))
    }

    /// Somebody else who shares its line.
    fn sharer(&self, ctx: &Ctx) -> Result<(Client, OpenWire, Own), Failure> {
        let other = Client::new(ctx, GHOST)?;
        grant(&other, self.line, self.wiring)?;
        let (wire, port) = (open(&other, self.line, self.wiring, Shared)?, kit::port()?);
        sys::message_bind(wire.message.h(), port.h(), 0x5a)?;
        Ok((other, wire, port))
    }
}

#[track_caller]
fn told_once(port: &Own, what: &str) -> Outcome {
    let packet = kit::next(port)?;
    same(packet.count, 1, what)?;
    refused(kit::poll(port), KernelError::TimedOut, what)
}

fn line_level_is_held_until_acknowledged(ctx: &Ctx) -> Outcome {
    let pin = Pin::new(ctx)?;
    let (wire, port) = pin.open(Exclusive)?;
    for _ in 0..50 {
        pin.edu.want();
        told_once(&port, "a level that stands")?;
        wire.answer(&pin.client)?;
        told_once(&port, "a level that still stands")?;
        pin.edu.serve();
        wire.answer(&pin.client)?;
    }
    refused(kit::listen(&port), KernelError::TimedOut, "a packet without a cause")?;
    pin.edu.want();
    told_once(&port, "once more")?;
    refused(kit::listen(&port), KernelError::TimedOut, "a level that is held")?;
    pin.edu.serve();
    wire.answer(&pin.client)?;
    pin.client.close_wire(wire.id)?;
    Ok(())
}

fn line_level_is_told_to_all_and_waits_for_all(ctx: &Ctx) -> Outcome {
    let pin = Pin::new(ctx)?;
    let (wire, port) = pin.open(Shared)?;
    let (other, theirs, their_port) = pin.sharer(ctx)?;
    for _ in 0..20 {
        pin.edu.want();
        told_once(&port, "the device's owner")?;
        told_once(&their_port, "the other owner")?;
        wire.answer(&pin.client)?;
        refused(kit::poll(&port), KernelError::TimedOut, "before the other has answered")?;
        theirs.answer(&other)?;
        told_once(&port, "the level still stands")?;
        pin.edu.serve();
        told_once(&their_port, "the other owner, again")?;
        theirs.answer(&other)?;
        wire.answer(&pin.client)?;
    }
    refused(kit::listen(&port), KernelError::TimedOut, "a packet without a cause")?;
    pin.client.close_wire(wire.id)?;
    other.close_wire(theirs.id)?;
    Ok(())
}

fn line_level_survives_an_owner_that_dies(ctx: &Ctx) -> Outcome {
    let pin = Pin::new(ctx)?;
    let (wire, port) = pin.open(Shared)?;
    for gone in [false, true] {
        let (other, theirs, their_port) = pin.sharer(ctx)?;
        pin.edu.want();
        told_once(&port, "the device's owner")?;
        told_once(&their_port, "the other owner")?;
        wire.answer(&pin.client)?;
        // It was told, and will never answer.
        if gone {
            other.gone()?;
        }
        drop(theirs);
        told_once(&port, "the line is let go without it")?;
        pin.edu.serve();
        wire.answer(&pin.client)?;
    }
    refused(kit::listen(&port), KernelError::TimedOut, "a packet without a cause")?;
    pin.client.close_wire(wire.id)?;
    Ok(())
}

fn line_level_moves_and_is_not_lost(ctx: &Ctx) -> Outcome {
    let pin = Pin::new(ctx)?;
    let (wire, port) = pin.open(Exclusive)?;
    if !can_move(&pin.client)? {
        pin.client.close_wire(wire.id)?;
        return Err(skip("without a remapper a message stays where it was made for"));
    }
    for round in 0..60 {
        let cpu = round % ctx.env.cpus;
        // Before it comes, and while it is held.
        let moved = pin.client.move_to(wire.id, 1 << cpu)?;
        same(u32::from(moved.cpu), cpu, "the CPU that was asked for")?;
        pin.edu.want();
        told_once(&port, "after a move")?;
        let next = (cpu + 1) % ctx.env.cpus;
        pin.client.move_to(wire.id, 1 << next)?;
        pin.edu.serve();
        wire.answer(&pin.client)?;
    }
    refused(kit::listen(&port), KernelError::TimedOut, "a packet without a cause")?;
    pin.client.close_wire(wire.id)?;
    Ok(())
}

/// Where a pair names its vector, it can not be moved.
fn can_move(client: &Client) -> Result<bool, Failure> {
    Ok(client.info()?.isolated || crate::arch::VECTORS_ARE_SHARED)
}

fn line_is_silent_after_its_end(ctx: &Ctx) -> Outcome {
    let pin = Pin::new(ctx)?;
    let messages = ctx.stats()?.messages;
    let (wire, port) = pin.open(Exclusive)?;
    pin.edu.want();
    told_once(&port, "the owner")?;
    // It ends with the level in its hands, and the device goes on wanting something.
    pin.client.close_wire(wire.id)?;
    refused(kit::listen(&port), KernelError::TimedOut, "a packet after the end")?;
    let (next, port) = pin.open(Exclusive)?;
    told_once(&port, "the next owner hears of a level that stands")?;
    pin.edu.serve();
    next.answer(&pin.client)?;
    refused(kit::listen(&port), KernelError::TimedOut, "a packet without a cause")?;
    pin.client.close_wire(next.id)?;
    drop((wire, next));
    same(ctx.stats()?.messages, messages, "live messages")
}
