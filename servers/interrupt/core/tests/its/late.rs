//! The ITS back end when calls overtake hardware: what was asked last counts, and nothing
//! that is still under way is reused.

use crate::acts::{A, B, give_back, one, quiet, route, settled};
use crate::rig::{Choice, attach, bring_up, cpu, start};
use interrupt_core::Unrouted;
use interrupt_core::fake::{ItsModel, ItsOptions, ItsOutcome};
use interrupt_core::its::{
    AttachError, Attached, DeviceId, EventRemapper, ItsError, ItsInitError, ItsStep,
};

const TIMEOUT: ItsError = ItsError::Timeout(ItsStep::Commands);

/// Each wait of the start has its own name.
#[test]
fn start_is_bounded() {
    let restless = ItsOptions { restless: true, ..ItsOptions::default() };
    let error = bring_up(&ItsModel::new(restless), Choice::default()).err();
    assert_eq!(error, Some(ItsInitError::Its(ItsError::Timeout(ItsStep::Quiescent))));
    let model = ItsModel::new(ItsOptions::default());
    model.hang(true);
    assert_eq!(bring_up(&model, Choice::default()).err(), Some(ItsInitError::Its(TIMEOUT)));
    let model = ItsModel::new(ItsOptions::default());
    model.stall(2);
    let stalled = ItsError::Stalled { command: 0x09 };
    assert_eq!(bring_up(&model, Choice::default()).err(), Some(ItsInitError::Its(stalled)));
}

/// A ring of 128 takes 127 commands: one more would make it look empty.
#[test]
fn full_ring_is_not_empty() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    model.hang(true);
    for number in 0..63 {
        let device = DeviceId::from_bits(number);
        assert_eq!(attach(&model, &mut unit, device, 1), Ok(Attached::Late(TIMEOUT)));
    }
    let full = Err(AttachError::Its(ItsError::QueueFull));
    assert_eq!(attach(&model, &mut unit, DeviceId::from_bits(63), 1), full);
    model.hang(false);
    assert_eq!(attach(&model, &mut unit, DeviceId::from_bits(63), 1), Ok(Attached::Now));
    quiet(&model);
}

/// A move that was asked for and then overtaken by a block: nothing slips through on the new
/// CPU, which still thinks that the LPI is enabled, and nothing is lost.
#[test]
fn block_overtakes_a_move() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let event = one(&mut unit, A);
    route(&mut unit, &event, 0);
    route(&mut unit, &event, 1);
    let moved = unit.route(&event, cpu(0));
    let blocked = unit.block(&event).unwrap();
    let pair = unit.compose(&event);
    assert!(matches!(model.message(A, pair), ItsOutcome::Pending { cpu: 1, .. }));
    settled(&mut unit, moved);
    settled(&mut unit, blocked);
    assert_eq!(model.slips(), 0);
    assert_eq!((model.acknowledge(0), model.acknowledge(1)), (None, None));
    route(&mut unit, &event, 0);
    assert_eq!((model.acknowledge(0), model.acknowledge(1)), (Some(event.lpi()), None));
    quiet(&model);
}

/// A redistributor that an LPI has left may hold its old property for ever. Neither a later
/// owner there nor the same one coming back is bound to it.
#[test]
fn old_property_elsewhere() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    attach(&model, &mut unit, B, 1).unwrap();
    let event = one(&mut unit, A);
    route(&mut unit, &event, 0);
    let stale = unit.block(&event).unwrap();
    settled(&mut unit, stale);
    // CPU 0 has to look at "disabled"; then the event leaves for CPU 1.
    assert!(matches!(model.message(A, unit.compose(&event)), ItsOutcome::Pending { .. }));
    assert_eq!(model.acknowledge(0), None);
    route(&mut unit, &event, 1);
    assert_eq!(model.acknowledge(1), Some(event.lpi()));
    model.complete(1);
    give_back(&mut unit, event);
    let event = one(&mut unit, B);
    assert_eq!(event.lpi().intid(), 8192);
    route(&mut unit, &event, 0);
    assert!(matches!(model.message(B, unit.compose(&event)), ItsOutcome::Pending { cpu: 0, .. }));
    assert_eq!(model.acknowledge(0), Some(event.lpi()));
    quiet(&model);
}

/// An event that was turned off, and is wanted again before hardware has followed.
#[test]
fn route_overtakes_unroute() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let event = one(&mut unit, A);
    route(&mut unit, &event, 0);
    model.hang(true);
    let unrouted = unit.unroute(&event);
    let (unrouted, error) = unit.flush(unrouted).unwrap_err();
    assert_eq!(error, TIMEOUT);
    let stale = unit.route(&event, cpu(1));
    let (stale, _) = unit.settle(stale).unwrap_err();
    model.hang(false);
    settled(&mut unit, stale);
    assert!(unit.flush(unrouted).is_ok());
    let lpi = event.lpi();
    let outcome = model.message(A, unit.compose(&event));
    assert_eq!(outcome, ItsOutcome::Pending { cpu: 1, lpi });
    quiet(&model);
}

/// A proof that someone made up, while DISCARD is still in the queue.
#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "is off"))]
fn late_event_is_not_freed() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let event = one(&mut unit, A);
    route(&mut unit, &event, 0);
    model.hang(true);
    let unrouted = unit.unroute(&event);
    assert!(unit.flush(unrouted).is_err());
    let made_up = Unrouted::new(event.index()).flushed().drained();
    unit.release(event, made_up);
    assert_eq!(unit.events_used(), 1);
}

/// The same before DISCARD was sent at all.
#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "is off"))]
fn unflushed_event_is_not_freed() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let event = one(&mut unit, A);
    route(&mut unit, &event, 0);
    let made_up = unit.unroute(&event).flushed().drained();
    unit.release(event, made_up);
    assert_eq!(unit.events_used(), 1);
}
