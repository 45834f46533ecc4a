//! Lets `hostile` do its worst and looks who suffers: nobody may but itself (all
//! invariants, and "no user action can panic the kernel").

use alloc::format;
use libsys::ipc::ask;
use libsys::map::Mapping;
use libsys::println;
use libsys::spawn::{Child, Placement, Spawner};
use libsys::sys;
use tocsin_abi::packet::PacketKind;
use tocsin_abi::startup::{EXIT_FAULT, EXIT_KILLED};
use tocsin_abi::{Handle, Rights};
use tocsin_proto::interrupt::Information;
use tocsin_proto::pci::Describe;
use tocsin_proto::{StoreKind, badge};

use crate::arch;
use crate::driver::{Client, Edu};
use crate::harness::{Failure, Outcome, check, same, skip, wrong};
use crate::kit::{self, Accounts, Ctx, Own, RW};

crate::tests![
    hostile_random_calls,
    hostile_kernel_pointers,
    hostile_exhausts_its_budget,
    hostile_dies_holding_messages,
    hostile_forks_and_dies_in_the_middle,
    hostile_driver_lives_and_its_device_is_heard,
    hostile_driver_dies_and_its_device_is_not,
];

/// Random calls to be made, all seeds together.
const CALLS: u64 = 100_000;
/// Kernel memory of a hostile process.
const BUDGET: u64 = 4 << 20;
/// How long a storm may make no call before it counts as stuck (it waits for somebody who
/// never comes, or has killed its own threads).
const STUCK_NS: u64 = 60_000_000;
/// How long all storms together may take.
const STORM_NS: u64 = 200_000_000_000;
/// Requester ids that nobody has.
const GHOST: u16 = 0xfe40;

/// A hostile process.
struct Hostile {
    child: Child,
    deaths: Own,
    /// On which it reports.
    up: Own,
}

impl Hostile {
    /// Starts it with these capabilities and numbers.
    fn start(
        ctx: &Ctx,
        mode: &str,
        grants: &[(&str, Handle, Rights, (u64, u64))],
        values: &[(&str, u64)],
    ) -> Result<Hostile, Failure> {
        if ctx.hostile.is_empty() {
            return Err(skip("the manifest grants no module `hostile`"));
        }
        let mut spawner = Spawner::new(ctx.env, ctx.hostile, BUDGET)?;
        spawner.args(mode);
        let (up, deaths) = (kit::port()?, kit::port()?);
        let report = Rights::SIGNAL | Rights::TRANSFER | Rights::DUPLICATE;
        spawner.grant("up", up.h(), report, 0)?;
        for &(name, handle, rights, values) in grants {
            spawner.grant_with(name, handle, rights, 0, values)?;
        }
        for &(name, value) in values {
            spawner.value(name, value, 0)?;
        }
        sys::process_bind(spawner.process(), deaths.h(), 1)?;
        let child = spawner.start(Placement { priority: 4, cpu: 0 })?;
        Ok(Hostile { child, deaths, up })
    }

    /// Waits until it reports all of these bits.
    fn reports(&self, bits: u64) -> Result<u64, Failure> {
        let mut seen = 0;
        while seen & bits != bits {
            seen |= kit::next(&self.up).map_err(|_| self.lost(seen))?.value;
        }
        Ok(seen)
    }

    /// Why it does not report.
    fn lost(&self, seen: u64) -> Failure {
        let info = sys::process_info(self.child.process());
        wrong(format!("no report after {seen:#x}: process {info:?}"))
    }

    /// Kills it, if need be, and waits until it is gone; returns the exit code.
    fn end(&self) -> Result<u64, Failure> {
        let _ = sys::process_kill(self.child.process());
        self.death()
    }

    /// Waits for its death.
    fn death(&self) -> Result<u64, Failure> {
        let packet = kit::next(&self.deaths).map_err(|_| wrong("it does not die"))?;
        same(packet.kind, PacketKind::Death as u32, "kind of packet")?;
        Ok(packet.value)
    }
}

/// Whoever else is in the system, and how they were before.
struct Others {
    client: Client,
    information: Information,
}

impl Others {
    fn new(ctx: &Ctx) -> Result<Others, Failure> {
        let client = Client::ghost(ctx, GHOST)?;
        let information = client.at_rest()?;
        Ok(Others { client, information })
    }

    /// Everybody answers, and does honest work.
    fn live(&self, ctx: &Ctx) -> Outcome {
        sys::kernel_nop()?;
        // The console: a line that everybody can see.
        println!("testd: everybody lives");
        let irq = self.client.one(StoreKind::PciMsi)?;
        let port = kit::port()?;
        irq.bind(&port, 5)?;
        self.client.activate(irq.id)?;
        sys::message_signal(irq.message.h())?;
        same(kit::next(&port)?.key, 5, "an honest client's packet")?;
        self.client.free(irq.id)?;
        let pci = ctx.need("pci")?;
        let ghost = kit::badged(pci, Rights::CALL, badge::of_device(GHOST))?;
        let answer = ask(ghost.h(), &Describe);
        check(answer.is_err(), "the PCI server answers, and knows nobody of this name")
    }

    /// Everybody lives, and the interrupt server has all of its numbers back.
    fn live_and_have_all(&self, ctx: &Ctx) -> Outcome {
        self.live(ctx)?;
        self.client.all_is_back(&self.information)
    }
}

fn hostile_random_calls(ctx: &Ctx) -> Outcome {
    let others = Others::new(ctx)?;
    let counter = kit::memory(4096)?;
    let window = Mapping::new(counter.h(), 0, 4096, RW)?;
    let total = || -> u64 { (0..u64::from(ctx.env.cpus)).map(|cpu| window.read64(8 * cpu)).sum() };
    let irq = others.client.one(StoreKind::PciMsi)?;
    let (port, endpoint) = (kit::port()?, kit::endpoint()?);
    let toy = Rights::DUPLICATE | Rights::TRANSFER;
    let client = toy | Rights::READ | Rights::BIND | Rights::SIGNAL;
    let grants = [
        ("counter", counter.h(), RW, (0, 0)),
        ("toy0", irq.message.h(), client, (0, 0)),
        ("toy1", port.h(), toy | Rights::SIGNAL | Rights::BIND, (0, 0)),
        ("toy2", endpoint.h(), toy | Rights::RECEIVE | Rights::CALL, (0, 0)),
        ("toy3", others.client.h(), toy | Rights::CALL, (0, 0)),
    ];
    let (start, mut seeds, mut faults) = (kit::now(), 0, 0);
    while total() < CALLS {
        check(kit::now() - start < STORM_NS, format!("only {} calls in time", total()))?;
        seeds += 1;
        let storm = Hostile::start(ctx, "storm", &grants, &[("seed", seeds)])?;
        let (mut before, mut since) = (total(), kit::now());
        while total() < CALLS {
            kit::sleep(10_000_000);
            let now = total();
            if now != before {
                (before, since) = (now, kit::now());
            } else if kit::now() - since > STUCK_NS {
                break;
            }
        }
        let code = storm.end()?;
        faults += u64::from(code & EXIT_FAULT != 0);
        others.live(ctx)?;
    }
    let taken: u64 = (0..u64::from(ctx.env.cpus)).map(|cpu| window.read64(2048 + 8 * cpu)).sum();
    println!(
        "testd: {} random calls, {taken} of them accepted, {seeds} processes, {faults} faulted",
        total()
    );
    check(taken > CALLS / 20, format!("only {taken} calls got past their checks"))?;
    others.client.free(irq.id)?;
    // The storm spoke to the interrupt server in this client's name.
    others.client.gone()?;
    others.live_and_have_all(ctx)
}

fn hostile_kernel_pointers(ctx: &Ctx) -> Outcome {
    let before = Accounts::open(ctx)?;
    for _ in 0..2 {
        let hostile = Hostile::start(ctx, "pointers", &[], &[])?;
        hostile.reports(1)?;
        let code = hostile.death()?;
        check(code == EXIT_FAULT | arch::DATA_FAULT, format!("exit code {code:#x}"))?;
    }
    before.close(ctx, 2, "after its death")
}

fn hostile_exhausts_its_budget(ctx: &Ctx) -> Outcome {
    let others = Others::new(ctx)?;
    let before = Accounts::open(ctx)?;
    for _ in 0..2 {
        let hostile = Hostile::start(ctx, "exhaust", &[], &[])?;
        hostile.reports(1)?;
        others.live(ctx)?;
        hostile.reports(2)?;
        others.live(ctx)?;
        same(hostile.end()?, EXIT_KILLED, "exit code")?;
    }
    others.live_and_have_all(ctx)?;
    before.close(ctx, 2, "after its death")
}

fn hostile_dies_holding_messages(ctx: &Ctx) -> Outcome {
    let others = Others::new(ctx)?;
    let messages = ctx.stats()?.messages;
    let victim = Client::ghost(ctx, GHOST + 8)?;
    for quota in [10, 64, 100] {
        victim.quota(quota)?;
        let grants = [("interrupt", victim.h(), Rights::CALL, (0, 0))];
        let hostile = Hostile::start(ctx, "messages", &grants, &[])?;
        let held = hostile.reports(1 << 32)? & 0xffff_ffff;
        check(held >= u64::from(quota.min(60)), format!("it got {held} messages of {quota}"))?;
        let during = others.client.info()?;
        check(during.vectors.free < others.information.vectors.free, "they have vectors")?;
        others.live(ctx)?;
        same(hostile.end()?, EXIT_KILLED, "exit code")?;
        others.live_and_have_all(ctx)?;
        same(ctx.stats()?.messages, messages, "live messages")?;
    }
    victim.quota(64)
}

fn hostile_forks_and_dies_in_the_middle(ctx: &Ctx) -> Outcome {
    let others = Others::new(ctx)?;
    let Some(module) = ctx.env.find("module:hostile") else {
        return Err(skip("the manifest grants no module `hostile`"));
    };
    let victim = Client::ghost(ctx, GHOST + 16)?;
    let before = Accounts::open(ctx)?;
    for round in 0..3u64 {
        let rights = Rights::CALL | Rights::DUPLICATE | Rights::TRANSFER;
        let image = Rights::READ | Rights::TRANSFER | Rights::DUPLICATE;
        let grants = [
            ("interrupt", victim.h(), rights, (0, 0)),
            ("module:hostile", module.handle, image, (module.value, 0)),
        ];
        let hostile = Hostile::start(ctx, "fork", &grants, &[("depth", 2)])?;
        hostile.reports(1 << 2)?;
        if round == 0 {
            // Killed from outside while the first generation is born.
            hostile.end()?;
        } else {
            hostile.death()?;
        }
        others.live_and_have_all(ctx)?;
    }
    before.close(ctx, 3, "after three families")
}

/// Starts `hostile` as the driver of `edu`, up to the moment where the device computes.
fn driver(ctx: &Ctx, edu: &Edu, mode: &str, factorial: u64) -> Result<Hostile, Failure> {
    let grants = [
        ("pci", edu.claim.h(), Rights::CALL, (0, 0)),
        ("interrupt", edu.claim.interrupt.h(), Rights::CALL, (0, 0)),
    ];
    let hostile = Hostile::start(ctx, mode, &grants, &[("factorial", factorial)])?;
    hostile.reports(1 << 1)?;
    Ok(hostile)
}

/// A driver that is dead while its device computes. Who is faster depends on the host: when
/// the device was, it gets more to do.
fn dead_driver(ctx: &Ctx, mode: &str, mut factorial: u64) -> Result<(Edu, Hostile), Failure> {
    for _ in 0..5 {
        let edu = Edu::new(ctx)?;
        let hostile = driver(ctx, &edu, mode, factorial)?;
        if mode == "device wait" {
            hostile.end()?;
        } else {
            same(hostile.death()?, 0, "exit code")?;
        }
        if edu.computes() {
            return Ok((edu, hostile));
        }
        factorial = (factorial * 2).min(1 << 31);
    }
    Err(wrong("the device was always done before its driver had died"))
}

/// A factorial that takes the device longer than it takes a process to die, and less than
/// we have patience for.
fn slow_factorial(ctx: &Ctx) -> Result<u64, Failure> {
    let edu = Edu::new(ctx)?;
    let mut number = 1 << 20;
    loop {
        let took = edu.time_factorial(number)?;
        if took > 100_000_000 || number >= 1 << 31 {
            return Ok(number);
        }
        number *= 2;
    }
}

fn hostile_driver_lives_and_its_device_is_heard(ctx: &Ctx) -> Outcome {
    // The control experiment of the next test: with a living driver the write arrives.
    let factorial = slow_factorial(ctx)?;
    let edu = Edu::new(ctx)?;
    let hostile = driver(ctx, &edu, "device live", factorial)?;
    check(edu.computes(), "the device still computes")?;
    hostile.reports(1 << 2)?;
    hostile.end()?;
    Ok(())
}

fn hostile_driver_dies_and_its_device_is_not(ctx: &Ctx) -> Outcome {
    let factorial = slow_factorial(ctx)?;
    let others = Others::new(ctx)?;
    let messages = ctx.stats()?.messages;
    for mode in ["device exit", "device wait"] {
        let (edu, hostile) = dead_driver(ctx, mode, factorial)?;
        // Nobody has released the device: only the message is gone. Its vector and entry
        // come back while the device is about to write.
        others.client.all_is_back(&others.information)?;
        let port = kit::port()?;
        let mut heirs = alloc::vec::Vec::new();
        for key in 0..8 {
            let heir = others.client.one(StoreKind::PciMsi)?;
            heir.bind(&port, key)?;
            others.client.activate(heir.id)?;
            heirs.push(heir);
        }
        edu.wait_idle()?;
        kit::sleep(kit::SILENCE_NS);
        check(kit::poll(&port).is_err(), "an heir of its numbers heard the late write")?;
        for heir in &heirs {
            same(heir.status()?.delivered, 0, "delivered to an heir")?;
            others.client.free(heir.id)?;
        }
        drop(heirs);
        others.live_and_have_all(ctx)?;
        same(ctx.stats()?.messages, messages, "live messages")?;
        let faults = ask(edu.claim.interrupt.h(), &tocsin_proto::interrupt::Faults)?.faults;
        println!("testd: {mode}: the remapper recorded {faults} blocked writes (7.2 records none)");
        // The device is good for the next driver.
        drop(hostile);
        let again = driver(ctx, &edu, "device exit", 1)?;
        same(again.death()?, 0, "the next driver")?;
        same(edu.claim.release()?, 0, "release")?;
    }
    others.live_and_have_all(ctx)
}
