//! Random system calls, from a thread on every CPU at once.
//!
//! A storm ends where a call blocks for ever, so there are helpers: a thread that answers
//! calls on an endpoint that the storm may hit, a thread that signals its ports, and the
//! main thread, which kills a storm that makes no progress and starts another. What helps
//! no more is killed by the parent and started anew with another seed. The calls are
//! counted in memory that the parent shares.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use libsys::map::Mapping;
use libsys::sys;
use libsys::thread::{self, JoinHandle, Placement};
use tocsin_abi::startup::Startup;
use tocsin_abi::syscall::SYSCALLS;
use tocsin_abi::{Error, Handle, Kind, Rights, Syscall, Tag};

use crate::choice::Chooser;
use crate::objects::Objects;
use crate::random::Random;
use crate::{granted, ready, told};

/// Calls between two refreshments of the pool.
const REFRESH: u64 = 48;
/// Storms that one CPU may lose.
const RESTARTS: u64 = 24;
/// How often the main thread looks after them.
const LOOK_NS: u64 = 8_000_000;
/// Where a thread counts the calls that were accepted, behind the word for all.
const ACCEPTED: u64 = 2048;
/// Priority of the storm; the helpers' is one higher.
const PRIORITY: u8 = 1;

/// The port and the endpoint of each storming thread that the helpers look after.
type Rescue = Arc<[(AtomicU32, AtomicU32)]>;

/// The storms of one process.
struct Storms {
    env: &'static Startup,
    seed: u64,
    /// Address of the words in which the threads count.
    counts: u64,
    rescue: Rescue,
    threads: Vec<JoinHandle>,
    /// The counts when they were last looked at.
    seen: Vec<u64>,
}

impl Storms {
    /// Starts a storm on a CPU.
    fn start(&self, cpu: usize, restarts: u64) -> Result<JoinHandle, Error> {
        let (env, rescue, count) = (self.env, self.rescue.clone(), self.counts + 8 * cpu as u64);
        let mut random = Random::new(self.seed << 32 | restarts << 8 | cpu as u64);
        let place = Placement { priority: PRIORITY, cpu: cpu as u8 };
        thread::spawn(place, move || storm(env, &mut random, count, &rescue[cpu]))
    }

    /// Replaces those that have made no call since the last look; says how many.
    fn look(&mut self, restarts: u64) -> Result<u64, Error> {
        let mut replaced = 0;
        for cpu in 0..self.seen.len() {
            let count = counter(self.counts + 8 * cpu as u64).load(Relaxed);
            if count == self.seen[cpu] {
                replaced += 1;
                let new = self.start(cpu, restarts + replaced)?;
                // Dropping the old one kills its thread, wherever it waits.
                self.threads[cpu] = new;
            }
            self.seen[cpu] = count;
        }
        Ok(replaced)
    }
}

/// Storms until killed, or until so many storms were lost that the objects they left
/// behind are in the way. Each thread counts its calls in a word of its own.
pub fn run(env: &'static Startup) -> Result<u64, Error> {
    let shared = granted(env, "counter")?;
    let counts = Mapping::new(shared, 0, 4096, Rights::READ | Rights::WRITE)?.leak() as u64;
    let cpus = env.cpus as usize;
    let rescue: Rescue = (0..cpus).map(|_| Default::default()).collect();
    let (seed, threads, seen) = (told(env, "seed"), Vec::new(), alloc::vec![0; cpus]);
    let mut storms = Storms { env, seed, counts, rescue: rescue.clone(), threads, seen };
    for cpu in 0..cpus {
        let thread = storms.start(cpu, 0)?;
        storms.threads.push(thread);
    }
    let above = |cpu: usize| Placement { priority: PRIORITY + 1, cpu: (cpu % cpus) as u8 };
    let ring = rescue.clone();
    let mut helpers = Vec::new();
    helpers.push(thread::spawn(above(0), move || signal_for_ever(&ring))?);
    for cpu in 0..cpus {
        let rescue = rescue.clone();
        helpers.push(thread::spawn(above(cpu), move || answer_for_ever(&rescue[cpu].1))?);
    }
    ready(env, 1)?;
    let bed = sys::port_create()?.handle();
    let mut restarts = 0;
    while restarts < RESTARTS * cpus as u64 {
        let now = sys::clock_read()?.result;
        let _ = sys::port_wait(bed, 0, 1, now + LOOK_NS);
        restarts += storms.look(restarts)?;
    }
    Ok(0)
}

/// The word in which a thread counts its calls.
fn counter(address: u64) -> &'static AtomicU64 {
    let word: *mut u64 = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: `run` mapped the page for the life of the process, and words of it are only
    // used through this. A storm that unmaps the page by chance faults there, which is its
    // own loss.
    unsafe { AtomicU64::from_ptr(word) }
}

/// The storm of one thread.
fn storm(env: &Startup, random: &mut Random, count: u64, rescue: &(AtomicU32, AtomicU32)) {
    let (count, accepted) = (counter(count), counter(count + ACCEPTED));
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
        if one(random, &objects, rescue) {
            accepted.fetch_add(1, Relaxed);
        }
        calls += 1;
        count.fetch_add(1, Relaxed);
    }
}

/// One random call; says whether the kernel did what was asked.
fn one(random: &mut Random, objects: &Objects, rescue: &(AtomicU32, AtomicU32)) -> bool {
    if random.one_in(16) {
        let number = if random.one_in(2) { random.below(128) } else { random.next() };
        if Syscall::from_number(number).is_none() {
            return sys::raw(number, core::array::from_fn(|_| random.next())).is_ok();
        }
    }
    let call = &SYSCALLS[random.below(SYSCALLS.len() as u64) as usize];
    let mut arguments = Chooser { random, objects }.arguments(call);
    match Syscall::from_number(call.number) {
        // Ends the storm: now and then, not always.
        Some(Syscall::ProcessExit) if !random.one_in(64) => return false,
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
        Some(Syscall::ThreadCreate) if arguments[0] == 0 && !random.one_in(64) => return false,
        _ => {}
    }
    sys::raw(call.number, arguments).is_ok()
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
