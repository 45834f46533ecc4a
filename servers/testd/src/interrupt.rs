//! The interrupt server's protocol, spoken by clients who cheat (invariants 1, 5, 8, 9).
//! No device takes part: the clients speak for requester ids that nobody has.

use alloc::vec::Vec;
use libsys::ipc::{AskError, call};
use libsys::sys;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error as KernelError, Kind, Rights};
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{ANY_CPU, Error, Information, MessageId, RemapperKind};

use crate::driver::{Client, Irq, IrqError};
use crate::harness::{Outcome, check, refused, same, skip, wrong};
use crate::kit::{self, Ctx};
use crate::role::{self, Role, granted};
use crate::victim::Plan;

crate::tests![
    interrupt_badge_zero_is_no_client,
    interrupt_garbage_changes_nothing,
    interrupt_client_rights_are_narrow,
    interrupt_messages_of_others_are_refused,
    interrupt_messages_of_others_are_not_described,
    interrupt_ids_do_not_outlive_a_free,
    interrupt_states_allow_only_their_requests,
    interrupt_bad_arguments_are_refused,
    interrupt_quota_is_all_or_nothing,
    interrupt_client_without_room_gets_nothing,
    interrupt_reserving_takes_no_vector,
    interrupt_exhausted_vectors_are_an_answer,
    interrupt_exhausted_entries_are_an_answer,
    interrupt_affinity_never_changes_the_pair,
    interrupt_closing_the_handle_returns_everything,
    interrupt_client_gone_is_silent_at_once,
    interrupt_ims_needs_isolation,
    interrupt_many_messages_come_and_go,
];

pub const ROLES: &[Role] =
    &[Role { name: "full_client", run: |env, _| role::code(full_client(env)) }];

/// Requester ids on a bus that the machine does not have.
const GHOST: u16 = 0xfe10;
const OTHER_GHOST: u16 = 0xfe18;

/// Fails unless the server refuses with this error.
///
/// # Errors
/// The text, and what came instead.
pub fn denied<T>(
    result: Result<T, IrqError>,
    wanted: Error,
    what: impl core::fmt::Display,
) -> Outcome {
    match result {
        Err(AskError::Refused(error)) => same(error, wanted, what),
        Err(error) => Err(wrong(alloc::format!("{what}: {error:?}, wanted {wanted:?}"))),
        Ok(_) => Err(wrong(alloc::format!("{what}: allowed, wanted {wanted:?}"))),
    }
}

fn interrupt_badge_zero_is_no_client(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let not_a_client = Error::NotAClient as u32;
    for badge in [0, 1, 0xffff, 1 << 32 | 1 << 16, 1 << 34 | 1 << 16, 3 << 40, u64::MAX] {
        let client = kit::badged(server, Rights::CALL, badge)?;
        for label in 0..40 {
            let label = call(client.h(), label, &[0; 3], &[])?.label;
            same(label, not_a_client, format_args!("badge {badge:#x}"))?;
        }
    }
    Ok(())
}

fn interrupt_garbage_changes_nothing(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let before = client.at_rest()?;
    let port = kit::port()?;
    let mut seed = 0x1234_5678_9abc_def0u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut good = 0;
    for _ in 0..3000 {
        let words: Vec<u64> = (0..next() % 65).map(|_| next() >> (next() % 64)).collect();
        let handles = [(port.h(), Rights::SIGNAL); 2];
        let count = if next() % 4 == 0 { (next() % 3) as usize } else { 0 };
        let label = if next() % 2 == 0 { next() % 40 } else { next() } as u32;
        // A random request may be a good one: then it is given back below.
        let reply = call(client.h(), label, &words, &handles[..count])?;
        good += u32::from(reply.label == 0);
    }
    client.gone()?;
    client.all_is_back(&before)?;
    check(good < 2000, "most garbage is refused")
}

fn interrupt_client_rights_are_narrow(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let irq = client.one(StoreKind::PciMsi)?;
    let rights = kit::rights_of(irq.message.h())?;
    check(!rights.contains(Rights::CONTROL), "no CONTROL over a message")?;
    let activate = libsys::sys::message_activate(irq.message.h(), 0, 0x40, 0);
    refused(activate, KernelError::MissingRight, "activate past the server")?;
    let unblock = libsys::sys::message_unblock(irq.message.h());
    refused(unblock, KernelError::MissingRight, "unblock past the server")?;
    check(Kind::Message.all_rights().contains(rights), "known rights only")?;
    client.free(irq.id)?;
    Ok(())
}

fn interrupt_messages_of_others_are_refused(ctx: &Ctx) -> Outcome {
    let (owner, thief) = (Client::ghost(ctx, GHOST)?, Client::ghost(ctx, OTHER_GHOST)?);
    let irq = owner.one(StoreKind::PciMsi)?;
    // The thief is known to the server and has a message of its own.
    let bait = thief.one(StoreKind::PciMsi)?;
    let attempts = |state: &str| -> Outcome {
        denied(thief.activate(irq.id), Error::NotYours, state)?;
        denied(thief.deactivate(irq.id), Error::NotYours, state)?;
        denied(thief.free(irq.id), Error::NotYours, state)?;
        denied(thief.block(irq.id), Error::NotYours, state)?;
        denied(thief.unblock(irq.id), Error::NotYours, state)?;
        denied(thief.move_to(irq.id, ANY_CPU), Error::NotYours, state)
    };
    attempts("reserved")?;
    owner.activate(irq.id)?;
    attempts("active")?;
    owner.block(irq.id)?;
    attempts("blocked")?;
    owner.unblock(irq.id)?;
    owner.free(irq.id)?;
    thief.free(bait.id)?;
    Ok(())
}

fn interrupt_messages_of_others_are_not_described(ctx: &Ctx) -> Outcome {
    let (owner, other) = (Client::ghost(ctx, GHOST)?, Client::ghost(ctx, OTHER_GHOST)?);
    let (mine, theirs) = (owner.one(StoreKind::PciMsi)?, other.one(StoreKind::PciMsi)?);
    let own = owner.described()?;
    same(own.len(), 1, "rows for the owner of one message")?;
    check(own[0].id == mine.id && own[0].owner == u32::from(GHOST), "its own message")?;
    let last = call(owner.h(), 8, &[u64::MAX], &[])?;
    same((last.label, &*last.words), (0, &[0][..]), "rows far behind the last one")?;
    owner.free(mine.id)?;
    same(owner.described()?.len(), 0, "rows when it has none")?;
    other.free(theirs.id)?;
    Ok(())
}

fn interrupt_ids_do_not_outlive_a_free(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let irq = client.one(StoreKind::PciMsi)?;
    client.activate(irq.id)?;
    client.free(irq.id)?;
    denied(client.free(irq.id), Error::BadId, "freed twice")?;
    denied(client.activate(irq.id), Error::BadId, "activated after free")?;
    for id in [0, 1, irq.id.0 + 1, irq.id.0 | 1 << 63, u64::MAX] {
        denied(client.free(MessageId(id)), Error::BadId, id)?;
    }
    // The next message in the same place has another name.
    for _ in 0..200 {
        let next = client.one(StoreKind::PciMsi)?;
        check(next.id != irq.id, "an old id names a new message")?;
        client.free(next.id)?;
    }
    denied(client.free(irq.id), Error::BadId, "after 200 others")
}

fn interrupt_states_allow_only_their_requests(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let irq = client.one(StoreKind::PciMsi)?;
    denied(client.deactivate(irq.id), Error::BadState, "deactivate while reserved")?;
    denied(client.block(irq.id), Error::BadState, "block while reserved")?;
    denied(client.unblock(irq.id), Error::BadState, "unblock while reserved")?;
    if client.info()?.isolated {
        denied(client.move_to(irq.id, 1), Error::BadState, "move while reserved")?;
    }
    client.activate(irq.id)?;
    denied(client.activate(irq.id), Error::BadState, "activate twice")?;
    denied(client.unblock(irq.id), Error::BadState, "unblock while active")?;
    client.block(irq.id)?;
    denied(client.block(irq.id), Error::BadState, "block twice")?;
    client.unblock(irq.id)?;
    client.deactivate(irq.id)?;
    denied(client.deactivate(irq.id), Error::BadState, "deactivate twice")?;
    client.free(irq.id)?;
    Ok(())
}

fn interrupt_bad_arguments_are_refused(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    denied(client.alloc(StoreKind::PciMsi, 1, 0), Error::BadArgument, "no CPU")?;
    let nowhere = 1 << 63;
    denied(client.alloc(StoreKind::PciMsi, 1, nowhere), Error::BadArgument, "a CPU that is not")?;
    for words in [[0, 1, ANY_CPU], [9, 1, ANY_CPU], [1, 0, ANY_CPU], [1, 7, ANY_CPU]] {
        let label = call(client.h(), 1, &words, &[])?.label;
        same(label, Error::Malformed as u32, format_args!("alloc {words:?}"))?;
    }
    let label = call(client.h(), 1, &[1, 1], &[])?.label;
    same(label, Error::Malformed as u32, "a word is missing")?;
    Ok(())
}

fn interrupt_quota_is_all_or_nothing(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let before = client.at_rest()?;
    client.quota(10)?;
    let first = client.alloc(StoreKind::PciMsi, 8, ANY_CPU)?;
    same(first.len(), 8, "within the quota")?;
    let between = client.info()?;
    let count = kit::handle_count();
    denied(client.alloc(StoreKind::PciMsi, 3, ANY_CPU), Error::QuotaExceeded, "one too many")?;
    same(client.info()?, between, "nothing was taken")?;
    same(kit::handle_count(), count, "no handle came")?;
    let last = client.alloc(StoreKind::PciMsi, 2, ANY_CPU)?;
    denied(client.alloc(StoreKind::PciMsi, 1, ANY_CPU), Error::QuotaExceeded, "used up")?;
    for irq in first.iter().chain(&last) {
        client.free(irq.id)?;
    }
    drop((first, last));
    client.all_is_back(&before)?;
    client.alloc(StoreKind::PciMsi, 8, ANY_CPU)?.iter().try_for_each(|irq| client.free(irq.id))?;
    client.quota(64)
}

/// Asks for messages with no room for a handle; the exit code is the answer.
fn full_client(env: &'static Startup) -> Result<u64, KernelError> {
    let port = kit::port()?;
    loop {
        match sys::handle_duplicate(port.h(), Rights::SIGNAL, 0) {
            Ok(_) => {}
            Err(KernelError::NoMemory | KernelError::NoHandles) => break,
            Err(error) => return Err(error),
        }
    }
    let reply = call(granted(env, "there"), 1, &[8, StoreKind::PciMsi as u64, ANY_CPU], &[])?;
    Ok(reply.label.into())
}

fn interrupt_client_without_room_gets_nothing(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let before = client.at_rest()?;
    let victim = Plan::with_budget(ctx, "full_client", 512 << 10)?
        .grant("there", client.h(), Rights::CALL)?
        .start()?;
    victim.exits_with(Error::NoMemory as u64, "what the interrupt server answers")?;
    client.all_is_back(&before)
}

fn interrupt_reserving_takes_no_vector(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let before = client.at_rest()?;
    if before.remapper == RemapperKind::None {
        return Err(skip("without a remapper the pair names the vector"));
    }
    client.quota(600)?;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.extend(client.alloc(StoreKind::PciMsi, 8, ANY_CPU)?);
    }
    let during = client.info()?;
    // With an ITS a message has its LPI from the start: there are as many as entries.
    let vectors = if before.remapper == RemapperKind::Its { 512 } else { 0 };
    same(before.vectors.free - during.vectors.free, vectors, "vectors of 512 messages")?;
    same(before.entries.free - during.entries.free, 512, "entries")?;
    for irq in &held {
        client.free(irq.id)?;
    }
    drop(held);
    client.quota(64)?;
    client.all_is_back(&before)
}

fn interrupt_exhausted_vectors_are_an_answer(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let before = client.at_rest()?;
    if before.remapper == RemapperKind::Its {
        return Err(skip("there are as many LPIs as the server has messages"));
    }
    client.quota(4096)?;
    // All on one CPU, so that it ends soon: its vectors, and one more.
    let mut held: Vec<Irq> = Vec::new();
    let refusal = loop {
        let made = match client.alloc(StoreKind::PciMsi, 1, 1) {
            Ok(mut made) => made.pop().ok_or_else(|| wrong("no message"))?,
            Err(error) => break error,
        };
        let activated = client.activate(made.id);
        held.push(made);
        if let Err(error) = activated {
            break error;
        }
        check(held.len() < 300, "more messages than a CPU has vectors")?;
    };
    denied::<()>(Err(refusal), Error::NoVectors, "the last one")?;
    check(held.len() > 100, format_args!("{} messages", held.len()))?;
    let full = client.info()?;
    if let Some(last) = held.last() {
        denied(client.activate(last.id), Error::NoVectors, "still none").or_else(|_| {
            // Without a remapper it was the reservation that found none.
            denied(client.alloc(StoreKind::PciMsi, 1, 1).map(drop), Error::NoVectors, "still none")
        })?;
    }
    same(client.info()?, full, "a refusal takes nothing")?;
    // Another one's vector is good for it, once it has drained.
    client.deactivate(held[0].id)?;
    let last = held.last().map(|irq| irq.id).ok_or_else(|| wrong("none"))?;
    let deadline = kit::now() + kit::PATIENCE_NS;
    while client.activate(last).is_err() && before.isolated {
        check(kit::now() < deadline, "the vector does not come back")?;
        kit::sleep(2_000_000);
    }
    for irq in &held {
        client.free(irq.id)?;
    }
    drop(held);
    client.quota(64)?;
    client.all_is_back(&before)
}

/// A device of an ITS has a table of its own, as large as its quota was when it first asked.
fn interrupt_exhausted_entries_are_an_answer(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let before = client.at_rest()?;
    if !matches!(before.remapper, RemapperKind::Its | RemapperKind::AmdVi) {
        return Err(skip("all devices share one table, as large as the server's own"));
    }
    // One more than such a table holds, while a message of it keeps it from being replaced.
    client.quota(32)?;
    let mut held = client.alloc(StoreKind::PciMsi, 8, ANY_CPU)?;
    client.quota(4096)?;
    let refusal = loop {
        match client.alloc(StoreKind::PciMsi, 1, ANY_CPU) {
            Ok(made) => held.extend(made),
            Err(error) => break error,
        }
        check(held.len() < 4096, "more messages than the table holds")?;
    };
    denied::<()>(Err(refusal), Error::NoEntries, "the last one")?;
    let full = client.info()?;
    denied(client.alloc(StoreKind::PciMsi, 8, ANY_CPU).map(drop), Error::NoEntries, "eight more")?;
    same(client.info()?, full, "a refusal takes nothing")?;
    // Another device has a table of its own.
    let other = Client::ghost(ctx, OTHER_GHOST)?;
    let irq = other.one(StoreKind::PciMsi)?;
    other.free(irq.id)?;
    drop(irq);
    for irq in &held {
        client.free(irq.id)?;
    }
    drop(held);
    client.quota(64)?;
    client.all_is_back(&before)
}

fn interrupt_affinity_never_changes_the_pair(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    if !client.info()?.isolated {
        return Err(skip("without a remapper a message stays where it was made for"));
    }
    let (irq, port) = (client.one(StoreKind::PciMsi)?, kit::port()?);
    irq.bind(&port, 9)?;
    client.activate(irq.id)?;
    for round in 0..40 {
        let cpu = round % ctx.env.cpus;
        let place = client.move_to(irq.id, 1 << cpu)?;
        same(u32::from(place.cpu), cpu, "the CPU that was asked for")?;
        let status = irq.status()?;
        same((status.address, status.data), (irq.address, irq.data), "the pair")?;
        same(status.vector, place.vector, "the kernel's vector")?;
        libsys::sys::message_signal(irq.message.h())?;
        same(kit::next(&port)?.key, 9, "a packet after the move")?;
    }
    let nowhere = client.move_to(irq.id, 1 << 63);
    denied(nowhere, Error::BadArgument, "a CPU that is not there")?;
    client.free(irq.id)?;
    Ok(())
}

fn interrupt_closing_the_handle_returns_everything(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let (before, messages) = (client.at_rest()?, ctx.stats()?.messages);
    for _ in 0..3 {
        let irq = client.one(StoreKind::PciMsi)?;
        client.activate(irq.id)?;
        drop(irq);
        client.all_is_back(&before)?;
    }
    let held = client.alloc(StoreKind::PciMsi, 8, ANY_CPU)?;
    drop(held);
    client.all_is_back(&before)?;
    same(ctx.stats()?.messages, messages, "live messages")
}

fn interrupt_client_gone_is_silent_at_once(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let before = client.at_rest()?;
    let (irq, port) = (client.one(StoreKind::PciMsi)?, kit::port()?);
    irq.bind(&port, 1)?;
    client.activate(irq.id)?;
    libsys::sys::message_signal(irq.message.h())?;
    client.gone()?;
    refused(kit::poll(&port), KernelError::TimedOut, "a packet after the end")?;
    let signal = libsys::sys::message_signal(irq.message.h());
    refused(signal, KernelError::BadHandle, "the message after the end")?;
    denied(client.activate(irq.id), Error::BadId, "its id after the end")?;
    client.all_is_back(&before)
}

fn interrupt_ims_needs_isolation(ctx: &Ctx) -> Outcome {
    let client = Client::new(ctx, GHOST)?;
    client.make_known()?;
    let Information { isolated, vectors, .. } = client.info()?;
    denied(client.one(StoreKind::Wire).map(drop), Error::BadArgument, "a wire is opened")?;
    for kind in StoreKind::ALL.into_iter().filter(|kind| *kind != StoreKind::Wire) {
        match client.one(kind) {
            Ok(irq) => {
                check(isolated || !kind.is_ims(), "IMS without isolation")?;
                check(vectors.total > 0, "a message on a machine that has none for devices")?;
                client.free(irq.id)?;
            }
            refusal => {
                denied(refusal.map(drop), Error::NotSupported, kind)?;
                check(!isolated, format_args!("{kind} is refused beside a remapper"))?;
            }
        }
    }
    // However it is asked for: past the quota, on any CPU, several at once.
    if !isolated {
        let several = client.alloc(StoreKind::QueueMemory, 8, 1);
        denied(several.map(drop), Error::NotSupported, "several")?;
    }
    Ok(())
}

/// Asks again for as long as what is in quarantine may be in the way, and nothing else.
fn patiently<T>(
    in_quarantine: Error,
    ask: impl Fn() -> Result<T, IrqError>,
) -> Result<T, crate::harness::Failure> {
    let deadline = kit::now() + kit::PATIENCE_NS;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => denied::<()>(Err(error), in_quarantine, "not the quarantine")?,
        }
        check(kit::now() < deadline, "the quarantine does not end")?;
        kit::sleep(1_000_000);
    }
}

fn interrupt_many_messages_come_and_go(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let (before, port) = (client.at_rest()?, kit::port()?);
    // More activations than there are vectors, and more messages than the client may have:
    // each must come back from quarantine.
    for round in 0..1000u64 {
        let irq = patiently(Error::QuotaExceeded, || client.one(StoreKind::PciMsi))?;
        irq.bind(&port, round)?;
        patiently(Error::NoVectors, || client.activate(irq.id))?;
        libsys::sys::message_signal(irq.message.h())?;
        same(kit::next(&port)?.key, round, "its packet")?;
        client.free(irq.id)?;
        refused(kit::poll(&port), KernelError::TimedOut, "a packet after free")?;
    }
    client.all_is_back(&before)
}
