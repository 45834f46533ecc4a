//! Storms, chips that are late, a kernel that refuses.

use crate::rig::{A, B, EDGE, LEVEL, LINE, Rig, over_both};
use interrupt_core::BackEnd;
use interrupt_core::fake::{KernelCall, LineStep};
use interrupt_core::wire::{BACK_OFF_NS, LineError, Mode, Storm, WireError, WireState};

use Mode::{Exclusive, Shared};

over_both! {
    a_storm_is_masked_at_the_source,
    a_storm_of_a_shared_line,
    an_edge_is_not_lost_in_a_storm,
    an_edge_that_a_cpu_had_taken_is_told_after_the_storm,
    a_late_mask_delays_the_next_owner,
    what_fails_leaves_nothing,
    a_late_end_is_made_up_for,
}

fn storm<E: BackEnd>(rig: &mut Rig<E>, key: u64) -> Storm {
    rig.wires.storm(&mut rig.core, key, rig.now)
}

pub(crate) fn a_storm_is_masked_at_the_source(mut rig: Rig<impl BackEnd>) {
    let wire = rig.have(A, LEVEL, Exclusive);
    let (_, cookie) = rig.machine.kernel.identity(wire.handle);
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!(storm(&mut rig, cookie), Storm::HeldOff(LINE));
    assert_eq!(storm(&mut rig, cookie), Storm::Late);
    assert!(!rig.lines.is_open(LINE));
    rig.answer(A, &wire);
    rig.run();
    assert_eq!(rig.delivered(&wire), 1);
    let seen = rig.wires.describe(&rig.core, Some(A), 0).expect("its own");
    assert_eq!(seen.state, WireState::HeldOff);
    rig.pass(BACK_OFF_NS - 1);
    assert!(!rig.lines.is_open(LINE));
    rig.pass(1);
    rig.run();
    assert!(rig.delivered(&wire) >= 2, "it still stands");
    assert!(!rig.wires.needs_tick());
    rig.wires.close(&mut rig.core, A, wire.id).expect("its own");
    assert!(matches!(storm(&mut rig, cookie), Storm::Late | Storm::NoWire));
    rig.settle();
}

pub(crate) fn a_storm_of_a_shared_line(mut rig: Rig<impl BackEnd>) {
    let (a, b) = (rig.have(A, LEVEL, Shared), rig.have(B, LEVEL, Shared));
    // The line's own message is the first that was made for it.
    let first = (0..rig.machine.kernel.made()).find_map(|n| {
        let handle = interrupt_core::fake::FakeHandle(n);
        let is_owner = handle == a.handle || handle == b.handle;
        (!is_owner).then(|| rig.machine.kernel.identity(handle).1)
    });
    let cookie = first.expect("the line has a message");
    let (_, own) = rig.machine.kernel.identity(a.handle);
    assert_eq!(storm(&mut rig, own), Storm::Late, "what the server signals is no storm");
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!(storm(&mut rig, cookie), Storm::HeldOff(LINE));
    rig.answer(A, &a);
    rig.answer(B, &b);
    rig.run();
    assert_eq!((rig.delivered(&a), rig.lines.sent(LINE)), (1, 1));
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert!(rig.delivered(&a) >= 2 && rig.delivered(&b) >= 2);
    rig.settle();
}

pub(crate) fn an_edge_is_not_lost_in_a_storm(mut rig: Rig<impl BackEnd>) {
    let wire = rig.have(A, EDGE, Exclusive);
    let (_, cookie) = rig.machine.kernel.identity(wire.handle);
    // One is in a CPU's hands, and one comes while the line is masked.
    rig.lines.assert(LINE);
    rig.lines.run(&rig.machine);
    assert_eq!(storm(&mut rig, cookie), Storm::HeldOff(LINE));
    rig.lines.deassert(LINE);
    rig.machine.take_events();
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!(rig.delivered(&wire), 0);
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert!(rig.delivered(&wire) >= 1, "its owner has to look");
    rig.settle();
}

/// No other edge comes that could tell of it.
pub(crate) fn an_edge_that_a_cpu_had_taken_is_told_after_the_storm(mut rig: Rig<impl BackEnd>) {
    let wire = rig.have(A, EDGE, Exclusive);
    let (_, cookie) = rig.machine.kernel.identity(wire.handle);
    rig.lines.assert(LINE);
    rig.lines.run(&rig.machine);
    assert_eq!(storm(&mut rig, cookie), Storm::HeldOff(LINE));
    rig.machine.take_events();
    assert_eq!(rig.delivered(&wire), 0);
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert_eq!(rig.delivered(&wire), 1);
    rig.settle();
}

pub(crate) fn a_late_mask_delays_the_next_owner(mut rig: Rig<impl BackEnd>) {
    let wire = rig.have(A, LEVEL, Exclusive);
    rig.grant(B, LEVEL);
    rig.lines.delay(LineStep::Mask);
    rig.wires.close(&mut rig.core, A, wire.id).expect("late is not refused");
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!(rig.delivered(&wire), 0, "the kernel has stopped it");
    for _ in 0..5 {
        assert_eq!(rig.open(B, LEVEL, Exclusive), Err(WireError::Busy));
        rig.machine.take_events();
        rig.pass(1);
    }
    rig.lines.heal();
    rig.machine.take_events();
    rig.pass(1);
    rig.machine.take_events();
    rig.pass(1);
    let next = rig.open(B, LEVEL, Exclusive).expect("masked and drained");
    rig.run();
    assert_eq!((rig.delivered(&wire), rig.delivered(&next)), (0, 1));
    rig.settle();
}

pub(crate) fn what_fails_leaves_nothing(mut rig: Rig<impl BackEnd>) {
    rig.grant(A, LEVEL);
    let live = rig.machine.kernel.live();
    let calls =
        [KernelCall::Create, KernelCall::Activate, KernelCall::ActivateLine, KernelCall::Listen];
    for mode in [Exclusive, Shared] {
        for call in calls {
            rig.machine.kernel.fail(call);
            if let Ok(wire) = rig.open(A, LEVEL, mode) {
                // That call is not needed here.
                rig.wires.close(&mut rig.core, A, wire.id).expect("its own");
            }
            rig.machine.kernel.heal();
            rig.settle();
            assert!(!rig.lines.is_open(LINE), "{call:?}");
            assert_eq!(rig.machine.kernel.live(), live, "{call:?}");
            assert_eq!(rig.wires.describe(&rig.core, None, 0), None);
        }
        for step in [LineStep::Set, LineStep::Unmask] {
            rig.lines.delay(step);
            let refused = rig.open(A, LEVEL, mode);
            assert_eq!(refused, Err(WireError::Line(LineError::Late)), "{step:?}");
            rig.lines.heal();
            rig.settle();
            assert_eq!(rig.machine.kernel.live(), live, "{step:?}");
        }
        let wire = rig.open(A, LEVEL, mode).expect("nothing is in the way");
        rig.wires.close(&mut rig.core, A, wire.id).expect("its own");
        rig.settle();
    }
    assert_eq!(rig.wires.refused(), 0);
}

pub(crate) fn a_late_end_is_made_up_for(mut rig: Rig<impl BackEnd>) {
    let (a, b) = (rig.have(A, LEVEL, Shared), rig.have(B, LEVEL, Shared));
    rig.lines.assert(LINE);
    rig.run();
    rig.lines.delay(LineStep::End);
    rig.answer(A, &a);
    rig.answer(B, &b);
    rig.run();
    rig.pass(1);
    rig.lines.heal();
    rig.pass(1);
    rig.run();
    assert_eq!(rig.delivered(&a), 2);
    rig.settle();
}
