//! PPIs as the interrupt server gives them out: lines that each CPU has for itself (invariants 1,
//! 2, 4 and 5). The tests play the device, as those of the kernel do.

use libsys::ipc::AskError;
use libsys::sys;
use tocsin_abi::{Error as KernelError, Trigger as KernelTrigger};
use tocsin_proto::interrupt::{Error, LineId, Polarity, Trigger, WireMode, Wiring};

use super::private::{Frames, INTID, TIMER, comes};
use crate::driver::{Client, OpenWire};
use crate::harness::{Failure, Outcome, check, refused, same};
use crate::interrupt::denied;
use crate::kit::{self, Ctx, Own};

crate::tests![private_lines_are_one_cpus, private_lines_are_checked];

use WireMode::{Exclusive, Shared};

/// Requester ids on a bus that the machine does not have.
const GHOST: u16 = 0xfec0;
const OTHER_GHOST: u16 = 0xfec8;
const THIRD_GHOST: u16 = 0xfed0;

const LINE: LineId = LineId(INTID as u32);
const EDGE: Wiring = Wiring { trigger: Trigger::Edge, polarity: Polarity::High };
const LEVEL: Wiring = Wiring { trigger: Trigger::Level, polarity: Polarity::High };

/// Opens it on this CPU, bound to a new port under key 1. What a former owner had may still be on
/// its way.
fn open(client: &Client, wiring: Wiring, cpu: usize) -> Result<(OpenWire, Own), Failure> {
    same(client.set_wire(LINE, wiring)?, 0, "a grant")?;
    let deadline = kit::now() + kit::PATIENCE_NS;
    let wire = loop {
        match client.wire_on(LINE, wiring, Exclusive, 1 << cpu) {
            Err(AskError::Refused(Error::LineBusy)) if kit::now() < deadline => kit::sleep(100_000),
            other => break other?,
        }
    };
    let port = kit::port()?;
    sys::message_bind(wire.message.h(), port.h(), 1)?;
    Ok((wire, port))
}

fn private_lines_are_one_cpus(ctx: &Ctx) -> Outcome {
    let frames = Frames::new(ctx, ctx.env.cpus.into())?;
    let client = Client::new(ctx, GHOST)?;
    let messages = ctx.stats()?.messages;
    for cpu in 0..frames.count() {
        for wiring in [EDGE, LEVEL] {
            check(!frames.is_on(cpu), "it is off before it is anybody's")?;
            let (wire, port) = open(&client, wiring, cpu)?;
            for other in 0..frames.count() {
                same(frames.is_on(other), other == cpu, "the CPU that was asked for")?;
            }
            for _ in 0..10 {
                frames.raise(cpu);
                comes(&port, "an event")?;
                same(frames.is_held(cpu), wiring == LEVEL, "only a level is held")?;
                if wiring == LEVEL {
                    frames.raise(cpu);
                    refused(kit::listen(&port), KernelError::TimedOut, "a held level came again")?;
                    wire.answer(&client)?;
                    comes(&port, "it was still asked for")?;
                    wire.answer(&client)?;
                }
            }
            // It ends with its device asking, and is off for everybody.
            client.close_wire(wire.id)?;
            frames.raise(cpu);
            refused(kit::listen(&port), KernelError::TimedOut, "a packet after the end")?;
            check(!frames.is_on(cpu) && !frames.is_held(cpu), "it is on after its end")?;
            let (next, its_port) = open(&client, wiring, cpu)?;
            comes(&its_port, "what was asked for meanwhile")?;
            next.answer(&client)?;
            client.close_wire(next.id)?;
        }
    }
    same(ctx.stats()?.messages, messages, "live messages")
}

fn private_lines_are_checked(ctx: &Ctx) -> Outcome {
    let frames = Frames::new(ctx, ctx.env.cpus.into())?;
    // Who had it before has its grant still.
    let (client, other) = (Client::new(ctx, OTHER_GHOST)?, Client::new(ctx, THIRD_GHOST)?);
    denied(client.wire(LINE, LEVEL, Exclusive), Error::NotYours, "before the grant")?;
    let timer = LineId(TIMER as u32);
    same(client.set_wire(timer, LEVEL)?, Error::NotSupported as u32, "the kernel's timer")?;
    denied(client.wire(timer, LEVEL, Exclusive), Error::NotYours, "the kernel's timer")?;
    same(client.set_wire(LineId(15), EDGE)?, Error::NoSuchLine as u32, "an SGI")?;
    let low = Wiring { polarity: Polarity::Low, ..LEVEL };
    same(client.set_wire(LINE, low)?, Error::NotSupported as u32, "a low level")?;
    let (wire, _port) = open(&client, LEVEL, 0)?;
    denied(other.wire(LINE, LEVEL, Exclusive), Error::NotYours, "somebody else's grant")?;
    same(other.set_wire(LINE, LEVEL)?, 0, "a grant")?;
    let last = frames.count() - 1;
    for mode in [Exclusive, Shared] {
        let beside = other.wire_on(LINE, LEVEL, mode, 1 << last);
        denied(beside, Error::LineInUse, "another CPU's beside it")?;
    }
    if last != 0 {
        denied(client.move_to(wire.id, 1 << last), Error::NotSupported, "a move")?;
    }
    denied(other.move_to(wire.id, 1), Error::NotYours, "moved by another")?;
    denied(other.close_wire(wire.id), Error::NotYours, "closed by another")?;
    let past = sys::message_activate(wire.message.h(), 0, INTID, KernelTrigger::Level as u64);
    refused(past, KernelError::MissingRight, "activated past the server")?;
    check(frames.is_on(0), "it is still its owner's")?;
    client.close_wire(wire.id)?;
    check(!frames.is_on(0), "off with its owner")
}
