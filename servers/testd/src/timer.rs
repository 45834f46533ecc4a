//! Timers: once, not early, and silent after cancel.

use libsys::sys;
use tocsin_abi::packet::PacketKind;
use tocsin_abi::{Error, Rights};

use crate::harness::{Failure, Outcome, check, refused, same, wrong};
use crate::kit::{self, Ctx, Own};
use crate::worker::Worker;

crate::tests![
    timer_fires_once_and_not_early,
    timer_in_the_past_fires_at_once,
    timer_set_again_moves_the_deadline,
    timer_cancel_takes_back_the_packet,
    timer_closed_is_silent,
    timer_deadlines_that_never_come,
    timer_many_fire_in_order,
    timer_works_on_every_cpu,
    timer_needs_bind_on_the_port,
];

fn timer_fires_once_and_not_early(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    let timer = kit::timer(&port, 0x1234_5678_9abc_def0)?;
    let deadline = kit::now() + 5_000_000;
    sys::timer_set(timer.h(), deadline)?;
    let packet = kit::next(&port)?;
    let late = kit::now();
    check(late >= deadline, format_args!("{} ns early", deadline.saturating_sub(late)))?;
    same(packet.kind, PacketKind::Timer as u32, "kind")?;
    same((packet.key, packet.count), (0x1234_5678_9abc_def0, 1), "key and count")?;
    refused(kit::listen(&port), Error::TimedOut, "once only")
}

fn timer_in_the_past_fires_at_once(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    let timer = kit::timer(&port, 3)?;
    for deadline in [0, 1, kit::now()] {
        sys::timer_set(timer.h(), deadline)?;
        same(kit::next(&port)?.key, 3, deadline)?;
    }
    Ok(())
}

/// Sets a timer and does `act` with it before its deadline, which `act` is told. A busy host can
/// hold this thread up for longer than that: then it is tried again with ten times as long.
fn before_it_fires<T>(
    timer: &Own,
    port: &Own,
    act: impl Fn(u64) -> Result<T, Failure>,
) -> Result<T, Failure> {
    for patience_ns in [2_000_000, 20_000_000, 200_000_000, 2_000_000_000] {
        let deadline = kit::now() + patience_ns;
        sys::timer_set(timer.h(), deadline)?;
        let done = act(deadline)?;
        if kit::now() < deadline {
            return Ok(done);
        }
        sys::timer_cancel(timer.h())?;
        let _ = kit::poll(port);
    }
    Err(wrong("this thread was never quick enough"))
}

fn timer_set_again_moves_the_deadline(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    let timer = kit::timer(&port, 1)?;
    let late = before_it_fires(&timer, &port, |early| {
        let late = early + 40_000_000;
        sys::timer_set(timer.h(), late)?;
        Ok(late)
    })?;
    let packet = kit::next(&port)?;
    check(kit::now() >= late, "the first deadline was forgotten")?;
    same(packet.count, 1, "one packet")?;
    // And forward again.
    sys::timer_set(timer.h(), kit::now() + 3_600_000_000_000)?;
    sys::timer_set(timer.h(), kit::now() + 1_000_000)?;
    kit::next(&port)?;
    refused(kit::listen(&port), Error::TimedOut, "no packet for the far deadline")
}

fn timer_cancel_takes_back_the_packet(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    let timer = kit::timer(&port, 1)?;
    before_it_fires(&timer, &port, |_| Ok(sys::timer_cancel(timer.h())?))?;
    refused(kit::listen(&port), Error::TimedOut, "cancelled before the deadline")?;
    sys::timer_set(timer.h(), 1)?;
    kit::sleep(3_000_000);
    sys::timer_cancel(timer.h())?;
    refused(kit::poll(&port), Error::TimedOut, "cancelled after the deadline, unseen")?;
    sys::timer_cancel(timer.h())?;
    sys::timer_set(timer.h(), 1)?;
    same(kit::next(&port)?.key, 1, "and it can be set again")
}

fn timer_closed_is_silent(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    let timer = kit::timer(&port, 1)?;
    sys::timer_set(timer.h(), kit::now() + 5_000_000)?;
    drop(timer);
    refused(kit::listen(&port), Error::TimedOut, "closed before the deadline")?;
    let timer = kit::timer(&port, 2)?;
    sys::timer_set(timer.h(), 1)?;
    kit::sleep(3_000_000);
    drop(timer);
    refused(kit::poll(&port), Error::TimedOut, "closed with a packet on the port")?;
    // The port may go first, too.
    let timer = kit::timer(&port, 3)?;
    sys::timer_set(timer.h(), kit::now() + 3_000_000)?;
    drop(port);
    kit::sleep(6_000_000);
    sys::timer_set(timer.h(), 1)?;
    kit::sleep(1_000_000);
    Ok(())
}

fn timer_deadlines_that_never_come(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    let timer = kit::timer(&port, 1)?;
    for deadline in [u64::MAX, u64::MAX - 1, 1 << 63, u64::MAX / 2, 1 << 62] {
        sys::timer_set(timer.h(), deadline)?;
        let short = sys::port_wait(port.h(), 0, 1, kit::now() + 3_000_000);
        refused(short, Error::TimedOut, format_args!("deadline {deadline:#x}"))?;
    }
    Ok(())
}

fn timer_many_fire_in_order(_: &Ctx) -> Outcome {
    const COUNT: u64 = 60;
    let port = kit::port()?;
    let start = kit::now() + 20_000_000;
    let mut timers = alloc::vec::Vec::new();
    for n in 0..COUNT {
        // Set in an order that is neither up nor down (7 and 60 have no common divisor).
        let key = n * 7 % COUNT;
        let timer = kit::timer(&port, key)?;
        sys::timer_set(timer.h(), start + key * 1_000_000)?;
        timers.push(timer);
    }
    for wanted in 0..COUNT {
        let packet = kit::next(&port)?;
        same(packet.key, wanted, "order of the deadlines")?;
        check(kit::now() >= start + wanted * 1_000_000, "early")?;
    }
    Ok(())
}

fn timer_works_on_every_cpu(ctx: &Ctx) -> Outcome {
    let port = kit::port()?;
    let mut workers = alloc::vec::Vec::new();
    for cpu in 0..ctx.env.cpus {
        let handle = port.h();
        workers.push(Worker::start(ctx, cpu, 2, move || {
            for _ in 0..5 {
                kit::sleep(1_000_000);
            }
            let _ = sys::port_signal(handle, 1 << cpu);
        })?);
    }
    for worker in workers {
        worker.join()?;
    }
    same(kit::poll(&port)?.value, (1 << ctx.env.cpus) - 1, "every CPU's sleeper woke")
}

fn timer_needs_bind_on_the_port(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    let less = kit::duplicate(port.h(), Rights::WAIT | Rights::SIGNAL)?;
    refused(kit::timer(&less, 1), Error::MissingRight, "a port without BIND")
}
