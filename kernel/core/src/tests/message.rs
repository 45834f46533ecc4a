//! The life cycle of messages (DESIGN §4, §5) against the model: random sequences of an
//! interrupt server, two clients on two CPUs, and devices.

use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Error, Kind, MessageState, MessageStatus, PacketKind, Rights, Syscall};

use super::invariants::check_invariants;
use super::message_model::{Handed, Model};
use super::message_ops::{CLIENTS, Op, op};
use super::platform::{FIRST_VECTOR, TICKS_PER_NS};
use super::world::{Actor, Answer, SCRATCH, SMALL, World, cases, without};
use crate::arena::Id;
use crate::level::Held;
use crate::thread::State;
use crate::vectors::Use;

const COOKIE: u64 = 1000;

/// A client's handle.
struct Given {
    client: usize,
    message: usize,
    handle: u64,
    alive: bool,
}

pub(super) struct Rig {
    pub(super) world: World,
    clients: Vec<Actor>,
    ports: Vec<u64>,
    control_port: u64,
    /// The server's handles; zero: closed.
    pub(super) served: Vec<u64>,
    given: Vec<Given>,
    dead: [bool; CLIENTS],
    pub(super) model: Model,
}

impl Rig {
    fn new(shared: bool) -> Rig {
        let world = World::new(SMALL);
        world.k.platform.shared.set(shared);
        let root = world.root.thread;
        let clients: Vec<_> =
            (0..CLIENTS as u64).map(|n| world.spawn(root, 200_000, 1 - n, 5)).collect();
        let ports =
            clients.iter().map(|c| world.must(c.thread, Syscall::PortCreate, &[])).collect();
        let control_port = world.must(root, Syscall::PortCreate, &[]);
        world.must(root, Syscall::ControlBind, &[world.roots.control, control_port]);
        let model = Model {
            ports: vec![Default::default(); CLIENTS],
            listening: vec![false; CLIENTS],
            shared,
            ..Model::default()
        };
        Rig {
            world,
            clients,
            ports,
            control_port,
            served: Vec::new(),
            given: Vec::new(),
            dead: [false; CLIENTS],
            model,
        }
    }

    pub(super) fn server(&self, call: Syscall, arguments: &[u64]) -> Result<u64, Error> {
        self.world.ask(self.world.root.thread, call, arguments)
    }

    fn left(&self, message: usize) -> (usize, usize) {
        let clients = self.given.iter().filter(|g| g.alive && g.message == message).count();
        (clients + usize::from(self.served[message] != 0), clients)
    }

    fn drop_given(&mut self, index: usize) {
        self.given[index].alive = false;
        let message = self.given[index].message;
        let (left, clients) = self.left(message);
        self.model.handle_gone(message, index, left, clients);
    }

    /// A call of the server's about a message it still has.
    pub(super) fn about(
        &self,
        message: usize,
        call: Syscall,
        rest: &[u64],
    ) -> Option<(usize, Result<u64, Error>)> {
        let message = message % self.served.len().max(1);
        let handle = *self.served.get(message).filter(|handle| **handle != 0)?;
        let arguments: Vec<_> = [handle].iter().chain(rest).copied().collect();
        Some((message, self.server(call, &arguments)))
    }

    fn free_client(&self, client: usize) -> bool {
        !self.dead[client] && !self.model.listening[client]
    }

    fn step(&mut self, op: Op) {
        let control = self.world.roots.control;
        match op {
            Op::Create => {
                let cookie = COOKIE + self.served.len() as u64;
                let result =
                    self.server(Syscall::MessageCreate, &[control, 0xfee0_0000, 7, cookie]);
                if let Ok(handle) = result {
                    self.served.push(handle);
                    self.model.create();
                }
            }
            Op::Give { message, client } => self.give(message, client),
            Op::Activate { message, cpu, vector, trigger } => {
                self.activate(message, cpu, vector, trigger)
            }
            Op::Move { message, cpu } => self.move_to(message, cpu),
            Op::Settle { message } => {
                let Some((id, result)) = self.about(message, Syscall::MessageSettle, &[]) else {
                    return;
                };
                let old = self.model.messages[id].old.take();
                assert_eq!(result, if old.is_some() { Ok(0) } else { Err(Error::BadState) });
                let vector = self.model.messages[id].vector;
                let left = old.map(|old| self.model.key(old)) != vector.map(|v| self.model.key(v));
                self.model.retire(old.filter(|_| left), Use::Moved);
            }
            Op::Deactivate { message } => {
                let Some((id, result)) = self.about(message, Syscall::MessageDeactivate, &[])
                else {
                    return;
                };
                let message = &mut self.model.messages[id];
                let was = core::mem::replace(&mut message.state, MessageState::Reserved);
                let (vector, old) = (message.vector.take(), message.old.take());
                message.held = Held::No;
                assert_eq!(result.is_ok(), was != MessageState::Reserved);
                self.model.retire(vector, Use::Retired);
                self.model.retire(old, Use::Retired);
            }
            Op::Block { message } => {
                let Some((id, result)) = self.about(message, Syscall::MessageBlock, &[]) else {
                    return;
                };
                let message = &mut self.model.messages[id];
                assert_eq!(result.is_ok(), message.state == MessageState::Active);
                if result.is_ok() {
                    message.state = MessageState::Blocked;
                }
            }
            Op::Unblock { message } => {
                let Some((id, result)) = self.about(message, Syscall::MessageUnblock, &[]) else {
                    return;
                };
                let message = &mut self.model.messages[id];
                assert_eq!(result.is_ok(), message.state == MessageState::Blocked);
                if result.is_ok() {
                    message.state = MessageState::Active;
                    (message.stormed, message.window_events) = (false, 0);
                    if message.held == Held::Muted {
                        message.held = Held::No;
                    }
                }
            }
            Op::Rate { message, events, window } => {
                let rest = [events, window];
                let Some((id, result)) = self.about(message, Syscall::MessageRate, &rest) else {
                    return;
                };
                let refused = events != 0 && window == 0;
                assert_eq!(result, if refused { Err(Error::BadArgument) } else { Ok(0) });
                if !refused {
                    let now = self.model.now;
                    let message = &mut self.model.messages[id];
                    (message.rate, message.window) = (events as u32, window * TICKS_PER_NS);
                    (message.window_start, message.window_events, message.stormed) =
                        (now, 0, false);
                }
            }
            Op::Bind { .. }
            | Op::Unbind { .. }
            | Op::Signal { .. }
            | Op::Acknowledge { .. }
            | Op::Close { .. } => self.client_step(op),
            Op::Event { cpu, vector } => self.event((cpu, vector)),
            Op::Used { which } => {
                let which = which % self.model.vectors.len().max(1);
                if let Some(&at) = self.model.vectors.keys().nth(which) {
                    self.event(at);
                }
            }
            Op::DrainAny { cpu, vector } => self.drain((cpu, vector)),
            Op::Drain { which } => {
                let which = which % self.model.vectors.len().max(1);
                if let Some(&at) = self.model.vectors.keys().nth(which) {
                    self.drain(at);
                }
            }
            Op::DrainAll { which } => self.drain_all(which),
            Op::Poke { cpu } => self.poke(cpu),
            Op::Wait { client, capacity } => self.wait(client, capacity),
            Op::Listen { client } => {
                if self.free_client(client) && self.model.ports[client].is_empty() {
                    let thread = self.clients[client].thread;
                    let arguments = [self.ports[client], 0, 1, FOREVER];
                    assert_eq!(
                        self.world.call(thread, Syscall::PortWait, &arguments),
                        Answer::Blocked
                    );
                    self.model.listening[client] = true;
                }
            }
            Op::Revoke { message } => {
                let Some((id, result)) = self.about(message, Syscall::HandleRevoke, &[]) else {
                    return;
                };
                assert_eq!(result, Ok(0));
                for index in 0..self.given.len() {
                    if self.given[index].alive && self.given[index].message == id {
                        self.drop_given(index);
                    }
                }
            }
            Op::Forget { message } => {
                let Some((id, result)) = self.about(message, Syscall::HandleClose, &[]) else {
                    return;
                };
                assert_eq!(result, Ok(0));
                self.served[id] = 0;
                if self.left(id).0 == 0 {
                    self.model.die(id);
                }
            }
            Op::Kill { client } => {
                if !core::mem::replace(&mut self.dead[client], true) {
                    self.server(Syscall::ProcessKill, &[self.clients[client].process_handle])
                        .expect("alive");
                    self.world.settle();
                    self.model.listening[client] = false;
                    // The youngest handle goes first.
                    for index in (0..self.given.len()).rev() {
                        if self.given[index].alive && self.given[index].client == client {
                            self.drop_given(index);
                        }
                    }
                }
            }
            Op::Notices => self.notices(),
            Op::Pass { ticks } => {
                self.world.advance(ticks);
            }
        }
    }

    fn give(&mut self, message: usize, client: usize) {
        let message = message % self.served.len().max(1);
        if self.dead[client] || self.served.get(message).is_none_or(|handle| *handle == 0) {
            return;
        }
        let rights = without(Kind::Message, Rights::CONTROL);
        let root = self.world.root.thread;
        let handle = self.world.grant(root, &self.clients[client], self.served[message], rights);
        self.given.push(Given { client, message, handle, alive: true });
    }

    fn client_step(&mut self, op: Op) {
        let (Op::Bind { handle: index, .. }
        | Op::Unbind { handle: index }
        | Op::Signal { handle: index }
        | Op::Acknowledge { handle: index }
        | Op::Close { handle: index }) = op
        else {
            return;
        };
        let index = index % self.given.len().max(1);
        let Some(&Given { client, message: id, handle, alive }) = self.given.get(index) else {
            return;
        };
        if !self.free_client(client) {
            return;
        }
        let (thread, port) = (self.clients[client].thread, self.ports[client]);
        let bound = self.model.messages[id].bound;
        let ask = |call, arguments: &[u64]| self.world.ask(thread, call, arguments);
        match op {
            Op::Bind { key, .. } => {
                let result = ask(Syscall::MessageBind, &[handle, port, key]);
                if !alive {
                    assert_eq!(result, Err(Error::BadHandle));
                } else if bound.is_some() {
                    assert_eq!(result, Err(Error::AlreadyBound));
                } else {
                    assert_eq!(result, Ok(self.model.bind(id, client, key, index)));
                }
            }
            Op::Unbind { .. } => {
                let result = ask(Syscall::MessageUnbind, &[handle]);
                if alive {
                    assert_eq!(result, if bound.is_some() { Ok(0) } else { Err(Error::NotBound) });
                    self.model.unbind(id);
                }
            }
            Op::Acknowledge { .. } => {
                let result = ask(Syscall::MessageAcknowledge, &[handle]);
                let message = &mut self.model.messages[id];
                if !alive {
                    assert_eq!(result, Err(Error::BadHandle));
                } else if message.held == Held::Owner {
                    assert_eq!(result, Ok(0));
                    message.held = Held::No;
                } else {
                    assert_eq!(result, Err(Error::BadState));
                }
            }
            Op::Signal { .. } => {
                let result = ask(Syscall::MessageSignal, &[handle]);
                assert_eq!(result.is_ok(), alive);
                if alive {
                    self.model.event(id);
                }
            }
            _ => {
                let result = ask(Syscall::HandleClose, &[handle]);
                assert_eq!(result.is_ok(), alive);
                if alive {
                    self.drop_given(index);
                }
            }
        }
    }

    fn wait(&mut self, client: usize, capacity: u64) {
        if !self.free_client(client) {
            return;
        }
        let thread = self.clients[client].thread;
        let result =
            self.world.ask(thread, Syscall::PortWait, &[self.ports[client], SCRATCH, capacity, 0]);
        let waiting = self.model.ports[client].len() as u64;
        if waiting == 0 {
            assert_eq!(result, Err(Error::TimedOut));
            return;
        }
        let count = waiting.min(capacity);
        assert_eq!(result, Ok(count));
        for number in 0..count {
            let packet = match number {
                0 => self.world.packet(thread),
                number => self.world.packet_at(thread, SCRATCH + (number - 1) * 32),
            };
            let (key, events) = self.model.take(client).expect("as many as counted");
            assert_eq!(
                (packet.key, packet.count, packet.kind),
                (key, events, PacketKind::Message as u32)
            );
        }
    }

    fn notices(&mut self) {
        let root = self.world.root.thread;
        while let Some((id, kind, count)) = self.model.take_notice() {
            assert_eq!(self.server(Syscall::PortWait, &[self.control_port, 0, 1, 0]), Ok(1));
            let packet = self.world.packet(root);
            let expected = (COOKIE + id as u64, kind as u32, count);
            assert_eq!((packet.key, packet.kind, packet.count), expected);
        }
        let result = self.server(Syscall::PortWait, &[self.control_port, 0, 1, 0]);
        assert_eq!(result, Err(Error::TimedOut));
    }

    /// The inspector's view: whose port, made by whom, under which key.
    fn compare_binding(&self, id: usize, bound: Option<(usize, u64, usize)>) {
        let result = self.server(Syscall::MessageBinding, &[self.served[id]]);
        let Some((client, key, _)) = bound else {
            assert_eq!(result, Err(Error::NotBound), "message {id}");
            return;
        };
        assert_eq!(result, Ok(0), "message {id}");
        let [port, process, k, ..] = self.world.values(self.world.root.thread);
        assert_eq!(k, key, "message {id}");
        let owner = self.clients[client].process;
        assert_eq!(process, u64::from(owner.index()), "message {id}");
        // Each client has one port.
        let port = self.world.k.ports.get(Id::new(port as u32));
        assert_eq!(port.payer.get(), owner, "message {id}");
    }

    fn compare(&mut self) {
        self.model.check();
        if let Some(Handed { client, key, count }) = self.model.handed.take() {
            let thread = self.clients[client].thread;
            assert!(matches!(self.world.state(thread), State::Ready | State::Running));
            let packet = self.world.packet(thread);
            assert_eq!((self.world.result(thread), packet.key, packet.count), (Ok(1), key, count));
        }
        for (client, listening) in self.model.listening.iter().enumerate() {
            let waiting = self.world.state(self.clients[client].thread) == State::Waiting;
            assert_eq!(waiting, *listening, "client {client}");
        }
        let strays: u64 = (0..2).map(|cpu| self.world.k.cpu(cpu).strays.get()).sum();
        assert_eq!(strays, self.model.strays);
        for (id, message) in self.model.messages.iter().enumerate() {
            if self.served[id] == 0 {
                continue;
            }
            assert_eq!(self.server(Syscall::MessageRead, &[self.served[id]]), Ok(0));
            let [a, b, c, d, e, _] = self.world.values(self.world.root.thread);
            let status = MessageStatus::from_values([a, b, c, d, e]);
            let counted = (status.delivered, status.coalesced, status.blocked);
            assert_eq!(
                counted,
                (message.delivered, message.coalesced, message.blocked),
                "message {id}"
            );
            assert_eq!(status.state, message.state);
            assert_eq!(status.vector, message.vector.map_or(0, |vector| vector.1));
            assert_eq!((status.address, status.data), (0xfee0_0000, 7), "the pair never changes");
            self.compare_binding(id, message.bound);
        }
        let live = self.model.messages.iter().filter(|message| message.alive).count();
        assert_eq!(self.world.k.messages.live() as usize, live);
        assert_eq!(*self.world.k.platform.held.borrow(), self.model.held_back());
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn messages_follow_the_model(ops in prop::collection::vec(op(), 1..150), shared: bool) {
        let mut rig = Rig::new(shared);
        rig.world.careful.set(ops.len() % 8 == 0);
        for op in ops {
            rig.model.now = rig.world.k.platform.clock.get();
            rig.step(op);
            rig.compare();
        }
        check_invariants(rig.world.k);
        rig.notices();
        for client in 0..CLIENTS {
            rig.wait(client, 64);
        }
    }
}

/// A budget of events in a window: what comes slowly enough is no storm, however much.
#[test]
fn a_slow_message_is_no_storm_and_a_fast_one_is_told_once() {
    let mut rig = Rig::new(false);
    let (vector, window_ns) = (FIRST_VECTOR.into(), 100);
    rig.step(Op::Create);
    rig.step(Op::Activate { message: 0, cpu: 0, vector, trigger: 0 });
    rig.step(Op::Rate { message: 0, events: 3, window: window_ns });
    let notice = |rig: &Rig| {
        let arguments = [rig.control_port, 0, 1, 0];
        rig.server(Syscall::PortWait, &arguments)
            .map(|_| rig.world.packet(rig.world.root.thread).kind)
    };
    for _ in 0..20 {
        for _ in 0..3 {
            rig.world.device_event(0, FIRST_VECTOR);
        }
        rig.world.advance(window_ns * TICKS_PER_NS + 1);
    }
    assert_eq!(notice(&rig), Err(Error::TimedOut));
    for _ in 0..20 {
        rig.world.device_event(0, FIRST_VECTOR);
    }
    assert_eq!(notice(&rig), Ok(PacketKind::Storm as u32));
    assert_eq!(notice(&rig), Err(Error::TimedOut));
}
