//! Ports: one packet for each source, in the order of their first events, with all that
//! came since; to whoever waits, however he waits.

use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use tocsin_abi::limits::{FOREVER, WAIT_PACKETS};
use tocsin_abi::startup::EXIT_KILLED;
use tocsin_abi::{Error, Packet, PacketKind, Syscall};

use super::invariants::check_invariants;
use super::platform::FIRST_VECTOR;
use super::world::{Actor, Answer, SCRATCH, SMALL, World, cases};
use crate::thread::State;

const MESSAGES: usize = 4;
const TIMERS: usize = 2;
const CHILDREN: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    Signal { bits: u64 },
    Raise { which: usize },
    Fire { which: usize },
    Stop { which: usize },
    Kill { which: usize },
    Log,
    Wait { capacity: u64, buffer: u64 },
    Block { deadline: bool },
    Receive,
    Pass { ticks: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let buffer = prop_oneof![
        8 => Just(SCRATCH), 1 => Just(SCRATCH + 4), 1 => Just(SCRATCH + 4096 - 32),
        1 => Just(0x7fff_ffff_eff8), 1 => Just(u64::MAX - 7)
    ];
    prop_oneof![
        4 => (0u64..8).prop_map(|bits| Op::Signal { bits }),
        8 => (0..MESSAGES).prop_map(|which| Op::Raise { which }),
        3 => (0..TIMERS).prop_map(|which| Op::Fire { which }),
        1 => (0..TIMERS).prop_map(|which| Op::Stop { which }),
        1 => (0..CHILDREN).prop_map(|which| Op::Kill { which }),
        2 => Just(Op::Log),
        5 => (0u64..67, buffer).prop_map(|(capacity, buffer)| Op::Wait { capacity, buffer }),
        3 => any::<bool>().prop_map(|deadline| Op::Block { deadline }),
        3 => Just(Op::Receive),
        3 => (0u64..100).prop_map(|ticks| Op::Pass { ticks }),
    ]
}

/// What a reader must find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Expected {
    source: (PacketKind, u64),
    count: u32,
    value: u64,
    first: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reader {
    Free,
    Waits { until: u64 },
    Receives,
}

struct Rig {
    world: World,
    reader: Actor,
    port: u64,
    endpoint: u64,
    timers: Vec<u64>,
    children: Vec<u64>,
    dead: [bool; CHILDREN],
    queue: VecDeque<Expected>,
    mode: Reader,
    /// Text waits in the log.
    logged: bool,
    /// Given to the reader while it waited.
    handed: Option<Expected>,
}

impl Rig {
    fn new() -> Rig {
        let world = World::new(SMALL);
        let root = world.root.thread;
        let reader = world.spawn(root, 300_000, 1, 5);
        let port = world.must(reader.thread, Syscall::PortCreate, &[]);
        let endpoint = world.must(reader.thread, Syscall::EndpointCreate, &[]);
        world.must(reader.thread, Syscall::EndpointBind, &[endpoint, port]);
        let slot = world.k.slot(reader.process, super::world::to(port)).expect("made");
        // Root gets the port by a message's way: sent in a call.
        let object = slot.object.get();
        let kind = tocsin_abi::Kind::Port;
        let parent = crate::Id::new(super::world::to(port).index() as u32);
        let slot = world.k.new_slot(world.root.process, kind, object, kind.all_rights(), 0, parent);
        let shared = u64::from(world.k.handle_of(slot).0);
        for number in 0..MESSAGES as u64 {
            let message = world.must(root, Syscall::MessageCreate, &[world.roots.control, 0, 0, 0]);
            let vector = u64::from(FIRST_VECTOR) + number;
            world.must(root, Syscall::MessageActivate, &[message, number % 2, vector]);
            world.must(root, Syscall::MessageBind, &[message, shared, number]);
        }
        let timers = (0..TIMERS as u64)
            .map(|number| world.must(reader.thread, Syscall::TimerCreate, &[port, 100 + number]))
            .collect();
        let children: Vec<_> = (0..CHILDREN as u64)
            .map(|_| world.must(root, Syscall::ProcessCreate, &[10_000]))
            .collect();
        for (number, child) in children.iter().enumerate() {
            world.must(root, Syscall::ProcessBind, &[*child, shared, 200 + number as u64]);
        }
        world.must(root, Syscall::DebugBind, &[world.roots.log, shared, 300]);
        let (dead, mode) = ([false; CHILDREN], Reader::Free);
        Rig {
            world,
            reader,
            port,
            endpoint,
            timers,
            children,
            dead,
            queue: VecDeque::new(),
            mode,
            logged: false,
            handed: None,
        }
    }

    fn now(&self) -> u64 {
        self.world.k.platform.clock.get()
    }

    /// An event, as the model has it.
    fn event(&mut self, kind: PacketKind, key: u64, value: u64) {
        let source = (kind, key);
        if let Some(packet) = self.queue.iter_mut().find(|packet| packet.source == source) {
            packet.count += 1;
            packet.value |= value;
            return;
        }
        let packet = Expected { source, count: 1, value, first: self.now() };
        if self.mode == Reader::Free {
            self.queue.push_back(packet);
        } else {
            self.mode = Reader::Free;
            self.handed = Some(packet);
        }
    }

    fn same(packet: Packet, expected: Expected) {
        let (kind, key) = expected.source;
        assert_eq!((packet.kind, packet.key), (kind as u32, key));
        assert_eq!((packet.count, packet.value), (expected.count, expected.value), "{expected:?}");
        assert_eq!(packet.first_ticks, expected.first, "{expected:?}");
    }

    fn ask(&self, call: Syscall, arguments: &[u64]) -> Result<u64, Error> {
        self.world.ask(self.reader.thread, call, arguments)
    }

    fn step(&mut self, op: &Op) {
        let root = self.world.root.thread;
        match *op {
            Op::Raise { which } => {
                self.event(PacketKind::Message, which as u64, 0);
                self.world.device_event(which % 2, FIRST_VECTOR + which as u16);
            }
            Op::Kill { which } if !self.dead[which] => {
                self.dead[which] = true;
                self.event(PacketKind::Death, 200 + which as u64, EXIT_KILLED);
                self.world.must(root, Syscall::ProcessKill, &[self.children[which]]);
                self.world.settle();
            }
            Op::Log => {
                // Root's IPC buffer will do as text.
                let text = self
                    .world
                    .k
                    .mappings
                    .get(self.world.k.process(self.world.root.process).mappings.get());
                let address = text.address.get();
                self.event(PacketKind::Log, 300, 0);
                self.world.must(root, Syscall::DebugWrite, &[self.world.roots.log, address, 8]);
                self.logged = true;
            }
            Op::Pass { ticks } => {
                self.world.advance(ticks);
                if let Reader::Waits { until } = self.mode
                    && until <= self.now()
                {
                    self.mode = Reader::Free;
                    assert_eq!(self.world.result(self.reader.thread), Err(Error::TimedOut));
                }
            }
            _ if self.mode != Reader::Free => {}
            Op::Signal { bits: 0 } => {
                assert_eq!(self.ask(Syscall::PortSignal, &[self.port, 0]), Err(Error::BadArgument));
            }
            Op::Signal { bits } => {
                self.event(PacketKind::Signal, 0, bits);
                assert_eq!(self.ask(Syscall::PortSignal, &[self.port, bits]), Ok(0));
            }
            Op::Fire { which } => {
                // In the past: at once.
                self.event(PacketKind::Timer, 100 + which as u64, 0);
                assert_eq!(self.ask(Syscall::TimerSet, &[self.timers[which], 1]), Ok(0));
            }
            Op::Stop { which } => {
                self.queue
                    .retain(|packet| packet.source != (PacketKind::Timer, 100 + which as u64));
                assert_eq!(self.ask(Syscall::TimerCancel, &[self.timers[which]]), Ok(0));
            }
            Op::Wait { capacity, buffer } => self.wait(capacity, buffer),
            Op::Block { deadline } => self.block(deadline),
            Op::Receive => {
                let answer =
                    self.world.call(self.reader.thread, Syscall::IpcReceive, &[self.endpoint]);
                match self.queue.pop_front() {
                    Some(expected) => {
                        assert_eq!(answer, Answer::Done(Ok(1)));
                        Self::same(self.world.packet(self.reader.thread), expected);
                    }
                    None => {
                        assert_eq!(answer, Answer::Blocked);
                        self.mode = Reader::Receives;
                    }
                }
            }
            Op::Kill { .. } => {}
        }
        if let Some(expected) = self.handed.take() {
            // One packet for `port_wait`, and `ipc_receive`'s word for a packet.
            assert_eq!(self.world.result(self.reader.thread), Ok(1));
            Self::same(self.world.packet(self.reader.thread), expected);
        }
    }

    fn block(&mut self, deadline: bool) {
        if !self.queue.is_empty() {
            return;
        }
        let later = self.now() / 3 + 20;
        let until = if deadline { later } else { FOREVER };
        let arguments = [self.port, 0, 1, until];
        assert_eq!(
            self.world.call(self.reader.thread, Syscall::PortWait, &arguments),
            Answer::Blocked
        );
        self.mode = Reader::Waits { until: until.saturating_mul(3) };
    }

    fn wait(&mut self, capacity: u64, buffer: u64) {
        let result = self.ask(Syscall::PortWait, &[self.port, buffer, capacity, 0]);
        let count = capacity.min(self.queue.len() as u64);
        let fits = buffer == SCRATCH || buffer == SCRATCH + 4096 - 32 && count <= 2;
        let extra = capacity.saturating_sub(1);
        let expected = match () {
            () if capacity == 0 || capacity > WAIT_PACKETS as u64 => Err(Error::BadSize),
            () if extra > 0 && !buffer.is_multiple_of(8) => Err(Error::Misaligned),
            () if extra > 0
                && buffer > SCRATCH + 4096
                && buffer.saturating_add(extra * 32) > 0x7fff_ffff_f000 =>
            {
                Err(Error::BadAddress)
            }
            () if count == 0 => Err(Error::TimedOut),
            () if count > 1 && !fits => Err(Error::BadAddress),
            () => Ok(count),
        };
        assert_eq!(result, expected, "capacity {capacity}, buffer {buffer:#x}");
        for number in 0..result.unwrap_or(0) {
            let packet = match number {
                0 => self.world.packet(self.reader.thread),
                _ => self.world.packet_at(self.reader.thread, buffer + (number - 1) * 32),
            };
            Self::same(packet, self.queue.pop_front().expect("as many as said"));
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn packets_come_in_order_one_for_each_source(ops in prop::collection::vec(op(), 1..120)) {
        let mut rig = Rig::new();
        rig.world.careful.set(ops.len() % 4 == 0);
        for op in &ops {
            rig.step(op);
        }
        check_invariants(rig.world.k);
        if rig.mode == Reader::Free {
            rig.wait(64, SCRATCH);
        }
    }
}

#[test]
fn one_thread_waits_on_a_port() {
    let world = World::new(SMALL);
    let root = world.root.thread;
    let reader = world.spawn(root, 300_000, 0, 5);
    let second = world.spawn(root, 300_000, 1, 5);
    let third = world.spawn(root, 300_000, 0, 5);
    let port = world.must(root, Syscall::PortCreate, &[]);
    let handles = [reader, second, third]
        .map(|to| world.grant(root, &to, port, tocsin_abi::Kind::Port.all_rights()));
    let wait =
        |who: Actor, handle| world.call(who.thread, Syscall::PortWait, &[handle, 0, 1, FOREVER]);
    assert_eq!(wait(reader, handles[0]), Answer::Blocked);
    assert_eq!(wait(second, handles[1]), Answer::Done(Err(Error::Busy)));
    assert_eq!(wait(third, handles[2]), Answer::Done(Err(Error::Busy)));
    // The port's end wakes its waiter.
    world.must(root, Syscall::HandleRevoke, &[port]);
    world.must(root, Syscall::HandleClose, &[port]);
    assert_eq!(world.result(reader.thread), Err(Error::PeerDied));
    assert!(matches!(world.state(reader.thread), State::Ready | State::Running));
    check_invariants(world.k);
}

#[test]
fn receivers_that_wait_get_the_packets_that_wait_when_they_are_tied() {
    let world = World::new(SMALL);
    let root = world.root.thread;
    let server = world.spawn(root, 300_000, 1, 5);
    let endpoint = world.must(root, Syscall::EndpointCreate, &[]);
    let port = world.must(root, Syscall::PortCreate, &[]);
    let theirs = world.grant(root, &server, endpoint, tocsin_abi::Kind::Endpoint.all_rights());
    assert_eq!(world.call(server.thread, Syscall::IpcReceive, &[theirs]), Answer::Blocked);
    world.must(root, Syscall::PortSignal, &[port, 6]);
    world.must(root, Syscall::EndpointBind, &[endpoint, port]);
    assert_eq!((world.result(server.thread), world.packet(server.thread).value), (Ok(1), 6));
    check_invariants(world.k);
    let errors: Vec<Error> =
        vec![world.ask(root, Syscall::EndpointBind, &[endpoint, port]).unwrap_err()];
    assert_eq!(errors, [Error::AlreadyBound]);
}
