//! Interrupts by wire that each CPU has for itself: PPIs of a GIC, edge and level. The tests
//! hold every CPU's frame of private interrupts and play the device: they set an interrupt
//! pending that nothing uses. The kernel turns it on and off with its message.
//!
//! Registers: Arm GIC architecture specification, IHI 0069H, §12.11.

use alloc::format;
use alloc::vec::Vec;

use libsys::map::Mapping;
use libsys::sys;
use tocsin_abi::{Error, Trigger};

use crate::harness::{Failure, Outcome, check, refused, same, skip};
use crate::kit::{self, Ctx, Own, RW};
use crate::message::{bind, status, virtual_message};
use crate::space::{Space, activate, activate_as};

const SET_ENABLE: u64 = 0x100;
const SET_PENDING: u64 = 0x200;
const CLEAR_PENDING: u64 = 0x280;
const ACTIVE: u64 = 0x300;

/// A PPI that no CPU here uses.
pub const INTID: u64 = 19;
const BIT: u32 = 1 << INTID;
/// The virtual timer's (Arm BSA), which is the kernel's.
pub const TIMER: u64 = 27;

/// Every CPU's frame of private interrupts, where the tests play the device.
pub struct Frames(Vec<Mapping>);

impl Frames {
    /// Of so many CPUs, with nothing pending; or the test is skipped.
    ///
    /// # Errors
    /// A call of the kernel's that failed.
    pub fn new(ctx: &Ctx, cpus: u64) -> Result<Frames, Failure> {
        let mut frames = Vec::new();
        for cpu in 0..cpus {
            let Some(handle) = ctx.find(&format!("gicr{cpu}-private")) else {
                return Err(skip("the manifest does not grant `gic-private`"));
            };
            let frame = Mapping::new(handle, 0, 0x1_0000, RW)?;
            frame.write32(CLEAR_PENDING, BIT);
            frames.push(frame);
        }
        Ok(Frames(frames))
    }

    /// How many CPUs there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn is(&self, cpu: usize, register: u64) -> bool {
        self.0[cpu].read32(register) & BIT != 0
    }

    /// Whether it can come.
    pub fn is_on(&self, cpu: usize) -> bool {
        self.is(cpu, SET_ENABLE)
    }

    /// Whether it was taken and not let go.
    pub fn is_held(&self, cpu: usize) -> bool {
        self.is(cpu, ACTIVE)
    }

    /// The device of this CPU asks.
    pub fn raise(&self, cpu: usize) {
        self.0[cpu].write32(SET_PENDING, BIT);
    }
}

struct Cpus {
    space: Space,
    frames: Frames,
}

impl Cpus {
    fn new(ctx: &Ctx) -> Result<Cpus, Failure> {
        let space = Space::of(ctx)?;
        let frames = Frames::new(ctx, space.cpus)?;
        Ok(Cpus { space, frames })
    }

    /// A message of this CPU's, bound to a port under key 1.
    fn message(&self, ctx: &Ctx, cpu: usize, trigger: Trigger) -> Result<(Own, Own), Failure> {
        let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
        bind(&message, &port, 1)?;
        activate_as(&message, cpu as u64, INTID, trigger)?;
        Ok((message, port))
    }

    fn release(&self, message: &Own, cpu: usize) -> Outcome {
        self.space.release(message, cpu as u64, INTID)
    }
}

/// One packet of one event under key 1, and no more.
///
/// # Errors
/// What came instead.
pub fn comes(port: &Own, what: &str) -> Outcome {
    let packet = kit::next(port)?;
    same((packet.key, packet.count), (1, 1), what)?;
    refused(kit::poll(port), Error::TimedOut, what)
}

pub fn private_wires_are_each_cpus_own(ctx: &Ctx) -> Outcome {
    let cpus = Cpus::new(ctx)?;
    let mut lines = Vec::new();
    for cpu in 0..cpus.frames.count() {
        check(!cpus.frames.is_on(cpu), "it is off before it is anybody's")?;
        lines.push(cpus.message(ctx, cpu, Trigger::Edge)?);
        check(cpus.frames.is_on(cpu), "it is on with its message")?;
    }
    for _ in 0..10 {
        for (cpu, (message, port)) in lines.iter().enumerate() {
            cpus.frames.raise(cpu);
            comes(port, "an edge")?;
            same(usize::from(status(message)?.cpu), cpu, "the CPU that took it")?;
            check(!cpus.frames.is_held(cpu), "an edge is held")?;
            for (_, other) in &lines {
                refused(kit::poll(other), Error::TimedOut, "another CPU's line")?;
            }
        }
    }
    for (cpu, (message, _)) in lines.iter().enumerate() {
        cpus.release(message, cpu)?;
    }
    Ok(())
}

pub fn private_level_is_held_until_acknowledged(ctx: &Ctx) -> Outcome {
    let cpus = Cpus::new(ctx)?;
    for cpu in 0..cpus.frames.count() {
        let (message, port) = cpus.message(ctx, cpu, Trigger::Level)?;
        let acknowledge = || sys::message_acknowledge(message.h());
        refused(acknowledge(), Error::BadState, "nothing is held yet")?;
        for _ in 0..10 {
            cpus.frames.raise(cpu);
            comes(&port, "a level")?;
            check(cpus.frames.is_held(cpu), "it is held")?;
            cpus.frames.raise(cpu);
            refused(kit::listen(&port), Error::TimedOut, "a held level came again")?;
            // From this CPU, whichever holds it.
            acknowledge()?;
            comes(&port, "it was still asked for")?;
            acknowledge()?;
            refused(acknowledge(), Error::BadState, "acknowledged twice")?;
            check(!cpus.frames.is_held(cpu), "nobody holds it")?;
        }
        cpus.release(&message, cpu)?;
    }
    Ok(())
}

pub fn private_wires_go_off_with_their_message(ctx: &Ctx) -> Outcome {
    let cpus = Cpus::new(ctx)?;
    for cpu in 0..cpus.frames.count() {
        let (message, port) = cpus.message(ctx, cpu, Trigger::Level)?;
        cpus.frames.raise(cpu);
        comes(&port, "a level")?;
        // Nobody will acknowledge it any more.
        drop(message);
        check(!cpus.frames.is_on(cpu), "on without a message")?;
        check(!cpus.frames.is_held(cpu), "held for a message that is gone")?;
        cpus.frames.raise(cpu);
        kit::sleep(2_000_000);
        check(!cpus.frames.is_held(cpu), "taken although it is off")?;
        cpus.space.drain(cpu as u64, INTID)?;
        // What was asked for meanwhile is the next owner's first.
        let (next, its_port) = cpus.message(ctx, cpu, Trigger::Level)?;
        comes(&its_port, "for the next owner")?;
        sys::message_acknowledge(next.h())?;
        cpus.release(&next, cpu)?;
    }
    Ok(())
}

pub fn private_wires_are_checked(ctx: &Ctx) -> Outcome {
    let cpus = Cpus::new(ctx)?;
    let message = virtual_message(ctx, 1)?;
    for vector in [0, 1, 15, TIMER] {
        refused(activate(&message, 0, vector), Error::BadVector, format_args!("vector {vector}"))?;
    }
    activate_as(&message, 0, INTID, Trigger::Edge)?;
    let other = virtual_message(ctx, 2)?;
    refused(activate(&other, 0, INTID), Error::VectorInUse, "two messages")?;
    let last = cpus.space.cpus - 1;
    refused(activate(&message, last, INTID), Error::BadArgument, "a move")?;
    refused(activate(&message, 0, cpus.space.low), Error::BadArgument, "a move to a shared one")?;
    cpus.release(&message, 0)
}
