//! Several owners.

use crate::rig::{A, B, C, EDGE, LEVEL, LINE, Rig, over_both};
use interrupt_core::BackEnd;
use interrupt_core::wire::{Mode, Polarity, WireError, WireState, Wiring};

use Mode::{Exclusive, Shared};

over_both! {
    all_are_told_and_all_are_waited_for,
    all_want_the_same_line,
    a_dying_owner_blocks_nobody,
    who_comes_later_is_told_later,
}

pub(crate) fn all_are_told_and_all_are_waited_for(mut rig: Rig<impl BackEnd>) {
    let (a, b) = (rig.have(A, LEVEL, Shared), rig.have(B, LEVEL, Shared));
    rig.lines.assert(LINE);
    (0..3).for_each(|_| rig.run());
    assert_eq!((rig.delivered(&a), rig.delivered(&b)), (1, 1));
    let seen = rig.wires.describe(&rig.core, Some(A), 0).expect("its own");
    assert_eq!((seen.state, seen.owners), (WireState::Told, 2));
    // A's device is served. B has not looked yet.
    rig.answer(A, &a);
    rig.answer(A, &a);
    rig.run();
    assert_eq!((rig.delivered(&a), rig.lines.sent(LINE)), (1, 1));
    rig.answer(B, &b);
    rig.run();
    assert_eq!((rig.delivered(&a), rig.delivered(&b)), (2, 2), "somebody still wants something");
    rig.lines.deassert(LINE);
    rig.answer(A, &a);
    rig.answer(B, &b);
    rig.run();
    assert_eq!(rig.lines.sent(LINE), 2);
    rig.settle();
}

pub(crate) fn all_want_the_same_line(mut rig: Rig<impl BackEnd>) {
    rig.grant(A, EDGE);
    assert_eq!(rig.open(A, EDGE, Shared), Err(WireError::NotSupported), "edges hide each other");
    rig.have(A, LEVEL, Shared);
    let low = Wiring { polarity: Polarity::Low, ..LEVEL };
    rig.grant(B, low);
    assert_eq!(rig.open(B, low, Shared), Err(WireError::Conflict));
    rig.grant(B, LEVEL);
    assert_eq!(rig.open(B, LEVEL, Exclusive), Err(WireError::InUse));
    rig.have(B, LEVEL, Shared);
    assert_eq!(rig.open(C, LEVEL, Shared), Err(WireError::NotYours));
    rig.settle();
}

pub(crate) fn a_dying_owner_blocks_nobody(mut rig: Rig<impl BackEnd>) {
    let live = rig.machine.kernel.live();
    let [a, b, c] = [A, B, C].map(|client| rig.have(client, LEVEL, Shared));
    rig.lines.assert(LINE);
    rig.run();
    rig.answer(A, &a);
    let (_, cookie) = rig.machine.kernel.identity(b.handle);
    assert_eq!(rig.wires.orphaned(&mut rig.core, cookie), Some(B));
    rig.run();
    assert_eq!(rig.lines.sent(LINE), 1, "C has not answered");
    rig.wires.client_gone(&mut rig.core, C);
    rig.run();
    assert_eq!((rig.delivered(&a), rig.delivered(&b), rig.delivered(&c)), (2, 1, 1));
    // Nobody is left: the line is silent, whatever the devices do.
    rig.wires.close(&mut rig.core, A, a.id).expect("its own");
    rig.run();
    assert!(!rig.lines.is_open(LINE));
    assert_eq!(rig.delivered(&a), 2);
    rig.settle();
    assert_eq!(rig.machine.kernel.live(), live);
}

pub(crate) fn who_comes_later_is_told_later(mut rig: Rig<impl BackEnd>) {
    let a = rig.have(A, LEVEL, Shared);
    rig.lines.assert(LINE);
    rig.run();
    let b = rig.have(B, LEVEL, Shared);
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!(rig.delivered(&b), 0);
    rig.lines.deassert(LINE);
    rig.answer(A, &a);
    rig.run();
    assert_eq!((rig.delivered(&a), rig.delivered(&b)), (2, 1), "B's device wants something");
    rig.settle();
}
