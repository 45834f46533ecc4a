//! Vectors: a message gets one, moves, and gives it back, and none is used again too
//! early (invariants 5 and 9).

use libsys::sys;
use tocsin_abi::message::MessageState;
use tocsin_abi::{Error, Trigger};

use crate::arch;
use crate::harness::{Outcome, check, refused, same, wrong};
use crate::kit::{self, Ctx};
use crate::message::{bind, raise, status, virtual_message};
use crate::space::{Space, activate, activate_as};

crate::tests![
    vector_space_is_described,
    vector_activate_refuses_bad_places,
    vector_belongs_to_one_message,
    vector_states_allow_only_their_calls,
    vector_move_keeps_both_until_settled,
    vector_move_with_the_same_number_needs_no_drain,
    vector_in_quarantine_is_not_reused,
    vector_drain_refuses_what_is_not_draining,
    vector_of_a_closed_message_goes_into_quarantine,
    vector_blocked_message_counts_and_is_silent,
    vector_every_one_of_every_cpu_can_be_used,
];

fn vector_space_is_described(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    same(space.cpus, u64::from(ctx.env.cpus), "CPUs")?;
    same(space.is_shared, arch::VECTORS_ARE_SHARED, "CPUs with vectors of their own")?;
    // Below 32 are the CPU's exceptions (Intel SDM volume 3, 6.2), or interrupts that are its
    // own (Arm IHI 0069H, 2.2).
    check(space.first >= 32 && space.last >= space.first + 150, "range")?;
    check(space.last <= arch::LAST_VECTOR, "range")?;
    let mut seen = alloc::vec::Vec::new();
    for cpu in 0..space.cpus {
        let id = space.hardware_id(cpu)?;
        check(!seen.contains(&id), format_args!("hardware id {id:#x} twice"))?;
        seen.push(id);
    }
    for cpu in [space.cpus, 255, 1 << 32, u64::MAX] {
        refused(sys::control_info(space.control, cpu), Error::BadCpu, cpu)?;
    }
    Ok(())
}

/// A number below all that devices can have. Where vectors are shared each CPU has others of its
/// own there.
fn below(space: &Space) -> u64 {
    if arch::VECTORS_ARE_SHARED { 15 } else { space.first - 1 }
}

fn vector_activate_refuses_bad_places(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let message = virtual_message(ctx, 1)?;
    let around = [0, below(&space), space.last + 1, 1 << 16 | space.first, 1 << 32, u64::MAX];
    for &vector in around.iter().chain(arch::NO_VECTORS) {
        refused(activate(&message, 0, vector), Error::BadVector, vector)?;
    }
    for cpu in [space.cpus, 8, 255, 1 << 32, u64::MAX] {
        refused(activate(&message, cpu, space.low), Error::BadCpu, cpu)?;
    }
    for trigger in [2, 255, 1 << 32 | 1, u64::MAX] {
        let activated = sys::message_activate(message.h(), 0, space.low, trigger);
        refused(activated, Error::BadArgument, format_args!("trigger {trigger}"))?;
    }
    if !arch::can_be_level(space.low) {
        // What a message raises is no level: there is nobody to ask again.
        let level = activate_as(&message, 0, space.low, Trigger::Level);
        let refusal = if space.is_shared { Error::BadArgument } else { Error::NotSupported };
        refused(level, refusal, "a level message")?;
    }
    refused(sys::message_acknowledge(message.h()), Error::BadState, "nothing is held")?;
    same(status(&message)?.state, MessageState::Reserved, "still reserved")
}

fn vector_belongs_to_one_message(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (one, two) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?);
    let (cpu, vector) = (space.cpus - 1, space.last);
    activate(&one, cpu, vector)?;
    refused(activate(&two, cpu, vector), Error::VectorInUse, "the other's vector")?;
    same(status(&two)?.state, MessageState::Reserved, "nothing changed")?;
    if space.cpus > 1 && space.is_shared {
        refused(activate(&two, 0, vector), Error::VectorInUse, "through another CPU")?;
    } else if space.cpus > 1 {
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
    activate(&message, 0, space.low)?;
    refused(sys::message_settle(h), Error::BadState, "settle without a move")?;
    refused(sys::message_unblock(h), Error::BadState, "unblock while active")?;
    sys::message_block(h)?;
    same(status(&message)?.state, MessageState::Blocked, "state")?;
    refused(sys::message_block(h), Error::BadState, "block while blocked")?;
    sys::message_unblock(h)?;
    same(status(&message)?.state, MessageState::Active, "state")?;
    space.release(&message, 0, space.low)?;
    same(status(&message)?.state, MessageState::Reserved, "state")?;
    refused(sys::message_deactivate(h), Error::BadState, "deactivate twice")
}

fn vector_move_keeps_both_until_settled(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (message, other, port) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?, kit::port()?);
    let (from, to) = (space.low, space.low + 1);
    let target = space.cpus - 1;
    bind(&message, &port, 1)?;
    activate(&message, 0, from)?;
    activate(&message, target, to)?;
    refused(activate(&other, 0, from), Error::VectorInUse, "the old vector")?;
    refused(activate(&other, target, to), Error::VectorInUse, "the new vector")?;
    refused(activate(&message, 0, space.low + 2), Error::BadState, "a move during a move")?;
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

fn vector_move_with_the_same_number_needs_no_drain(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (message, other, port) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?, kit::port()?);
    bind(&message, &port, 1)?;
    activate(&message, 0, space.low)?;
    if !space.is_shared {
        // Its own vector of its own CPU is taken: by itself.
        let again = activate(&message, 0, space.low);
        refused(again, Error::VectorInUse, "a move to where it is")?;
        return space.release(&message, 0, space.low);
    }
    for round in 0..40 {
        let cpu = round % space.cpus;
        activate(&message, cpu, space.low)?;
        refused(activate(&message, cpu, space.low), Error::BadState, "a move during a move")?;
        refused(activate(&other, cpu, space.low), Error::VectorInUse, "its number")?;
        raise(&message, 1)?;
        same(kit::next(&port)?.key, 1, "delivery during the move")?;
        sys::message_settle(message.h())?;
        let found = status(&message)?;
        same(u64::from(found.vector), space.low, "the number it keeps")?;
        raise(&message, 1)?;
        same(kit::next(&port)?.key, 1, "delivery after the move")?;
        let drain = sys::vector_drain(space.control, cpu, space.low);
        refused(drain, Error::BadState, "nothing is in quarantine")?;
    }
    space.release(&message, 0, space.low)
}

fn vector_in_quarantine_is_not_reused(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (one, two) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?);
    for cpu in 0..space.cpus {
        activate(&one, cpu, space.low)?;
        sys::message_deactivate(one.h())?;
        refused(activate(&two, cpu, space.low), Error::VectorInUse, "in quarantine")?;
        if space.is_shared {
            // Whatever is in flight with a number that a message keeps for good is its own.
            activate(&one, cpu, space.low)?;
            sys::message_deactivate(one.h())?;
        } else {
            let again = activate(&one, cpu, space.low);
            refused(again, Error::VectorInUse, "for its old owner too")?;
        }
        space.drain(cpu, space.low)?;
        activate(&two, cpu, space.low)?;
        space.release(&two, cpu, space.low)?;
    }
    Ok(())
}

fn vector_drain_refuses_what_is_not_draining(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let drain = |cpu, vector| sys::vector_drain(space.control, cpu, vector);
    refused(drain(0, space.low), Error::BadState, "a free vector")?;
    refused(drain(space.cpus, space.low), Error::BadCpu, "no such CPU")?;
    refused(drain(u64::MAX, space.low), Error::BadCpu, "no such CPU")?;
    let around = [0, below(&space), space.last + 1, u64::MAX];
    for &vector in around.iter().chain(arch::NO_VECTORS) {
        refused(drain(0, vector), Error::BadVector, vector)?;
    }
    let message = virtual_message(ctx, 1)?;
    activate(&message, 0, space.low)?;
    refused(drain(0, space.low), Error::BadState, "a vector in use")?;
    space.release(&message, 0, space.low)?;
    refused(drain(0, space.low), Error::BadState, "drained twice")
}

fn vector_of_a_closed_message_goes_into_quarantine(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let (message, next) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?);
    let (old, new) = (space.low + 3, space.low + 4);
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
    activate(&message, 0, space.low)?;
    sys::message_block(message.h())?;
    raise(&message, 7)?;
    refused(kit::listen(&port), Error::TimedOut, "a packet while blocked")?;
    let counts = status(&message)?;
    same((counts.blocked, counts.delivered), (7, 0), "blocked and delivered")?;
    sys::message_unblock(message.h())?;
    let _ = kit::poll(&port);
    raise(&message, 1)?;
    same(kit::next(&port)?.key, 1, "delivery after unblock")?;
    space.release(&message, 0, space.low)
}

fn vector_every_one_of_every_cpu_can_be_used(ctx: &Ctx) -> Outcome {
    let space = Space::of(ctx)?;
    let mut messages = alloc::vec::Vec::new();
    for cpu in 0..space.own_cpus() {
        for vector in arch::vectors(space.first, space.last) {
            let message = virtual_message(ctx, vector)?;
            activate(&message, cpu, vector)
                .map_err(|error| wrong(alloc::format!("CPU {cpu} vector {vector}: {error:?}")))?;
            messages.push((message, cpu, vector));
        }
    }
    let extra = virtual_message(ctx, 0)?;
    refused(activate(&extra, 0, space.low), Error::VectorInUse, "the space is full")?;
    for (message, _, _) in &messages {
        sys::message_deactivate(message.h())?;
    }
    // All are asked for first, so that they wait together.
    messages.retain(|(_, cpu, vector)| sys::vector_drain(space.control, *cpu, *vector).is_err());
    for (_, cpu, vector) in &messages {
        space.drain(*cpu, *vector)?;
    }
    activate(&extra, 0, space.low)?;
    space.release(&extra, 0, space.low)
}
