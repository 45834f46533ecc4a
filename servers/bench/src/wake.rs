//! From a signal on a port to the first instruction of the thread that waits there, in
//! another address space.

use libsys::thread::{self, Placement};
use libsys::{Startup, sys};
use tocsin_abi::Rights;
use tocsin_abi::limits::FOREVER;

use crate::arch::counter;
use crate::peer::{Bench, HIGH, LOW, granted, sleep};
use crate::samples::Samples;
use crate::shared::Shared;
use crate::{Outcome, ROUNDS, WARM_UP};

/// Waits, and counts from the start of each round to here.
pub fn wait(env: &'static Startup) -> Outcome {
    let port = granted(env, "port")?;
    let shared = Shared::of(granted(env, "shared")?).map_err(|_| "no shared memory")?;
    // The signaller's side without a signal, and this side without a wait.
    let mut alone = Samples::new();
    for _ in 0..ROUNDS + WARM_UP {
        shared.start(counter());
        let now = counter();
        alone.add(now - shared.started());
    }
    shared.set_overhead(alone.min());
    for round in 0..ROUNDS + WARM_UP {
        sys::port_wait(port, 0, 1, FOREVER).map_err(|_| "the wait failed")?;
        let now = counter();
        shared.keep(round, now - shared.started());
    }
    sys::port_signal(granted(env, "done")?, 1).map_err(|_| "no answer")?;
    sleep()
}

/// Measures it: a thread of low priority signals, the peer's waiting one has a higher.
pub fn signal_to_wake(bench: &Bench) -> Outcome {
    let new_port = || sys::port_create().map_err(|_| "no port").map(|made| made.handle());
    let (port, done) = (new_port()?, new_port()?);
    let shared = Shared::new().map_err(|_| "no shared memory")?;
    let waiter = bench.peer(
        "waiter",
        HIGH,
        &[
            ("port", port, Rights::WAIT),
            ("done", done, Rights::SIGNAL),
            ("shared", shared.memory(), Rights::READ | Rights::WRITE),
        ],
    )?;
    let memory = shared.memory();
    let place = Placement { priority: LOW, cpu: 0 };
    let signaller = thread::spawn(place, move || {
        let Ok(shared) = Shared::of(memory) else { return };
        for _ in 0..ROUNDS + WARM_UP {
            shared.start(counter());
            let _ = sys::port_signal(port, 1);
        }
    })
    .map_err(|_| "no thread")?;
    sys::port_wait(done, 0, 1, FOREVER).map_err(|_| "no end")?;
    drop((signaller, waiter));
    let mut samples = Samples::new();
    shared.counts().for_each(|count| samples.add(count));
    samples.print("port_signal_to_wake", shared.overhead());
    Ok(())
}
