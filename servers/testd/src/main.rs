//! Attacks the kernel's objects and the servers from user mode.
//!
//! `testd` runs its tables of tests, prints `@test <name> ok|fail|skip` for each and exits
//! with the number that failed. Started with `role <name>` it is one of its own victims: a
//! process that faults, hoards, dies or lies as a test needs it.
//!
//! Arguments: `kernel`, `servers` or `hostile` chooses a set of tests; `only=<text>` runs
//! those whose name contains the text.
#![no_std]
#![no_main]

extern crate alloc;

mod answer;
mod arch;
mod bridge;
mod calls;
mod device;
mod driver;
mod faults;
mod handles;
mod harness;
mod hostile;
mod inspect;
mod interrupt;
mod ipc;
mod ipc_death;
mod kit;
mod memory;
mod message;
mod pci;
mod port;
mod process;
mod queue;
mod role;
mod sandbox;
mod space;
mod store;
mod thread;
mod timer;
mod vector;
mod victim;
mod watch;
mod wire;
mod worker;
mod zoo;

use libsys::startup::Environment;
use tocsin_abi::startup::Startup;

use harness::Test;
use kit::Ctx;
use role::Role;

libsys::entry!(main);

/// Tests of the kernel's objects, from the bottom upwards.
const KERNEL: &[&[Test]] = &[
    calls::TESTS,
    handles::TESTS,
    memory::TESTS,
    process::TESTS,
    faults::TESTS,
    thread::TESTS,
    port::TESTS,
    timer::TESTS,
    ipc::TESTS,
    ipc_death::TESTS,
    message::TESTS,
    vector::TESTS,
    arch::KERNEL_TESTS,
];

/// Tests of the servers, and of devices through them.
const SERVERS: &[&[Test]] = &[
    interrupt::TESTS,
    sandbox::TESTS,
    watch::TESTS,
    wire::TESTS,
    arch::SERVER_TESTS,
    inspect::TESTS,
    pci::TESTS,
    store::TESTS,
    device::TESTS,
    queue::TESTS,
    bridge::TESTS,
];

/// What the hostile server may not achieve.
const HOSTILE: &[&[Test]] = &[hostile::TESTS];

/// Every role of a victim.
const ROLES: &[&[Role]] = &[
    role::COMMON,
    handles::ROLES,
    memory::ROLES,
    process::ROLES,
    faults::ROLES,
    ipc::ROLES,
    interrupt::ROLES,
    ipc_death::ROLES,
    queue::ROLES,
    message::ROLES,
];

/// Bytes of heap that exist before the first test: a heap that grows during one would look
/// like a leak.
const WARM_BYTES: usize = 4 << 20;

fn main(env: &'static Startup) -> u64 {
    if let Some(role) = env.args().strip_prefix("role ") {
        return role::play(env, role, ROLES);
    }
    drop(core::hint::black_box(alloc::vec![0u8; WARM_BYTES]));
    let image = env.module("testd").unwrap_or_default();
    let hostile = env.module("hostile").unwrap_or_default();
    let ctx = Ctx { env, image, hostile };
    let only = env.arg("only").unwrap_or("");
    let mut failed = 0;
    for (name, groups) in [("kernel", KERNEL), ("servers", SERVERS), ("hostile", HOSTILE)] {
        if env.has_arg(name) {
            libsys::log!("tests of the set `{name}` on {} CPUs", env.cpus);
            failed += harness::run_all(&ctx, groups, only);
        }
    }
    failed
}
