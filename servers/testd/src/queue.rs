//! Queue memory across processes (DESIGN §5): the server's answer is *prepare*, the driver
//! writes the pair into the queue, and unmasking it there is *commit*. A driver that dies
//! between any two of these steps leaves nothing behind, and what its device still writes
//! raises nothing for anyone (invariants 4, 5 and 9).
//!
//! The driver is a process of its own. The test holds the device, so that it can have it write
//! after the driver's death.

use libsys::ipc::{Event, Server, ask, ask_with, call};
use libsys::map::Mapping;
use libsys::object::Capability;
use libsys::pci::DmaMemory;
use libsys::sys;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::interrupt::{self as irq, ANY_CPU, AllocOne, Information, MessageId};
use tocsin_proto::{Frame, StoreKind};

use crate::driver::{Client, Irq, Lsi};
use crate::harness::{Failure, Outcome, check, refused, same, skip, wrong};
use crate::kit::{self, Ctx, Own};
use crate::role::{self, Role, granted, told};
use crate::victim::{Plan, Victim};

crate::tests![
    queue_driver_dies_after_each_step,
    queue_driver_is_killed_at_any_moment,
    queue_client_hears_nothing_after_its_driver,
];

pub const ROLES: &[Role] = &[
    Role { name: "queue_driver", run: |env, step| steps(env, step.trim().parse().unwrap_or(0)) },
    Role { name: "queue_churn", run: |env, _| churn(env).unwrap_or(role::HELPLESS) },
    Role { name: "queue_owner", run: |env, step| owner(env, step).unwrap_or(role::HELPLESS) },
];

/// Exit code of a driver that got as far as it was told to.
const DIED: u64 = 42;
/// Key of the driver's own packets, which nobody but it may see.
const DRIVERS_KEY: u64 = 0xd1;

/// The queue's only entry: a script of the LSI 53C895A that moves the data word to the address
/// (see [`Lsi::load`]). Its first word is the mask: an interrupt instruction ends the script.
const FIRST: u64 = 0x00;
const SOURCE: u64 = 0x04;
const ADDRESS: u64 = 0x08;
const END: u64 = 0x0c;
const DATA: u64 = 0x20;
const MOVE_WORD: u32 = 0xc000_0004;
const INTERRUPT: u32 = 0x9808_0000;

/// Silences the entry, and prepares all that does not depend on the message.
fn prepare(queue: &Mapping, bus: u64) {
    queue.write32(FIRST, INTERRUPT);
    queue.write32(SOURCE, (bus + DATA) as u32);
    queue.write32(END, INTERRUPT);
    queue.write32(END + 4, 1);
}

// ---- the driver -------------------------------------------------------------------------------

/// A driver in its own process: what it was granted.
struct Driver {
    server: Handle,
    queue: Mapping,
    bus: u64,
    port: Own,
}

/// A message of the driver's.
struct Held {
    id: MessageId,
    address: u64,
    data: u32,
    message: Own,
}

impl Driver {
    fn new(env: &'static Startup) -> Option<Driver> {
        let queue = Mapping::owning(Capability::own(granted(env, "queue"))).ok()?;
        let (server, bus) = (granted(env, "interrupt"), told(env, "bus"));
        Some(Driver { server, queue, bus, port: kit::port().ok()? })
    }

    fn alloc(&self) -> Option<Held> {
        let request = AllocOne { kind: StoreKind::QueueMemory, cpus: ANY_CPU };
        let (ids, mut handles) = ask_with(self.server, &request, &[]).ok()?;
        let message = Own::of(handles.pop()?.leak());
        Some(Held { id: ids.id, address: ids.address, data: ids.data, message })
    }

    fn bind(&self, held: &Held) -> Option<()> {
        sys::message_bind(held.message.h(), self.port.h(), DRIVERS_KEY).ok().map(drop)
    }

    fn write(&self, held: &Held) {
        self.queue.write32(ADDRESS, held.address as u32);
        self.queue.write32(DATA, held.data);
    }

    fn ask<O: tocsin_proto::Operation>(&self, request: &O) -> Option<O::Reply> {
        ask(self.server, request).ok()
    }
}

/// Steps of the life of a message in a queue, each of which can be a driver's last.
const STEPS: u64 = 12;

/// Does so many steps, and dies.
fn steps(env: &'static Startup, last: u64) -> u64 {
    life(env, last).map_or(role::HELPLESS, |()| DIED)
}

fn life(env: &'static Startup, last: u64) -> Option<()> {
    let driver = Driver::new(env)?;
    let held = driver.alloc()?;
    let id = held.id;
    for step in 1..=last {
        match step {
            1 => driver.bind(&held)?,
            2 => prepare(&driver.queue, driver.bus),
            // Half a pair, in a masked entry.
            3 => driver.queue.write32(ADDRESS, held.address as u32),
            4 => driver.write(&held),
            5 => driver.ask(&irq::Activate { id }).map(drop)?,
            // Commit: from here on the device may use it.
            6 => driver.queue.write32(FIRST, MOVE_WORD),
            // A packet waits that nobody will take.
            7 => sys::message_signal(held.message.h()).ok().map(drop)?,
            8 => driver.ask(&irq::Block { id }).map(drop)?,
            9 => driver.ask(&irq::Unblock { id }).map(drop)?,
            10 => driver.ask(&irq::Deactivate { id }).map(drop)?,
            _ => driver.ask(&irq::Free { id }).map(drop)?,
        }
    }
    Some(())
}

/// Goes through all steps again and again, as fast as it can, until it is killed.
fn churn(env: &'static Startup) -> Option<u64> {
    let driver = Driver::new(env)?;
    role::ready(env).ok()?;
    loop {
        // What it has just freed counts until it has drained.
        let Some(held) = driver.alloc() else { continue };
        let id = held.id;
        driver.bind(&held)?;
        prepare(&driver.queue, driver.bus);
        driver.write(&held);
        // Vectors may be used up for a moment by what it has just freed.
        if driver.ask(&irq::Activate { id }).is_some() {
            driver.queue.write32(FIRST, MOVE_WORD);
            driver.ask(&irq::Block { id })?;
            driver.ask(&irq::Unblock { id })?;
        }
        driver.queue.write32(FIRST, INTERRUPT);
        driver.ask(&irq::Free { id })?;
    }
}

/// What the owner of a client's queue says to it: here is your message; it is live.
const YOURS: u32 = 1;
const LIVE: u32 = 2;

/// Makes a queue for a client, and dies `early`, before it is live, or after.
fn owner(env: &'static Startup, how: &str) -> Option<u64> {
    let driver = Driver::new(env)?;
    let (held, client) = (driver.alloc()?, granted(env, "client"));
    prepare(&driver.queue, driver.bus);
    driver.write(&held);
    let rights = Rights::READ | Rights::BIND;
    call(client, YOURS, &[], &[(held.message.h(), rights)]).ok().filter(|it| it.label == 0)?;
    if how == "early" {
        return Some(DIED);
    }
    driver.ask(&irq::Activate { id: held.id })?;
    driver.queue.write32(FIRST, MOVE_WORD);
    call(client, LIVE, &[], &[]).ok().filter(|it| it.label == 0)?;
    if how == "blocked" {
        driver.ask(&irq::Block { id: held.id })?;
    }
    Some(DIED)
}

// ---- the device, and everybody else -----------------------------------------------------------

/// A device whose driver is somebody else, a queue that they share, and a bystander.
struct Stage {
    lsi: Lsi,
    queue: DmaMemory,
    client: Client,
    bystander: Client,
    others: Irq,
    port: Own,
    before: Information,
    messages: u64,
}

impl Stage {
    fn new(ctx: &Ctx) -> Result<Stage, Failure> {
        let lsi = Lsi::new(ctx)?;
        let client = lsi.client(ctx)?;
        if !client.info()?.isolated {
            return Err(skip("IMS needs a remapper"));
        }
        let (bystander, port) = (Client::ghost(ctx, 0xfe50)?, kit::port()?);
        let others = bystander.one(StoreKind::PciMsi)?;
        others.bind(&port, 0xb5)?;
        bystander.activate(others.id)?;
        let queue = lsi.claim.device().dma(4096)?;
        // The chip would wait for ever at an instruction of zeros.
        prepare(&queue.mapping, queue.bus_address);
        let before = client.at_rest()?;
        let messages = ctx.stats()?.messages;
        Ok(Stage { lsi, queue, client, bystander, others, port, before, messages })
    }

    fn driver(&self, ctx: &Ctx, role: &str) -> Result<Plan, Failure> {
        let claim = &self.lsi.claim;
        let memory = self.queue.mapping.object().ok_or_else(|| wrong("memory without a handle"))?;
        let plan = Plan::new(ctx, role)?;
        plan.grant("interrupt", claim.interrupt.h(), Rights::CALL)?
            .grant("queue", memory, kit::RW)?
            .value("bus", self.queue.bus_address)
    }

    /// All counts are what they were: the server's and the kernel's.
    fn all_is_back(&self, ctx: &Ctx, what: &str) -> Outcome {
        self.client.all_is_back(&self.before)?;
        let deadline = kit::now() + kit::PATIENCE_NS;
        while ctx.stats()?.messages != self.messages && kit::now() < deadline {
            kit::sleep(2_000_000);
        }
        same(ctx.stats()?.messages, self.messages, format_args!("message objects {what}"))
    }

    /// The device goes on with the queue as its driver left it, and as if it had been live.
    fn late_writes_raise_nothing(&self, what: &str) -> Outcome {
        let queue = &self.queue.mapping;
        self.lsi.run(self.queue.bus_address);
        let (address, data) = (queue.read32(ADDRESS), queue.read32(DATA));
        if address != 0 {
            prepare(queue, self.queue.bus_address);
            queue.write32(FIRST, MOVE_WORD);
            self.lsi.run(self.queue.bus_address);
            self.lsi.write(address.into(), data);
        }
        refused(kit::listen(&self.port), Error::TimedOut, format_args!("a late write {what}"))?;
        same(self.others.status()?.delivered, 0, "delivered to the bystander")
    }

    /// The next driver's message works, from the same queue.
    fn next_driver_works(&self, what: &str) -> Outcome {
        let queue = &self.queue.mapping;
        let next = self.client.one(StoreKind::QueueMemory)?;
        next.bind(&self.port, 0x0e)?;
        prepare(queue, self.queue.bus_address);
        queue.write32(ADDRESS, next.address as u32);
        queue.write32(DATA, next.data);
        self.client.activate(next.id)?;
        refused(kit::poll(&self.port), Error::TimedOut, "an event of its predecessor's")?;
        queue.write32(FIRST, MOVE_WORD);
        self.lsi.run(self.queue.bus_address);
        let packet = kit::next(&self.port)?;
        same((packet.key, packet.count), (0x0e, 1), format_args!("the next driver {what}"))?;
        queue.write32(FIRST, INTERRUPT);
        self.client.free(next.id)?;
        for offset in [ADDRESS, DATA] {
            queue.write32(offset, 0);
        }
        Ok(())
    }

    fn end(self) -> Outcome {
        self.bystander.free(self.others.id)?;
        Ok(())
    }
}

fn queue_driver_dies_after_each_step(ctx: &Ctx) -> Outcome {
    let stage = Stage::new(ctx)?;
    for last in 0..STEPS {
        let what = alloc::format!("after a driver that died with step {last}");
        let driver = stage.driver(ctx, &alloc::format!("queue_driver {last}"))?.start()?;
        driver.exits_with(DIED, &what)?;
        // Nobody says so to the server but the kernel: the driver's handle is gone.
        drop(driver);
        stage.all_is_back(ctx, &what)?;
        stage.late_writes_raise_nothing(&what)?;
        stage.next_driver_works(&what)?;
        stage.all_is_back(ctx, &what)?;
    }
    stage.end()
}

/// Waits until the victim is at work, lets it work a little, and kills it.
fn killed_at_work(victim: &Victim, up: &Own, after_ns: u64) -> Outcome {
    kit::next(up)?;
    kit::sleep(after_ns);
    check(victim.runs(), "the driver ended by itself")?;
    victim.kill()?;
    victim.exit_code().map(drop)
}

/// In the middle of a request as well: an answer that comes for a dead caller holds a message
/// that nobody has. So it ends as every driver does: init says so to pci, and pci to the server.
fn queue_driver_is_killed_at_any_moment(ctx: &Ctx) -> Outcome {
    for round in 0..12_u64 {
        let stage = Stage::new(ctx)?;
        let up = kit::port()?;
        let plan = stage.driver(ctx, "queue_churn")?.grant("up", up.h(), Rights::SIGNAL)?;
        let victim = plan.on_cpu(round as u32).start()?;
        killed_at_work(&victim, &up, 700_000 + 613_000 * round)?;
        drop(victim);
        let (address, data) =
            (stage.queue.mapping.read32(ADDRESS), stage.queue.mapping.read32(DATA));
        stage.client.gone()?;
        let what = alloc::format!("of a driver that was killed in round {round}");
        stage.all_is_back(ctx, &what)?;
        stage.lsi.write(address.into(), data);
        stage.late_writes_raise_nothing(&what)?;
        stage.next_driver_works(&what)?;
        stage.end()?;
    }
    Ok(())
}

/// The next call of the queue's owner, and the handle that it brought.
fn owners_call(server: &mut Server, wanted: u32) -> Result<Option<Own>, Failure> {
    match server.receive()? {
        Event::Call(request) => {
            same(request.label, wanted, "what the owner says")?;
            Ok(server.handles().pop().map(|handle| Own::of(handle.leak())))
        }
        Event::Packet(_) => Err(wrong("a packet at an endpoint without a port")),
    }
}

fn queue_client_hears_nothing_after_its_driver(ctx: &Ctx) -> Outcome {
    for how in ["early", "live", "blocked"] {
        let stage = Stage::new(ctx)?;
        let (endpoint, port) = (kit::endpoint()?, kit::port()?);
        let plan = stage.driver(ctx, &alloc::format!("queue_owner {how}"))?;
        let victim = plan.grant("client", endpoint.h(), Rights::CALL)?.start()?;
        let mut server = Server::new(endpoint.h());
        let message = owners_call(&mut server, YOURS)?.ok_or_else(|| wrong("no message came"))?;
        same(kit::rights_of(message.h())?, Rights::READ | Rights::BIND, "a client's rights")?;
        sys::message_bind(message.h(), port.h(), 0xc1)?;
        refused(sys::message_signal(message.h()), Error::MissingRight, "raised by a client")?;
        server.reply(&Frame::empty(0), &[])?;
        if how != "early" {
            drop(owners_call(&mut server, LIVE)?);
            // The driver waits for the answer: it is not in the path.
            stage.lsi.run(stage.queue.bus_address);
            let packet = kit::next(&port)?;
            same((packet.key, packet.count), (0xc1, 1), "the client's own packet")?;
            server.reply(&Frame::empty(0), &[])?;
        }
        victim.exits_with(DIED, how)?;
        drop(victim);
        let queue = &stage.queue.mapping;
        let (address, data) = (queue.read32(ADDRESS), queue.read32(DATA));
        stage.client.gone()?;
        let dead = sys::message_read(message.h());
        refused(dead, Error::BadHandle, "the client's message after its driver's end")?;
        stage.all_is_back(ctx, how)?;
        stage.lsi.write(address.into(), data);
        stage.late_writes_raise_nothing(how)?;
        refused(kit::listen(&port), Error::TimedOut, "the client hears its dead driver's device")?;
        stage.next_driver_works(how)?;
        stage.end()?;
    }
    Ok(())
}
