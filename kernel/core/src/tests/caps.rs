//! Handles against a model: a plain tree of who derived what from whom.

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec::Vec;

use tocsin_abi::{Error, Handle, Kind, Rights, Syscall};

use super::invariants::check_invariants;
use super::world::{Actor, SMALL, Size, World, cases, tag};
use crate::thread::State;

/// A handle, as the model knows it. Closed ones stay, to be tried again.
#[derive(Clone, Debug)]
struct Known {
    owner: usize,
    handle: u64,
    kind: Kind,
    object: usize,
    rights: Rights,
    badge: u64,
    parent: Option<usize>,
    alive: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Create { by: usize, kind: usize },
    Duplicate { from: usize, rights: Ask, badge: u64 },
    Grant { from: usize, to: usize, rights: Ask, badge: u64 },
    Send { to: usize, handles: Vec<(usize, Ask)> },
    Close { which: usize },
    Revoke { which: usize },
    UseAs { which: usize, other: usize },
}

const ACTORS: usize = 3;
const MADE: [(Kind, Syscall); 4] = [
    (Kind::Endpoint, Syscall::EndpointCreate),
    (Kind::Port, Syscall::PortCreate),
    (Kind::Memory, Syscall::MemoryCreate),
    (Kind::Endpoint, Syscall::EndpointCreate),
];

/// Which rights to ask for: of those that the source has, or whatever comes.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Without(u16),
    Exactly(u16),
}

impl Ask {
    fn of(self, source: &Known) -> u16 {
        match self {
            Ask::Without(lost) => source.rights.bits() & !lost,
            Ask::Exactly(rights) => rights,
        }
    }
}

fn rights() -> impl Strategy<Value = Ask> {
    prop_oneof![
        6 => Just(Ask::Without(0)),
        6 => (0u16..14).prop_map(|bit| Ask::Without(1 << bit)),
        1 => any::<u16>().prop_map(Ask::Exactly),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let which = 0usize..1000;
    let badge = prop_oneof![3 => Just(0u64), 1 => 1u64..4];
    let sent = prop::collection::vec((0usize..1000, rights()), 1..=3);
    prop_oneof![
        2 => (0..ACTORS, 0..MADE.len()).prop_map(|(by, kind)| Op::Create { by, kind }),
        3 => (which.clone(), rights(), badge.clone())
            .prop_map(|(from, rights, badge)| Op::Duplicate { from, rights, badge }),
        3 => (which.clone(), 0..ACTORS, rights(), badge)
            .prop_map(|(from, to, rights, badge)| Op::Grant { from, to, rights, badge }),
        2 => (0..ACTORS, sent).prop_map(|(to, handles)| Op::Send { to, handles }),
        2 => which.clone().prop_map(|which| Op::Close { which }),
        1 => which.clone().prop_map(|which| Op::Revoke { which }),
        1 => (which.clone(), 0..ACTORS).prop_map(|(which, other)| Op::UseAs { which, other }),
    ]
}

struct Model {
    world: World,
    actors: Vec<Actor>,
    /// `processes[a][b]`: a's handle to b's process.
    processes: Vec<Vec<u64>>,
    /// Everybody's handle to one endpoint on which all meet.
    meeting: Vec<u64>,
    known: Vec<Known>,
    objects: usize,
    fixed: [u32; 4],
}

impl Model {
    fn new() -> Model {
        let world = World::new(Size { slots: 2000, objects: 64, ..SMALL });
        let root = world.root.thread;
        let actors: Vec<_> =
            (0..ACTORS as u64).map(|n| world.spawn(root, 300_000, n % 2, 5)).collect();
        let mut processes = Vec::new();
        for from in &actors {
            let give =
                |to: &Actor| world.grant(root, from, to.process_handle, Kind::Process.all_rights());
            processes.push(actors.iter().map(give).collect());
        }
        let endpoint = world.must(root, Syscall::EndpointCreate, &[]);
        let give = |to: &Actor| world.grant(root, to, endpoint, Kind::Endpoint.all_rights());
        let meeting = actors.iter().map(give).collect();
        let mut model = Model {
            world,
            actors,
            processes,
            meeting,
            known: Vec::new(),
            objects: 0,
            fixed: [0; 4],
        };
        model.fixed = model.live();
        model
    }

    /// Endpoints, ports, memories and handles there are.
    fn live(&self) -> [u32; 4] {
        let k = self.world.k;
        [k.endpoints.live(), k.ports.live(), k.memories.live(), k.slots.live()]
    }

    fn learn(&mut self, known: Known) {
        let same = |old: &Known| old.handle == known.handle && old.owner == known.owner;
        assert!(!self.known.iter().any(same), "an old name for a new handle");
        self.known.push(known);
    }

    /// What deriving from `from` must come to.
    fn derived(
        &self,
        from: usize,
        needed: Rights,
        rights: u16,
        badge: u64,
    ) -> Result<Known, Error> {
        let source = &self.known[from];
        let rights = Rights::from_bits_retain(rights);
        if !source.alive {
            return Err(Error::BadHandle);
        }
        if !source.rights.contains(needed) {
            return Err(Error::MissingRight);
        }
        if !source.rights.contains(rights) {
            return Err(Error::Widening);
        }
        let mint = source.kind == Kind::Endpoint
            && source.badge == 0
            && source.rights.contains(Rights::MINT);
        if badge != 0 && !mint {
            return Err(Error::Widening);
        }
        let badge = if badge == 0 { source.badge } else { badge };
        Ok(Known { rights, badge, parent: Some(from), ..source.clone() })
    }

    fn step(&mut self, op: Op) {
        if self.known.is_empty() && !matches!(op, Op::Create { .. }) {
            return;
        }
        let count = self.known.len().max(1);
        match op {
            Op::Create { by, kind } => {
                let (kind, call) = MADE[kind];
                let handle = self.world.must(self.actors[by].thread, call, &[100]);
                let object = self.objects;
                self.objects += 1;
                let rights = kind.all_rights();
                self.learn(Known {
                    owner: by,
                    handle,
                    kind,
                    object,
                    rights,
                    badge: 0,
                    parent: None,
                    alive: true,
                });
            }
            Op::Duplicate { from, rights, badge } => {
                let from = from % count;
                let rights = rights.of(&self.known[from]);
                let expected = self.derived(from, Rights::DUPLICATE, rights, badge);
                let (owner, handle) = (self.known[from].owner, self.known[from].handle);
                let thread = self.actors[owner].thread;
                let result = self.world.ask(
                    thread,
                    Syscall::HandleDuplicate,
                    &[handle, rights.into(), badge],
                );
                self.judge(expected, result, owner);
            }
            Op::Grant { from, to, rights, badge } => {
                let from = from % count;
                let rights = rights.of(&self.known[from]);
                let expected = self.derived(from, Rights::TRANSFER, rights, badge);
                let (owner, handle) = (self.known[from].owner, self.known[from].handle);
                let arguments = [self.processes[owner][to], handle, rights.into(), badge];
                let result =
                    self.world.ask(self.actors[owner].thread, Syscall::ProcessGrant, &arguments);
                self.judge(expected, result, to);
            }
            Op::Send { to, handles } => self.send(to, handles),
            Op::Close { which } => {
                let which = which % count;
                let Known { owner, handle, parent, alive, .. } = self.known[which].clone();
                let result =
                    self.world.ask(self.actors[owner].thread, Syscall::HandleClose, &[handle]);
                assert_eq!(result, if alive { Ok(0) } else { Err(Error::BadHandle) });
                self.known[which].alive = false;
                for known in self.known.iter_mut().filter(|known| known.parent == Some(which)) {
                    known.parent = parent;
                }
            }
            Op::Revoke { which } => {
                let which = which % count;
                let Known { owner, handle, rights, alive, .. } = self.known[which].clone();
                let result =
                    self.world.ask(self.actors[owner].thread, Syscall::HandleRevoke, &[handle]);
                let expected = match (alive, rights.contains(Rights::REVOKE)) {
                    (false, _) => Err(Error::BadHandle),
                    (_, false) => Err(Error::MissingRight),
                    _ => Ok(0),
                };
                assert_eq!(result, expected);
                if expected.is_ok() {
                    self.kill_derived(which);
                }
            }
            Op::UseAs { which, other } => {
                let Known { owner, handle, alive, .. } = self.known[which % count].clone();
                let result =
                    self.world.ask(self.actors[other].thread, Syscall::HandleInfo, &[handle]);
                assert_eq!(
                    result.is_ok(),
                    alive && owner == other,
                    "a handle works for its owner only"
                );
            }
        }
    }

    fn kill_derived(&mut self, which: usize) {
        for index in 0..self.known.len() {
            if self.known[index].alive && self.known[index].parent == Some(which) {
                self.known[index].alive = false;
                self.kill_derived(index);
            }
        }
    }

    fn judge(&mut self, expected: Result<Known, Error>, result: Result<u64, Error>, owner: usize) {
        match (expected, result) {
            (Ok(known), Ok(handle)) => self.learn(Known { owner, handle, ..known }),
            (Err(expected), Err(error)) => assert_eq!(error, expected),
            (expected, result) => panic!("{result:?} instead of {expected:?}"),
        }
    }

    /// A call that carries handles: all arrive or none, derived from the sender's.
    fn send(&mut self, to: usize, handles: Vec<(usize, Ask)>) {
        let count = self.known.len();
        let from = self.known[handles[0].0 % count].owner;
        if from == to {
            return;
        }
        let (caller, server) = (self.actors[from].thread, self.actors[to].thread);
        let buffer = self.world.k.thread(caller).ipc_buffer.get();
        let mut expected = Vec::new();
        for (index, &(which, rights)) in handles.iter().enumerate() {
            let which = which % count;
            let rights = rights.of(&self.known[which]);
            let handle = Handle(self.known[which].handle as u32);
            self.world.k.platform.set_ipc_handle(buffer, index, handle, rights);
            let derived = self.derived(which, Rights::TRANSFER, rights, 0);
            let foreign = self.known[which].owner != from;
            expected.push(if foreign { Err(Error::BadHandle) } else { derived });
        }
        let expected: Result<Vec<_>, _> = expected.into_iter().collect();
        self.world.call(server, Syscall::IpcReceive, &[self.meeting[to]]);
        assert_eq!(self.world.state(server), State::Receiving);
        self.world.call(caller, Syscall::IpcCall, &[self.meeting[from], tag(1, 0, handles.len())]);
        match expected {
            Err(error) => {
                assert_eq!(self.world.result(caller), Err(error));
                assert_eq!(
                    self.world.state(server),
                    State::Receiving,
                    "woken by a call that failed"
                );
                // Another caller lets the server go.
                self.world.call(caller, Syscall::IpcCall, &[self.meeting[from], tag(1, 0, 0)]);
            }
            Ok(expected) => {
                assert_eq!(self.world.state(caller), State::Calling);
                let buffer = self.world.k.thread(server).ipc_buffer.get();
                for (index, known) in expected.into_iter().enumerate() {
                    let (handle, _) =
                        crate::Platform::ipc_handle(&self.world.k.platform, buffer, index);
                    self.learn(Known { owner: to, handle: handle.0.into(), ..known });
                }
            }
        }
        self.world.must(server, Syscall::IpcReply, &[tag(2, 0, 0)]);
        assert_eq!(self.world.result(caller), Ok(0));
    }

    /// The kernel and the model agree about everything.
    fn compare(&self) {
        let k = self.world.k;
        let mut objects = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        let mut alive = 0;
        for known in &self.known {
            let thread = self.actors[known.owner].thread;
            let result = self.world.ask(thread, Syscall::HandleInfo, &[known.handle]);
            if !known.alive {
                assert_eq!(result, Err(Error::BadHandle), "a stale handle works: {known:?}");
                continue;
            }
            alive += 1;
            let values = self.world.values(thread);
            let expected = (Ok(known.kind as u64), u64::from(known.rights.bits()), known.badge);
            assert_eq!((result, values[0], values[1]), expected, "{known:?}");
            let slot = k
                .slot(self.actors[known.owner].process, Handle(known.handle as u32))
                .expect("alive");
            let parent = known.parent.map(|parent| self.known[parent].handle);
            let real = slot.parent.get();
            let real = if real.is_none() { None } else { Some(u64::from(k.handle_of(real).0)) };
            assert_eq!(real, parent, "parent of {known:?}");
            let place = match known.kind {
                Kind::Endpoint => 0,
                Kind::Port => 1,
                _ => 2,
            };
            objects[place].insert(known.object);
        }
        let expected: Vec<_> = objects.iter().map(|set| set.len() as u32).chain([alive]).collect();
        let live: Vec<_> =
            self.live().iter().zip(self.fixed).map(|(now, fixed)| now - fixed).collect();
        assert_eq!(live, expected, "objects live as long as their handles");
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn handles_follow_the_tree_of_derivation(ops in prop::collection::vec(op(), 1..80)) {
        let mut model = Model::new();
        model.world.careful.set(false);
        for op in ops {
            model.step(op);
            model.compare();
        }
        check_invariants(model.world.k);
    }
}

#[test]
fn a_long_revocation_comes_in_steps_and_kills_all() {
    let world = World::new(Size { slots: 2000, ..SMALL });
    let root = world.root.thread;
    let port = world.must(root, Syscall::PortCreate, &[]);
    let rights = u64::from(Kind::Port.all_rights().bits());
    let mut last = port;
    for number in 0..400 {
        // A bush and a chain.
        let from = if number % 2 == 0 { port } else { last };
        last = world.must(root, Syscall::HandleDuplicate, &[from, rights, 0]);
    }
    let before = world.k.slots.live();
    world.must(root, Syscall::HandleRevoke, &[port]);
    assert_eq!(world.k.slots.live(), before - 400);
    check_invariants(world.k);
}

#[test]
fn one_process_gets_its_share_of_handles_only() {
    let world = World::new(Size { slots: 400, ..SMALL });
    let root = world.root.thread;
    let port = world.must(root, Syscall::PortCreate, &[]);
    let full = loop {
        if let Err(error) = world.ask(root, Syscall::HandleDuplicate, &[port, 0, 0]) {
            break error;
        }
    };
    assert_eq!(full, Error::NoHandles);
    assert_eq!(world.k.process(world.root.process).handle_count.get(), 100);
    check_invariants(world.k);
}

#[test]
fn a_closed_handle_stays_dead_for_as_long_as_generations_last() {
    let world = World::new(Size { slots: 64, ..SMALL });
    world.careful.set(false);
    let root = world.root.thread;
    let port = world.must(root, Syscall::PortCreate, &[]);
    let old = world.must(root, Syscall::HandleDuplicate, &[port, 0, 0]);
    world.must(root, Syscall::HandleClose, &[old]);
    // Sixty-odd places take turns, so 50,000 handles are some 800 generations.
    for _ in 0..50_000 {
        let new = world.must(root, Syscall::HandleDuplicate, &[port, 0, 0]);
        assert_ne!(new, old);
        assert_eq!(world.ask(root, Syscall::HandleInfo, &[old]), Err(Error::BadHandle));
        world.must(root, Syscall::HandleClose, &[new]);
    }
}
