//! Vectors that every CPU has for itself beside the shared ones, as PPIs are on aarch64.

use tocsin_abi::{Error, MessageState, Syscall, Trigger};

use super::alone::{EDGE, LEVEL, activate, ask, bound, packet, status, world};
use super::invariants::check_invariants;
use super::platform::{FIRST_VECTOR, FIRST_WIRE, OWN, PRIVATE};
use super::world::World;

const LINE: u16 = PRIVATE.0 + 1;

fn is_on(world: &World, cpu: usize) -> Option<Trigger> {
    world.k.platform.private.borrow().get(&(cpu, LINE)).copied()
}

#[test]
fn the_same_number_is_another_line_on_every_cpu() {
    let world = world();
    let lines = [bound(&world), bound(&world), bound(&world)];
    for (cpu, (message, _)) in (0..).zip(lines) {
        assert_eq!(is_on(&world, cpu as usize), None);
        activate(&world, message, cpu, LINE, EDGE).expect("each CPU's own");
        assert_eq!(is_on(&world, cpu as usize), Some(Trigger::Edge));
    }
    for (cpu, (message, port)) in lines.into_iter().enumerate() {
        world.device_event(cpu, LINE);
        world.device_event(cpu, LINE);
        assert_eq!(packet(&world, port), Ok(2));
        assert_eq!(usize::from(status(&world, message).cpu), cpu);
        for (_, other) in lines {
            assert_eq!(packet(&world, other), Err(Error::TimedOut));
        }
    }
    check_invariants(world.k);
}

#[test]
fn the_kernels_own_and_what_is_none_are_nobodys() {
    let world = world();
    let (message, _) = bound(&world);
    for vector in [0, PRIVATE.0 - 1, OWN, PRIVATE.1, FIRST_VECTOR - 1] {
        assert_eq!(activate(&world, message, 0, vector, EDGE), Err(Error::BadVector), "{vector}");
    }
    assert_eq!(activate(&world, message, 3, LINE, EDGE), Err(Error::BadCpu));
    assert_eq!(status(&world, message).state, MessageState::Reserved);
    assert!(world.k.platform.private.borrow().is_empty());
    // Where each CPU has all vectors for itself there are no others.
    world.k.platform.shared.set(false);
    assert_eq!(activate(&world, message, 0, LINE, EDGE), Err(Error::BadVector));
}

#[test]
fn a_private_line_does_not_move() {
    let world = world();
    let ((message, port), (other, _)) = (bound(&world), bound(&world));
    activate(&world, message, 1, LINE, LEVEL).expect("free");
    assert_eq!(activate(&world, other, 1, LINE, LEVEL), Err(Error::VectorInUse));
    for (cpu, vector) in [(1, LINE), (2, LINE), (1, LINE + 2), (1, FIRST_WIRE)] {
        assert_eq!(activate(&world, message, cpu, vector, LEVEL), Err(Error::BadArgument));
    }
    activate(&world, other, 0, FIRST_WIRE, EDGE).expect("a shared one");
    assert_eq!(activate(&world, other, 0, LINE, EDGE), Err(Error::BadArgument));
    assert_eq!((is_on(&world, 0), is_on(&world, 2)), (None, None));
    world.device_event(1, LINE);
    assert_eq!(packet(&world, port), Ok(1));
    check_invariants(world.k);
}

/// Held on its own CPU, and let go there, whoever acknowledges.
#[test]
fn a_level_is_held_on_its_cpu_until_acknowledged() {
    let world = world();
    let (message, port) = bound(&world);
    activate(&world, message, 2, LINE, LEVEL).expect("free");
    for _ in 0..3 {
        world.device_event(2, LINE);
        world.device_event(2, LINE);
        assert_eq!(packet(&world, port), Ok(1));
        assert!(world.k.platform.held_private.borrow().contains(&(2, LINE)));
        assert_eq!(ask(&world, Syscall::MessageAcknowledge, &[message]), Ok(0));
        assert_eq!(ask(&world, Syscall::MessageAcknowledge, &[message]), Err(Error::BadState));
    }
    world.must(world.root.thread, Syscall::MessageBlock, &[message]);
    world.device_event(2, LINE);
    assert_eq!(packet(&world, port), Err(Error::TimedOut));
    world.must(world.root.thread, Syscall::MessageUnblock, &[message]);
    world.device_event(2, LINE);
    assert_eq!(packet(&world, port), Ok(1));
    check_invariants(world.k);
}

/// Off, drained, and only then another's; what was held is not lost to the next owner.
#[test]
fn a_private_line_goes_off_with_its_message() {
    for end in [Syscall::MessageDeactivate, Syscall::HandleClose] {
        let world = world();
        let (message, _) = bound(&world);
        activate(&world, message, 1, LINE, LEVEL).expect("free");
        world.device_event(1, LINE);
        world.must(world.root.thread, end, &[message]);
        assert_eq!(is_on(&world, 1), None, "after {end:?}");
        assert!(world.k.platform.held_private.borrow().is_empty());
        let (next, port) = bound(&world);
        assert_eq!(activate(&world, next, 1, LINE, EDGE), Err(Error::VectorInUse));
        // The other CPUs' are not in quarantine.
        let (elsewhere, _) = bound(&world);
        activate(&world, elsewhere, 0, LINE, EDGE).expect("another line");
        let drain = || ask(&world, Syscall::VectorDrain, &[world.roots.control, 1, LINE.into()]);
        while drain() == Err(Error::Busy) {
            (0..3).for_each(|cpu| world.take_poke(cpu));
        }
        activate(&world, next, 1, LINE, EDGE).expect("drained");
        world.device_event(1, LINE);
        assert_eq!(packet(&world, port), Ok(1));
        check_invariants(world.k);
    }
}
