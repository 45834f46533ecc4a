//! Short cuts do what the general operations do: two worlds, one with them and one
//! without, go through the same and stay the same in every field.

use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Kind, Rights, Syscall};

use super::platform::FIRST_VECTOR;
use super::snapshot::{Snapshot, assert_same};
use super::world::{Actor, Size, World, cases, tag, to};
use crate::objects::ThreadId;

#[derive(Clone, Debug)]
enum Op {
    Call { cpu: usize, at: usize, words: usize, handles: usize },
    ReplyReceive { cpu: usize, at: usize, words: usize, handles: usize },
    Receive { cpu: usize, at: usize },
    Wait { cpu: usize, port: usize, packets: u64, deadline: bool },
    Signal { cpu: usize, port: usize, bits: u64 },
    Raise { cpu: usize, which: u8 },
    Yield { cpu: usize },
    Pass { ticks: u64 },
    Poke { cpu: usize },
    Odd { cpu: usize, number: usize, word: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let (cpu, two) = (0usize..2, 0usize..2);
    let words =
        prop_oneof![4 => Just(0usize), 4 => Just(4), 2 => Just(5), 2 => Just(64), 1 => Just(65)];
    let handles = prop_oneof![6 => Just(0usize), 2 => Just(1), 1 => Just(2), 1 => Just(9)];
    let packets =
        prop_oneof![16 => Just(1u64), 1 => Just(0), 1 => Just(2), 1 => Just(64), 1 => Just(65)];
    prop_oneof![
        8 => (cpu.clone(), two.clone(), words.clone(), handles.clone())
            .prop_map(|(cpu, at, words, handles)| Op::Call { cpu, at, words, handles }),
        8 => (cpu.clone(), two.clone(), words, handles)
            .prop_map(|(cpu, at, words, handles)| Op::ReplyReceive { cpu, at, words, handles }),
        4 => (cpu.clone(), two.clone()).prop_map(|(cpu, at)| Op::Receive { cpu, at }),
        6 => (cpu.clone(), 0usize..4, packets, prop::bool::weighted(0.2))
            .prop_map(|(cpu, port, packets, deadline)| Op::Wait { cpu, port, packets, deadline }),
        10 => (cpu.clone(), 0usize..4, 0u64..4)
            .prop_map(|(cpu, port, bits)| Op::Signal { cpu, port, bits }),
        6 => (cpu.clone(), 0u8..5).prop_map(|(cpu, which)| Op::Raise { cpu, which }),
        1 => cpu.clone().prop_map(|cpu| Op::Yield { cpu }),
        2 => (0u64..40_000_000).prop_map(|ticks| Op::Pass { ticks }),
        3 => cpu.clone().prop_map(|cpu| Op::Poke { cpu }),
        1 => (cpu, 0usize..4, any::<u64>()).prop_map(|(cpu, number, word)| Op::Odd { cpu, number, word }),
    ]
}

/// Two processes, threads of several priorities on two CPUs, two endpoints of which one
/// has a port, more ports, and messages on both CPUs.
struct Scene {
    world: World,
    processes: [Actor; 2],
    /// By process.
    endpoints: [[u64; 2]; 2],
    ports: [[u64; 4]; 2],
}

impl Scene {
    fn new(fast: bool) -> Scene {
        let world = World::new(Size { cpus: 2, slots: 256, objects: 44, frames: 256 });
        world.fast.set(fast);
        let root = world.root.thread;
        let processes = [0, 1].map(|cpu| world.spawn(root, 400_000, cpu, 3));
        for (number, (cpu, priority)) in
            [(0, 2), (0, 3), (1, 3), (1, 5), (0, 1), (0, 5)].into_iter().enumerate()
        {
            world.thread_in(root, processes[number % 2].process_handle, cpu, priority);
        }
        let shared = [(); 2].map(|()| world.must(root, Syscall::EndpointCreate, &[]));
        let ports = [(); 4].map(|()| world.must(root, Syscall::PortCreate, &[]));
        world.must(root, Syscall::EndpointBind, &[shared[1], ports[3]]);
        for number in 0..8u64 {
            let message = world.must(root, Syscall::MessageCreate, &[world.roots.control, 0, 0, 0]);
            let vector = u64::from(FIRST_VECTOR) + number / 2;
            world.must(root, Syscall::MessageActivate, &[message, number % 2, vector]);
            if number < 7 {
                world.must(
                    root,
                    Syscall::MessageBind,
                    &[message, ports[number as usize % 4], number],
                );
            }
            if number == 4 {
                world.must(root, Syscall::MessageRate, &[message, 2, 1000]);
            }
        }
        let give =
            |to: &Actor, handle, kind: Kind| world.grant(root, to, handle, kind.all_rights());
        let endpoints =
            [0, 1].map(|to| shared.map(|handle| give(&processes[to], handle, Kind::Endpoint)));
        let ports = [0, 1].map(|to| ports.map(|handle| give(&processes[to], handle, Kind::Port)));
        // Root out of the way.
        let idle = world.must(root, Syscall::PortCreate, &[]);
        world.call(root, Syscall::PortWait, &[idle, 0, 1, FOREVER]);
        (0..2).for_each(|cpu| world.take_poke(cpu));
        Scene { world, processes, endpoints, ports }
    }

    /// The thread that runs, and which of the two processes it is of.
    fn current(&self, cpu: usize) -> Option<(ThreadId, usize)> {
        let thread = self.world.k.cpu(cpu).current.get();
        let process = self.world.k.thread(thread).process.get();
        let of = self.processes.iter().position(|actor| actor.process == process)?;
        Some((thread, of))
    }

    fn act(&self, cpu: usize, call: Syscall, arguments: [u64; 6]) {
        self.world.system_call(cpu, call as u64, arguments);
    }

    fn step(&self, op: &Op) {
        match *op {
            Op::Raise { cpu, which } => {
                self.world.device_event(cpu, FIRST_VECTOR + u16::from(which))
            }
            Op::Pass { ticks } => self.world.advance(ticks),
            Op::Poke { cpu } => self.world.take_poke(cpu),
            Op::Call { cpu, .. }
            | Op::ReplyReceive { cpu, .. }
            | Op::Receive { cpu, .. }
            | Op::Wait { cpu, .. }
            | Op::Signal { cpu, .. }
            | Op::Yield { cpu }
            | Op::Odd { cpu, .. } => {
                if let Some((thread, of)) = self.current(cpu) {
                    self.by(cpu, thread, of, op);
                }
            }
        }
    }

    fn by(&self, cpu: usize, thread: ThreadId, of: usize, op: &Op) {
        let platform = &self.world.k.platform;
        let buffer = self.world.k.thread(thread).ipc_buffer.get();
        match *op {
            Op::Call { at, words, handles, .. } | Op::ReplyReceive { at, words, handles, .. } => {
                let rights = Rights::CALL | Rights::TRANSFER;
                platform.set_ipc_handle(buffer, 0, to(self.endpoints[of][0]), rights.bits());
                // The second is not the sender's when it is of the other process.
                platform.set_ipc_handle(
                    buffer,
                    1,
                    to(self.ports[thread.index() as usize % 2][1]),
                    2,
                );
                platform.set_ipc_word(buffer, 4, u64::from(thread.index()));
                let call = if matches!(op, Op::Call { .. }) {
                    Syscall::IpcCall
                } else {
                    Syscall::IpcReplyReceive
                };
                self.act(cpu, call, [self.endpoints[of][at], tag(7, words, handles), 1, 2, 3, 4]);
            }
            Op::Receive { at, .. } => {
                self.act(cpu, Syscall::IpcReceive, [self.endpoints[of][at], 0, 0, 0, 0, 0]);
            }
            Op::Wait { port, packets, deadline, .. } => {
                let soon = platform.clock.get() / 3 + 1_000_000;
                let until = if deadline { soon } else { FOREVER };
                self.act(
                    cpu,
                    Syscall::PortWait,
                    [self.ports[of][port], 8 * packets, packets, until, 0, 0],
                );
            }
            Op::Signal { port, bits, .. } => {
                self.act(cpu, Syscall::PortSignal, [self.ports[of][port], bits, 0, 0, 0, 0]);
            }
            Op::Odd { number, word, .. } => {
                let call = [
                    Syscall::IpcCall,
                    Syscall::IpcReplyReceive,
                    Syscall::PortSignal,
                    Syscall::PortWait,
                ][number];
                // A right handle with bits above it, or anything.
                let handle = self.endpoints[of][0] | word << 32;
                let handle = if word % 3 == 0 { word } else { handle };
                self.act(cpu, call, [handle, word >> 20, 1, 2, 3, 4]);
            }
            _ => self.act(cpu, Syscall::ThreadYield, [0; 6]),
        }
    }
}

/// Goes through the same in both worlds; returns how often each short cut was taken.
fn compare(ops: &[Op]) -> [u32; 5] {
    let (fast, slow) = (Scene::new(true), Scene::new(false));
    fast.world.careful.set(ops.len().is_multiple_of(4));
    slow.world.careful.set(false);
    let (mut with, mut without) = (Snapshot::default(), Snapshot::default());
    for op in ops {
        fast.step(op);
        slow.step(op);
        with.take(fast.world.k);
        without.take(slow.world.k);
        assert_same(fast.world.k, &without, &with, "the same was done");
    }
    core::array::from_fn(|kind| fast.world.short_cuts[kind].get())
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn short_cuts_do_what_the_long_ways_do(ops in prop::collection::vec(op(), 1..150)) {
        compare(&ops);
    }
}

/// Each short cut is taken in the test above: it compares something.
#[test]
fn short_cuts_are_taken() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut total = vec![0; 5];
    for _ in 0..90 {
        let tree = prop::collection::vec(op(), 150).new_tree(&mut runner).expect("a value");
        let taken: Vec<_> = compare(&proptest::strategy::ValueTree::current(&tree)).to_vec();
        total.iter_mut().zip(taken).for_each(|(sum, count)| *sum += count);
    }
    assert!(total.iter().all(|count| *count > 10), "{total:?}");
}
