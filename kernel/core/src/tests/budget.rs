//! Accounts: nothing is free, nothing is lost, and a refusal costs nothing. The walk over
//! all objects recomputes every account from what it pays for.

use proptest::prelude::*;
use std::vec::Vec;

use tocsin_abi::{Error, Kind, Rights, Syscall};

use super::invariants::check_invariants;
use super::world::{Actor, Size, World, cases, to};
use crate::process::Phase;

#[derive(Clone, Debug)]
enum Op {
    Make {
        call: usize,
        size: u64,
    },
    Map {
        which: usize,
        at: u64,
    },
    Unmap {
        at: u64,
    },
    Thread {
        process: usize,
    },
    Grant {
        which: usize,
    },
    Close {
        which: usize,
    },
    /// An allocation of frames fails, after so many that do not.
    Fail {
        after: u32,
    },
}

const MAKERS: [Syscall; 6] = [
    Syscall::EndpointCreate,
    Syscall::PortCreate,
    Syscall::MemoryCreate,
    Syscall::ProcessCreate,
    Syscall::MemoryCreate,
    Syscall::MessageCreate,
];

fn op() -> impl Strategy<Value = Op> {
    let size = prop_oneof![Just(0u64), 1u64..5000, 5000u64..100_000, Just(1 << 22), Just(u64::MAX)];
    let at = 0u64..12;
    prop_oneof![
        6 => (0..MAKERS.len(), size).prop_map(|(call, size)| Op::Make { call, size }),
        4 => (0usize..40, at.clone()).prop_map(|(which, at)| Op::Map { which, at }),
        1 => at.prop_map(|at| Op::Unmap { at }),
        2 => (0usize..3).prop_map(|process| Op::Thread { process }),
        3 => (0usize..40).prop_map(|which| Op::Grant { which }),
        3 => (0usize..40).prop_map(|which| Op::Close { which }),
        1 => (0u32..3).prop_map(|after| Op::Fail { after }),
    ]
}

struct Rig {
    world: World,
    actor: Actor,
    /// Another process that gets handles, and can be given mappings.
    other: Actor,
    others: u64,
    control: u64,
    handles: Vec<u64>,
}

impl Rig {
    fn new(budget: u64) -> Rig {
        let world = World::new(Size { cpus: 2, slots: 400, objects: 80, frames: 300 });
        let root = world.root.thread;
        let actor = world.spawn(root, budget, 1, 5);
        let other = world.spawn(root, 60_000, 0, 5);
        let others = world.grant(root, &actor, other.process_handle, Kind::Process.all_rights());
        let control =
            world.grant(root, &actor, world.roots.control, Kind::MessageControl.all_rights());
        Rig { world, actor, other, others, control, handles: Vec::new() }
    }

    fn ask(&self, call: Syscall, arguments: &[u64]) -> Result<u64, Error> {
        self.world.ask(self.actor.thread, call, arguments)
    }

    /// Addresses near and far, so that tables are needed, or not.
    fn place(at: u64) -> u64 {
        0x3000_0000 + (at << [12, 21, 30, 39][at as usize % 4])
    }

    fn step(&mut self, op: &Op) -> Result<u64, Error> {
        let rw = u64::from((Rights::READ | Rights::WRITE).bits());
        let pick = |which: usize| self.handles.get(which).copied().unwrap_or(0);
        match *op {
            Op::Make { call, size } => {
                let call = MAKERS[call];
                let result = match call {
                    Syscall::MessageCreate => self.ask(call, &[self.control, 0, size, 0]),
                    _ => self.ask(call, &[size]),
                };
                self.handles.extend(result);
                result
            }
            Op::Map { which, at } => {
                let process = if which % 2 == 0 { 0 } else { self.others };
                self.ask(Syscall::MemoryMap, &[process, pick(which), Self::place(at), 0, 4096, rw])
            }
            Op::Unmap { at } => self.ask(Syscall::MemoryUnmap, &[0, Self::place(at)]),
            Op::Thread { process } => {
                let process = [0, self.others, pick(0)][process];
                let buffer = self.world.next_buffer();
                let result =
                    self.ask(Syscall::ThreadCreate, &[process, 0x40_0000, 0x80_0000, 0, 1, buffer]);
                self.handles.extend(result);
                result
            }
            Op::Grant { which } => {
                let rights = self.world.k.slot(self.actor.process, to(pick(which)));
                let rights = rights.map_or(0, |slot| slot.rights.get());
                self.ask(Syscall::ProcessGrant, &[self.others, pick(which), rights.into(), 0])
            }
            Op::Close { which } => {
                let result = self.ask(Syscall::HandleClose, &[pick(which)]);
                if result.is_ok() {
                    self.handles.swap_remove(which);
                }
                result
            }
            Op::Fail { after } => {
                self.world.k.platform.fail_after.set(Some(after));
                Ok(0)
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn accounts_are_exact(budget in 20_000u64..400_000, ops in prop::collection::vec(op(), 1..80)) {
        let mut rig = Rig::new(budget);
        let k = rig.world.k;
        let root = k.process(rig.world.root.process);
        let frames = k.platform.frames_in_use();
        for op in &ops {
            let used = k.process(rig.actor.process).used.get();
            let failed = rig.step(op).is_err();
            check_invariants(k);
            if failed {
                prop_assert_eq!(used, k.process(rig.actor.process).used.get());
            }
        }
        k.platform.fail_after.set(None);
        // Whatever order they die in: the account of their creator is as if they had
        // never been.
        let order = if ops.len() % 2 == 0 { [rig.actor, rig.other] } else { [rig.other, rig.actor] };
        for actor in order {
            rig.world.must(rig.world.root.thread, Syscall::ProcessKill, &[actor.process_handle]);
            rig.world.settle();
            check_invariants(k);
        }
        for actor in order {
            rig.world.must(rig.world.root.thread, Syscall::HandleClose, &[actor.process_handle]);
            rig.world.must(rig.world.root.thread, Syscall::HandleClose, &[actor.thread_handle]);
            prop_assert_ne!(k.processes.in_use().contains(&actor.process), true);
        }
        check_invariants(k);
        let fresh = World::new(Size { cpus: 2, slots: 400, objects: 80, frames: 300 });
        // Root still has the two scratch pages that it made for them.
        let scratch = 2 * (crate::create::MEMORY_BYTES + crate::create::SLOT_BYTES + 4096);
        let expected = fresh.k.process(fresh.root.process).used.get() + scratch;
        prop_assert_eq!(root.used.get(), expected);
        prop_assert!(k.platform.frames_in_use() <= frames);
    }
}

#[test]
fn a_budget_is_a_bound() {
    let world = World::new(Size { frames: 1024, ..super::world::SMALL });
    let actor = world.spawn(world.root.thread, 100_000, 1, 5);
    let process = world.k.process(actor.process);
    let mut made = 0;
    let error = loop {
        match world.ask(actor.thread, Syscall::MemoryCreate, &[4096]) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NoMemory);
    assert!(made > 5 && process.used.get() <= 100_000);
    // A child's budget comes out of what is left.
    let left = process.budget.get() - process.used.get();
    assert_eq!(world.ask(actor.thread, Syscall::ProcessCreate, &[left]), Err(Error::NoMemory));
    check_invariants(world.k);
}

#[test]
fn what_outlives_its_payer_is_paid_by_the_payers_creator() {
    let world = World::new(super::world::SMALL);
    let root = world.root.thread;
    let [payer, keeper] = [(); 2].map(|()| world.spawn(root, 200_000, 1, 5));
    let theirs = world.grant(root, &payer, keeper.process_handle, Kind::Process.all_rights());
    let memory = world.must(payer.thread, Syscall::MemoryCreate, &[65536]);
    let rights = u64::from(Kind::Memory.all_rights().bits());
    let kept = world.must(payer.thread, Syscall::ProcessGrant, &[theirs, memory, rights, 0]);
    world.must(root, Syscall::ProcessKill, &[payer.process_handle]);
    world.settle();
    let dead = world.k.process(payer.process);
    assert_eq!(dead.phase.get(), Phase::Dead);
    assert_eq!((dead.budget.get(), dead.used.get() >= 65536), (dead.used.get(), true));
    let before = world.k.process(world.root.process).used.get();
    check_invariants(world.k);
    world.must(keeper.thread, Syscall::HandleClose, &[kept]);
    assert!(world.k.process(world.root.process).used.get() <= before - 65536);
    check_invariants(world.k);
}

#[test]
fn one_process_gets_its_share_of_objects_only() {
    let world = World::new(Size { slots: 4000, frames: 2048, ..super::world::SMALL });
    let actor = world.spawn(world.root.thread, 4_000_000, 1, 5);
    let port = world.must(actor.thread, Syscall::PortCreate, &[]);
    for call in
        [Syscall::PortCreate, Syscall::EndpointCreate, Syscall::TimerCreate, Syscall::MemoryCreate]
    {
        let argument = if call == Syscall::TimerCreate { port } else { 1 };
        let mut made = 0;
        while world.ask(actor.thread, call, &[argument]).is_ok() {
            made += 1;
            assert!(made <= 64, "{call:?} without end");
        }
        assert!((15..=16).contains(&made), "{call:?}: {made}");
        // Somebody else still gets some.
        assert!(world.ask(world.root.thread, Syscall::PortCreate, &[]).is_ok());
    }
    check_invariants(world.k);
}
