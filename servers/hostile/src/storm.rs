//! Random system calls, from a thread on every CPU at once.
//!
//! Two more threads keep the storm going: one answers calls on an endpoint that the storm
//! may hit, one signals its ports, so that a thread that waits there is woken. What still
//! blocks or kills itself is killed and started anew by the parent, with another seed; the
//! calls are counted in memory that the parent shares.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use libsys::map::Mapping;
use libsys::sys;
use libsys::thread::{self, Placement};
use tocsin_abi::startup::Startup;
use tocsin_abi::syscall::SYSCALLS;
use tocsin_abi::{Error, Handle, Kind, Rights, Syscall, Tag};

use crate::choice::Chooser;
use crate::objects::Objects;
use crate::random::Random;
use crate::{granted, ready, told, wait_for_ever};

/// Calls between two refreshments of the pool.
const REFRESH: u64 = 48;
/// Priority of the storm; the helpers' is one higher.
const PRIORITY: u8 = 1;

/// The port and the endpoint of each storming thread that the helpers look after.
type Rescue = Arc<[(AtomicU32, AtomicU32)]>;

/// Storms until killed. Each thread counts its calls in a word of its own.
pub fn run(env: &'static Startup) -> Result<u64, Error> {
    let counter = granted(env, "counter")?;
    let shared = Mapping::new(counter, 0, 4096, Rights::READ | Rights::WRITE)?;
    let counts = shared.address() as u64;
    core::mem::forget(shared);
    let seed = told(env, "seed");
    let cpus = env.cpus as usize;
    let rescue: Rescue = (0..cpus).map(|_| Default::default()).collect();
    let mut threads = Vec::new();
    for cpu in 0..cpus {
        let place = Placement { priority: PRIORITY, cpu: cpu as u8 };
        let rescue = rescue.clone();
        let mut random = Random::new(seed << 8 | cpu as u64);
        threads.push(thread::spawn(place, move || {
            storm(env, &mut random, counts + 8 * cpu as u64, &rescue[cpu]);
        })?);
    }
    let above = |cpu: usize| Placement { priority: PRIORITY + 1, cpu: (cpu % cpus) as u8 };
    let ring = rescue.clone();
    threads.push(thread::spawn(above(0), move || signal_for_ever(&ring))?);
    for cpu in 0..cpus {
        let rescue = rescue.clone();
        threads.push(thread::spawn(above(cpu), move || answer_for_ever(&rescue[cpu].1))?);
    }
    ready(env, 1)?;
    wait_for_ever()
}

/// The storm of one thread.
fn storm(env: &Startup, random: &mut Random, count: u64, rescue: &(AtomicU32, AtomicU32)) {
    let counter: *mut u64 = core::ptr::with_exposed_provenance_mut(count as usize);
    let mut objects = Objects::new(env);
    let mut calls = 0u64;
    loop {
        if calls.is_multiple_of(REFRESH) {
            objects.refresh(random);
            let port = objects.any(Kind::Port, random).unwrap_or_default();
            let endpoint = objects.any(Kind::Endpoint, random).unwrap_or_default();
            rescue.0.store(port.0, Relaxed);
            rescue.1.store(endpoint.0, Relaxed);
            // What waits at the endpoint can be woken through the port.
            let _ = sys::endpoint_bind(endpoint, port);
        }
        one(random, &objects, rescue);
        calls += 1;
        // SAFETY: `run` mapped the page for the life of the process, and this word of it is
        // this thread's. A storm that unmaps the page by chance faults here, which is its
        // own loss.
        unsafe { counter.write_volatile(counter.read_volatile() + 1) };
    }
}

/// One random call.
fn one(random: &mut Random, objects: &Objects, rescue: &(AtomicU32, AtomicU32)) {
    if random.one_in(16) {
        let number = if random.one_in(2) { random.below(128) } else { random.next() };
        if Syscall::from_number(number).is_none() {
            let _ = sys::raw(number, core::array::from_fn(|_| random.next()));
            return;
        }
    }
    let call = &SYSCALLS[random.below(SYSCALLS.len() as u64) as usize];
    let mut arguments = Chooser { random, objects }.arguments(call);
    match Syscall::from_number(call.number) {
        // Ends the storm: now and then, not always.
        Some(Syscall::ProcessExit) if !random.one_in(64) => return,
        // A thread that waits does no harm: wait where somebody may ring.
        Some(Syscall::IpcReceive | Syscall::IpcReplyReceive | Syscall::IpcCall)
            if !random.one_in(32) =>
        {
            arguments[0] = u64::from(rescue.1.load(Relaxed));
        }
        // Its own code, stack and counter are worth more to the storm mapped.
        Some(Syscall::MemoryUnmap) if arguments[0] == 0 => {
            arguments[1] = 0x6000_0000 + random.below(256) * 4096;
        }
        // A thread of its own at a random place ends the process at once.
        Some(Syscall::ThreadCreate) if arguments[0] == 0 && !random.one_in(64) => return,
        _ => {}
    }
    let _ = sys::raw(call.number, arguments);
}

/// Rings every port now and then.
fn signal_for_ever(rescue: &Rescue) {
    let Ok(bed) = sys::port_create() else { return };
    loop {
        for (port, _) in rescue.iter() {
            let _ = sys::port_signal(Handle(port.load(Relaxed)), 1);
        }
        let now = sys::clock_read().map_or(0, |values| values.result);
        let _ = sys::port_wait(bed.handle(), 0, 1, now + 200_000);
    }
}

/// Answers whoever calls the endpoint of a storm.
fn answer_for_ever(endpoint: &AtomicU32) {
    let Ok(bed) = sys::port_create() else { return };
    loop {
        if sys::ipc_receive(Handle(endpoint.load(Relaxed))).is_ok() {
            let _ = sys::ipc_reply(Tag::new(0, 0, 0), 0, 0, 0, 0);
        }
        let now = sys::clock_read().map_or(0, |values| values.result);
        let _ = sys::port_wait(bed.handle(), 0, 1, now + 100_000);
    }
}
