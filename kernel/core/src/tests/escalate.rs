//! Local contexts: what they may not touch, and that an escalation has changed nothing.
//! The world looks before and after each call ([`World::careful`]); the tests here bring
//! about the cases that random calls seldom reach.

use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Kind, Rights, Syscall};

use super::invariants::check_invariants;
use super::platform::FIRST_VECTOR;
use super::world::{Actor, Answer, SMALL, Size, World, tag};
use crate::thread::State;

/// A world of four CPUs with a process on each but the first.
fn four() -> (World, [Actor; 3]) {
    let world = World::new(Size { cpus: 4, ..SMALL });
    let root = world.root.thread;
    let actors = [1, 2, 3].map(|cpu| world.spawn(root, 300_000, cpu, 5));
    (world, actors)
}

fn endpoint_for(world: &World, actors: &[Actor]) -> u64 {
    let endpoint = world.must(world.root.thread, Syscall::EndpointCreate, &[]);
    for actor in actors {
        // Everybody's first grant: the same rights, not the same number.
        world.grant(world.root.thread, actor, endpoint, Kind::Endpoint.all_rights());
    }
    endpoint
}

/// The one handle of a kind that a process has.
fn only(world: &World, actor: &Actor, kind: Kind) -> u64 {
    let k = world.k;
    let mut at = k.process(actor.process).slots.get();
    while k.slots.get(at).kind() != kind {
        at = k.slots.get(at).owner_next.get();
    }
    u64::from(k.handle_of(at).0)
}

#[test]
fn a_death_packet_goes_with_the_last_handle_to_its_process() {
    let (world, [a, ..]) = four();
    let port = world.must(a.thread, Syscall::PortCreate, &[]);
    let child = world.must(a.thread, Syscall::ProcessCreate, &[50_000]);
    let processes = world.k.processes.live();
    world.must(a.thread, Syscall::ProcessBind, &[child, port, 9]);
    world.must(a.thread, Syscall::ProcessKill, &[child]);
    world.settle();
    world.must(a.thread, Syscall::HandleClose, &[child]);
    // An unread packet keeps nothing: else a stranger's port could pin what others pay for.
    assert_eq!(world.k.processes.live(), processes - 1);
    assert!(world.ask(a.thread, Syscall::PortWait, &[port, 0, 1, 0]).is_err());
    check_invariants(world.k);
}
/// A server with a caller of its own CPU that it has not answered receives again, and
/// the next call waits on another CPU, or brings a handle.
#[test]
fn receiving_again_drops_the_caller_only_when_it_can_go_on() {
    for (far, handles) in [(true, 0), (true, 1), (false, 1), (false, 0)] {
        for call in [Syscall::IpcReceive, Syscall::IpcReplyReceive] {
            let (world, [a, b, _]) = four();
            let root = world.root.thread;
            endpoint_for(&world, &[a, b]);
            let ours = only(&world, &a, Kind::Endpoint);
            // Two more threads of a's process on its own CPU.
            let more = || {
                world.thread_in(root, a.process_handle, 1, 5);
                world.k.process(a.process).threads.get()
            };
            let (near, second) = (more(), more());
            world.call(a.thread, Syscall::IpcReceive, &[ours]);
            assert_eq!(world.call(near, Syscall::IpcCall, &[ours, tag(1, 0, 0)]), Answer::Blocked);
            let caller = if far { b } else { Actor { thread: second, ..a } };
            let theirs = only(&world, &caller, Kind::Endpoint);
            let buffer = world.k.thread(caller.thread).ipc_buffer.get();
            world.k.platform.set_ipc_handle(
                buffer,
                0,
                super::world::to(theirs),
                Rights::CALL.bits(),
            );
            world.call(caller.thread, Syscall::IpcCall, &[theirs, tag(1, 0, handles)]);
            assert_eq!(world.state(caller.thread), State::Sending);
            assert_eq!(world.ask(a.thread, call, &[ours, tag(2, 0, 0)]), Ok(0));
            let expected =
                if call == Syscall::IpcReceive { Err(tocsin_abi::Error::PeerDied) } else { Ok(0) };
            assert_eq!(world.result(near), expected);
            assert_eq!(world.state(caller.thread), State::Calling);
            check_invariants(world.k);
        }
    }
}

/// Events, signals and calls from every CPU to waiters on every CPU.
#[test]
fn whatever_comes_from_elsewhere_arrives() {
    for from in 0..4usize {
        for to in 0..3usize {
            let (world, actors) = four();
            let root = world.root.thread;
            let target = actors[to];
            let port = world.must(root, Syscall::PortCreate, &[]);
            let theirs = world.grant(root, &target, port, Kind::Port.all_rights());
            let message = world.must(root, Syscall::MessageCreate, &[world.roots.control, 0, 0, 0]);
            world.must(
                root,
                Syscall::MessageActivate,
                &[message, from as u64, FIRST_VECTOR.into()],
            );
            world.must(root, Syscall::MessageBind, &[message, port, 5]);
            let wait = [theirs, 0, 1, FOREVER];
            assert_eq!(world.call(target.thread, Syscall::PortWait, &wait), Answer::Blocked);
            world.device_event(from, FIRST_VECTOR);
            assert_eq!((world.result(target.thread), world.packet(target.thread).key), (Ok(1), 5));
            // And the other way round: what is queued is taken from another CPU.
            world.device_event(from, FIRST_VECTOR);
            let other = actors[(to + 1) % 3];
            let others = world.grant(root, &other, port, Kind::Port.all_rights());
            assert_eq!(world.ask(other.thread, Syscall::PortWait, &[others, 0, 1, 0]), Ok(1));
            check_invariants(world.k);
        }
    }
}

/// A receiver that waits on one CPU, another that moved the endpoint to its own.
#[test]
fn packets_find_receivers_of_several_cpus() {
    let (world, [a, b, c]) = four();
    let root = world.root.thread;
    let endpoint = endpoint_for(&world, &[a, b, c]);
    let port = world.must(root, Syscall::PortCreate, &[]);
    world.must(root, Syscall::EndpointBind, &[endpoint, port]);
    for actor in [a, b, c] {
        let ours = only(&world, &actor, Kind::Endpoint);
        assert_eq!(world.call(actor.thread, Syscall::IpcReceive, &[ours]), Answer::Blocked);
    }
    let message = world.must(root, Syscall::MessageCreate, &[world.roots.control, 0, 0, 0]);
    world.must(root, Syscall::MessageActivate, &[message, 3, FIRST_VECTOR.into()]);
    world.must(root, Syscall::MessageBind, &[message, port, 5]);
    for actor in [a, b, c] {
        world.device_event(3, FIRST_VECTOR);
        assert_eq!((world.result(actor.thread), world.packet(actor.thread).key), (Ok(1), 5));
        check_invariants(world.k);
    }
}
