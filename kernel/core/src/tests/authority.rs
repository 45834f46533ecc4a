//! Whoever waits, waits through a handle, and no longer than it lasts (DESIGN §4.1, §4.4):
//! a packet or call that comes after a revocation is not for those who were revoked.

use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Error, Kind, Rights, Syscall};

use super::invariants::check_invariants;
use super::platform::TICKS_PER_NS;
use super::world::{Actor, Answer, SMALL, World, without};
use crate::thread::State;

fn pair() -> (World, [Actor; 2]) {
    let world = World::new(SMALL);
    let actors = [1, 0].map(|cpu| world.spawn(world.root.thread, 300_000, cpu, 5));
    (world, actors)
}

fn awake(world: &World, actor: Actor) -> bool {
    matches!(world.state(actor.thread), State::Ready | State::Running)
}

#[test]
fn a_wait_ends_with_the_handle_it_was_made_through() {
    for deadline in [FOREVER, 1 << 40] {
        let (world, [a, _]) = pair();
        let root = world.root.thread;
        let port = world.must(root, Syscall::PortCreate, &[]);
        let theirs = world.grant(root, &a, port, Kind::Port.all_rights());
        let wait = [theirs, 0, 1, deadline];
        assert_eq!(world.call(a.thread, Syscall::PortWait, &wait), Answer::Blocked);
        world.must(root, Syscall::HandleRevoke, &[port]);
        assert_eq!((awake(&world, a), world.result(a.thread)), (true, Err(Error::PeerDied)));
        // What comes now is not for it, and its deadline does not come either.
        world.must(root, Syscall::PortSignal, &[port, 1]);
        world.advance((1 << 41) * TICKS_PER_NS);
        assert_eq!(world.result(a.thread), Err(Error::PeerDied));
        assert_eq!(world.ask(root, Syscall::PortWait, &[port, 0, 1, 0]), Ok(1));
        check_invariants(world.k);
    }
}

#[test]
fn another_handle_of_the_same_process_does_not_matter() {
    let (world, [a, _]) = pair();
    let root = world.root.thread;
    let port = world.must(root, Syscall::PortCreate, &[]);
    let theirs = world.grant(root, &a, port, Kind::Port.all_rights());
    world.thread_in(root, a.process_handle, 1, 5);
    let second = world.k.process(a.process).threads.get();
    let twin =
        world.must(second, Syscall::HandleDuplicate, &[theirs, Rights::WAIT.bits().into(), 0]);
    assert_eq!(world.call(a.thread, Syscall::PortWait, &[twin, 0, 1, FOREVER]), Answer::Blocked);
    let third =
        world.must(second, Syscall::HandleDuplicate, &[theirs, Rights::WAIT.bits().into(), 0]);
    world.must(second, Syscall::HandleClose, &[third]);
    world.must(second, Syscall::HandleClose, &[theirs]);
    assert_eq!(world.state(a.thread), State::Waiting);
    world.must(second, Syscall::HandleClose, &[twin]);
    assert_eq!(world.result(a.thread), Err(Error::PeerDied));
    check_invariants(world.k);
}

#[test]
fn receiving_and_calling_end_with_the_handle() {
    let (world, [a, b]) = pair();
    let root = world.root.thread;
    let endpoint = world.must(root, Syscall::EndpointCreate, &[]);
    let [ours, theirs] =
        [a, b].map(|to| world.grant(root, &to, endpoint, Kind::Endpoint.all_rights()));
    for actor in [a, b] {
        let handle = if actor.thread == a.thread { ours } else { theirs };
        assert_eq!(world.call(actor.thread, Syscall::IpcReceive, &[handle]), Answer::Blocked);
    }
    // The first in line loses its handle: the call goes to the second.
    world.thread_in(root, a.process_handle, 1, 5);
    let second = world.k.process(a.process).threads.get();
    world.must(second, Syscall::HandleClose, &[ours]);
    assert_eq!((awake(&world, a), world.result(a.thread)), (true, Err(Error::PeerDied)));
    let mine = without(Kind::Endpoint, Rights::RECEIVE);
    let [call, other] = [(); 2].map(|()| world.grant(root, &a, endpoint, mine));
    assert_eq!(world.call(a.thread, Syscall::IpcCall, &[call, 0]), Answer::Blocked);
    assert_eq!((world.state(a.thread), world.result(b.thread)), (State::Calling, Ok(0)));
    // A call that is taken is answered, whatever becomes of the handle.
    world.must(second, Syscall::HandleClose, &[call]);
    assert_eq!(world.state(a.thread), State::Calling);
    world.must(b.thread, Syscall::IpcReply, &[0]);
    assert_eq!(world.result(a.thread), Ok(0));
    // One that nobody has taken is taken back.
    assert_eq!(world.call(a.thread, Syscall::IpcCall, &[other, 0]), Answer::Blocked);
    assert_eq!(world.state(a.thread), State::Sending);
    world.must(root, Syscall::HandleRevoke, &[endpoint]);
    assert_eq!((awake(&world, a), world.result(a.thread)), (true, Err(Error::PeerDied)));
    check_invariants(world.k);
}
