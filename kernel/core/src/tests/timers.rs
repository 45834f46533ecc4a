//! Deadlines: none early, none forgotten, in order, on every CPU.

use proptest::prelude::*;
use std::vec::Vec;

use tocsin_abi::{Error, Syscall};

use super::invariants::check_invariants;
use super::platform::TICKS_PER_NS;
use super::world::{Actor, SCRATCH, SMALL, World, cases};

const TIMERS: usize = 5;

#[derive(Clone, Debug)]
enum Op {
    Set { cpu: usize, which: usize, after_ns: i64 },
    Far { cpu: usize, which: usize },
    Cancel { cpu: usize, which: usize },
    Close { cpu: usize, which: usize },
    Pass { ticks: u64 },
    Read { cpu: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let (cpu, which) = (0usize..2, 0..TIMERS);
    prop_oneof![
        8 => (cpu.clone(), which.clone(), -20i64..300)
            .prop_map(|(cpu, which, after_ns)| Op::Set { cpu, which, after_ns }),
        1 => (cpu.clone(), which.clone()).prop_map(|(cpu, which)| Op::Far { cpu, which }),
        2 => (cpu.clone(), which.clone()).prop_map(|(cpu, which)| Op::Cancel { cpu, which }),
        1 => (cpu.clone(), which).prop_map(|(cpu, which)| Op::Close { cpu, which }),
        6 => (0u64..400).prop_map(|ticks| Op::Pass { ticks }),
        4 => cpu.prop_map(|cpu| Op::Read { cpu }),
    ]
}

/// Timers of one process, on whose CPU they are.
struct Owner {
    actor: Actor,
    port: u64,
    /// Handle and deadline in ticks; closed ones have none.
    timers: Vec<(Option<u64>, Option<u64>)>,
    /// Set in this order: equal deadlines fire so.
    order: Vec<usize>,
    /// Fired, in order, with how often.
    fired: Vec<(usize, u32)>,
}

impl Owner {
    fn fire(&mut self, which: usize) {
        match self.fired.iter_mut().find(|fired| fired.0 == which) {
            Some(fired) => fired.1 += 1,
            None => self.fired.push((which, 1)),
        }
    }

    fn pass(&mut self, now: u64) {
        let due = |which: &&usize| self.timers[**which].1.is_some_and(|deadline| deadline <= now);
        let mut due: Vec<_> = self.order.iter().filter(due).copied().collect();
        due.sort_by_key(|which| self.timers[*which].1);
        for which in due {
            self.timers[which].1 = None;
            self.order.retain(|other| *other != which);
            self.fire(which);
        }
    }
}

fn owners(world: &World) -> Vec<Owner> {
    let mut owners = Vec::new();
    for cpu in 0..2 {
        let actor = world.spawn(world.root.thread, 300_000, cpu, 5);
        let port = world.must(actor.thread, Syscall::PortCreate, &[]);
        let make = |key| world.must(actor.thread, Syscall::TimerCreate, &[port, key]);
        let timers = (0..TIMERS as u64).map(|key| (Some(make(key)), None)).collect();
        owners.push(Owner { actor, port, timers, order: Vec::new(), fired: Vec::new() });
    }
    owners
}

fn step(world: &World, owners: &mut [Owner], op: &Op) {
    let now = world.k.platform.clock.get();
    match *op {
        Op::Set { cpu, which, after_ns } => {
            let owner = &mut owners[cpu];
            let Some(handle) = owner.timers[which].0 else { return };
            let at = (now / TICKS_PER_NS).saturating_add_signed(after_ns);
            world.must(owner.actor.thread, Syscall::TimerSet, &[handle, at]);
            owner.order.retain(|other| *other != which);
            owner.timers[which].1 = None;
            if at * TICKS_PER_NS <= now {
                owner.fire(which);
            } else {
                owner.timers[which].1 = Some(at * TICKS_PER_NS);
                owner.order.push(which);
            }
        }
        Op::Far { cpu, which } => {
            let owner = &mut owners[cpu];
            let Some(handle) = owner.timers[which].0 else { return };
            world.must(owner.actor.thread, Syscall::TimerSet, &[handle, u64::MAX]);
            owner.order.retain(|other| *other != which);
            owner.order.push(which);
            owner.timers[which].1 = Some(u64::MAX - 1);
        }
        Op::Cancel { cpu, which } | Op::Close { cpu, which } => {
            let owner = &mut owners[cpu];
            let Some(handle) = owner.timers[which].0 else { return };
            let close = matches!(op, Op::Close { .. });
            let call = if close { Syscall::HandleClose } else { Syscall::TimerCancel };
            world.must(owner.actor.thread, call, &[handle]);
            owner.timers[which] = (if close { None } else { Some(handle) }, None);
            owner.order.retain(|other| *other != which);
            owner.fired.retain(|fired| fired.0 != which);
        }
        Op::Pass { ticks } => {
            world.advance(ticks);
            owners.iter_mut().for_each(|owner| owner.pass(now + ticks));
        }
        Op::Read { cpu } => {
            let owner = &mut owners[cpu];
            let thread = owner.actor.thread;
            let result = world.ask(thread, Syscall::PortWait, &[owner.port, SCRATCH, 64, 0]);
            let fired = core::mem::take(&mut owner.fired);
            let expected =
                if fired.is_empty() { Err(Error::TimedOut) } else { Ok(fired.len() as u64) };
            assert_eq!(result, expected);
            for (number, (which, count)) in fired.into_iter().enumerate() {
                let packet = match number {
                    0 => world.packet(thread),
                    _ => world.packet_at(thread, SCRATCH + (number as u64 - 1) * 32),
                };
                assert_eq!((packet.key, packet.count), (which as u64, count));
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn timers_fire_in_order_and_on_time(ops in prop::collection::vec(op(), 1..100)) {
        let world = World::new(SMALL);
        world.careful.set(ops.len() % 4 == 0);
        let mut owners = owners(&world);
        for op in &ops {
            step(&world, &mut owners, op);
            check_invariants(world.k);
        }
        for cpu in 0..2 {
            step(&world, &mut owners, &Op::Read { cpu });
        }
    }
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let world = World::new(SMALL);
    let actor = world.spawn(world.root.thread, 300_000, 1, 5);
    let port = world.must(actor.thread, Syscall::PortCreate, &[]);
    let now = world.k.platform.clock.get() / TICKS_PER_NS;
    world.call(actor.thread, Syscall::PortWait, &[port, 0, 1, now + 100]);
    let deadline = (now + 100) * TICKS_PER_NS;
    world.advance(deadline - 1 - world.k.platform.clock.get());
    assert_eq!(world.state(actor.thread), crate::thread::State::Waiting);
    world.advance(1);
    assert_eq!(world.result(actor.thread), Err(Error::TimedOut));
    check_invariants(world.k);
}
