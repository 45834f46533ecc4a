//! Calls and replies among threads of several CPUs and processes, with deaths in between:
//! every caller is answered exactly once, with the answer to its own call.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use tocsin_abi::{Error, Kind, Rights, Syscall, Tag};

use super::invariants::check_invariants;
use super::world::{Actor, Answer, SMALL, Size, World, cases, tag, without};
use crate::objects::ThreadId;
use crate::thread::State;

const THREADS: usize = 8;
const ENDPOINTS: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    Call { by: usize, at: usize, words: usize },
    Receive { by: usize, at: usize },
    Reply { by: usize, words: usize },
    ReplyReceive { by: usize, at: usize, words: usize },
    KillThread { which: usize },
    KillProcess { which: usize },
    Mute { at: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let (by, at) = (0..THREADS, 0..ENDPOINTS);
    let words = prop_oneof![Just(0usize), Just(2), Just(4), Just(5), Just(64)];
    prop_oneof![
        8 => (by.clone(), at.clone(), words.clone()).prop_map(|(by, at, words)| Op::Call { by, at, words }),
        6 => (by.clone(), at.clone()).prop_map(|(by, at)| Op::Receive { by, at }),
        5 => (by.clone(), words.clone()).prop_map(|(by, words)| Op::Reply { by, words }),
        6 => (by.clone(), at.clone(), words)
            .prop_map(|(by, at, words)| Op::ReplyReceive { by, at, words }),
        1 => by.prop_map(|which| Op::KillThread { which }),
        1 => (0usize..3).prop_map(|which| Op::KillProcess { which }),
        1 => at.prop_map(|at| Op::Mute { at }),
    ]
}

/// What a thread is in, as far as IPC goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Can make calls; serves the call of somebody, perhaps.
    Free,
    /// Its call waits at an endpoint.
    Sent(usize),
    /// Somebody has taken its call.
    Taken(usize),
    /// Waits for calls.
    Listens(usize),
    Dead,
}

struct Rig {
    world: World,
    processes: Vec<Actor>,
    threads: Vec<ThreadId>,
    /// Process, and handle to the thread in root.
    homes: Vec<(usize, u64)>,
    /// Handles by process and endpoint: with the right to call, and to receive.
    call: Vec<[u64; ENDPOINTS]>,
    receive: Vec<[u64; ENDPOINTS]>,
    shared: Vec<u64>,
    stages: Vec<Stage>,
    /// Whose call each thread serves.
    serves: Vec<Option<usize>>,
    /// Callers and listeners at each endpoint, in order.
    senders: [Vec<usize>; ENDPOINTS],
    listeners: [Vec<usize>; ENDPOINTS],
    muted: [bool; ENDPOINTS],
    alive: [bool; 3],
    /// Number of words and the seed of each thread's message under way.
    sent: BTreeMap<usize, (usize, u64)>,
    serial: u64,
    answers: Vec<u64>,
    /// What each thread must have been answered last.
    last: Vec<Option<Result<u64, Error>>>,
}

impl Rig {
    fn new() -> Rig {
        let world = World::new(Size { cpus: 3, ..SMALL });
        let root = world.root.thread;
        let processes: Vec<_> = (0..3).map(|n| world.spawn(root, 300_000, n, 5)).collect();
        let mut threads: Vec<_> = processes.iter().map(|actor| actor.thread).collect();
        let mut homes: Vec<_> =
            processes.iter().map(|actor| actor.thread_handle).enumerate().collect();
        for number in 3..THREADS {
            let process = number % 3;
            let handle =
                world.thread_in(root, processes[process].process_handle, number as u64 / 2 % 3, 5);
            threads.push(world.k.process(processes[process].process).threads.get());
            homes.push((process, handle));
        }
        let shared: Vec<_> =
            (0..ENDPOINTS).map(|_| world.must(root, Syscall::EndpointCreate, &[])).collect();
        let give = |lost: Rights| -> Vec<[u64; ENDPOINTS]> {
            let rights = without(Kind::Endpoint, lost);
            processes
                .iter()
                .map(|to| [0, 1].map(|at| world.grant(root, to, shared[at], rights)))
                .collect()
        };
        let (call, receive) = (give(Rights::RECEIVE), give(Rights::CALL));
        world.careful.set(false);
        Rig {
            call,
            receive,
            stages: vec![Stage::Free; THREADS],
            serves: vec![None; THREADS],
            senders: Default::default(),
            listeners: Default::default(),
            muted: [false; ENDPOINTS],
            alive: [true; 3],
            sent: BTreeMap::new(),
            serial: 0,
            answers: threads.iter().map(|thread| world.frame(*thread).answers.get()).collect(),
            last: vec![None; THREADS],
            world,
            processes,
            threads,
            homes,
            shared,
        }
    }

    /// Fills a thread's message: registers come back, the rest lies in its buffer.
    fn fill(&mut self, by: usize, words: usize) -> [u64; 4] {
        self.serial += 1000;
        let buffer = self.world.k.thread(self.threads[by]).ipc_buffer.get();
        for index in 4..words {
            self.world.k.platform.set_ipc_word(buffer, index, self.serial + index as u64);
        }
        self.sent.insert(by, (words, self.serial));
        core::array::from_fn(|index| self.serial + index as u64)
    }

    /// The message that `from` sent is what `to` got.
    fn compare_message(&self, from: usize, to: usize, badge: u64) {
        let (words, seed) = self.sent[&from];
        let values = self.world.values(self.threads[to]);
        assert_eq!((values[0], Tag(values[1]).words()), (badge, words));
        let buffer = self.world.k.thread(self.threads[to]).ipc_buffer.get();
        for index in 0..words {
            let real = match index {
                0..4 => values[2 + index],
                _ => self.world.k.platform.ipc_word(buffer, index),
            };
            assert_eq!(real, seed + index as u64, "word {index}");
        }
    }

    fn answered(&mut self, who: usize, result: Result<u64, Error>) {
        self.answers[who] += 1;
        self.last[who] = Some(result);
    }

    /// `server` gets the call of `caller`.
    fn taken(&mut self, caller: usize, server: usize) {
        self.stages[caller] = Stage::Taken(server);
        self.stages[server] = Stage::Free;
        self.serves[server] = Some(caller);
        self.answered(server, Ok(0));
        self.compare_message(caller, server, 0);
    }

    fn fail(&mut self, who: usize) {
        self.stages[who] = Stage::Free;
        self.answered(who, Err(Error::PeerDied));
    }

    fn receive(&mut self, by: usize, at: usize) {
        if let Some(caller) = self.serves[by].take() {
            self.fail(caller);
        }
        if self.senders[at].is_empty() {
            self.stages[by] = Stage::Listens(at);
            self.listeners[at].push(by);
        } else {
            let caller = self.senders[at].remove(0);
            self.taken(caller, by);
        }
    }

    fn reply(&mut self, by: usize) -> bool {
        let Some(caller) = self.serves[by].take() else { return false };
        self.stages[caller] = Stage::Free;
        self.answered(caller, Ok(0));
        self.compare_message(by, caller, 0);
        true
    }

    fn ask(&self, by: usize, call: Syscall, arguments: &[u64]) {
        let _: Answer = self.world.call(self.threads[by], call, arguments);
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Call { by, at, words } if self.stages[by] == Stage::Free => {
                let [a, b, c, d] = self.fill(by, words);
                let handle = self.call[self.homes[by].0][at];
                self.ask(by, Syscall::IpcCall, &[handle, tag(1, words, 0), a, b, c, d]);
                if self.muted[at] {
                    self.fail(by);
                } else if self.listeners[at].is_empty() {
                    self.stages[by] = Stage::Sent(at);
                    self.senders[at].push(by);
                } else {
                    let server = self.listeners[at].remove(0);
                    self.taken(by, server);
                }
            }
            Op::Receive { by, at } if self.stages[by] == Stage::Free => {
                let handle = self.receive[self.homes[by].0][at];
                self.ask(by, Syscall::IpcReceive, &[handle]);
                if self.muted[at] {
                    self.answered(by, Err(Error::BadHandle));
                } else {
                    self.receive(by, at);
                }
            }
            Op::Reply { by, words } if self.stages[by] == Stage::Free => {
                let [a, b, c, d] = self.fill(by, words);
                self.ask(by, Syscall::IpcReply, &[tag(2, words, 0), a, b, c, d]);
                let served = self.reply(by);
                self.answered(by, if served { Ok(0) } else { Err(Error::NoCaller) });
            }
            Op::ReplyReceive { by, at, words } if self.stages[by] == Stage::Free => {
                let [a, b, c, d] = self.fill(by, words);
                let handle = self.receive[self.homes[by].0][at];
                self.ask(by, Syscall::IpcReplyReceive, &[handle, tag(2, words, 0), a, b, c, d]);
                if self.muted[at] {
                    self.answered(by, Err(Error::BadHandle));
                } else {
                    self.reply(by);
                    self.receive(by, at);
                }
            }
            Op::KillThread { which } if self.stages[which] != Stage::Dead => {
                self.world.must(
                    self.world.root.thread,
                    Syscall::ThreadKill,
                    &[self.homes[which].1],
                );
                self.die(which);
                self.bury();
            }
            Op::KillProcess { which } if self.alive[which] => {
                let handle = self.processes[which].process_handle;
                self.world.must(self.world.root.thread, Syscall::ProcessKill, &[handle]);
                self.end_process(which);
            }
            Op::Mute { at } if !self.muted[at] => {
                self.mute(at);
            }
            _ => {}
        }
    }

    /// Root takes back every handle and gives out the right to call only.
    fn mute(&mut self, at: usize) {
        let root = self.world.root.thread;
        self.world.must(root, Syscall::HandleRevoke, &[self.shared[at]]);
        let call = without(Kind::Endpoint, Rights::RECEIVE);
        let narrow = self.world.must(
            root,
            Syscall::HandleDuplicate,
            &[self.shared[at], call.bits().into(), 0],
        );
        self.world.must(root, Syscall::HandleClose, &[self.shared[at]]);
        self.shared[at] = narrow;
        for process in 0..3 {
            if self.alive[process] {
                self.call[process][at] =
                    self.world.grant(root, &self.processes[process], narrow, call);
            }
        }
        self.muted[at] = true;
        let waiting: Vec<_> =
            self.senders[at].drain(..).chain(self.listeners[at].drain(..)).collect();
        waiting.into_iter().for_each(|who| self.fail(who));
    }

    fn die(&mut self, which: usize) {
        for at in 0..ENDPOINTS {
            self.senders[at].retain(|who| *who != which);
            self.listeners[at].retain(|who| *who != which);
        }
        if let Stage::Taken(server) = self.stages[which] {
            self.serves[server] = None;
        }
        self.stages[which] = Stage::Dead;
        if let Some(caller) = self.serves[which].take() {
            self.fail(caller);
        }
    }

    /// Processes whose last thread has ended are dead.
    fn bury(&mut self) {
        for process in 0..3 {
            let lives =
                |who: usize| self.homes[who].0 == process && self.stages[who] != Stage::Dead;
            if self.alive[process] && !(0..THREADS).any(lives) {
                self.end_process(process);
            }
        }
    }

    fn end_process(&mut self, process: usize) {
        self.alive[process] = false;
        for who in 0..THREADS {
            if self.homes[who].0 == process && self.stages[who] != Stage::Dead {
                self.die(who);
            }
        }
        self.world.settle();
    }

    fn compare(&self) {
        for who in 0..THREADS {
            let thread = self.threads[who];
            let state = self.world.state(thread);
            let same = match self.stages[who] {
                Stage::Free => matches!(state, State::Ready | State::Running),
                Stage::Sent(_) => state == State::Sending,
                Stage::Taken(_) => state == State::Calling,
                Stage::Listens(_) => state == State::Receiving,
                Stage::Dead => state == State::Dead,
            };
            assert!(same, "thread {who} is {state:?}, not {:?}", self.stages[who]);
            if self.stages[who] != Stage::Dead {
                assert_eq!(
                    self.world.frame(thread).answers.get(),
                    self.answers[who],
                    "answers of {who}"
                );
            }
            if let (Stage::Free, Some(last)) = (self.stages[who], self.last[who]) {
                assert_eq!(self.world.result(thread), last, "the answer of {who}");
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_call_is_answered_once(ops in prop::collection::vec(op(), 1..120)) {
        let mut rig = Rig::new();
        rig.world.careful.set(ops.len() % 8 == 0);
        for op in &ops {
            rig.step(op);
            rig.compare();
        }
        check_invariants(rig.world.k);
    }
}
