//! Endpoints when somebody dies or does not answer: no death leaves anybody waiting.

use libsys::ipc::call;
use libsys::sys;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Rights, Tag};

use crate::answer::answers;
use crate::harness::{Outcome, refused, same};
use crate::ipc::ECHO;
use crate::kit::{self, Ctx};
use crate::role::{self, Role, granted};
use crate::victim::Plan;

crate::tests![
    ipc_call_where_nobody_will_receive,
    ipc_server_death_reaches_the_caller,
    ipc_endpoint_death_reaches_the_queue,
    ipc_receive_without_reply_fails_the_caller,
    ipc_caller_death_does_not_hurt_the_server,
];

/// Victims of these tests.
pub const ROLES: &[Role] = &[
    Role { name: "die_in_call", run: |env, how| role::code(die_in_call(env, how)) },
    Role { name: "caller", run: |env, _| role::code(caller(env)) },
];

fn ipc_call_where_nobody_will_receive(ctx: &Ctx) -> Outcome {
    let endpoint = kit::endpoint()?;
    let client = kit::duplicate(endpoint.h(), Rights::CALL)?;
    let plan = Plan::new(ctx, "echo")?.grant("there", endpoint.h(), Rights::RECEIVE)?;
    let victim = plan.start()?;
    drop(endpoint);
    call(client.h(), ECHO, &[1], &[])?;
    // One caller waits in the queue of a server that never comes, one comes too late.
    victim.kill()?;
    victim.exit_code()?;
    let handle = client.h();
    answers(ctx, 0, move || call(handle, ECHO, &[1], &[]).err())?
        .is(Some(Error::PeerDied), "a call after the last receiver's death")
}

/// Receives a call and dies of it, one way or another.
fn die_in_call(env: &'static Startup, how: &str) -> Result<u64, Error> {
    sys::ipc_receive(granted(env, "there"))?;
    role::ready(env)?;
    match how {
        "exit" => Ok(1),
        "fault" => Ok(crate::arch::load(0)),
        _ => role::wait_for_ever(),
    }
}

fn ipc_server_death_reaches_the_caller(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        for how in ["exit", "fault", "kill", "thread"] {
            let (endpoint, up) = (kit::endpoint()?, kit::port()?);
            let victim = Plan::new(ctx, &alloc::format!("die_in_call {how}"))?
                .grant("there", endpoint.h(), Rights::RECEIVE)?
                .grant("up", up.h(), Rights::SIGNAL)?
                .on_cpu(cpu)
                .start()?;
            let handle = endpoint.h();
            let answer = answers(ctx, 0, move || call(handle, ECHO, &[1], &[]).err())?;
            kit::next(&up)?;
            match how {
                "kill" => victim.kill()?,
                "thread" => sys::thread_kill(victim.thread()).map(|_| ())?,
                _ => {}
            }
            answer.is(Some(Error::PeerDied), how)?;
            victim.exit_code()?;
        }
    }
    Ok(())
}

fn ipc_endpoint_death_reaches_the_queue(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let endpoint = kit::endpoint()?;
        let client = kit::duplicate(endpoint.h(), Rights::CALL)?;
        let handle = client.h();
        let waiting = answers(ctx, cpu, move || call(handle, ECHO, &[1], &[]).err())?;
        kit::sleep(5_000_000);
        drop(endpoint);
        waiting.is(Some(Error::PeerDied), "a queued call when the last receiver goes")?;
        // A worker that comes too late finds no endpoint at all: then once more.
        let mut answer = Error::BadHandle as u64;
        for _ in 0..50 {
            let endpoint = kit::endpoint()?;
            let handle = endpoint.h();
            let receiving = answers(ctx, cpu, move || sys::ipc_receive(handle).err())?;
            kit::sleep(5_000_000);
            drop(endpoint);
            answer = receiving.code()?;
            if answer != Error::BadHandle as u64 {
                break;
            }
        }
        same(answer, Error::PeerDied as u64, "a receiver when the endpoint goes")?;
    }
    Ok(())
}

fn ipc_receive_without_reply_fails_the_caller(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let endpoint = kit::endpoint()?;
        let handle = endpoint.h();
        let first = answers(ctx, cpu, move || call(handle, ECHO, &[1], &[]).err())?;
        same(sys::ipc_receive(endpoint.h())?.values[2], 1, "the first call")?;
        let second = answers(ctx, cpu, move || call(handle, ECHO, &[2], &[]).err())?;
        same(sys::ipc_receive(endpoint.h())?.values[2], 2, "the second call")?;
        first.is(Some(Error::PeerDied), "the caller that was passed over")?;
        sys::ipc_reply(Tag::new(0, 0, 0), 0, 0, 0, 0)?;
        second.is(None, "the caller that was answered")?;
    }
    Ok(())
}

/// Calls and never comes back.
fn caller(env: &'static Startup) -> Result<u64, Error> {
    call(granted(env, "there"), ECHO, &[5], &[])?;
    Ok(0)
}

fn ipc_caller_death_does_not_hurt_the_server(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let endpoint = kit::endpoint()?;
        let plan = Plan::new(ctx, "caller")?.grant("there", endpoint.h(), Rights::CALL)?;
        let victim = plan.on_cpu(cpu).start()?;
        same(sys::ipc_receive(endpoint.h())?.values[2], 5, "its call")?;
        victim.kill()?;
        victim.exit_code()?;
        let reply = sys::ipc_reply(Tag::new(0, 0, 0), 0, 0, 0, 0);
        refused(reply, Error::NoCaller, "a reply to the dead")?;
        // One that dies in the queue is never received.
        let plan = Plan::new(ctx, "caller")?.grant("there", endpoint.h(), Rights::CALL)?;
        let queued = plan.on_cpu(cpu).start()?;
        kit::sleep(5_000_000);
        queued.kill()?;
        queued.exit_code()?;
        let handle = endpoint.h();
        let answer = answers(ctx, 0, move || call(handle, ECHO, &[6], &[]).err())?;
        same(sys::ipc_receive(endpoint.h())?.values[2], 6, "the next caller")?;
        sys::ipc_reply(Tag::new(0, 0, 0), 0, 0, 0, 0)?;
        answer.is(None, "the next caller")?;
    }
    Ok(())
}
