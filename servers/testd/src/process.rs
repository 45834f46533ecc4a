//! Processes: budgets, death, and what comes back (invariants 4 and 9).

use libsys::sys;
use tocsin_abi::packet::PacketKind;
use tocsin_abi::startup::{EXIT_KILLED, Startup};
use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::harness::{Outcome, check, refused, same};
use crate::kit::{self, Accounts, Ctx, RW, own};
use crate::role::{self, Role, granted};
use crate::victim::Plan;

crate::tests![
    process_exit_code_reaches_the_death_packet,
    process_death_is_told_late_and_once,
    process_kill_is_final,
    process_budget_comes_from_the_parent_and_returns,
    process_budget_exhausted_is_an_answer,
    process_budget_of_a_child_protects_the_parent,
    process_death_returns_everything,
    process_dies_with_its_creator,
    process_grant_reaches_only_the_living,
    process_handles_are_closed_at_death,
];

/// Victims of these tests.
pub const ROLES: &[Role] = &[
    Role { name: "hoard", run: |env, how| role::code(hoard(env, how)) },
    Role { name: "parent", run: |env, _| role::code(parent(env)) },
    Role { name: "exhaust", run: |_, _| exhaust() },
];

fn process_exit_code_reaches_the_death_packet(ctx: &Ctx) -> Outcome {
    for code in [0, 1, 77, 0xffff_fffe] {
        let victim = Plan::new(ctx, &alloc::format!("exit {code}"))?.start()?;
        victim.exits_with(code, "exit code")?;
        let info = sys::process_info(victim.process())?;
        same((info.result, info.values[2]), (1, code), "process_info of the dead")?;
        same(info.values[3], 0, "handles of the dead")?;
    }
    Ok(())
}

fn process_death_is_told_late_and_once(ctx: &Ctx) -> Outcome {
    let victim = Plan::new(ctx, "exit 3")?.start()?;
    victim.exits_with(3, "exit code")?;
    let port = kit::port()?;
    // The victim's own port took the only binding; a process of our own has none yet.
    let other = own(sys::process_create(0x8000))?;
    sys::process_kill(other.h())?;
    sys::process_bind(other.h(), port.h(), 5)?;
    let packet = kit::next(&port)?;
    same((packet.key, packet.kind), (5, PacketKind::Death as u32), "binding after death")?;
    same(packet.value, EXIT_KILLED, "exit code of a killed process")?;
    refused(kit::listen(&port), Error::TimedOut, "death is told once")?;
    refused(sys::process_bind(other.h(), port.h(), 6), Error::AlreadyBound, "second binding")
}

fn process_kill_is_final(ctx: &Ctx) -> Outcome {
    let victim = Plan::new(ctx, "spin")?.on_cpu(1).start()?;
    check(victim.runs(), "it runs")?;
    victim.kill()?;
    victim.exits_with(EXIT_KILLED, "exit code")?;
    refused(sys::process_kill(victim.process()), Error::BadState, "killed twice")?;
    refused(sys::thread_start(victim.thread()), Error::BadState, "thread of the dead")?;
    let memory = kit::memory(4096)?;
    refused(
        sys::memory_map(victim.process(), memory.h(), 0x70_0000, 0, 4096, Rights::READ),
        Error::BadState,
        "mapping into the dead",
    )?;
    refused(
        sys::thread_create(victim.process(), 0x40_0000, 0x60_0000, 0, 1, 0x70_0000),
        Error::BadState,
        "thread in the dead",
    )
}

fn process_budget_comes_from_the_parent_and_returns(_: &Ctx) -> Outcome {
    const BUDGET: u64 = 1 << 20;
    let before = kit::budget_left()?;
    let child = own(sys::process_create(BUDGET))?;
    let left = kit::budget_left()?;
    check(before - left >= BUDGET, "the child's budget is the parent's no more")?;
    check(before - left <= BUDGET + (64 << 10), "and little else is charged")?;
    same(sys::process_info(child.h())?.values[0], BUDGET, "budget of the child")?;
    refused(sys::process_create(left + 4096), Error::NoMemory, "more than there is")?;
    refused(sys::process_create(u64::MAX), Error::NoMemory, "far more than there is")
        .or_else(|_| refused(sys::process_create(u64::MAX), Error::BadSize, "far more"))?;
    same(kit::budget_left()?, left, "refusals cost nothing")?;
    let deaths = kit::port()?;
    sys::process_bind(child.h(), deaths.h(), 0)?;
    sys::process_kill(child.h())?;
    kit::next(&deaths)?;
    drop((child, deaths));
    same(kit::budget_left()?, before, "all of it is back")
}

/// Makes one object.
type Maker = fn(&kit::Own) -> Result<kit::Own, Error>;

/// Makes objects of every kind until each is refused, twice over; says what went wrong.
fn exhaust() -> u64 {
    let Ok(port) = kit::port() else { return 10 };
    let mut kept = alloc::vec::Vec::with_capacity(40_000);
    // The heap must not grow while the budget is probed, so everything kept fits now.
    for round in 0..2 {
        let makers: [Maker; 6] = [
            |_| kit::memory(1 << 16),
            |_| kit::memory(4096),
            |_| own(sys::process_create(4096)),
            |port| kit::timer(port, 1),
            |_| kit::endpoint(),
            |port| kit::duplicate(port.h(), Rights::SIGNAL),
        ];
        for (kind, make) in makers.iter().enumerate() {
            let error = loop {
                match make(&port) {
                    Ok(object) if kept.len() < kept.capacity() => kept.push(object),
                    Ok(_) => return 20 + kind as u64,
                    Err(error) => break error,
                }
            };
            if !matches!(error, Error::NoMemory | Error::NoHandles) {
                return 30 + kind as u64;
            }
            // Refused again, and nothing is charged for the refusal.
            let (Ok(used), count) = (kit::used_bytes(), kit::handle_count()) else { return 40 };
            for _ in 0..10 {
                if make(&port).err() != Some(error) {
                    return 50 + kind as u64;
                }
            }
            if kit::used_bytes() != Ok(used) || kit::handle_count() != count {
                return 60 + kind as u64;
            }
        }
        // What exists still works, and what is given back can be had again.
        if sys::port_signal(port.h(), 1).is_err() || kit::poll(&port).is_err() {
            return 70;
        }
        kept.clear();
        if round == 0 && kit::memory(4096).is_err() {
            return 80;
        }
    }
    0
}

fn process_budget_exhausted_is_an_answer(ctx: &Ctx) -> Outcome {
    let victim = Plan::with_budget(ctx, "exhaust", 3 << 20)?.start()?;
    victim.exits_with(0, "the step of `exhaust` that failed")
}

fn process_budget_of_a_child_protects_the_parent(ctx: &Ctx) -> Outcome {
    let before = kit::budget_left()?;
    let victim = Plan::with_budget(ctx, "exhaust", 3 << 20)?.start()?;
    let during = kit::budget_left()?;
    victim.exits_with(0, "the step of `exhaust` that failed")?;
    check(kit::budget_left()? >= during, "a child's hunger costs its parent nothing")?;
    drop(victim);
    // Loading it may have cost us a page table of our own.
    let lost = before - kit::budget_left()?;
    check(lost <= 4096, format_args!("{lost} bytes of budget are lost after the child"))
}

/// Makes a lot of everything and then ends as told: by exit, by fault, or not at all.
fn hoard(env: &'static Startup, how: &str) -> Result<u64, Error> {
    let mut kept = alloc::vec::Vec::new();
    let message = env.find("message").map(|entry| entry.handle);
    let me = granted(env, "self");
    for n in 0..20u64 {
        let port = kit::port()?;
        let timer = kit::timer(&port, n)?;
        sys::timer_set(timer.h(), kit::now() + n * 1_000_000)?;
        let memory = kit::memory(4096 << (n % 3))?;
        let address = 0x5000_0000 + n * 0x10_0000;
        sys::memory_map(Handle::NONE, memory.h(), address, 0, 4096, RW)?;
        if let Some(message) = message {
            kept.push(kit::duplicate(message, Rights::READ)?);
            let _ = sys::message_bind(message, port.h(), n);
        }
        let buffer = 0x6000_0000 + n * 4096;
        let thread = own(sys::thread_create(me, 0x40_0000, buffer, 0, 1, buffer))?;
        let child = own(sys::process_create(16 << 10))?;
        let endpoint = kit::endpoint()?;
        let minted = kit::badged(endpoint.h(), Kind::Endpoint.all_rights(), n + 1)?;
        sys::process_grant(child.h(), endpoint.h(), Rights::CALL, 9)?;
        sys::port_signal(port.h(), n + 1)?;
        kept.extend([port, timer, memory, thread, child, endpoint, minted]);
    }
    role::ready(env)?;
    match how {
        "exit" => Ok(0),
        "fault" => Ok(crate::arch::load(0)),
        _ => role::wait_for_ever(),
    }
}

fn process_death_returns_everything(ctx: &Ctx) -> Outcome {
    let message = match ctx.find("message-control") {
        Some(control) => Some(own(sys::message_create(control, 0, 0, 0))?),
        None => None,
    };
    let once = |how: &str, cpu: u32| -> Outcome {
        let up = kit::port()?;
        let mut plan = Plan::with_budget(ctx, &alloc::format!("hoard {how}"), 4 << 20)?
            .grant_self()?
            .grant("up", up.h(), Rights::SIGNAL)?
            .on_cpu(cpu);
        if let Some(message) = &message {
            let rights = Rights::READ | Rights::BIND | Rights::DUPLICATE;
            plan = plan.grant("message", message.h(), rights)?;
            sys::message_signal(message.h())?;
        }
        let victim = plan.start()?;
        kit::next(&up).map_err(|_| match victim.exit_code() {
            Ok(code) => crate::harness::wrong(alloc::format!("hoard stopped with {code:#x}")),
            Err(failure) => failure,
        })?;
        match how {
            "exit" => victim.exits_with(0, how),
            "fault" => victim.faults_with(crate::arch::DATA_FAULT, how),
            _ => {
                victim.kill()?;
                victim.exits_with(EXIT_KILLED, how)
            }
        }
    };
    // The first time, tables of ours may grow.
    once("exit", 0)?;
    for (how, cpu) in [("exit", 0), ("exit", 1), ("fault", 1), ("kill", 0), ("kill", 1)] {
        let before = Accounts::open(ctx)?;
        for _ in 0..4 {
            once(how, cpu)?;
        }
        before.close(ctx, 4, how)?;
    }
    Ok(())
}

/// Has a child that waits for ever, and waits for ever.
fn parent(env: &'static Startup) -> Result<u64, Error> {
    let child = own(sys::process_create(64 << 10))?;
    sys::process_bind(child.h(), granted(env, "deaths"), 1)?;
    role::ready(env)?;
    role::wait_for_ever()
}

fn process_dies_with_its_creator(ctx: &Ctx) -> Outcome {
    let (up, deaths) = (kit::port()?, kit::port()?);
    let before = ctx.stats()?.processes;
    let victim = Plan::new(ctx, "parent")?
        .grant("up", up.h(), Rights::SIGNAL)?
        .grant("deaths", deaths.h(), Rights::BIND)?
        .start()?;
    kit::next(&up)?;
    same(ctx.stats()?.processes, before + 2, "parent and child")?;
    refused(kit::listen(&deaths), Error::TimedOut, "the child lives")?;
    victim.kill()?;
    victim.exits_with(EXIT_KILLED, "the parent")?;
    // Nobody names the child any more. Its packet, if it is kept, keeps what it tells of;
    // once that is seen the process must be gone.
    if let Ok(packet) = kit::poll(&deaths) {
        same((packet.key, packet.value), (1, EXIT_KILLED), "the child's death")?;
    }
    same(ctx.stats()?.processes, before + 1, "the child is gone, the parent's handle is ours")?;
    drop(victim);
    same(ctx.stats()?.processes, before, "both are gone")
}

fn process_grant_reaches_only_the_living(_: &Ctx) -> Outcome {
    let (port, process) = (kit::port()?, own(sys::process_create(64 << 10))?);
    let granted = sys::process_grant(process.h(), port.h(), Rights::SIGNAL, 0)?;
    check(granted.result != 0, "the handle has a number over there")?;
    let wide = kit::duplicate(port.h(), Rights::SIGNAL | Rights::TRANSFER)?;
    refused(
        sys::process_grant(process.h(), wide.h(), Rights::WAIT, 0),
        Error::Widening,
        "a grant may only narrow",
    )?;
    refused(
        sys::process_grant(process.h(), port.h(), Rights::SIGNAL, 1),
        Error::Widening,
        "a badge on a port",
    )?;
    sys::process_kill(process.h())?;
    refused(
        sys::process_grant(process.h(), port.h(), Rights::SIGNAL, 0),
        Error::BadState,
        "a grant to the dead",
    )
}

fn process_handles_are_closed_at_death(ctx: &Ctx) -> Outcome {
    // The victim holds the only receiving end; when it dies, callers must hear of it.
    let endpoint = kit::endpoint()?;
    let call = kit::duplicate(endpoint.h(), Rights::CALL)?;
    let victim = Plan::new(ctx, "wait")?.grant("there", endpoint.h(), Rights::RECEIVE)?.start()?;
    let number = call.h();
    victim.kill()?;
    victim.exits_with(EXIT_KILLED, "exit code")?;
    check(kit::is_live(number), "our own handles stay")?;
    sys::handle_revoke(endpoint.h())?;
    check(!kit::is_live(number), "until we revoke them")
}
