//! Message objects without a device: bound, raised and counted by software (invariants 2,
//! 3 and 4, and the authority over messages, 1).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use libsys::sys;
use tocsin_abi::message::{MessageState, MessageStatus};
use tocsin_abi::packet::PacketKind;
use tocsin_abi::startup::{EXIT_KILLED, Startup};
use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::harness::{Failure, Outcome, check, refused, same};
use crate::kit::{self, Ctx, Own, own};
use crate::role::{self, Role, granted};
use crate::victim::Plan;
use crate::worker::Worker;

crate::tests![
    message_pair_and_state_can_be_read,
    message_create_refuses_bad_arguments,
    message_signal_makes_one_packet_and_counts,
    message_pending_before_bind_is_told,
    message_unbind_takes_the_packet_back_to_pending,
    message_bound_twice_is_refused,
    message_close_takes_its_packet_along,
    message_client_rights_can_not_be_widened,
    message_revoke_silences_at_once,
    message_revoke_takes_a_packet_that_nobody_saw,
    message_owner_death_silences,
    message_port_death_leaves_it_pending,
    message_nothing_lost_across_bind_and_unbind,
    message_nothing_lost_across_cpus,
    message_many_share_a_port,
    message_memory_is_bounded,
    message_orphaned_is_told_once,
    message_storm_is_told_once,
];

/// Victim of these tests.
pub const ROLES: &[Role] = &[Role { name: "holder", run: |env, how| role::code(holder(env, how)) }];

/// Rights that a client of a message gets (DESIGN §7).
pub const CLIENT: Rights = Rights::READ.union(Rights::BIND);

/// A message that software made.
pub fn virtual_message(ctx: &Ctx, cookie: u64) -> Result<Own, Failure> {
    let control = ctx.need("message-control")?;
    Ok(own(sys::message_create(control, 0xfee0_0000, 0x40, cookie))?)
}

/// Pair, state and counters.
pub fn status(message: &Own) -> Result<MessageStatus, Error> {
    let v = sys::message_read(message.h())?.values;
    Ok(MessageStatus::from_values([v[0], v[1], v[2], v[3], v[4]]))
}

/// Binds and says whether an event was pending.
pub fn bind(message: &Own, port: &Own, key: u64) -> Result<bool, Error> {
    sys::message_bind(message.h(), port.h(), key).map(|values| values.result == 1)
}

/// Raises the message `count` times.
pub fn raise(message: &Own, count: u32) -> Result<(), Error> {
    (0..count).try_for_each(|_| sys::message_signal(message.h()).map(|_| ()))
}

fn message_pair_and_state_can_be_read(ctx: &Ctx) -> Outcome {
    let control = ctx.need("message-control")?;
    let message = own(sys::message_create(control, 0x1234_5678_9abc_def0, 0xdead_beef, 7))?;
    let found = status(&message)?;
    same((found.address, found.data), (0x1234_5678_9abc_def0, 0xdead_beef), "pair")?;
    same(found.state, MessageState::Reserved, "state")?;
    same((found.delivered, found.coalesced, found.blocked), (0, 0, 0), "counters")?;
    same(found.vector, 0, "no vector yet")
}

fn message_create_refuses_bad_arguments(ctx: &Ctx) -> Outcome {
    let control = ctx.need("message-control")?;
    for data in [1u64 << 32, u64::MAX] {
        refused(sys::message_create(control, 0, data, 0), Error::BadArgument, "data of 33 bits")?;
    }
    Ok(())
}

fn message_signal_makes_one_packet_and_counts(ctx: &Ctx) -> Outcome {
    let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
    same(bind(&message, &port, 0xfeed)?, false, "nothing was pending")?;
    raise(&message, 5)?;
    let packet = kit::poll(&port)?;
    same(packet.kind, PacketKind::Message as u32, "kind")?;
    same((packet.key, packet.count), (0xfeed, 5), "key and count")?;
    refused(kit::poll(&port), Error::TimedOut, "one packet only")?;
    let counts = status(&message)?;
    same((counts.delivered, counts.coalesced), (1, 4), "delivered and coalesced")?;
    raise(&message, 1)?;
    same(kit::poll(&port)?.count, 1, "counted afresh")?;
    same(status(&message)?.delivered, 2, "delivered")
}

fn message_pending_before_bind_is_told(ctx: &Ctx) -> Outcome {
    let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
    raise(&message, 3)?;
    refused(kit::poll(&port), Error::TimedOut, "not bound yet")?;
    same(bind(&message, &port, 4)?, true, "an event was pending")?;
    let packet = kit::poll(&port)?;
    same(packet.key, 4, "key")?;
    check(packet.count >= 1, "at least one event")?;
    refused(kit::poll(&port), Error::TimedOut, "one packet only")
}

fn message_unbind_takes_the_packet_back_to_pending(ctx: &Ctx) -> Outcome {
    let (message, first, second) = (virtual_message(ctx, 1)?, kit::port()?, kit::port()?);
    refused(sys::message_unbind(message.h()), Error::NotBound, "not bound yet")?;
    bind(&message, &first, 1)?;
    raise(&message, 2)?;
    sys::message_unbind(message.h())?;
    refused(kit::poll(&first), Error::TimedOut, "the packet left the port")?;
    refused(sys::message_unbind(message.h()), Error::NotBound, "unbound twice")?;
    same(bind(&message, &second, 2)?, true, "it was pending")?;
    same(kit::poll(&second)?.key, 2, "and came to the second port")?;
    // A packet that was seen is not pending any more.
    sys::message_unbind(message.h())?;
    same(bind(&message, &first, 3)?, false, "nothing pending")?;
    refused(kit::poll(&first), Error::TimedOut, "nothing twice")
}

fn message_bound_twice_is_refused(ctx: &Ctx) -> Outcome {
    let (message, first, second) = (virtual_message(ctx, 1)?, kit::port()?, kit::port()?);
    bind(&message, &first, 1)?;
    refused(bind(&message, &second, 2), Error::AlreadyBound, "another port")?;
    refused(bind(&message, &first, 1), Error::AlreadyBound, "the same port")?;
    let copy = kit::duplicate(message.h(), CLIENT)?;
    refused(bind(&copy, &second, 2), Error::AlreadyBound, "through another handle")?;
    raise(&message, 1)?;
    same(kit::poll(&first)?.key, 1, "the first binding stands")?;
    refused(kit::poll(&second), Error::TimedOut, "the second was never made")
}

fn message_close_takes_its_packet_along(ctx: &Ctx) -> Outcome {
    let before = ctx.stats()?.messages;
    let (message, other, port) = (virtual_message(ctx, 1)?, virtual_message(ctx, 2)?, kit::port()?);
    bind(&message, &port, 1)?;
    bind(&other, &port, 2)?;
    raise(&message, 1)?;
    raise(&other, 1)?;
    drop(message);
    same(ctx.stats()?.messages, before + 1, "live messages")?;
    same(kit::poll(&port)?.key, 2, "only the living one's packet")?;
    refused(kit::poll(&port), Error::TimedOut, "and nothing else")
}

fn message_client_rights_can_not_be_widened(ctx: &Ctx) -> Outcome {
    let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
    let client = kit::duplicate(message.h(), CLIENT | Rights::DUPLICATE)?;
    for right in (Kind::Message.all_rights() - CLIENT - Rights::DUPLICATE).iter() {
        let wider = sys::handle_duplicate(client.h(), CLIENT | right, 0);
        refused(wider, Error::Widening, right.bits())?;
    }
    bind(&client, &port, 1)?;
    status(&client)?;
    refused(sys::message_signal(client.h()), Error::MissingRight, "SIGNAL")?;
    let activated = sys::message_activate(client.h(), 0, 0x40, 0);
    refused(activated, Error::MissingRight, "activate")?;
    refused(sys::message_rate(client.h(), 0, 0x40), Error::MissingRight, "rate")?;
    for (name, call) in [
        ("settle", sys::message_settle as fn(Handle) -> _),
        ("deactivate", sys::message_deactivate),
        ("block", sys::message_block),
        ("unblock", sys::message_unblock),
        ("revoke", sys::handle_revoke),
    ] {
        refused(call(client.h()), Error::MissingRight, name)?;
    }
    Ok(())
}

fn message_revoke_silences_at_once(ctx: &Ctx) -> Outcome {
    let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
    let client = kit::duplicate(message.h(), CLIENT)?;
    bind(&client, &port, 1)?;
    raise(&message, 1)?;
    kit::poll(&port)?;
    sys::handle_revoke(message.h())?;
    raise(&message, 10)?;
    refused(kit::listen(&port), Error::TimedOut, "a packet after revoke")?;
    refused(sys::message_read(client.h()), Error::BadHandle, "the client's handle")?;
    // The server can give it to another client, who hears of what comes from now on.
    let next = kit::duplicate(message.h(), CLIENT)?;
    let second = kit::port()?;
    bind(&next, &second, 2)?;
    let _ = kit::poll(&second);
    raise(&message, 1)?;
    same(kit::poll(&second)?.key, 2, "the new client's packet")?;
    refused(kit::poll(&port), Error::TimedOut, "the old client stays deaf")
}

fn message_revoke_takes_a_packet_that_nobody_saw(ctx: &Ctx) -> Outcome {
    let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
    let client = kit::duplicate(message.h(), CLIENT)?;
    bind(&client, &port, 1)?;
    raise(&message, 3)?;
    sys::handle_revoke(message.h())?;
    refused(kit::poll(&port), Error::TimedOut, "a packet after revoke")
}

/// Binds the message it was given to a port of its own, and dies or waits.
fn holder(env: &'static Startup, how: &str) -> Result<u64, Error> {
    let port = kit::port()?;
    let message = granted(env, "message");
    sys::message_bind(message, port.h(), 1)?;
    role::ready(env)?;
    match how {
        "fault" => Ok(crate::arch::load(0)),
        "exit" => Ok(0),
        _ => loop {
            // Count what comes, so that the parent sees that it does.
            kit::next(&port)?;
            role::ready(env)?;
        },
    }
}

fn message_owner_death_silences(ctx: &Ctx) -> Outcome {
    for how in ["exit", "fault", "kill"] {
        let (message, up) = (virtual_message(ctx, 1)?, kit::port()?);
        let victim = Plan::new(ctx, &alloc::format!("holder {how}"))?
            .grant("message", message.h(), CLIENT)?
            .grant("up", up.h(), Rights::SIGNAL)?
            .on_cpu(1)
            .start()?;
        kit::next(&up)?;
        if how == "kill" {
            raise(&message, 1)?;
            kit::next(&up)?;
            victim.kill()?;
            victim.exits_with(EXIT_KILLED, how)?;
        } else {
            victim.exit_code()?;
        }
        raise(&message, 3)?;
        refused(kit::poll(&up), Error::TimedOut, "a packet for the dead")?;
        // Whoever gets it next is not bound to the dead one's port.
        let port = kit::port()?;
        bind(&message, &port, 2)?;
        let _ = kit::poll(&port);
        raise(&message, 1)?;
        same(kit::poll(&port)?.key, 2, "the next owner's packet")?;
    }
    Ok(())
}

fn message_port_death_leaves_it_pending(ctx: &Ctx) -> Outcome {
    let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
    bind(&message, &port, 1)?;
    raise(&message, 1)?;
    drop(port);
    raise(&message, 1)?;
    let second = kit::port()?;
    same(bind(&message, &second, 2)?, true, "what the dead port had is pending")?;
    same(kit::poll(&second)?.key, 2, "and comes to the next one")
}

/// Raises a message until told to stop, and then once more; says how often.
fn raiser(ctx: &Ctx, cpu: u32, message: &Own, stop: &Arc<AtomicBool>) -> Result<Worker, Failure> {
    let (message, stop) = (message.h(), stop.clone());
    Worker::start(ctx, cpu, 2, move || {
        while !stop.load(SeqCst) {
            let _ = sys::message_signal(message);
            let _ = sys::thread_yield();
        }
        let _ = sys::message_signal(message);
    })
}

fn message_nothing_lost_across_bind_and_unbind(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let (message, ports) = (virtual_message(ctx, 1)?, [kit::port()?, kit::port()?]);
        let stop = Arc::new(AtomicBool::new(false));
        let worker = raiser(ctx, cpu, &message, &stop)?;
        for round in 0..200usize {
            let port = &ports[round % 2];
            bind(&message, port, round as u64)?;
            let packet = kit::next(port)?;
            same(packet.key, round as u64, "the packet of this binding")?;
            sys::message_unbind(message.h())?;
            refused(kit::poll(port), Error::TimedOut, "a packet after unbind")?;
        }
        // The last event comes while nobody is bound, and must be seen.
        stop.store(true, SeqCst);
        worker.join()?;
        same(bind(&message, &ports[0], 999)?, true, "the last event is pending")?;
        same(kit::poll(&ports[0])?.key, 999, "and is seen")?;
    }
    Ok(())
}

fn message_nothing_lost_across_cpus(ctx: &Ctx) -> Outcome {
    // Every event counts exactly once: as its packet's first or as coalesced.
    const EACH: u32 = 3000;
    let (message, port) = (virtual_message(ctx, 1)?, kit::port()?);
    bind(&message, &port, 1)?;
    let mut workers = alloc::vec::Vec::new();
    for cpu in 0..ctx.env.cpus {
        let handle = message.h();
        workers.push(Worker::start(ctx, cpu, 2, move || {
            for _ in 0..EACH {
                let _ = sys::message_signal(handle);
            }
        })?);
    }
    let wanted = u64::from(EACH) * u64::from(ctx.env.cpus);
    let (mut events, mut packets) = (0, 0);
    while events < wanted {
        let packet = kit::next(&port)?;
        events += u64::from(packet.count);
        packets += 1;
    }
    for worker in workers {
        worker.join()?;
    }
    same(events, wanted, "events in all packets")?;
    let counts = status(&message)?;
    same(counts.delivered, packets, "packets as the kernel counts them")?;
    same(counts.delivered + counts.coalesced, wanted, "events as the kernel counts them")
}

fn message_many_share_a_port(ctx: &Ctx) -> Outcome {
    const COUNT: u64 = 2048;
    let port = kit::port()?;
    let before = ctx.stats()?.messages;
    let mut messages = alloc::vec::Vec::with_capacity(COUNT as usize);
    for key in 0..COUNT {
        let message = virtual_message(ctx, key)?;
        bind(&message, &port, key << 32)?;
        messages.push(message);
    }
    same(ctx.stats()?.messages, before + COUNT, "live messages")?;
    for message in messages.iter().rev() {
        raise(message, 2)?;
    }
    // In the order of their first events: the last key first.
    for wanted in (0..COUNT).rev() {
        let packet = kit::poll(&port)?;
        same((packet.key, packet.count), (wanted << 32, 2), "packet")?;
    }
    refused(kit::poll(&port), Error::TimedOut, "and no more")?;
    drop(messages);
    same(ctx.stats()?.messages, before, "all are gone")
}

fn message_memory_is_bounded(ctx: &Ctx) -> Outcome {
    let bytes = ctx.stats()?.bytes_per_message;
    check((1..=512).contains(&bytes), format_args!("{bytes} bytes per message"))?;
    // What the kernel claims is what it charges.
    const COUNT: u64 = 1024;
    let before = kit::used_bytes()?;
    let mut messages = alloc::vec::Vec::with_capacity(COUNT as usize);
    for _ in 0..COUNT {
        messages.push(virtual_message(ctx, 0)?);
    }
    let each = (kit::used_bytes()? - before) / COUNT;
    check(each <= bytes.max(1) * 2, format_args!("{each} bytes charged, {bytes} claimed"))
}

/// Binds the control to a new port for as long as that lives.
fn control_port(ctx: &Ctx) -> Result<Own, Failure> {
    let port = kit::port()?;
    sys::control_bind(ctx.need("message-control")?, port.h())?;
    Ok(port)
}

fn message_orphaned_is_told_once(ctx: &Ctx) -> Outcome {
    let control = control_port(ctx)?;
    let other = kit::port()?;
    let again = sys::control_bind(ctx.need("message-control")?, other.h());
    refused(again, Error::AlreadyBound, "the control has one port")?;
    let message = virtual_message(ctx, 0xc00c1e)?;
    let first = kit::duplicate(message.h(), CLIENT)?;
    let second = kit::duplicate(message.h(), CLIENT)?;
    refused(kit::poll(&control), Error::TimedOut, "a new message is no orphan")?;
    drop(first);
    refused(kit::poll(&control), Error::TimedOut, "one owner is left")?;
    drop(second);
    let packet = kit::next(&control)?;
    same(packet.kind, PacketKind::Orphaned as u32, "kind")?;
    same(packet.key, 0xc00c1e, "cookie")?;
    refused(kit::listen(&control), Error::TimedOut, "told once")?;
    // A death is how it happens in life.
    let up = kit::port()?;
    let victim = Plan::new(ctx, "holder exit")?
        .grant("message", message.h(), CLIENT)?
        .grant("up", up.h(), Rights::SIGNAL)?
        .start()?;
    victim.exits_with(0, "the holder")?;
    let packet = kit::next(&control)?;
    same((packet.kind, packet.key), (PacketKind::Orphaned as u32, 0xc00c1e), "after a death")
}

fn message_storm_is_told_once(ctx: &Ctx) -> Outcome {
    const WINDOW_NS: u64 = 3_600_000_000_000;
    let control = control_port(ctx)?;
    let (message, port) = (virtual_message(ctx, 0x570)?, kit::port()?);
    bind(&message, &port, 1)?;
    refused(sys::message_rate(message.h(), 5, 0), Error::BadArgument, "no window")?;
    sys::message_rate(message.h(), 100, WINDOW_NS)?;
    raise(&message, 100)?;
    refused(kit::poll(&control), Error::TimedOut, "within the budget")?;
    raise(&message, 1)?;
    let packet = kit::next(&control)?;
    same((packet.kind, packet.key), (PacketKind::Storm as u32, 0x570), "past the budget")?;
    raise(&message, 500)?;
    refused(kit::listen(&control), Error::TimedOut, "told once")?;
    // Nothing is lost by it: the storm's events are on the port.
    check(kit::poll(&port)?.count >= 101, "the events themselves")?;
    sys::message_rate(message.h(), 0, 0)?;
    raise(&message, 1000)?;
    refused(kit::poll(&control), Error::TimedOut, "no budget, no storm")
}
