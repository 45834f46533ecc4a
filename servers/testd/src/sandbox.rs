//! Subsystems: interrupt servers below the machine's, with drivers of their own, that are
//! within their quota, cheat, or die (invariants 1, 4, 5, 9).
//!
//! The test is what `init` is to them: it says which devices a subsystem has, and kills it.

use alloc::vec::Vec;
use init_control::{Join, SYSTEM_BADGE, SetSubsystem, SubsystemGone};
use libsys::ipc::{AskError, ask, ask_with, call};
use libsys::spawn::{Child, Placement, Spawner};
use libsys::startup::Environment;
use libsys::sys;
use tocsin_abi::{Error as KernelError, Handle, PacketKind, Rights};
use tocsin_proto::StoreKind;
use tocsin_proto::badge;
use tocsin_proto::interrupt::{self as irq, ANY_CPU, Error, MessageId, OpenDevice, RemapperKind};

use crate::driver::{Client, Edu, Irq};
use crate::harness::{Failure, Outcome, check, refused, same, skip, wrong};
use crate::interrupt::denied;
use crate::kit::{self, Ctx, Own};

crate::tests![
    sandbox_serves_as_its_parent_does,
    sandbox_quota_is_of_the_sum,
    sandbox_errors_come_down_unchanged,
    sandbox_closed_handle_returns_everything,
    sandbox_hostile_child_gets_its_own_errors,
    sandbox_dies_and_everything_is_back,
    sandbox_below_a_sandbox,
    sandbox_figures,
];

/// Requester ids on a bus that the machine does not have.
const GHOST: u16 = 0xfe50;
const OTHER_GHOST: u16 = 0xfe58;
/// Numbers of subsystems that no manifest gives out.
const NUMBER: u16 = 60;
const DEEPER: u16 = 61;
/// Kernel and user memory of a server that has few messages.
const BUDGET: u64 = 3 << 20;
/// Below the test's own, which is the highest that it can give.
const PRIORITY: u8 = 12;
const HAND_ON: Rights = Rights::DUPLICATE.union(Rights::TRANSFER).union(Rights::REVOKE);

/// Says something to a server as the system does.
fn tell(server: Handle, label: u32, words: &[u64]) -> Result<u32, Failure> {
    let system = kit::badged(server, Rights::CALL, SYSTEM_BADGE)?;
    Ok(call(system.h(), label, words, &[])?.label)
}

/// A server below another one.
struct Sandbox {
    child: Child,
    deaths: Own,
    /// Its endpoint, to mint from.
    endpoint: Own,
    /// The server above.
    above: Handle,
    number: u16,
}

impl Sandbox {
    fn start(ctx: &Ctx, above: Handle, number: u16, quota: u32) -> Result<Sandbox, Failure> {
        let image = ctx.env.module("interrupt").unwrap_or_default();
        if image.is_empty() {
            return Err(skip("the manifest grants no module `interrupt`"));
        }
        let set = SetSubsystem { subsystem: number, messages: quota };
        same(tell(above, SetSubsystem::LABEL, &set.words())?, 0, "a new subsystem")?;
        let whole = kit::endpoint()?;
        let mut spawner = Spawner::new(ctx.env, image, BUDGET)?;
        let receive = Rights::RECEIVE | Rights::MINT | Rights::CALL | HAND_ON;
        spawner.grant("receive:sandbox", whole.h(), receive, 0)?;
        let parent = badge::of_subsystem(number);
        spawner.grant("parent", above, Rights::CALL, parent)?;
        if let Some(console) = ctx.find("console") {
            spawner.grant("console", console, Rights::CALL, 0)?;
        }
        let endpoint = kit::duplicate(whole.h(), Rights::CALL | Rights::MINT | HAND_ON)?;
        let deaths = kit::port()?;
        sys::process_bind(spawner.process(), deaths.h(), 1)?;
        let child = spawner.start(Placement { priority: PRIORITY, cpu: 0 })?;
        Ok(Sandbox { child, deaths, endpoint, above, number })
    }

    /// A driver's view of it. The device need not exist.
    fn client(&self, device: u16) -> Result<Client, Failure> {
        self.join(device)?;
        Client::at(self.endpoint.h(), device)
    }

    fn join(&self, device: u16) -> Outcome {
        let join = Join { subsystem: self.number, client: device.into() };
        same(tell(self.above, Join::LABEL, &join.words())?, 0, "a device joins")
    }

    /// As init: it is killed, and what it held is taken back.
    fn end(self) -> Outcome {
        sys::process_kill(self.child.process())?;
        let packet = kit::next(&self.deaths)?;
        same(packet.kind, PacketKind::Death as u32, "kind of packet")?;
        self.gone()
    }

    fn gone(&self) -> Outcome {
        let gone = SubsystemGone { subsystem: self.number };
        same(tell(self.above, SubsystemGone::LABEL, &gone.words())?, 0, "the end of a subsystem")
    }
}

/// A device that there is not, known to the machine's server.
fn ghost(ctx: &Ctx, device: u16) -> Result<Client, Failure> {
    Client::ghost(ctx, device)
}

/// One message from its reservation to its end, and the counts of the machine's server.
fn sandbox_serves_as_its_parent_does(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let top = ghost(ctx, GHOST)?;
    let before = top.at_rest()?;
    let sandbox = Sandbox::start(ctx, server, NUMBER, 16)?;
    let client = sandbox.client(GHOST)?;
    let info = client.info()?;
    same(info.remapper, RemapperKind::Parent, "what its remapper is")?;
    same(info.isolated, before.isolated, "isolated as its parent")?;
    same(info.entries, irq::DomainRow { total: 16, free: 16 }, "its quota")?;
    same(info.vectors, before.vectors, "vectors are its parent's")?;
    let message = client.one(StoreKind::PciMsi)?;
    let rights = kit::rights_of(message.message.h())?;
    check(!rights.contains(Rights::CONTROL), "no CONTROL over a message")?;
    let port = kit::port()?;
    message.bind(&port, 7)?;
    let active = client.activate(message.id)?;
    let rows = client.described()?;
    same(rows.len(), 1, "rows")?;
    let row = rows[0];
    same((row.id, row.owner), (message.id, u32::from(GHOST)), "its own name for it")?;
    same((row.address, row.data), (message.address, message.data), "the parent's pair")?;
    same(row.event.map(|it| (it.cpu, it.vector)), Some((active.cpu, active.vector)), "event")?;
    let above = top.described()?;
    same(above.len(), 1, "rows above")?;
    same((above[0].entry, above[0].event), (row.entry, row.event), "the same entry and event")?;
    client.block(message.id)?;
    same(client.described()?[0].state, irq::RowState::Blocked, "blocked")?;
    same(top.described()?[0].state, irq::RowState::Blocked, "blocked above")?;
    client.unblock(message.id)?;
    client.move_to(message.id, ANY_CPU)?;
    client.deactivate(message.id)?;
    denied(client.deactivate(message.id), Error::BadState, "twice")?;
    client.activate(message.id)?;
    client.free(message.id)?;
    denied(client.free(message.id), Error::BadId, "freed twice")?;
    drop(message);
    let block = irq::Alloc {
        count: 16,
        kind: StoreKind::PciMsi,
        contiguity: irq::Contiguity::Consecutive,
        cpus: ANY_CPU,
    };
    if before.isolated {
        // More than one reply brings: the rest is collected, on both levels.
        // What was freed counts above until it has drained there.
        let deadline = kit::now() + kit::PATIENCE_NS;
        let (first, handles) = loop {
            match ask_with(client.h(), &block, &[]) {
                Err(AskError::Refused(Error::QuotaExceeded)) if kit::now() < deadline => {
                    kit::sleep(100_000);
                }
                other => break other?,
            }
        };
        let (more, others) =
            ask_with(client.h(), &irq::Collect { first: first.messages[0].id }, &[])?;
        same(first.messages.len() + more.messages.len(), 16, "messages of a block")?;
        let all: Vec<u32> =
            first.messages.iter().chain(&more.messages).map(|each| each.data).collect();
        let pairs: Vec<u64> =
            first.messages.iter().chain(&more.messages).map(|each| each.address).collect();
        // VT-d counts in the data too, as the sub-handle.
        check(all.windows(2).all(|two| two[1] == two[0] + 1), "data that count up")?;
        check(pairs.windows(2).all(|two| two[1] == two[0]), "one address")?;
        for each in first.messages.iter().chain(&more.messages) {
            client.free(each.id)?;
        }
        drop((handles, others));
    }
    drop(client);
    sandbox.end()?;
    top.all_is_back(&before)
}

/// Two devices within their own quota, and the sum past the subsystem's.
fn sandbox_quota_is_of_the_sum(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let (top, other) = (ghost(ctx, GHOST)?, ghost(ctx, OTHER_GHOST)?);
    let before = top.at_rest()?;
    let sandbox = Sandbox::start(ctx, server, NUMBER, 6)?;
    let first = sandbox.client(GHOST)?;
    let second = sandbox.client(OTHER_GHOST)?;
    let mut held = first.alloc(StoreKind::PciMsi, 4, ANY_CPU)?;
    held.extend(second.alloc(StoreKind::PciMsi, 2, ANY_CPU)?);
    let full = top.info()?;
    denied(first.one(StoreKind::PciMsi), Error::QuotaExceeded, "a seventh")?;
    let two = second.alloc(StoreKind::PciMsi, 2, ANY_CPU);
    denied(two, Error::QuotaExceeded, "an eighth")?;
    same(top.info()?, full, "a refusal takes nothing")?;
    // What a driver of one device gives back, that of another can have.
    first.free(held[0].id)?;
    held.push(second.one(StoreKind::PciMsi)?);
    // The parent itself holds to it, whatever the child says.
    let direct = kit::badged(server, Rights::CALL, badge::of_subsystem(NUMBER))?;
    let (_, mut way) = ask_with(direct.h(), &OpenDevice { client: GHOST.into() }, &[])?;
    let way = way.pop().ok_or_else(|| wrong("no endpoint"))?;
    let past = ask(
        way.handle(),
        &irq::Alloc {
            count: 1,
            kind: StoreKind::PciMsi,
            contiguity: irq::Contiguity::Any,
            cpus: ANY_CPU,
        },
    );
    denied(past, Error::QuotaExceeded, "past the child")?;
    drop((way, held, first, second));
    sandbox.end()?;
    drop(other);
    top.all_is_back(&before)
}

/// No vector is free at the machine's server: the driver below hears exactly that.
fn sandbox_errors_come_down_unchanged(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let top = ghost(ctx, GHOST)?;
    let before = top.at_rest()?;
    let sandbox = Sandbox::start(ctx, server, NUMBER, 300)?;
    top.quota(300)?;
    let client = sandbox.client(GHOST)?;
    let nowhere = client.alloc(StoreKind::PciMsi, 1, 0);
    denied(nowhere, Error::BadArgument, "for no CPU")?;
    if !before.isolated {
        denied(client.one(StoreKind::DeviceArray), Error::NotSupported, "IMS unisolated")?;
    }
    if before.remapper != RemapperKind::Its {
        let mut held: Vec<Irq> = Vec::new();
        let refusal = loop {
            let message = match client.alloc(StoreKind::PciMsi, 1, 1) {
                Ok(mut made) => made.pop().ok_or_else(|| wrong("no message"))?,
                Err(error) => break error,
            };
            let activated = client.activate(message.id);
            held.push(message);
            if let Err(error) = activated {
                break error;
            }
            check(held.len() < 300, "more messages than a CPU has vectors")?;
        };
        denied::<()>(Err(refusal), Error::NoVectors, "the last one")?;
        check(held.len() > 100, "many before it")?;
    }
    drop(client);
    sandbox.end()?;
    top.quota(64)?;
    top.all_is_back(&before)
}

/// The driver below drops its handles and says nothing: above all of it is back at once, because
/// the child keeps none, and below when there would be no room.
fn sandbox_closed_handle_returns_everything(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let top = ghost(ctx, GHOST)?;
    let before = top.at_rest()?;
    let sandbox = Sandbox::start(ctx, server, NUMBER, 4)?;
    let client = sandbox.client(GHOST)?;
    for _ in 0..5 {
        let held = client.alloc(StoreKind::PciMsi, 4, ANY_CPU)?;
        client.activate(held[0].id)?;
        let id = held[1].id;
        drop(held);
        top.all_is_back(&before)?;
        denied(client.activate(id), Error::BadId, "a message that has ended above")?;
    }
    drop(client);
    sandbox.end()?;
    top.all_is_back(&before)
}

/// A child that says to its parent what it should not.
fn sandbox_hostile_child_gets_its_own_errors(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let (mine, theirs) = (ghost(ctx, GHOST)?, ghost(ctx, OTHER_GHOST)?);
    let before = mine.at_rest()?;
    let victim = theirs.one(StoreKind::PciMsi)?;
    theirs.activate(victim.id)?;
    for (number, device) in [(NUMBER, GHOST), (DEEPER, OTHER_GHOST - 2)] {
        let set = SetSubsystem { subsystem: number, messages: 4 };
        same(tell(server, SetSubsystem::LABEL, &set.words())?, 0, "a new subsystem")?;
        let join = Join { subsystem: number, client: device.into() };
        same(tell(server, Join::LABEL, &join.words())?, 0, "a device joins")?;
    }
    let child = kit::badged(server, Rights::CALL, badge::of_subsystem(NUMBER))?;
    let open = |client: u32| ask_with(child.h(), &OpenDevice { client }, &[]);
    // Devices of nobody, of a driver of the machine's server, of another subsystem, of none.
    for device in [0, u32::from(OTHER_GHOST), u32::from(OTHER_GHOST - 2), 0x1_0001, u32::MAX] {
        denied(open(device), Error::NotYours, format_args!("device {device:#x}"))?;
    }
    // As the subsystem itself it may ask for nothing else.
    for label in (0..64).chain([0x101, 0x104, 0x120, 0x121, 0x122]) {
        let answer = call(child.h(), label, &[GHOST.into(), 1], &[])?.label;
        let fine = [Error::NotAClient as u32, Error::Malformed as u32];
        check(fine.contains(&answer), format_args!("label {label}: {answer}"))?;
    }
    let (_, mut way) = open(GHOST.into())?;
    let way = way.pop().ok_or_else(|| wrong("no endpoint"))?;
    let forged = [victim.id.0, 1 << 32, victim.id.0 ^ 1 << 40, u64::MAX, 12_345];
    for id in forged.map(MessageId) {
        let wanted = if id == victim.id { Error::NotYours } else { Error::BadId };
        denied(ask(way.handle(), &irq::Activate { id }), wanted, "activate")?;
        denied(ask(way.handle(), &irq::Free { id }), wanted, "free")?;
        denied(ask(way.handle(), &irq::Block { id }), wanted, "block")?;
        denied(ask(way.handle(), &irq::Look { id }), wanted, "look")?;
        denied(ask(way.handle(), &irq::SetAffinity { id, cpus: ANY_CPU }), wanted, "move")?;
    }
    same(theirs.described()?.len(), 1, "nobody else felt it")?;
    same(theirs.described()?[0].state, irq::RowState::Active, "the other's message")?;
    // The end takes the endpoint back, whoever still holds it.
    for subsystem in [NUMBER, DEEPER] {
        let gone = SubsystemGone { subsystem };
        same(tell(server, SubsystemGone::LABEL, &gone.words())?, 0, "the end")?;
    }
    let late = call(way.handle(), 9, &[], &[]).map(drop);
    refused(late, KernelError::BadHandle, "an endpoint of a subsystem that is no more")?;
    denied(open(GHOST.into()), Error::NotYours, "a device after the end")?;
    theirs.free(victim.id)?;
    drop(victim);
    mine.all_is_back(&before)
}

/// A real device below a child that is killed: its late writes go nowhere, and the device can be
/// a driver's of the machine's server, and a new subsystem's.
fn sandbox_dies_and_everything_is_back(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let top = ghost(ctx, GHOST)?;
    let before = top.at_rest()?;
    for round in 0..3 {
        let sandbox = Sandbox::start(ctx, server, NUMBER, 8)?;
        let edu = Edu::new(ctx)?;
        let client = sandbox.client(edu.claim.requester)?;
        let message = client.one(StoreKind::PciMsi)?;
        let port = kit::port()?;
        message.bind(&port, 0xed)?;
        client.activate(message.id)?;
        edu.claim.msi_write(&message.message)?;
        edu.claim.msi_unmask()?;
        for _ in 0..3 {
            edu.raise();
            same(kit::next(&port)?.key, 0xed, "a driver below is notified")?;
        }
        let more = client.alloc(StoreKind::PciMsi, 5, ANY_CPU)?;
        client.activate(more[0].id)?;
        sandbox.end()?;
        // The device is as it was: nobody has silenced it yet.
        for _ in 0..3 {
            edu.raise();
        }
        let text = format_args!("round {round}: late writes");
        refused(kit::listen(&port), KernelError::TimedOut, text)?;
        check(!kit::is_live(message.message.h()), "its handles are revoked")?;
        let asked = client.info();
        check(matches!(asked, Err(AskError::Kernel(KernelError::PeerDied))), "nobody answers")?;
        drop((more, message, client));
        top.all_is_back(&before)?;
        // The same device, driven by a driver of the machine's server.
        let client = edu.client(ctx)?;
        let message = client.one(StoreKind::PciMsi)?;
        message.bind(&port, 0xee)?;
        client.activate(message.id)?;
        edu.claim.msi_mask()?;
        edu.claim.msi_write(&message.message)?;
        edu.claim.msi_unmask()?;
        edu.raise();
        same(kit::next(&port)?.key, 0xee, "a driver above is notified")?;
        client.free(message.id)?;
    }
    top.all_is_back(&before)
}

/// Two levels: the same protocol, the same errors, the same end.
fn sandbox_below_a_sandbox(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let top = ghost(ctx, GHOST)?;
    let before = top.at_rest()?;
    let middle = Sandbox::start(ctx, server, NUMBER, 8)?;
    middle.join(GHOST)?;
    let lowest = Sandbox::start(ctx, middle.endpoint.h(), DEEPER, 6)?;
    let client = lowest.client(GHOST)?;
    let info = client.info()?;
    same(info.remapper, RemapperKind::Parent, "what its remapper is")?;
    same((info.isolated, info.vectors), (before.isolated, before.vectors), "the machine's")?;
    top.quota(4)?;
    let held = client.alloc(StoreKind::PciMsi, 4, ANY_CPU)?;
    let active = client.activate(held[0].id)?;
    let above = top.described()?;
    same(above.len(), 4, "rows at the top")?;
    let events: Vec<_> = above.iter().filter_map(|row| row.event).collect();
    same(events.len(), 1, "active at the top")?;
    same((events[0].cpu, events[0].vector), (active.cpu, active.vector), "the same event")?;
    // The top's quota for the device, through two servers.
    denied(client.one(StoreKind::PciMsi), Error::QuotaExceeded, "a fifth")?;
    top.quota(64)?;
    denied(client.activate(held[0].id), Error::BadState, "twice")?;
    let more = client.alloc(StoreKind::PciMsi, 2, ANY_CPU)?;
    denied(client.one(StoreKind::PciMsi), Error::QuotaExceeded, "a seventh, by the middle one")?;
    // The lowest one dies, then the one that it was below.
    drop((held, more, client));
    lowest.end()?;
    middle.end()?;
    top.all_is_back(&before)
}

/// What one more level costs, by the clock, which counts instructions where a run is told to
/// (`-icount`): for people, nothing depends on it.
fn sandbox_figures(ctx: &Ctx) -> Outcome {
    let server = ctx.need("interrupt")?;
    let top = ghost(ctx, GHOST)?;
    let before = top.at_rest()?;
    let sandbox = Sandbox::start(ctx, server, NUMBER, 64)?;
    drop(ghost(ctx, OTHER_GHOST)?);
    let client = sandbox.client(OTHER_GHOST)?;
    let mut took = [0; 2];
    for (client, took) in [&top, &client].into_iter().zip(&mut took) {
        let port = kit::port()?;
        let mut held = Vec::new();
        for round in 0..24u64 {
            let start = kit::now();
            let message = client.one(StoreKind::PciMsi)?;
            message.bind(&port, round)?;
            client.activate(message.id)?;
            if round >= 8 {
                *took += kit::now() - start;
            }
            held.push(message);
        }
        for message in &held {
            client.free(message.id)?;
        }
    }
    let [above, below] = took.map(|sum| sum / 16);
    libsys::log!("one more message to a driver: {above} ns at the top, {below} ns a level below");
    drop(client);
    sandbox.end()?;
    top.all_is_back(&before)
}
