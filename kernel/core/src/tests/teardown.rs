//! Ends of processes and of handles: all comes back, in steps whose work does not grow
//! with what there is to end.

use std::vec::Vec;

use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Error, Kind, PacketKind, Rights, Syscall};

use super::invariants::check_invariants;
use super::platform::{FIRST_VECTOR, Work};
use super::snapshot::{Snapshot, changes};
use super::world::{Actor, Answer, Size, World};
use crate::process::Phase;
use crate::thread::State;

const BIG: Size = Size { cpus: 2, slots: 4000, objects: 2000, frames: 4096 };

/// What can be counted of the work between two moments.
#[derive(Clone, Copy, Default, Debug)]
struct Effort {
    fields: usize,
    work: Work,
}

/// The most that one entry to the kernel did while `action` was repeated until it says
/// that it is done.
fn most(world: &World, mut action: impl FnMut() -> bool) -> Effort {
    let (mut before, mut after) = (Snapshot::default(), Snapshot::default());
    let mut most = Effort::default();
    for round in 0.. {
        assert!(round < 100_000, "never ends");
        before.take(world.k);
        let start = world.k.platform.work.get();
        let done = action();
        after.take(world.k);
        let end = world.k.platform.work.get();
        most.fields = most.fields.max(changes(&before, &after));
        most.work.unmaps = most.work.unmaps.max(end.unmaps - start.unmaps);
        most.work.frees = most.work.frees.max(end.frees - start.frees);
        if done {
            break;
        }
    }
    most
}

fn step(world: &World) -> bool {
    world.resume(0);
    world.k.dying.get().is_none()
}

/// Issues a call of root's again and again until it is answered.
fn repeat(world: &World, call: Syscall, handle: u64) -> impl FnMut() -> bool {
    let root = world.root.thread;
    world.bring(root);
    move || {
        world.bring(root);
        world.system_call(0, call as u64, [handle, 0, 0, 0, 0, 0]);
        world.frame(root).again.get().is_none()
    }
}

const ANY: u64 = 0;

/// A process with `n` of everything, and effects on others; not yet killed.
fn rich(n: u64) -> (World, Actor) {
    let world = World::new(BIG);
    world.careful.set(false);
    let root = world.root.thread;
    let actor = world.spawn(root, 8_000_000, 1, 5);
    let t = actor.thread;
    let memory = world.must(t, Syscall::MemoryCreate, &[4096]);
    let port = world.must(t, Syscall::PortCreate, &[]);
    let endpoint = world.must(t, Syscall::EndpointCreate, &[]);
    let read = u64::from(Rights::READ.bits());
    for number in 0..n {
        // Each in a table of its own.
        world.must(
            t,
            Syscall::MemoryMap,
            &[ANY, memory, 0x1_0000_0000 + (number << 21), 0, 4096, read],
        );
        let timer = world.must(t, Syscall::TimerCreate, &[port, number]);
        world.must(t, Syscall::TimerSet, &[timer, FOREVER - 1]);
        world.must(t, Syscall::HandleDuplicate, &[endpoint, 0, 0]);
    }
    for _ in 0..n / 10 {
        world.must(t, Syscall::ProcessCreate, &[10_000]);
        world.must(t, Syscall::EndpointCreate, &[]);
    }
    (world, actor)
}

#[test]
fn steps_of_a_teardown_do_not_grow() {
    let effort = |n: u64| {
        let (world, actor) = rich(n);
        world.must(world.root.thread, Syscall::ProcessKill, &[actor.process_handle]);
        let most = most(&world, || step(&world));
        check_invariants(world.k);
        assert_eq!(world.k.process(actor.process).phase.get(), Phase::Dead);
        most
    };
    let (some, many) = (effort(60), effort(400));
    assert!(many.work.unmaps <= 40 && many.work.frees <= 40, "{many:?}");
    assert!(many.fields <= some.fields + some.fields / 5, "{some:?} grows to {many:?}");
}

#[test]
fn steps_of_a_revocation_do_not_grow() {
    let effort = |n: u64| {
        let (world, actor) = rich(1);
        let root = world.root.thread;
        let memory = world.must(root, Syscall::MemoryCreate, &[4096]);
        let all = Kind::Memory.all_rights();
        let mut last = world.grant(root, &actor, memory, all);
        let read = u64::from(Rights::READ.bits());
        for number in 0..n {
            // A chain, each link with children and mappings.
            last =
                world.must(actor.thread, Syscall::HandleDuplicate, &[last, all.bits().into(), 0]);
            world.must(actor.thread, Syscall::HandleDuplicate, &[last, read, 0]);
            let address = 0x2_0000_0000 + number * 4096;
            world.must(actor.thread, Syscall::MemoryMap, &[ANY, last, address, 0, 4096, read]);
        }
        let most = most(&world, repeat(&world, Syscall::HandleRevoke, memory));
        check_invariants(world.k);
        most
    };
    let (some, many) = (effort(60), effort(400));
    assert!(many.work.unmaps <= 40, "{many:?}");
    assert!(many.fields <= some.fields + some.fields / 5, "{some:?} grows to {many:?}");
}

#[test]
fn steps_of_closing_do_not_grow() {
    let effort = |n: u64| {
        let (world, _) = rich(1);
        let root = world.root.thread;
        let memory = world.must(root, Syscall::MemoryCreate, &[4096]);
        let all = u64::from(Kind::Memory.all_rights().bits());
        let middle = world.must(root, Syscall::HandleDuplicate, &[memory, all, 0]);
        let read = u64::from(Rights::READ.bits());
        for number in 0..n {
            world.must(root, Syscall::HandleDuplicate, &[middle, read, 0]);
            let address = 0x2_0000_0000 + number * 4096;
            world.must(root, Syscall::MemoryMap, &[ANY, middle, address, 0, 4096, read]);
        }
        let most = most(&world, repeat(&world, Syscall::HandleClose, middle));
        check_invariants(world.k);
        // Its children are their grandparent's now.
        let before = world.k.slots.live();
        world.must(root, Syscall::HandleRevoke, &[memory]);
        assert_eq!(world.k.slots.live(), before - n as u32);
        most
    };
    let (some, many) = (effort(60), effort(400));
    assert!(many.work.unmaps <= 40, "{many:?}");
    assert!(many.fields <= some.fields + some.fields / 5, "{some:?} grows to {many:?}");
}

/// A process that holds a bit of everything in every state.
fn busy(world: &World) -> Actor {
    let root = world.root.thread;
    let actor = world.spawn(root, 4_000_000, 1, 5);
    let give = |handle, kind: Kind| world.grant(root, &actor, handle, kind.all_rights());
    let control = give(world.roots.control, Kind::MessageControl);
    let physical = give(world.roots.physical, Kind::Physical);
    give(world.roots.ioports, Kind::IoPorts);
    let t = actor.thread;
    let port = world.must(t, Syscall::PortCreate, &[]);
    let endpoint = world.must(t, Syscall::EndpointCreate, &[]);
    for (number, state) in (0u64..).zip(["active", "moving", "moved", "blocked", "queued"]) {
        let message = world.must(t, Syscall::MessageCreate, &[control, 0, 0, number]);
        let vector = u64::from(FIRST_VECTOR) + number;
        world.must(t, Syscall::MessageActivate, &[message, 1, vector]);
        world.must(t, Syscall::MessageBind, &[message, port, number]);
        if state.starts_with("mov") {
            world.must(t, Syscall::MessageActivate, &[message, 0, vector]);
        }
        match state {
            "moved" => drop(world.must(t, Syscall::MessageSettle, &[message])),
            "blocked" => drop(world.must(t, Syscall::MessageBlock, &[message])),
            "queued" => world.device_event(1, vector as u16),
            _ => {}
        }
    }
    let slice = [physical, 1 << 32, 4096, u64::from(Rights::READ.bits())];
    let range = world.must(t, Syscall::PhysicalSlice, &slice);
    world.must(
        t,
        Syscall::MemoryMap,
        &[ANY, range, 0x5000_0000, 0, 4096, u64::from(Rights::READ.bits())],
    );
    let timer = world.must(t, Syscall::TimerCreate, &[port, 77]);
    world.must(t, Syscall::TimerSet, &[timer, 1 << 40]);
    world.must(t, Syscall::PortSignal, &[port, 3]);
    let child = world.spawn(t, 400_000, 0, 3);
    world.must(t, Syscall::ProcessBind, &[child.process_handle, port, 5]);
    let theirs = world.grant(t, &child, endpoint, Kind::Endpoint.all_rights());
    assert_eq!(world.call(child.thread, Syscall::IpcCall, &[theirs, 0]), Answer::Blocked);
    // Threads of its own: one calls, one waits for a reply, one never started.
    let second = world.thread_in(t, 0, 1, 4);
    assert_ne!(second, 0);
    let second = world.k.process(actor.process).threads.get();
    assert_eq!(world.call(second, Syscall::IpcReceive, &[endpoint]), Answer::Done(Ok(0)));
    let arguments = [0, 0x40_0000, 0x80_0000, 0, 1, world.next_buffer()];
    world.must(t, Syscall::ThreadCreate, &arguments);
    actor
}

#[test]
fn everything_comes_back() {
    for end in [Syscall::ProcessKill, Syscall::ProcessExit, Syscall::ThreadKill] {
        let world = World::new(Size { cpus: 2, objects: 100, ..BIG });
        let root = world.root.thread;
        let before = census(&world);
        let actor = busy(&world);
        check_invariants(world.k);
        match end {
            Syscall::ProcessKill => drop(world.must(root, end, &[actor.process_handle])),
            Syscall::ProcessExit => {
                assert_eq!(world.call(actor.thread, end, &[7]), Answer::Gone);
            }
            _ => {
                // One thread after the other.
                let k = world.k;
                while k.process(actor.process).threads.get().is_some() {
                    let thread = k.process(actor.process).threads.get();
                    let kind = Kind::Thread;
                    let rights = kind.all_rights();
                    let slot = k.new_slot(
                        world.root.process,
                        kind,
                        thread.index(),
                        rights,
                        0,
                        crate::Id::NONE,
                    );
                    let handle = u64::from(k.handle_of(slot).0);
                    world.must(root, end, &[handle]);
                    world.must(root, Syscall::HandleClose, &[handle]);
                }
            }
        }
        while world.k.dying.get().is_some() {
            check_invariants(world.k);
            world.resume(1);
        }
        assert_eq!(world.k.process(actor.process).phase.get(), Phase::Dead);
        close_all(&world);
        assert_eq!(census(&world), before, "after {end:?}");
        check_invariants(world.k);
    }
}

/// Root's handles, but for those it began with.
fn close_all(world: &World) {
    let k = world.k;
    let keep = [
        world.roots.own,
        world.roots.log,
        world.roots.control,
        world.roots.physical,
        world.roots.ioports,
        world.roots.machine,
        world.root.thread_handle,
    ];
    loop {
        let mut at = k.process(world.root.process).slots.get();
        while at.is_some() && keep.contains(&u64::from(k.handle_of(at).0)) {
            at = k.slots.get(at).owner_next.get();
        }
        if at.is_none() {
            return;
        }
        world.must(world.root.thread, Syscall::HandleClose, &[u64::from(k.handle_of(at).0)]);
    }
}

fn census(world: &World) -> Vec<u64> {
    let k = world.k;
    let root = k.process(world.root.process);
    let live = [
        k.slots.live(),
        k.processes.live(),
        k.threads.live(),
        k.endpoints.live(),
        k.ports.live(),
        k.memories.live(),
        k.mappings.live(),
        k.timers.live(),
        k.messages.live(),
    ];
    let mut all: Vec<u64> = live.into_iter().map(u64::from).collect();
    all.extend([root.used.get(), root.budget.get(), k.platform.frames_in_use() as u64]);
    all
}

#[test]
fn a_death_is_told_once_when_all_is_done() {
    let (world, actor) = rich(40);
    let root = world.root.thread;
    let port = world.must(root, Syscall::PortCreate, &[]);
    world.must(root, Syscall::ProcessBind, &[actor.process_handle, port, 4]);
    let again = world.ask(root, Syscall::ProcessBind, &[actor.process_handle, port, 4]);
    assert_eq!(again, Err(Error::AlreadyBound));
    assert_eq!(world.call(actor.thread, Syscall::ProcessExit, &[99]), Answer::Gone);
    assert_eq!(
        world.ask(root, Syscall::ProcessKill, &[actor.process_handle]),
        Err(Error::BadState)
    );
    world.settle();
    assert_eq!(world.ask(root, Syscall::ProcessInfo, &[actor.process_handle]), Ok(1));
    assert_eq!(world.ask(root, Syscall::PortWait, &[port, 0, 1, 0]), Ok(1));
    let packet = world.packet(root);
    assert_eq!((packet.kind, packet.key, packet.value), (PacketKind::Death as u32, 4, 99));
    assert_eq!(world.ask(root, Syscall::PortWait, &[port, 0, 1, 0]), Err(Error::TimedOut));
}

#[test]
fn a_dying_process_gets_nothing_more() {
    let (world, actor) = rich(100);
    let root = world.root.thread;
    let memory = world.must(root, Syscall::MemoryCreate, &[4096]);
    world.must(root, Syscall::ProcessKill, &[actor.process_handle]);
    assert_eq!(world.k.process(actor.process).phase.get(), Phase::Dying);
    let h = actor.process_handle;
    let refused = [
        (Syscall::ProcessGrant, [h, memory, 0, 0, 0, 0]),
        (Syscall::MemoryMap, [h, memory, 0x7000_0000, 0, 4096, 4]),
        (Syscall::ThreadCreate, [h, 0x40_0000, 0x80_0000, 0, 1, world.next_buffer()]),
    ];
    for (call, arguments) in refused {
        // Each entry is a step of the teardown as well.
        if world.k.process(actor.process).phase.get() == Phase::Dying {
            assert_eq!(world.ask(root, call, &arguments), Err(Error::BadState), "{call:?}");
        }
    }
    assert_eq!(world.state(actor.thread), State::Dead);
    world.settle();
    check_invariants(world.k);
}
