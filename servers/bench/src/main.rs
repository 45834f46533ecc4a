//! Measures what DESIGN §11 asks for, in instructions.
//!
//! Run under `-icount shift=0`, where the counter ([`arch`]) advances by one for each
//! instruction; the first line printed proves that. Each figure is taken a few thousand
//! times, net of what the measuring itself costs, which is measured in the same place with
//! the same code and nothing in between. The other parties are this program again, in
//! address spaces of their own (`role ...`).
#![no_std]
#![no_main]

extern crate alloc;

mod arch;
mod calibrate;
mod ipc;
mod irq;
mod message;
mod peer;
mod samples;
mod shared;
mod wake;

use libsys::startup::Environment;
use libsys::{Startup, log};

libsys::entry!(main);

/// Rounds of each figure, after the warm-up.
pub const ROUNDS: usize = 2000;
/// Rounds that are not counted: ports and endpoints find their CPU, queues their order.
pub const WARM_UP: usize = 50;

/// What is measured together, and how.
type Figure = (&'static str, fn(&peer::Bench) -> Outcome);

/// Why there is a figure missing.
pub type Outcome = Result<(), &'static str>;

fn main(env: &'static Startup) -> u64 {
    if let Err(why) = arch::may_count() {
        log!("{why}");
        return 1;
    }
    if let Some(role) = env.args().strip_prefix("role ") {
        return peer::play(env, role);
    }
    let Ok(image) = env.module("bench") else {
        log!("the manifest grants no module `bench`");
        return 1;
    };
    let bench = peer::Bench { env, image };
    let figures: [Figure; 6] = [
        ("calibration", calibrate::calibration),
        ("null_syscall", ipc::null_syscall),
        ("ipc_call_reply", ipc::call_reply),
        ("port_signal_to_wake", wake::signal_to_wake),
        ("irq", irq::irq),
        ("message", message::message),
    ];
    let mut failed = 0;
    for (name, measure) in figures {
        if let Err(why) = measure(&bench) {
            log!("{name}: {why}");
            failed += 1;
        }
    }
    failed
}
