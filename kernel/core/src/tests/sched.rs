//! Who runs: the most urgent, equals in turn, nobody forgotten.

use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use tocsin_abi::Syscall;
use tocsin_abi::limits::FOREVER;

use super::invariants::check_invariants;
use super::platform::{FIRST_VECTOR, TICKS_PER_NS};
use super::world::{Answer, SMALL, World, cases};
use crate::objects::ThreadId;
use crate::sched::SLICE_NS;
use crate::thread::State;

const SLICE: u64 = SLICE_NS * TICKS_PER_NS;

/// A thread with a port of its own, to which a device's message is bound.
struct Worker {
    thread: ThreadId,
    cpu: usize,
    priority: u8,
    port: u64,
    vector: u16,
}

struct Crew {
    world: World,
    workers: Vec<Worker>,
}

impl Crew {
    /// Threads of root's, all ready; root itself waits for ever.
    fn new(placements: &[(usize, u8)]) -> Crew {
        let world = World::new(SMALL);
        let root = world.root.thread;
        let mut workers = Vec::new();
        for (number, &(cpu, priority)) in placements.iter().enumerate() {
            let port = world.must(root, Syscall::PortCreate, &[]);
            let before = placements[..number].iter().filter(|place| place.0 == cpu).count();
            let vector = FIRST_VECTOR + before as u16;
            let control = world.roots.control;
            let message = world.must(root, Syscall::MessageCreate, &[control, 0, 0, 0]);
            world.must(root, Syscall::MessageActivate, &[message, cpu as u64, vector.into()]);
            world.must(root, Syscall::MessageBind, &[message, port, number as u64]);
            world.thread_in(root, 0, cpu as u64, priority.into());
            let thread = world.k.process(world.root.process).threads.get();
            workers.push(Worker { thread, cpu, priority, port, vector });
        }
        let port = world.must(root, Syscall::PortCreate, &[]);
        assert_eq!(world.call(root, Syscall::PortWait, &[port, 0, 1, FOREVER]), Answer::Blocked);
        let crew = Crew { world, workers };
        crew.take_pokes();
        crew
    }

    fn take_pokes(&self) {
        (0..2).for_each(|cpu| self.world.take_poke(cpu));
    }

    fn running(&self, cpu: usize) -> Option<usize> {
        let current = self.world.k.cpu(cpu).current.get();
        self.workers.iter().position(|worker| worker.thread == current)
    }

    /// The running thread of `cpu` makes a call.
    fn act(&self, cpu: usize, call: Syscall, arguments: [u64; 6]) {
        self.world.system_call(cpu, call as u64, arguments);
    }

    fn wait(&self, cpu: usize) {
        if let Some(number) = self.running(cpu) {
            let port = self.workers[number].port;
            self.act(cpu, Syscall::PortWait, [port, 0, 1, FOREVER, 0, 0]);
        }
    }

    fn state(&self, number: usize) -> State {
        self.world.state(self.workers[number].thread)
    }

    fn raise(&self, number: usize) {
        let worker = &self.workers[number];
        self.world.device_event(worker.cpu, worker.vector);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Wait { cpu: usize },
    Yield { cpu: usize },
    Signal { cpu: usize, to: usize },
    Raise { to: usize },
    Pass { ticks: u64 },
    Poke { cpu: usize },
}

fn op(workers: usize) -> impl Strategy<Value = Op> {
    let cpu = 0usize..2;
    prop_oneof![
        4 => cpu.clone().prop_map(|cpu| Op::Wait { cpu }),
        2 => cpu.clone().prop_map(|cpu| Op::Yield { cpu }),
        4 => (cpu.clone(), 0..workers).prop_map(|(cpu, to)| Op::Signal { cpu, to }),
        3 => (0..workers).prop_map(|to| Op::Raise { to }),
        2 => (0..SLICE * 3 / 2).prop_map(|ticks| Op::Pass { ticks }),
        3 => cpu.prop_map(|cpu| Op::Poke { cpu }),
    ]
}

const PLACES: [(usize, u8); 8] = [(0, 1), (1, 1), (0, 1), (1, 2), (0, 2), (1, 2), (0, 3), (1, 7)];

/// Waits and wakes as a list of flags would have it.
struct Flags {
    runnable: Vec<bool>,
    /// A packet is on the worker's port: from a signal, from the device.
    packets: Vec<[bool; 2]>,
}

impl Flags {
    fn send(&mut self, to: usize, source: usize) {
        if self.runnable[to] {
            self.packets[to][source] = true;
        } else {
            self.runnable[to] = true;
        }
    }

    fn step(&mut self, crew: &Crew, op: &Op) {
        match *op {
            Op::Wait { cpu } => {
                let Some(number) = crew.running(cpu) else { return };
                let port = crew
                    .world
                    .k
                    .slot(crew.world.root.process, super::world::to(crew.workers[number].port));
                let first = crew.world.k.ports.get(port.expect("alive").id()).ends().0 >> 28;
                let packets = &mut self.packets[number];
                match packets.iter().position(|packet| *packet) {
                    // Message nodes have tag 0, a port's own signal 2.
                    Some(_) if first == 0 => packets[1] = false,
                    Some(_) => packets[0] = false,
                    None => self.runnable[number] = false,
                }
            }
            Op::Signal { cpu, to } if crew.running(cpu).is_some() => self.send(to, 0),
            Op::Raise { to } => self.send(to, 1),
            _ => {}
        }
    }
}

fn check(crew: &Crew, flags: &Flags) {
    for number in 0..crew.workers.len() {
        let awake = matches!(crew.state(number), State::Ready | State::Running);
        assert_eq!(awake, flags.runnable[number], "worker {number}: {:?}", crew.state(number));
    }
    for cpu in 0..2 {
        // Who was woken from afar is seen when the poke arrives.
        if crew.world.k.platform.poked[cpu].get() {
            continue;
        }
        let here =
            crew.workers.iter().enumerate().filter(|(n, w)| w.cpu == cpu && flags.runnable[*n]);
        let highest = here.map(|(_, worker)| worker.priority).max();
        let running = crew.running(cpu).map(|number| crew.workers[number].priority);
        assert_eq!(running, highest, "CPU {cpu} runs somebody else");
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_most_urgent_runs_and_nobody_is_lost(ops in prop::collection::vec(op(PLACES.len()), 1..100)) {
        let crew = Crew::new(&PLACES);
        crew.world.careful.set(ops.len() % 4 == 0);
        let mut flags = Flags { runnable: vec![true; PLACES.len()], packets: vec![[false; 2]; PLACES.len()] };
        check(&crew, &flags);
        for op in ops {
            flags.step(&crew, &op);
            match op {
                Op::Wait { cpu } => crew.wait(cpu),
                Op::Yield { cpu } => crew.act(cpu, Syscall::ThreadYield, [0; 6]),
                Op::Signal { cpu, to } if crew.running(cpu).is_some() => {
                    crew.act(cpu, Syscall::PortSignal, [crew.workers[to].port, 1, 0, 0, 0, 0]);
                }
                Op::Signal { .. } => {}
                Op::Raise { to } => crew.raise(to),
                Op::Pass { ticks } => crew.world.advance(ticks),
                Op::Poke { cpu } => crew.world.take_poke(cpu),
            }
            check(&crew, &flags);
            check_invariants(crew.world.k);
        }
    }

}

proptest! {
    #![proptest_config(cases(60))]

    /// Three spinners of one priority, while a more urgent thread comes and goes: each
    /// gets its turn, however the visits fall.
    #[test]
    fn visits_of_the_urgent_do_not_renew_a_slice(period in 1u64..40, work in 0u64..3) {
        let crew = Crew::new(&[(0, 1), (0, 1), (0, 1), (0, 5)]);
        crew.world.careful.set(false);
        crew.wait(0);
        let tick = SLICE / 20;
        let mut last = [0u64; 3];
        for now in 0..20 * 40 {
            if now % (period + work) == 0 {
                crew.raise(3);
            }
            crew.world.advance(tick);
            if now % (period + work) == work && crew.running(0) == Some(3) {
                crew.wait(0);
                // A timer that is overdue fires as soon as it is armed.
                crew.world.advance(0);
            }
            if let Some(number) = crew.running(0).filter(|number| *number < 3) {
                last[number] = now;
            }
            for (number, last) in last.iter().enumerate() {
                // Two others before it, and the visits may take most of the time.
                let patience = 20 * 3 * (period + work) / period + 40;
                prop_assert!(now - last <= patience, "spinner {number} starves at {now}");
            }
        }
    }
}

#[test]
fn equals_take_turns() {
    let crew = Crew::new(&[(0, 1), (0, 1), (0, 1)]);
    let first = crew.running(0).expect("somebody");
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(crew.running(0).expect("somebody"));
        // Not before its time.
        crew.world.advance(SLICE - 1);
        assert_eq!(crew.running(0), order.last().copied());
        crew.world.advance(1);
    }
    let round: Vec<_> = (0..6).map(|n| order[n % 3]).collect();
    assert_eq!(order, round);
    assert_eq!(order[0], first);
    let mut three = order[..3].to_vec();
    three.sort_unstable();
    assert_eq!(three, [0, 1, 2]);
}

#[test]
fn alone_means_no_slices() {
    let crew = Crew::new(&[(0, 1), (0, 2)]);
    assert_eq!(crew.running(0), Some(1));
    assert_eq!(crew.world.k.cpu(0).slice_end.get(), u64::MAX);
    assert_eq!(crew.world.k.platform.timers[0].get(), u64::MAX, "a timer for nothing");
}

#[test]
fn a_preempted_thread_goes_on_before_its_equals() {
    let crew = Crew::new(&[(0, 1), (0, 1), (0, 5)]);
    crew.wait(0);
    let running = crew.running(0);
    crew.raise(2);
    assert_eq!(crew.running(0), Some(2));
    crew.wait(0);
    assert_eq!(crew.running(0), running);
}

/// A server and its client hand the CPU to each other; an equal third gets its turn.
#[test]
fn two_that_hand_over_to_each_other_do_not_starve_a_third() {
    let crew = Crew::new(&[(0, 1), (0, 1), (0, 1)]);
    let world = &crew.world;
    world.careful.set(false);
    let (server, client, third) =
        (crew.workers[0].thread, crew.workers[1].thread, crew.workers[2].thread);
    let endpoint = world.must(server, Syscall::EndpointCreate, &[]);
    assert_eq!(world.call(server, Syscall::IpcReceive, &[endpoint]), Answer::Blocked);
    world.bring(client);
    let mut turns = 0;
    for _ in 0..1000 {
        let current = world.k.cpu(0).current.get();
        if current == client {
            crew.act(0, Syscall::IpcCall, [endpoint, 0, 0, 0, 0, 0]);
        } else if current == server {
            crew.act(0, Syscall::IpcReplyReceive, [endpoint, 0, 0, 0, 0, 0]);
        } else if current == third {
            turns += 1;
        }
        world.advance(SLICE / 50);
    }
    // 20 slices have passed.
    assert!(turns > 100, "the third has run {turns} times out of 1000");
}

#[test]
fn a_woken_equal_waits_for_its_turn() {
    let crew = Crew::new(&[(0, 1), (0, 1)]);
    let (first, second) = (crew.running(0), Some(1 - crew.running(0).expect("somebody")));
    crew.wait(0);
    assert_eq!(crew.running(0), second);
    crew.raise(first.expect("somebody"));
    assert_eq!(crew.running(0), second, "an equal is no reason to stop");
    crew.world.advance(SLICE);
    assert_eq!(crew.running(0), first);
}

/// Two more urgent threads become ready in one interrupt, and rest again.
#[test]
fn preempted_by_two_at_once_goes_on_before_its_equals() {
    let crew = Crew::new(&[(0, 1), (0, 1), (0, 5), (0, 5)]);
    let until = crew.world.k.platform.clock.get() / TICKS_PER_NS + 1000;
    for _ in 0..2 {
        let port = crew.workers[crew.running(0).expect("somebody")].port;
        crew.act(0, Syscall::PortWait, [port, 0, 1, until, 0, 0]);
    }
    let running = crew.running(0).expect("somebody");
    assert!(running < 2);
    crew.world.advance(1001 * TICKS_PER_NS);
    for _ in 0..2 {
        assert!(crew.running(0) >= Some(2));
        crew.wait(0);
    }
    assert_eq!(crew.running(0), Some(running));
}

/// Waking somebody less urgent and then waiting lets the more urgent go first.
#[test]
fn a_call_to_the_less_urgent_lets_others_go_first() {
    let crew = Crew::new(&[(0, 1), (0, 3), (0, 3)]);
    let (server, client) = (&crew.workers[0], &crew.workers[1]);
    let endpoint = crew.world.must(server.thread, Syscall::EndpointCreate, &[]);
    assert_eq!(crew.world.call(server.thread, Syscall::IpcReceive, &[endpoint]), Answer::Blocked);
    assert_eq!(crew.world.call(client.thread, Syscall::IpcCall, &[endpoint, 0]), Answer::Blocked);
    assert_eq!(crew.running(0), Some(2));
    crew.wait(0);
    assert_eq!(crew.running(0), Some(0));
}
