//! Interrupts by wire: SPIs of a GIC, edge and level (invariants 2, 3 and 5). The tests hold
//! the distributor and play the device: they set an interrupt pending that nothing is
//! connected to.
//!
//! Registers: Arm GIC architecture specification, IHI 0069H, §12.9.

use libsys::map::Mapping;
use libsys::sys;
use tocsin_abi::message::MessageState;
use tocsin_abi::{Error, Trigger};

use super::private::{
    private_level_is_held_until_acknowledged, private_wires_are_checked,
    private_wires_are_each_cpus_own, private_wires_go_off_with_their_message,
};
use crate::harness::{Failure, Outcome, check, refused, same, skip};
use crate::kit::{self, Ctx, Own, RW};
use crate::message::{bind, raise, status, virtual_message};
use crate::space::{Space, activate, activate_as};

crate::tests![
    wire_edge_comes_once_for_each_event,
    wire_edge_is_never_held,
    wire_level_is_held_until_acknowledged,
    wire_level_of_a_blocked_message_comes_after_unblock,
    wire_level_moves_while_it_is_held,
    wire_is_not_kept_by_the_dead,
    wire_stray_does_not_storm,
    wire_by_software_is_no_wire,
    wire_trigger_is_checked,
    private_wires_are_each_cpus_own,
    private_level_is_held_until_acknowledged,
    private_wires_go_off_with_their_message,
    private_wires_are_checked,
];

/// One bit for each interrupt, 32 in a register, from these offsets.
const SET_ENABLE: u64 = 0x100;
const CLEAR_ENABLE: u64 = 0x180;
const SET_PENDING: u64 = 0x200;
const CLEAR_PENDING: u64 = 0x280;
const ACTIVE: u64 = 0x300;
/// Two bits for each: the upper one says edge.
const CONFIGURATION: u64 = 0xc00;
/// GICD_TYPER, and its ITLinesNumber: registers of 32 interrupts each, less one.
const TYPER: u64 = 0x004;
const LINES: u32 = 0x1f;
/// GICD_IROUTER<n>: eight bytes each.
const ROUTE: u64 = 0x6000;

/// Events whose effect is waited for, on each CPU.
const EVENTS: u64 = 50;

/// An SPI that nothing is connected to: the last one.
struct Wire {
    space: Space,
    distributor: Mapping,
    intid: u64,
}

impl Wire {
    /// Takes it, enabled, at its edge or level, on its way to CPU 0.
    fn new(ctx: &Ctx, trigger: Trigger) -> Result<Wire, Failure> {
        let Some(handle) = ctx.find("gicd") else {
            return Err(skip("the manifest does not grant `gic`"));
        };
        let distributor = Mapping::new(handle, 0, 0x1_0000, RW)?;
        let lines = distributor.read32(TYPER) & LINES;
        let intid = ((u64::from(lines) + 1) * 32).min(1020) - 1;
        let wire = Wire { space: Space::of(ctx)?, distributor, intid };
        wire.set(CLEAR_ENABLE);
        wire.set(CLEAR_PENDING);
        let (offset, shift) = (CONFIGURATION + intid / 16 * 4, intid % 16 * 2);
        let others = wire.distributor.read32(offset) & !(0b11 << shift);
        let edge = if trigger == Trigger::Edge { 0b10 } else { 0 };
        wire.distributor.write32(offset, others | edge << shift);
        wire.route(0)?;
        wire.set(SET_ENABLE);
        Ok(wire)
    }

    fn register(&self, offset: u64) -> (u64, u32) {
        (offset + self.intid / 32 * 4, 1 << (self.intid % 32))
    }

    /// Writes its bit.
    fn set(&self, offset: u64) {
        let (register, bit) = self.register(offset);
        self.distributor.write32(register, bit);
    }

    /// Reads its bit.
    fn is(&self, offset: u64) -> bool {
        let (register, bit) = self.register(offset);
        self.distributor.read32(register) & bit != 0
    }

    /// Sends it to a CPU: the affinity as in MPIDR_EL1.
    fn route(&self, cpu: u64) -> Result<(), Failure> {
        let id = self.space.hardware_id(cpu)?;
        let mpidr = (id & 0xff00_0000) << 8 | id & 0xff_ffff;
        self.distributor.write64(ROUTE + 8 * self.intid, mpidr);
        Ok(())
    }

    /// The device asks.
    fn raise(&self) {
        self.set(SET_PENDING);
    }

    /// A message with it, bound to a port under key 1.
    fn message(&self, ctx: &Ctx, trigger: Trigger) -> Result<(Own, Own), Failure> {
        let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
        bind(&message, &port, 1)?;
        activate_as(&message, 0, self.intid, trigger)?;
        Ok((message, port))
    }

    /// Sends message and interrupt to a CPU.
    fn move_to(&self, message: &Own, cpu: u64, trigger: Trigger) -> Outcome {
        activate_as(message, cpu, self.intid, trigger)?;
        self.route(cpu)?;
        sys::message_settle(message.h())?;
        Ok(())
    }

    /// Waits until every CPU is done with what it has acknowledged: a quarantine asks them.
    fn wait_for_cpus(&self, ctx: &Ctx) -> Outcome {
        let other = virtual_message(ctx, 2)?;
        activate(&other, 0, self.space.low)?;
        self.space.release(&other, 0, self.space.low)
    }

    /// Takes the message away from it.
    fn release(&self, message: &Own) -> Outcome {
        self.space.release(message, 0, self.intid)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.set(CLEAR_ENABLE);
        self.set(CLEAR_PENDING);
    }
}

/// One packet of one event, and no more.
fn comes(port: &Own, what: &str) -> Outcome {
    let packet = kit::next(port)?;
    same((packet.key, packet.count), (1, 1), what)?;
    refused(kit::poll(port), Error::TimedOut, what)
}

fn wire_edge_comes_once_for_each_event(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Edge)?;
    let (message, port) = wire.message(ctx, Trigger::Edge)?;
    let mut raised = 0;
    for cpu in 0..wire.space.cpus {
        wire.move_to(&message, cpu, Trigger::Edge)?;
        for _ in 0..EVENTS {
            wire.raise();
            comes(&port, "an edge")?;
            raised += 1;
            same(u64::from(status(&message)?.cpu), cpu, "the CPU that took it")?;
        }
    }
    let counts = status(&message)?;
    same((counts.delivered, counts.coalesced), (raised, 0), "as the kernel counts")?;
    wire.release(&message)
}

fn wire_edge_is_never_held(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Edge)?;
    let (message, port) = wire.message(ctx, Trigger::Edge)?;
    for _ in 0..3 {
        wire.raise();
        comes(&port, "an edge")?;
        check(!wire.is(ACTIVE), "an edge is held")?;
        refused(sys::message_acknowledge(message.h()), Error::BadState, "nothing is held")?;
    }
    wire.release(&message)
}

fn wire_level_is_held_until_acknowledged(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Level)?;
    let (message, port) = wire.message(ctx, Trigger::Level)?;
    let acknowledge = || sys::message_acknowledge(message.h());
    refused(acknowledge(), Error::BadState, "nothing is held yet")?;
    for cpu in 0..wire.space.cpus {
        wire.move_to(&message, cpu, Trigger::Level)?;
        for _ in 0..10 {
            wire.raise();
            comes(&port, "a level")?;
            check(wire.is(ACTIVE), "it is held")?;
            // The device asks on: nothing comes before its owner says that it was served.
            wire.raise();
            refused(kit::listen(&port), Error::TimedOut, "a held level came again")?;
            acknowledge()?;
            comes(&port, "it was still asked for")?;
            acknowledge()?;
            refused(acknowledge(), Error::BadState, "acknowledged twice")?;
            check(!wire.is(ACTIVE), "nobody holds it")?;
            refused(kit::poll(&port), Error::TimedOut, "nothing asks any more")?;
        }
    }
    wire.release(&message)
}

fn wire_level_of_a_blocked_message_comes_after_unblock(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Level)?;
    let (message, port) = wire.message(ctx, Trigger::Level)?;
    sys::message_block(message.h())?;
    wire.raise();
    refused(kit::listen(&port), Error::TimedOut, "a packet while blocked")?;
    same(status(&message)?.blocked, 1, "counted, and held: once")?;
    refused(sys::message_acknowledge(message.h()), Error::BadState, "its owner heard nothing")?;
    wire.raise();
    refused(kit::listen(&port), Error::TimedOut, "a packet while blocked")?;
    sys::message_unblock(message.h())?;
    comes(&port, "still asked for after unblock")?;
    sys::message_acknowledge(message.h())?;
    wire.release(&message)
}

fn wire_level_moves_while_it_is_held(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Level)?;
    let (message, port) = wire.message(ctx, Trigger::Level)?;
    for round in 0..20 {
        let cpu = round % wire.space.cpus;
        wire.raise();
        comes(&port, "a level")?;
        wire.move_to(&message, cpu, Trigger::Level)?;
        wire.raise();
        refused(kit::poll(&port), Error::TimedOut, "a held level came again")?;
        sys::message_acknowledge(message.h())?;
        comes(&port, "on its new CPU")?;
        same(u64::from(status(&message)?.cpu), cpu, "the CPU that took it")?;
        sys::message_acknowledge(message.h())?;
    }
    wire.release(&message)
}

fn wire_is_not_kept_by_the_dead(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Level)?;
    for _ in 0..3 {
        let (message, port) = wire.message(ctx, Trigger::Level)?;
        wire.raise();
        comes(&port, "a level")?;
        check(wire.is(ACTIVE), "it is held")?;
        // Nobody will acknowledge it any more.
        drop(message);
        check(!wire.is(ACTIVE), "held for a message that is gone")?;
        wire.space.drain(0, wire.intid)?;
    }
    let (message, port) = wire.message(ctx, Trigger::Level)?;
    wire.raise();
    comes(&port, "for the next owner")?;
    wire.release(&message)?;
    check(!wire.is(ACTIVE), "held after its message gave it back")
}

fn wire_stray_does_not_storm(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Level)?;
    for cpu in 0..wire.space.cpus {
        wire.route(cpu)?;
        wire.raise();
        let deadline = kit::now() + kit::PATIENCE_NS;
        while !wire.is(ACTIVE) {
            check(kit::now() < deadline, format_args!("CPU {cpu} did not take the stray"))?;
            kit::sleep(1_000_000);
        }
        // What a CPU has in its hands, it gives to whoever has the number by then.
        wire.wait_for_cpus(ctx)?;
        // It stays so: however it is asked for, no CPU hears of it.
        for _ in 0..100 {
            wire.raise();
        }
        kit::sleep(2_000_000);
        check(wire.is(ACTIVE) && wire.is(SET_PENDING), "a stray that was let go")?;
        wire.set(CLEAR_PENDING);
        // Whoever gets it next does not inherit that.
        let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
        bind(&message, &port, 1)?;
        activate_as(&message, cpu, wire.intid, Trigger::Level)?;
        check(!wire.is(ACTIVE), "held for the one before")?;
        refused(kit::listen(&port), Error::TimedOut, "the stray of the one before")?;
        wire.raise();
        comes(&port, "the new owner's first")?;
        wire.release(&message)?;
    }
    Ok(())
}

fn wire_by_software_is_no_wire(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Level)?;
    let (message, port) = wire.message(ctx, Trigger::Level)?;
    raise(&message, 1)?;
    comes(&port, "by software")?;
    refused(sys::message_acknowledge(message.h()), Error::BadState, "nothing is held")?;
    check(!wire.is(ACTIVE), "held although no wire asked")?;
    wire.release(&message)
}

fn wire_trigger_is_checked(ctx: &Ctx) -> Outcome {
    let wire = Wire::new(ctx, Trigger::Level)?;
    let message = virtual_message(ctx, 1)?;
    for trigger in [2, 3, 1 << 32, u64::MAX] {
        let activated = sys::message_activate(message.h(), 0, wire.intid, trigger);
        refused(activated, Error::BadArgument, format_args!("trigger {trigger}"))?;
    }
    same(status(&message)?.state, MessageState::Reserved, "nothing changed")?;
    activate_as(&message, 0, wire.intid, Trigger::Level)?;
    let other = activate(&message, wire.space.cpus - 1, wire.intid);
    refused(other, Error::BadArgument, "another trigger by a move")?;
    wire.release(&message)
}
