//! One owner.

use crate::rig::{A, B, C, EDGE, LEVEL, LINE, Rig, over_both};
use interrupt_core::wire::{LineError, LineId, Mode, Polarity, WireError, WireState, Wiring};
use interrupt_core::{BackEnd, CpuSet, Error, MessageId};

use Mode::{Exclusive, Shared};

over_both! {
    level_is_held_until_answered,
    level_that_stands_is_the_first_event,
    edges_come_one_by_one,
    nobody_else_has_it,
    names_are_nobody_elses,
    silent_after_the_end,
    owners_death_is_an_end,
    reused_when_drained,
    moves_while_it_is_held,
}

pub(crate) fn level_is_held_until_answered(mut rig: Rig<impl BackEnd>) {
    let wire = rig.have(A, LEVEL, Exclusive);
    rig.lines.assert(LINE);
    (0..3).for_each(|_| rig.run());
    assert_eq!((rig.delivered(&wire), rig.lines.sent(LINE)), (1, 1), "it is held");
    rig.answer(A, &wire);
    (0..3).for_each(|_| rig.run());
    assert_eq!(rig.delivered(&wire), 2, "it still stands");
    rig.lines.deassert(LINE);
    rig.answer(A, &wire);
    rig.run();
    assert_eq!((rig.delivered(&wire), rig.lines.sent(LINE)), (2, 2));
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!(rig.delivered(&wire), 3);
    rig.settle();
}

pub(crate) fn level_that_stands_is_the_first_event(mut rig: Rig<impl BackEnd>) {
    rig.lines.assert(LINE);
    rig.run();
    let wire = rig.have(A, LEVEL, Exclusive);
    rig.run();
    assert_eq!(rig.delivered(&wire), 1);
    rig.settle();
}

pub(crate) fn edges_come_one_by_one(mut rig: Rig<impl BackEnd>) {
    let wire = rig.have(A, EDGE, Exclusive);
    for count in 1..4 {
        rig.lines.assert(LINE);
        (0..2).for_each(|_| rig.run());
        rig.lines.deassert(LINE);
        rig.run();
        assert_eq!(rig.delivered(&wire), count);
    }
    let done = rig.wires.acknowledge(&mut rig.core, A, wire.id);
    assert_eq!(done, Err(WireError::BadState));
    rig.settle();
}

pub(crate) fn nobody_else_has_it(mut rig: Rig<impl BackEnd>) {
    assert_eq!(rig.open(A, LEVEL, Exclusive), Err(WireError::NotYours));
    let far = LineId::new(1000);
    let refused = WireError::Line(LineError::NoSuchLine);
    assert_eq!(rig.wires.grant(A, far, LEVEL), Err(refused));
    rig.grant(A, LEVEL);
    assert_eq!(rig.open(A, EDGE, Exclusive), Err(WireError::WrongWiring));
    let low = Wiring { polarity: Polarity::Low, ..LEVEL };
    assert_eq!(rig.open(A, low, Exclusive), Err(WireError::WrongWiring));
    assert_eq!(rig.open(B, LEVEL, Exclusive), Err(WireError::NotYours));
    assert!(!rig.lines.is_open(LINE));
    let wire = rig.have(A, LEVEL, Exclusive);
    rig.grant(B, LEVEL);
    for mode in [Exclusive, Shared] {
        assert_eq!(rig.open(B, LEVEL, mode), Err(WireError::InUse));
        assert_eq!(rig.open(A, LEVEL, mode), Err(WireError::InUse), "its own");
    }
    for client in [B, C] {
        let core = &mut rig.core;
        assert_eq!(rig.wires.close(core, client, wire.id), Err(WireError::NotYours));
        assert_eq!(rig.wires.acknowledge(core, client, wire.id), Err(WireError::NotYours));
        let moved = rig.wires.set_affinity(core, client, wire.id, CpuSet::ALL);
        assert_eq!(moved, Err(WireError::NotYours));
        assert_eq!(rig.wires.describe(core, Some(client), 0), None);
    }
    assert!(rig.lines.is_open(LINE));
    rig.settle();
}

pub(crate) fn names_are_nobody_elses(mut rig: Rig<impl BackEnd>) {
    let wire = rig.have(A, LEVEL, Exclusive);
    let as_message = MessageId::from_bits(wire.id.bits());
    assert_eq!(rig.core.free(A, as_message), Err(Error::BadId));
    assert_eq!(rig.core.orphaned(as_message), Err(Error::BadId));
    // Of its own message, where it has one, the owner has the handle and no name.
    let info = rig.wires.describe(&rig.core, Some(A), 0).expect("one");
    assert_eq!((info.id, info.line, info.state), (wire.id, LINE, WireState::Open));
    if let Some(message) = info.message {
        assert_eq!(rig.core.free(A, message), Err(Error::NotYours));
        assert_eq!(rig.core.block(A, message), Err(Error::NotYours));
    }
    rig.wires.close(&mut rig.core, A, wire.id).expect("its own");
    assert_eq!(rig.wires.close(&mut rig.core, A, wire.id), Err(WireError::BadId));
    rig.settle();
    let again = rig.open(A, LEVEL, Exclusive).expect("drained");
    assert_ne!(again.id, wire.id);
    assert_eq!(rig.wires.acknowledge(&mut rig.core, A, wire.id), Err(WireError::BadId));
    assert_eq!(rig.wires.orphaned(&mut rig.core, wire.id.bits()), None, "a late packet");
    assert!(rig.lines.is_open(LINE));
}

pub(crate) fn silent_after_the_end(mut rig: Rig<impl BackEnd>) {
    let live = rig.machine.kernel.live();
    let wire = rig.have(A, LEVEL, Exclusive);
    rig.lines.assert(LINE);
    rig.lines.run(&rig.machine);
    // It is in a CPU's hands.
    rig.wires.close(&mut rig.core, A, wire.id).expect("its own");
    rig.run();
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!(rig.delivered(&wire), 0);
    assert!(!rig.lines.is_open(LINE));
    rig.settle();
    assert_eq!(rig.machine.kernel.live(), live);
    assert!(!rig.wires.needs_tick());
}

pub(crate) fn owners_death_is_an_end(mut rig: Rig<impl BackEnd>) {
    for gone in [false, true] {
        let wire = rig.have(A, LEVEL, Exclusive);
        rig.lines.assert(LINE);
        rig.run();
        if gone {
            assert_eq!(rig.wires.client_gone(&mut rig.core, A), 1);
        } else {
            // The kernel's packet has the cookie that the message was made with.
            let (_, cookie) = rig.machine.kernel.identity(wire.handle);
            assert_eq!(rig.wires.orphaned(&mut rig.core, cookie), Some(A));
        }
        rig.run();
        assert_eq!(rig.delivered(&wire), 1);
        assert!(!rig.lines.is_open(LINE));
        rig.lines.deassert(LINE);
        rig.settle();
    }
}

pub(crate) fn reused_when_drained(mut rig: Rig<impl BackEnd>) {
    let first = rig.have(A, LEVEL, Exclusive);
    rig.grant(B, LEVEL);
    rig.lines.assert(LINE);
    rig.lines.run(&rig.machine);
    rig.lines.deassert(LINE);
    rig.wires.close(&mut rig.core, A, first.id).expect("its own");
    // A message has another vector; a line that is an event has the same one, and waits.
    let second = match rig.open(B, LEVEL, Exclusive) {
        Ok(second) => second,
        Err(error) => {
            assert_eq!(error, WireError::Busy);
            assert!(rig.wires.needs_tick());
            rig.machine.take_events();
            rig.pass(1);
            rig.open(B, LEVEL, Exclusive).expect("drained")
        }
    };
    rig.run();
    assert_eq!((rig.delivered(&first), rig.delivered(&second)), (0, 0), "an event of before");
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!((rig.delivered(&first), rig.delivered(&second)), (0, 1));
    rig.settle();
}

pub(crate) fn moves_while_it_is_held(mut rig: Rig<impl BackEnd>) {
    let wire = rig.have(A, LEVEL, Exclusive);
    rig.lines.assert(LINE);
    for (count, cpu) in (1..).zip([2_u64, 0, 1, 1]) {
        rig.run();
        let cpus = CpuSet::from_bits(1 << cpu);
        let info = rig.wires.set_affinity(&mut rig.core, A, wire.id, cpus).expect("a CPU");
        assert_eq!(info.event.cpu.index() as u64, cpu);
        assert_eq!(rig.delivered(&wire), count);
        rig.answer(A, &wire);
        // Not only the first move has to settle.
        rig.machine.take_events();
        rig.pass(1);
    }
    let nowhere = rig.wires.set_affinity(&mut rig.core, A, wire.id, CpuSet::from_bits(0));
    assert!(nowhere.is_err());
    rig.settle();
}
