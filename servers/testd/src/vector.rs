//! Vectors: a message gets one, moves, and gives it back, and none is used again too
//! early (invariants 5 and 9).

use libsys::sys;
use tocsin_abi::message::MessageState;
use tocsin_abi::{Error, Handle, Trigger};

use crate::harness::{Failure, Outcome, check, refused, same, wrong};
use crate::kit::{self, Ctx, Own};
use crate::message::{bind, raise, status, virtual_message};

crate::tests![
    vector_space_is_described,
    vector_activate_refuses_bad_places,
    vector_belongs_to_one_message,
    vector_states_allow_only_their_calls,
    vector_move_keeps_both_until_settled,
    vector_in_quarantine_is_not_reused,
    vector_drain_refuses_what_is_not_draining,
    vector_of_a_closed_message_goes_into_quarantine,
    vector_blocked_message_counts_and_is_silent,
    vector_every_one_of_every_cpu_can_be_used,
];

/// The vector space.
struct Space {
    control: Handle,
    cpus: u64,
    first: u64,
    last: u64,
}

impl Space {
    fn of(ctx: &Ctx) -> Result<Space, Failure> {
        let control = ctx.need("message-control")?;
        let v = sys::control_info(control, 0)?.values;
        Ok(Space { control, cpus: v[0], first: v[1], last: v[2] })
    }

    /// Ends the quarantine of a vector, however long that takes.
    fn drain(&self, cpu: u64, vector: u64) -> Outcome {
        let deadline = kit::now() + kit::PATIENCE_NS;
        loop {
            match sys::vector_drain(self.control, cpu, vector) {
                Ok(_) => return Ok(()),
                Err(Error::Busy) if kit::now() < deadline => kit::sleep(1_000_000),
                Err(error) => {
                    return Err(wrong(alloc::format!("drain of {cpu}/{vector}: {error:?}")));
                }
            }
        }
    }

    /// Deactivates a message and drains the vector it had.
    fn release(&self, message: &Own, cpu: u64, vector: u64) -> Outcome {
        sys::message_deactivate(message.h())?;
        self.drain(cpu, vector)
    }
}

fn activate(message: &Own, cpu: u64, vector: u64) -> Result<(), Error> {
    sys::message_activate(message.h(), cpu, vector, Trigger::Edge as u64).map(|_| ())
}

fn vector_space_is_described(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    same(space.cpus, u64::from(ctx.env.cpus), "CPUs")?;
    // Vectors below 32 are the CPU's exceptions (Intel SDM volume 3, 6.2).
    check(space.first >= 32 && space.last <= 255 && space.last >= space.first + 150, "range")?;
    let mut seen = alloc::vec::Vec::new();
    for cpu in 0..space.cpus {
        let apic_id = sys::control_info(space.control, cpu)?.values[3];
        check(!seen.contains(&apic_id), format_args!("APIC id {apic_id} twice"))?;
        seen.push(apic_id);
    }
    for cpu in [space.cpus, 255, 1 << 32, u64::MAX] {
        refused(sys::control_info(space.control, cpu), Error::BadCpu, cpu)?;
    }
    Ok(())
}

fn vector_activate_refuses_bad_places(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let message = virtual_message(ctx, 1)?;
    for vector in [0, 2, 14, 31, space.first - 1, space.last + 1, 255, 256, 1 << 32, u64::MAX] {
        refused(activate(&message, 0, vector), Error::BadVector, vector)?;
    }
    for cpu in [space.cpus, 8, 255, 1 << 32, u64::MAX] {
        refused(activate(&message, cpu, space.first), Error::BadCpu, cpu)?;
    }
    same(status(&message)?.state, MessageState::Reserved, "still reserved")
}

fn vector_belongs_to_one_message(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (one, two) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?);
    let (cpu, vector) = (space.cpus - 1, space.last);
    activate(&one, cpu, vector)?;
    refused(activate(&two, cpu, vector), Error::VectorInUse, "the other's vector")?;
    same(status(&two)?.state, MessageState::Reserved, "nothing changed")?;
    if space.cpus > 1 {
        activate(&two, 0, vector)?;
        space.release(&two, 0, vector)?;
    }
    let found = status(&one)?;
    same((found.state, u64::from(found.vector)), (MessageState::Active, vector), "the first")?;
    same(u64::from(found.cpu), cpu, "its CPU")?;
    space.release(&one, cpu, vector)
}

fn vector_states_allow_only_their_calls(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let message = virtual_message(ctx, 1)?;
    let h = message.h();
    refused(sys::message_settle(h), Error::BadState, "settle while reserved")?;
    refused(sys::message_deactivate(h), Error::BadState, "deactivate while reserved")?;
    refused(sys::message_block(h), Error::BadState, "block while reserved")?;
    refused(sys::message_unblock(h), Error::BadState, "unblock while reserved")?;
    activate(&message, 0, space.first)?;
    refused(sys::message_settle(h), Error::BadState, "settle without a move")?;
    refused(sys::message_unblock(h), Error::BadState, "unblock while active")?;
    sys::message_block(h)?;
    same(status(&message)?.state, MessageState::Blocked, "state")?;
    refused(sys::message_block(h), Error::BadState, "block while blocked")?;
    sys::message_unblock(h)?;
    same(status(&message)?.state, MessageState::Active, "state")?;
    space.release(&message, 0, space.first)?;
    same(status(&message)?.state, MessageState::Reserved, "state")?;
    refused(sys::message_deactivate(h), Error::BadState, "deactivate twice")
}

fn vector_move_keeps_both_until_settled(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (message, other, port) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?, kit::port()?);
    let (from, to) = (space.first, space.first + 1);
    let target = space.cpus - 1;
    bind(&message, &port, 1)?;
    activate(&message, 0, from)?;
    activate(&message, target, to)?;
    refused(activate(&other, 0, from), Error::VectorInUse, "the old vector")?;
    refused(activate(&other, target, to), Error::VectorInUse, "the new vector")?;
    refused(activate(&message, 0, space.first + 2), Error::BadState, "a move during a move")?;
    raise(&message, 1)?;
    same(kit::next(&port)?.key, 1, "delivery during the move")?;
    refused(sys::vector_drain(space.control, 0, from), Error::BadState, "not in quarantine yet")?;
    sys::message_settle(message.h())?;
    refused(sys::message_settle(message.h()), Error::BadState, "settled twice")?;
    refused(activate(&other, 0, from), Error::VectorInUse, "the old vector is in quarantine")?;
    space.drain(0, from)?;
    activate(&other, 0, from)?;
    let found = status(&message)?;
    same((u64::from(found.vector), found.state), (to, MessageState::Active), "moved")?;
    raise(&message, 1)?;
    same(kit::next(&port)?.key, 1, "delivery after the move")?;
    space.release(&other, 0, from)?;
    space.release(&message, target, to)
}

fn vector_in_quarantine_is_not_reused(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (one, two) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?);
    for cpu in 0..space.cpus {
        activate(&one, cpu, space.first)?;
        sys::message_deactivate(one.h())?;
        refused(activate(&two, cpu, space.first), Error::VectorInUse, "in quarantine")?;
        refused(activate(&one, cpu, space.first), Error::VectorInUse, "for its old owner too")?;
        space.drain(cpu, space.first)?;
        activate(&two, cpu, space.first)?;
        space.release(&two, cpu, space.first)?;
    }
    Ok(())
}

fn vector_drain_refuses_what_is_not_draining(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let drain = |cpu, vector| sys::vector_drain(space.control, cpu, vector);
    refused(drain(0, space.first), Error::BadState, "a free vector")?;
    refused(drain(space.cpus, space.first), Error::BadCpu, "no such CPU")?;
    refused(drain(u64::MAX, space.first), Error::BadCpu, "no such CPU")?;
    for vector in [0, 31, space.first - 1, space.last + 1, 256, u64::MAX] {
        refused(drain(0, vector), Error::BadVector, vector)?;
    }
    let message = virtual_message(ctx, 1)?;
    activate(&message, 0, space.first)?;
    refused(drain(0, space.first), Error::BadState, "a vector in use")?;
    space.release(&message, 0, space.first)?;
    refused(drain(0, space.first), Error::BadState, "drained twice")
}

fn vector_of_a_closed_message_goes_into_quarantine(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (message, next) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?);
    let (old, new) = (space.first + 3, space.first + 4);
    activate(&message, 0, old)?;
    activate(&message, 0, new)?;
    drop(message);
    for vector in [old, new] {
        refused(activate(&next, 0, vector), Error::VectorInUse, "of a message that is gone")?;
        space.drain(0, vector)?;
    }
    activate(&next, 0, old)?;
    space.release(&next, 0, old)
}

fn vector_blocked_message_counts_and_is_silent(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
    bind(&message, &port, 1)?;
    activate(&message, 0, space.first)?;
    sys::message_block(message.h())?;
    raise(&message, 7)?;
    refused(kit::listen(&port), Error::TimedOut, "a packet while blocked")?;
    let counts = status(&message)?;
    same((counts.blocked, counts.delivered), (7, 0), "blocked and delivered")?;
    sys::message_unblock(message.h())?;
    let _ = kit::poll(&port);
    raise(&message, 1)?;
    same(kit::next(&port)?.key, 1, "delivery after unblock")?;
    space.release(&message, 0, space.first)
}

fn vector_every_one_of_every_cpu_can_be_used(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let mut messages = alloc::vec::Vec::new();
    for cpu in 0..space.cpus {
        for vector in space.first..=space.last {
            let message = virtual_message(ctx, vector)?;
            activate(&message, cpu, vector)
                .map_err(|error| wrong(alloc::format!("CPU {cpu} vector {vector}: {error:?}")))?;
            messages.push((message, cpu, vector));
        }
    }
    let extra = virtual_message(ctx, 0)?;
    refused(activate(&extra, 0, space.first), Error::VectorInUse, "the space is full")?;
    for (message, _, _) in &messages {
        sys::message_deactivate(message.h())?;
    }
    for (_, cpu, vector) in &messages {
        space.drain(*cpu, *vector)?;
    }
    activate(&extra, 0, space.first)?;
    space.release(&extra, 0, space.first)
}
