//! Vectors that all CPUs share, as INTIDs are on aarch64: moves, quarantine by rounds, and
//! wires that the interrupt controller holds back.

use tocsin_abi::{Error, Kind, MessageState, Syscall};

use super::alone::{self, EDGE, LEVEL, activate, ask, bound, packet, status, world};
use super::invariants::check_invariants;
use super::platform::{FIRST_VECTOR, FIRST_WIRE, HOLE};
use super::world::{World, to};

const WIRE: u64 = FIRST_WIRE as u64;
const EVENT: u64 = FIRST_VECTOR as u64;

fn drain(world: &World, vector: u64) -> Result<u64, Error> {
    ask(world, Syscall::VectorDrain, &[world.roots.control, 0, vector])
}

fn poke_all(world: &World) {
    (0..3).for_each(|cpu| world.take_poke(cpu));
}

#[test]
fn an_event_is_delivered_on_whatever_cpu_it_comes() {
    let world = world();
    let (message, port) = bound(&world);
    activate(&world, message, 1, EVENT, EDGE).expect("free");
    for cpu in 0..3 {
        world.device_event(cpu, FIRST_VECTOR);
        assert_eq!(packet(&world, port), Ok(1), "on CPU {cpu}");
        assert_eq!(status(&world, message).cpu, cpu as u8);
    }
    check_invariants(world.k);
}

#[test]
fn a_move_keeps_the_number_and_needs_no_drain() {
    let world = world();
    let (message, port) = bound(&world);
    activate(&world, message, 0, EVENT, EDGE).expect("free");
    activate(&world, message, 2, EVENT, EDGE).expect("a move");
    assert_eq!(activate(&world, message, 1, EVENT, EDGE), Err(Error::BadState), "one at a time");
    world.device_event(0, FIRST_VECTOR);
    assert_eq!(packet(&world, port), Ok(1), "on the former CPU, during the move");
    world.must(world.root.thread, Syscall::MessageSettle, &[message]);
    // The former CPU had acknowledged it just before the redistributor was told.
    world.device_event(0, FIRST_VECTOR);
    world.device_event(2, FIRST_VECTOR);
    assert_eq!(packet(&world, port), Ok(2));
    assert_eq!(drain(&world, EVENT), Err(Error::BadState), "it is live");
    let other = alone::message(&world);
    assert_eq!(activate(&world, other, 1, EVENT, EDGE), Err(Error::VectorInUse));
    check_invariants(world.k);
}

/// Invariant 5: a CPU that has acknowledged an event and waits for its lock must not give it
/// to the number's next owner.
#[test]
fn a_number_is_free_only_when_every_cpu_has_answered_twice() {
    let world = world();
    let (first, _) = bound(&world);
    activate(&world, first, 0, EVENT, EDGE).expect("free");
    activate(&world, first, 1, EVENT, EDGE).expect("a move");
    world.must(world.root.thread, Syscall::MessageSettle, &[first]);
    world.must(world.root.thread, Syscall::MessageDeactivate, &[first]);
    let (second, port) = bound(&world);
    assert_eq!(drain(&world, EVENT), Err(Error::Busy));
    for _ in 0..2 {
        for cpu in [1, 2] {
            world.take_poke(cpu);
            assert_eq!(drain(&world, EVENT), Err(Error::Busy), "CPU 0 has not answered");
            assert_eq!(activate(&world, second, 2, EVENT, EDGE), Err(Error::VectorInUse));
        }
        // What CPU 0 has had in its hands all the time, it gives now: to its old owner.
        world.device_event(0, FIRST_VECTOR);
        world.take_poke(0);
        assert_ne!(packet(&world, port), Ok(1));
        let _ = drain(&world, EVENT);
    }
    assert_eq!(status(&world, first).blocked, 2);
    activate(&world, second, 2, EVENT, EDGE).expect("drained");
    world.device_event(2, FIRST_VECTOR);
    assert_eq!(packet(&world, port), Ok(1));
    check_invariants(world.k);
}

#[test]
fn a_round_that_had_begun_before_proves_nothing() {
    let world = world();
    let (a, _) = bound(&world);
    let (b, _) = bound(&world);
    activate(&world, a, 0, EVENT, EDGE).expect("free");
    activate(&world, b, 0, EVENT + 1, EDGE).expect("free");
    world.must(world.root.thread, Syscall::MessageDeactivate, &[a]);
    assert_eq!(drain(&world, EVENT), Err(Error::Busy), "a round begins");
    poke_all(&world);
    world.must(world.root.thread, Syscall::MessageDeactivate, &[b]);
    assert_eq!(drain(&world, EVENT + 1), Err(Error::Busy), "in its second half");
    poke_all(&world);
    assert_eq!(drain(&world, EVENT), Ok(0));
    assert_eq!(drain(&world, EVENT + 1), Err(Error::Busy), "it waits for the next round");
    poke_all(&world);
    assert_eq!(drain(&world, EVENT + 1), Err(Error::Busy));
    poke_all(&world);
    assert_eq!(drain(&world, EVENT + 1), Ok(0));
    check_invariants(world.k);
}

#[test]
fn its_own_number_needs_no_drain_and_another_message_s_does() {
    let world = world();
    let ((first, port), (second, _)) = (bound(&world), bound(&world));
    activate(&world, first, 0, EVENT, EDGE).expect("free");
    world.must(world.root.thread, Syscall::MessageDeactivate, &[first]);
    assert_eq!(activate(&world, second, 0, EVENT, EDGE), Err(Error::VectorInUse));
    activate(&world, first, 1, EVENT, EDGE).expect("its own again");
    world.device_event(1, FIRST_VECTOR);
    assert_eq!(packet(&world, port), Ok(1));
    // A message that took the dead one's place in the arena is another one.
    world.must(world.root.thread, Syscall::MessageDeactivate, &[first]);
    let place = |message: u64| {
        let slot = world.k.slot(world.root.process, to(message)).expect("root's");
        slot.object.get()
    };
    let before = place(first);
    world.must(world.root.thread, Syscall::HandleClose, &[first]);
    let third = loop {
        let third = alone::message(&world);
        if place(third) == before {
            break third;
        }
        world.must(world.root.thread, Syscall::HandleClose, &[third]);
    };
    assert_eq!(activate(&world, third, 0, EVENT, EDGE), Err(Error::VectorInUse));
    check_invariants(world.k);
}

#[test]
fn a_level_comes_once_until_it_is_acknowledged() {
    let world = world();
    let (message, port) = bound(&world);
    activate(&world, message, 1, WIRE, LEVEL).expect("a wire");
    let acknowledge = || ask(&world, Syscall::MessageAcknowledge, &[message]);
    assert_eq!(acknowledge(), Err(Error::BadState), "nothing is held");
    for _ in 0..3 {
        world.device_event(1, FIRST_WIRE);
        world.device_event(1, FIRST_WIRE);
        assert_eq!(packet(&world, port), Ok(1), "the controller holds it back");
        assert_eq!(packet(&world, port), Err(Error::TimedOut));
        assert_eq!(acknowledge(), Ok(0));
        assert_eq!(acknowledge(), Err(Error::BadState));
    }
    // It can be moved while it is held, and acknowledged from there.
    world.device_event(1, FIRST_WIRE);
    activate(&world, message, 2, WIRE, LEVEL).expect("a move");
    world.must(world.root.thread, Syscall::MessageSettle, &[message]);
    assert_eq!(acknowledge(), Ok(0));
    world.device_event(2, FIRST_WIRE);
    assert_eq!(packet(&world, port), Ok(2));
    check_invariants(world.k);
}

/// Of two wires at once, an acknowledgement would not know which to let go.
#[test]
fn a_level_does_not_move_to_another_wire() {
    let world = world();
    let (message, port) = bound(&world);
    activate(&world, message, 0, WIRE, LEVEL).expect("a wire");
    world.device_event(0, FIRST_WIRE);
    assert_eq!(activate(&world, message, 1, WIRE + 1, LEVEL), Err(Error::BadArgument));
    assert_eq!(packet(&world, port), Ok(1));
    assert_eq!(ask(&world, Syscall::MessageAcknowledge, &[message]), Ok(0));
    // Given back and taken anew it is another message as far as wires go.
    world.device_event(0, FIRST_WIRE);
    world.must(world.root.thread, Syscall::MessageDeactivate, &[message]);
    activate(&world, message, 1, WIRE + 1, LEVEL).expect("another wire");
    world.device_event(1, FIRST_WIRE + 1);
    assert_eq!(packet(&world, port), Ok(2));
    assert_eq!(ask(&world, Syscall::MessageAcknowledge, &[message]), Ok(0));
    check_invariants(world.k);
}

#[test]
fn an_edge_wire_is_completed_at_once_and_a_stray_one_never() {
    let world = world();
    let held = || world.k.platform.held.borrow().contains(&FIRST_WIRE);
    world.device_event(0, FIRST_WIRE);
    world.device_event(0, FIRST_WIRE);
    assert_eq!((world.k.cpu(0).strays.get(), held()), (1, true), "it can not storm");
    let (message, port) = bound(&world);
    activate(&world, message, 1, WIRE, EDGE).expect("a wire");
    assert!(!held(), "what was left over does not keep the new owner waiting");
    for _ in 0..3 {
        world.device_event(1, FIRST_WIRE);
    }
    assert_eq!((packet(&world, port), held()), (Ok(3), false));
    let acknowledged = ask(&world, Syscall::MessageAcknowledge, &[message]);
    assert_eq!(acknowledged, Err(Error::BadState));
    check_invariants(world.k);
}

#[test]
fn a_level_that_came_while_blocked_comes_again() {
    let world = world();
    let (message, port) = bound(&world);
    activate(&world, message, 0, WIRE, LEVEL).expect("a wire");
    world.must(world.root.thread, Syscall::MessageBlock, &[message]);
    world.device_event(0, FIRST_WIRE);
    assert_eq!(packet(&world, port), Err(Error::TimedOut));
    let acknowledged = ask(&world, Syscall::MessageAcknowledge, &[message]);
    assert_eq!(acknowledged, Err(Error::BadState), "its owner was told nothing");
    world.must(world.root.thread, Syscall::MessageUnblock, &[message]);
    world.device_event(0, FIRST_WIRE);
    assert_eq!(packet(&world, port), Ok(1));
    // One that its owner has in hand is not let go by an unblock.
    world.must(world.root.thread, Syscall::MessageBlock, &[message]);
    world.must(world.root.thread, Syscall::MessageUnblock, &[message]);
    world.device_event(0, FIRST_WIRE);
    assert_eq!(packet(&world, port), Err(Error::TimedOut));
    assert_eq!(ask(&world, Syscall::MessageAcknowledge, &[message]), Ok(0));
    check_invariants(world.k);
}

#[test]
fn a_held_wire_does_not_outlive_its_message() {
    for end in [Syscall::MessageDeactivate, Syscall::HandleClose] {
        let world = world();
        let (message, _) = bound(&world);
        activate(&world, message, 0, WIRE, LEVEL).expect("a wire");
        world.device_event(0, FIRST_WIRE);
        world.must(world.root.thread, end, &[message]);
        assert!(world.k.platform.held.borrow().is_empty(), "after {end:?}");
        // Still asserted: it comes once more, belongs to nobody, and is held from then on.
        world.device_event(0, FIRST_WIRE);
        world.device_event(0, FIRST_WIRE);
        assert!(world.k.platform.held.borrow().contains(&FIRST_WIRE));
        check_invariants(world.k);
    }
}

/// Invariant 2: the device still asks, and nobody is left who knows that he is to acknowledge.
#[test]
fn a_level_that_nobody_acknowledged_comes_again_for_the_next_owner() {
    for end in [Syscall::MessageUnbind, Syscall::HandleClose] {
        let world = world();
        let (message, port) = bound(&world);
        activate(&world, message, 1, WIRE, LEVEL).expect("a wire");
        world.device_event(1, FIRST_WIRE);
        assert_eq!(packet(&world, port), Ok(1), "seen, and not acknowledged");
        let of = if end == Syscall::HandleClose { port } else { message };
        world.must(world.root.thread, end, &[of]);
        world.device_event(1, FIRST_WIRE);
        let port = world.must(world.root.thread, Syscall::PortCreate, &[]);
        let bind = || ask(&world, Syscall::MessageBind, &[message, port, 7]);
        assert_eq!(bind(), Ok(0), "after {end:?}");
        world.device_event(1, FIRST_WIRE);
        assert_eq!(packet(&world, port), Ok(1));
        // One that was not even seen is told, and stays held until then.
        world.must(world.root.thread, Syscall::MessageAcknowledge, &[message]);
        world.device_event(1, FIRST_WIRE);
        world.must(world.root.thread, Syscall::MessageUnbind, &[message]);
        assert_eq!(bind(), Ok(1));
        assert!(world.k.platform.held.borrow().contains(&FIRST_WIRE));
        assert_eq!(packet(&world, port), Ok(1));
        check_invariants(world.k);
    }
}

#[test]
fn triggers_are_checked_before_anything_changes() {
    let world = world();
    let (message, _) = bound(&world);
    assert_eq!(activate(&world, message, 0, EVENT, LEVEL), Err(Error::BadArgument));
    assert_eq!(activate(&world, message, 0, WIRE, 2), Err(Error::BadArgument));
    assert_eq!(activate(&world, message, 0, WIRE, u64::MAX), Err(Error::BadArgument));
    assert_eq!(activate(&world, message, 0, 1 << 16 | WIRE, EDGE), Err(Error::BadVector));
    assert_eq!(status(&world, message).state, MessageState::Reserved);
    activate(&world, message, 0, WIRE, LEVEL).expect("a wire");
    assert_eq!(activate(&world, message, 1, WIRE, EDGE), Err(Error::BadArgument), "it is level");
    let hole = activate(&world, message, 0, HOLE, EDGE);
    assert_eq!(hole, Err(Error::BadVector), "between first and last, and no device's");
    world.k.platform.shared.set(false);
    let other = alone::message(&world);
    assert_eq!(activate(&world, other, 0, EVENT + 2, LEVEL), Err(Error::NotSupported));
}

#[test]
fn an_acknowledgement_finds_its_message_from_another_cpu() {
    let world = world();
    let actor = world.spawn(world.root.thread, 300_000, 2, 5);
    let (message, _) = bound(&world);
    let theirs = world.grant(world.root.thread, &actor, message, Kind::Message.all_rights());
    activate(&world, message, 1, WIRE, LEVEL).expect("a wire");
    world.device_event(1, FIRST_WIRE);
    assert_eq!(world.ask(actor.thread, Syscall::MessageAcknowledge, &[theirs]), Ok(0));
    assert!(world.k.platform.held.borrow().is_empty());
    check_invariants(world.k);
}

#[test]
fn the_machine_ends_by_its_own_kind_of_handle_only() {
    let world = world();
    let root = world.root.thread;
    assert_eq!(world.ask(root, Syscall::MachineEnd, &[world.roots.log, 0]), Err(Error::WrongType));
    let all = Kind::Machine.all_rights().bits();
    let less = u64::from(all & !tocsin_abi::Rights::CONTROL.bits());
    let narrow = world.must(root, Syscall::HandleDuplicate, &[world.roots.machine, less, 0]);
    assert_eq!(world.ask(root, Syscall::MachineEnd, &[narrow, 0]), Err(Error::MissingRight));
    assert_eq!(world.k.platform.ended.get(), None);
    world.must(root, Syscall::MachineEnd, &[world.roots.machine, 3]);
    assert_eq!(world.k.platform.ended.get(), Some(false));
    world.must(root, Syscall::MachineEnd, &[world.roots.machine, 0]);
    assert_eq!(world.k.platform.ended.get(), Some(true));
}
