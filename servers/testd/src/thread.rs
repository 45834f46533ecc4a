//! Threads: fixed priorities on every CPU, and bad ways to make one.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use libsys::sys;
use tocsin_abi::limits::{PRIORITIES, USER_END};
use tocsin_abi::{Error, Handle};

use crate::harness::{Failure, Outcome, check, refused, same};
use crate::kit::{self, Ctx, own};
use crate::worker::Worker;

crate::tests![
    thread_higher_priority_runs_first,
    thread_wakeup_preempts_a_lower_one,
    thread_spinning_is_preempted_by_a_timer,
    thread_yield_alternates_equals,
    thread_runs_on_the_cpu_it_was_placed_on,
    thread_create_refuses_bad_arguments,
    thread_starts_once_and_dies_once,
    thread_killed_on_another_cpu_stops,
    thread_last_one_ends_its_process,
];

/// An order in which things happened: each thread writes its digit.
#[derive(Clone, Default)]
struct Order(Arc<AtomicU64>);

impl Order {
    fn add(&self, digit: u64) {
        let _ = self.0.fetch_update(SeqCst, SeqCst, |order| Some(order << 4 | digit));
    }

    fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

fn thread_higher_priority_runs_first(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let order = Order::default();
        let gate = kit::port()?.h();
        let gate = kit::Own::of(gate);
        // The conductor holds the CPU while it makes the others ready, lowest first.
        let (starter_order, mut workers) = (order.clone(), alloc::vec::Vec::new());
        for priority in [1u8, 3, 2, 4] {
            let order = order.clone();
            workers.push(Worker::prepare(ctx, cpu, priority, move || order.add(priority.into()))?);
        }
        let threads: alloc::vec::Vec<Handle> = workers.iter().map(Worker::thread).collect();
        let conductor = Worker::start(ctx, cpu, 5, move || {
            for thread in threads {
                let _ = sys::thread_start(thread);
            }
            starter_order.add(5);
        })?;
        conductor.join()?;
        for worker in workers {
            worker.join()?;
        }
        same(order.get(), 0x5_4321, format_args!("order on CPU {cpu}"))?;
        drop(gate);
    }
    Ok(())
}

fn thread_wakeup_preempts_a_lower_one(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let order = Order::default();
        let bell = kit::port()?;
        let (bell_high, high_order) = (bell.h(), order.clone());
        let high = Worker::start(ctx, cpu, 4, move || {
            if sys::port_wait(bell_high, 0, 1, kit::now() + kit::PATIENCE_NS).is_ok() {
                high_order.add(2);
            }
        })?;
        // The lower one runs only when the higher one waits.
        let (bell_low, low_order) = (bell.h(), order.clone());
        let low = Worker::start(ctx, cpu, 2, move || {
            low_order.add(1);
            let _ = sys::port_signal(bell_low, 1);
            low_order.add(3);
        })?;
        low.join()?;
        high.join()?;
        same(order.get(), 0x123, format_args!("order on CPU {cpu}"))?;
    }
    Ok(())
}

fn thread_spinning_is_preempted_by_a_timer(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let spins = Arc::new(AtomicU64::new(0));
        let spinner_spins = spins.clone();
        let spinner = Worker::start(ctx, cpu, 1, move || {
            loop {
                spinner_spins.fetch_add(1, SeqCst);
            }
        })?;
        let seen = spins.clone();
        let sleeper = Worker::start(ctx, cpu, 3, move || {
            for _ in 0..5 {
                kit::sleep(2_000_000);
            }
            seen.fetch_add(1 << 48, SeqCst);
        })?;
        sleeper.join()?;
        check(spins.load(SeqCst) >> 48 == 1, "the sleeper woke five times")?;
        check(spins.load(SeqCst) << 16 != 0, "while the spinner spun")?;
        drop(spinner);
    }
    Ok(())
}

fn thread_yield_alternates_equals(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let order = Order::default();
        let mut workers = alloc::vec::Vec::new();
        for digit in [1, 2] {
            let order = order.clone();
            workers.push(Worker::prepare(ctx, cpu, 2, move || {
                for _ in 0..3 {
                    order.add(digit);
                    let _ = sys::thread_yield();
                }
            })?);
        }
        let threads: alloc::vec::Vec<Handle> = workers.iter().map(Worker::thread).collect();
        // Both become ready before either runs.
        let conductor = Worker::start(ctx, cpu, 4, move || {
            for thread in threads {
                let _ = sys::thread_start(thread);
            }
        })?;
        conductor.join()?;
        for worker in workers {
            worker.join()?;
        }
        same(order.get(), 0x12_1212, format_args!("order on CPU {cpu}"))?;
    }
    Ok(())
}

fn thread_runs_on_the_cpu_it_was_placed_on(ctx: &Ctx) -> Outcome {
    // All spin until all have come: impossible unless each has a CPU of its own. The one
    // on our CPU gets it when we wait.
    let count = u64::from(ctx.env.cpus);
    let here = Arc::new(AtomicU64::new(0));
    let mut workers = alloc::vec::Vec::new();
    for cpu in 0..ctx.env.cpus {
        let here = here.clone();
        workers.push(Worker::start(ctx, cpu, 2, move || {
            here.fetch_add(1, SeqCst);
            while here.load(SeqCst) < count {
                core::hint::spin_loop();
            }
        })?);
    }
    for worker in workers {
        worker.join()?;
    }
    Ok(())
}

fn thread_create_refuses_bad_arguments(ctx: &Ctx) -> Outcome {
    const ENTRY: u64 = 0x40_0000;
    const BUFFER: u64 = 0x5200_0000_0000;
    let me = ctx.need("self")?;
    let used = kit::used_bytes()?;
    let kernel = 0xffff_ffff_8000_0000u64;
    let cpus = u64::from(ctx.env.cpus);
    let attempt = |entry, stack, placement, buffer| {
        sys::thread_create(me, entry, stack, 0, placement, buffer)
    };
    let most = PRIORITIES as u64;
    for (entry, stack, placement, buffer, error, what) in [
        (kernel, BUFFER, 1, BUFFER, Error::BadAddress, "entry in the kernel"),
        (0x8000_0000_0000, BUFFER, 1, BUFFER, Error::BadAddress, "entry not canonical"),
        (ENTRY, kernel, 1, BUFFER, Error::BadAddress, "stack in the kernel"),
        (ENTRY, BUFFER, 1, BUFFER + 8, Error::Misaligned, "buffer not a page"),
        (ENTRY, BUFFER, 1, 0, Error::BadAddress, "buffer at null"),
        (ENTRY, BUFFER, 1, USER_END, Error::BadAddress, "buffer above user space"),
        (ENTRY, BUFFER, 1, kernel, Error::BadAddress, "buffer in the kernel"),
        (ENTRY, BUFFER, 1, ENTRY, Error::AlreadyMapped, "buffer over our code"),
        (ENTRY, BUFFER, most, BUFFER, Error::BadArgument, "no such priority"),
        (ENTRY, BUFFER, 0xff, BUFFER, Error::BadArgument, "no such priority"),
        (ENTRY, BUFFER, 1 | cpus << 8, BUFFER, Error::BadCpu, "no such CPU"),
        (ENTRY, BUFFER, 1 | 0xff << 8, BUFFER, Error::BadCpu, "no such CPU"),
        (ENTRY, BUFFER, 1 | 1 << 16, BUFFER, Error::BadCpu, "no such CPU"),
        (ENTRY, BUFFER, 1 | 1 << 63, BUFFER, Error::BadCpu, "no such CPU"),
    ] {
        refused(attempt(entry, stack, placement, buffer), error, what)?;
    }
    // One more than our own priority, which we do not know: the highest of all is refused
    // unless we have it.
    let highest = attempt(ENTRY, BUFFER, most - 1, BUFFER);
    refused(highest, Error::BadArgument, "a priority above our own")?;
    same(kit::used_bytes()?, used, "refusals charge nothing")
}

fn thread_starts_once_and_dies_once(ctx: &Ctx) -> Outcome {
    let worker = Worker::start(ctx, 0, 2, || ())?;
    refused(worker.run(), Error::BadState, "started twice")?;
    worker.finished()?;
    sys::thread_kill(worker.thread())?;
    refused(sys::thread_kill(worker.thread()), Error::BadState, "killed twice")?;
    refused(worker.run(), Error::BadState, "started after its death")
}

fn thread_killed_on_another_cpu_stops(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let spins = Arc::new(AtomicU64::new(0));
        let seen = spins.clone();
        let worker = Worker::start(ctx, cpu, 2, move || {
            loop {
                seen.fetch_add(1, SeqCst);
            }
        })?;
        let deadline = kit::now() + kit::PATIENCE_NS;
        while spins.load(SeqCst) == 0 {
            check(kit::now() < deadline, "the thread does not start")?;
            kit::sleep(1_000_000);
        }
        sys::thread_kill(worker.thread())?;
        // The kill may still be on its way to the other CPU for a moment.
        kit::sleep(5_000_000);
        let then = spins.load(SeqCst);
        kit::sleep(10_000_000);
        same(spins.load(SeqCst), then, format_args!("spins on CPU {cpu}"))?;
    }
    Ok(())
}

fn thread_last_one_ends_its_process(_: &Ctx) -> Outcome {
    let process = own(sys::process_create(64 << 10))?;
    let make = |buffer| -> Result<kit::Own, Failure> {
        Ok(own(sys::thread_create(process.h(), 0x40_0000, 0x60_0000, 0, 1, buffer))?)
    };
    let (first, second) = (make(0x50_0000)?, make(0x50_1000)?);
    sys::thread_kill(first.h())?;
    same(sys::process_info(process.h())?.result, 0, "alive with one thread left")?;
    sys::thread_kill(second.h())?;
    let deaths = kit::port()?;
    sys::process_bind(process.h(), deaths.h(), 1)?;
    kit::next(&deaths)?;
    same(sys::process_info(process.h())?.result, 1, "dead without threads")
}
