//! Owners of a shared line that do not answer.

use crate::rig::{A, B, C, LEVEL, LINE, Opened, Rig, over_both};
use interrupt_core::wire::{BACK_OFF_NS, Mode, PATIENCE_NS, Standing, WireError, WireState};
use interrupt_core::{BackEnd, ClientId};

over_both! {
    it_blocks_nobody_for_long,
    an_answer_makes_it_good_again,
    its_device_is_taken_off,
    it_is_told_nothing_any_more,
    it_comes_back_as_a_new_owner,
    one_of_several,
    a_platforms_device_stays_late,
    a_line_that_nobody_answers_for_is_slow,
    late_and_dead,
    nobody_is_late_without_reason,
}

fn standing(rig: &Rig<impl BackEnd>, client: ClientId) -> Standing {
    rig.wires.describe(&rig.core, Some(client), 0).expect("its own").standing
}

/// A and C on the line, whose level stands, and C is late. A has answered.
fn late(rig: &mut Rig<impl BackEnd>) -> (Opened, Opened) {
    let (a, c) = (rig.have(A, LEVEL, Mode::Shared), rig.have(C, LEVEL, Mode::Shared));
    rig.lines.assert(LINE);
    rig.run();
    rig.answer(A, &a);
    rig.pass(PATIENCE_NS - 1);
    rig.run();
    assert_eq!((rig.delivered(&a), rig.delivered(&c)), (1, 1), "it is waited for");
    assert!(!rig.wires.has_late());
    rig.pass(1);
    rig.run();
    assert_eq!(standing(rig, C), Standing::Late);
    (a, c)
}

fn it_blocks_nobody_for_long(mut rig: Rig<impl BackEnd>) {
    let (a, c) = late(&mut rig);
    // The level stands: the line would come again at once, and for ever.
    assert_eq!(rig.delivered(&a), 1);
    assert!(!rig.lines.is_open(LINE));
    for count in 2..6 {
        rig.pass(BACK_OFF_NS - 1);
        rig.run();
        assert_eq!(rig.delivered(&a), count - 1);
        rig.pass(1);
        rig.run();
        assert_eq!((rig.delivered(&a), rig.delivered(&c)), (count, count), "told, not waited for");
        rig.answer(A, &a);
        rig.run();
        assert_eq!(rig.delivered(&a), count, "no more often than that");
    }
    rig.lines.deassert(LINE);
    rig.settle();
}

fn an_answer_makes_it_good_again(mut rig: Rig<impl BackEnd>) {
    let (a, c) = late(&mut rig);
    rig.answer(C, &c);
    assert_eq!(standing(&rig, C), Standing::Good);
    assert!(!rig.wires.has_late());
    rig.pass(BACK_OFF_NS);
    rig.run();
    for count in 2..5 {
        assert_eq!((rig.delivered(&a), rig.delivered(&c)), (count, count));
        rig.answer(A, &a);
        rig.run();
        assert_eq!(rig.delivered(&a), count, "it is waited for");
        rig.answer(C, &c);
        rig.run();
    }
    rig.lines.deassert(LINE);
    rig.settle();
}

fn its_device_is_taken_off(mut rig: Rig<impl BackEnd>) {
    let (a, c) = late(&mut rig);
    assert!(rig.wires.has_late());
    assert_eq!(rig.wires.next_late(), Some(C));
    assert_eq!((rig.wires.next_late(), rig.wires.has_late()), (None, false));
    assert_eq!(standing(&rig, C), Standing::Dropped);
    // Whoever was told has switched its pin off.
    rig.lines.deassert(LINE);
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert!(rig.lines.is_open(LINE));
    // A message that was held back says so when it is let through.
    let before = rig.delivered(&a);
    assert!(before <= 2, "nobody wants anything");
    rig.answer(A, &a);
    // As fast as ever, and nobody else is waited for.
    for count in 1..5 {
        rig.lines.assert(LINE);
        rig.run();
        assert_eq!((rig.delivered(&a), rig.delivered(&c)), (before + count, 1));
        rig.lines.deassert(LINE);
        rig.answer(A, &a);
        assert!(rig.lines.is_open(LINE));
    }
    rig.settle();
}

fn it_is_told_nothing_any_more(mut rig: Rig<impl BackEnd>) {
    let (a, c) = late(&mut rig);
    assert_eq!(rig.wires.next_late(), Some(C));
    let refused = rig.wires.acknowledge(&mut rig.core, C, c.id);
    assert_eq!(refused, Err(WireError::BadState));
    assert_eq!(standing(&rig, C), Standing::Dropped);
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert_eq!((rig.delivered(&a), rig.delivered(&c)), (2, 1));
    let seen = rig.wires.describe(&rig.core, Some(C), 0).expect("its own");
    assert_eq!(seen.state, WireState::Open);
    rig.lines.deassert(LINE);
    rig.answer(A, &a);
    rig.settle();
}

fn it_comes_back_as_a_new_owner(mut rig: Rig<impl BackEnd>) {
    let (a, c) = late(&mut rig);
    assert_eq!(rig.wires.next_late(), Some(C));
    rig.lines.deassert(LINE);
    rig.wires.close(&mut rig.core, C, c.id).expect("its own");
    let c = rig.open(C, LEVEL, Mode::Shared).expect("granted still");
    rig.pass(BACK_OFF_NS);
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!((rig.delivered(&a), rig.delivered(&c)), (2, 1));
    rig.answer(A, &a);
    rig.run();
    assert_eq!(rig.lines.sent(LINE), 2, "it is waited for");
    rig.lines.deassert(LINE);
    rig.answer(C, &c);
    rig.settle();
}

fn one_of_several(mut rig: Rig<impl BackEnd>) {
    let d = ClientId::device(interrupt_core::RequesterId::from_bits(0x0040));
    let [a, c, e] = [A, C, d].map(|client| rig.have(client, LEVEL, Mode::Shared));
    rig.lines.assert(LINE);
    rig.run();
    rig.answer(A, &a);
    rig.pass(PATIENCE_NS);
    assert_eq!([C, d].map(|client| standing(&rig, client)), [Standing::Late; 2]);
    // One answers before anybody asks.
    rig.answer(C, &c);
    assert_eq!((rig.wires.next_late(), rig.wires.next_late()), (Some(d), None));
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert_eq!([&a, &c, &e].map(|wire| rig.delivered(wire)), [2, 2, 1]);
    rig.lines.deassert(LINE);
    rig.answer(A, &a);
    rig.answer(C, &c);
    rig.settle();
}

fn a_platforms_device_stays_late(mut rig: Rig<impl BackEnd>) {
    let (a, b) = (rig.have(A, LEVEL, Mode::Shared), rig.have(B, LEVEL, Mode::Shared));
    rig.lines.assert(LINE);
    rig.run();
    rig.answer(A, &a);
    rig.pass(PATIENCE_NS);
    assert_eq!(standing(&rig, B), Standing::Late);
    // It has no pin that somebody could switch off: the line stays slow, and B can still answer.
    assert_eq!((rig.wires.has_late(), rig.wires.next_late()), (false, None));
    rig.answer(B, &b);
    assert_eq!(standing(&rig, B), Standing::Good);
    rig.lines.deassert(LINE);
    rig.settle();
}

fn a_line_that_nobody_answers_for_is_slow(mut rig: Rig<impl BackEnd>) {
    let c = rig.have(C, LEVEL, Mode::Shared);
    rig.lines.assert(LINE);
    rig.run();
    rig.pass(PATIENCE_NS);
    assert_eq!(rig.wires.next_late(), Some(C));
    // Its pin is off, and something holds the line all the same.
    let before = rig.lines.sent(LINE);
    for _ in 0..10 {
        rig.pass(BACK_OFF_NS);
        (0..20).for_each(|_| rig.run());
    }
    let sent = rig.lines.sent(LINE) - before;
    assert!((9..=11).contains(&sent), "{sent}");
    assert_eq!(rig.delivered(&c), 1);
    rig.lines.deassert(LINE);
    rig.settle();
}

fn late_and_dead(mut rig: Rig<impl BackEnd>) {
    let live = rig.machine.kernel.live();
    let (a, c) = late(&mut rig);
    let (_, cookie) = rig.machine.kernel.identity(c.handle);
    assert_eq!(rig.wires.orphaned(&mut rig.core, cookie), Some(C));
    assert_eq!((rig.wires.has_late(), rig.wires.next_late()), (false, None));
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert_eq!(rig.delivered(&a), 2);
    rig.lines.deassert(LINE);
    rig.answer(A, &a);
    assert!(rig.lines.is_open(LINE));
    rig.wires.close(&mut rig.core, A, a.id).expect("its own");
    rig.settle();
    assert_eq!(rig.machine.kernel.live(), live);
}

fn nobody_is_late_without_reason(mut rig: Rig<impl BackEnd>) {
    let (a, c) = (rig.have(A, LEVEL, Mode::Shared), rig.have(C, LEVEL, Mode::Shared));
    for _ in 0..20 {
        rig.lines.assert(LINE);
        rig.run();
        rig.lines.deassert(LINE);
        rig.pass(PATIENCE_NS - 1);
        rig.answer(A, &a);
        rig.answer(C, &c);
        // A long time in which nothing comes is nobody's fault.
        rig.pass(10 * PATIENCE_NS);
        assert!(!rig.wires.has_late() && rig.lines.is_open(LINE));
    }
    rig.settle();
}
