//! The VT-d back end's waits and its invalidation queue: caches that keep what they may, and
//! hardware that is slow, refuses, or stands still.

mod unit;

use interrupt_core::fake::{MessageOutcome, VtdModel, VtdOptions};
use interrupt_core::vtd::{CacheInvalidate, ExtendedMode, GlobalStatus, VtdInitError};
use interrupt_core::{EntryIndex, FaultReason, HardwareError, HardwareStep, Remapper, Written};
use unit::{A, event, new, one, quiet, start, target};

/// The cache keeps what it may: only the flush makes a change take effect.
#[test]
fn flush_makes_the_change_visible() {
    let (model, mut unit) = start(VtdOptions::default());
    let entry = one(&mut unit);
    let pair = unit.compose(&entry, None);
    let _ = unit.route(&entry, target(0, 0x41));
    assert_eq!(model.message(Some(A), pair), event(0, 0x41));
    let Written::Stale(pending) = unit.route(&entry, target(2, 0x42)) else {
        panic!("a present entry may be cached");
    };
    assert_eq!(model.message(Some(A), pair), event(0, 0x41), "still the old one");
    let _ = unit.flush(pending).unwrap();
    assert_eq!(model.message(Some(A), pair), event(2, 0x42));
    let gone = unit.unroute(&entry);
    assert_eq!(model.message(Some(A), pair), event(2, 0x42), "still cached");
    let flushed = unit.flush(gone).unwrap();
    assert_eq!(model.message(Some(A), pair), MessageOutcome::Blocked(FaultReason::NotPresent));
    unit.release(entry, flushed.drained());
    assert_eq!(unit.entries_used(), 0);
    let index = EntryIndex::new(0);
    let selective = CacheInvalidate::Selective { index, mask: 0 };
    assert_eq!(model.invalidations(), [CacheInvalidate::Global, selective, selective]);
    quiet(&model);
}

/// CAP.CM: an entry that was not present is cached as such.
#[test]
fn caching_mode_needs_a_flush_for_a_new_entry() {
    let (model, mut unit) = start(VtdOptions { caching_mode: true, ..Default::default() });
    let entry = one(&mut unit);
    let pair = unit.compose(&entry, None);
    let blocked = MessageOutcome::Blocked(FaultReason::NotPresent);
    assert_eq!(model.message(Some(A), pair), blocked);
    let Written::Stale(pending) = unit.route(&entry, target(0, 0x41)) else {
        panic!("its absence may be cached");
    };
    assert_eq!(model.message(Some(A), pair), blocked);
    let _ = unit.flush(pending).unwrap();
    assert_eq!(model.message(Some(A), pair), event(0, 0x41));
    quiet(&model);
}

/// Each step's wait ends, and says which step.
#[test]
fn every_wait_is_bounded() {
    for (bit, step) in [
        (GlobalStatus::QUEUED_INVALIDATION, HardwareStep::QueueOn),
        (GlobalStatus::TABLE_POINTER, HardwareStep::TablePointer),
        (GlobalStatus::INTERRUPT_REMAPPING, HardwareStep::RemappingOn),
    ] {
        let model = VtdModel::new(VtdOptions::default());
        model.ignore_commands(bit);
        let timeout = VtdInitError::Hardware(HardwareError::Timeout(step));
        assert_eq!(new(&model, ExtendedMode::Off).err(), Some(timeout));
    }
    for (bit, step) in [
        (GlobalStatus::INTERRUPT_REMAPPING, HardwareStep::RemappingOff),
        (GlobalStatus::QUEUED_INVALIDATION, HardwareStep::QueueOff),
        (GlobalStatus::COMPATIBILITY, HardwareStep::CompatibilityOff),
    ] {
        let model = VtdModel::new(VtdOptions::default());
        model.leave_firmware_state();
        model.ignore_commands(bit);
        let timeout = VtdInitError::Hardware(HardwareError::Timeout(step));
        assert_eq!(new(&model, ExtendedMode::Off).err(), Some(timeout));
    }
    let model = VtdModel::new(VtdOptions::default());
    model.hang(true);
    let timeout = HardwareError::Timeout(HardwareStep::Invalidation);
    assert_eq!(new(&model, ExtendedMode::Off).err(), Some(VtdInitError::Hardware(timeout)));
}

/// A slow unit is not a dead one.
#[test]
fn slow_unit() {
    let (model, mut unit) = start(VtdOptions { lag: 100, ..Default::default() });
    let entry = one(&mut unit);
    for round in 0..50_u8 {
        let _ = unit.route(&entry, target(0, 0x40 + round));
        let pending = unit.unroute(&entry);
        let _ = unit.flush(pending).unwrap();
    }
    quiet(&model);
}

/// The ring wraps: 256 descriptors, two for each flush; and 512.
#[test]
fn queue_wraps() {
    for queue_pages_log2 in [0, 1] {
        let (model, mut unit) = start(VtdOptions { queue_pages_log2, ..Default::default() });
        let entry = one(&mut unit);
        let pair = unit.compose(&entry, None);
        for round in 0..1000_u32 {
            let vector = 0x40 + (round % 64) as u8;
            if let Written::Stale(pending) = unit.route(&entry, target(0, vector)) {
                let _ = unit.flush(pending).unwrap();
            }
            assert_eq!(model.message(Some(A), pair), event(0, vector), "round {round}");
        }
        quiet(&model);
    }
}

/// IQE: the refused descriptor is replaced, the error cleared, the flush done after all;
/// wherever in the ring it happens, and whether the unit goes on at once or at the next tail.
#[test]
fn queue_error_is_recovered() {
    for resume_at_tail in [false, true] {
        let (model, mut unit) = start(VtdOptions { resume_at_tail, ..Default::default() });
        let entry = one(&mut unit);
        let pair = unit.compose(&entry, None);
        for round in 0..300_u32 {
            let vector = 0x40 + (round % 64) as u8;
            if let Written::Stale(pending) = unit.route(&entry, target(0, vector)) {
                model.refuse_invalidations(1);
                let _ = unit.flush(pending).unwrap();
            }
            assert_eq!(model.message(Some(A), pair), event(0, vector), "round {round}");
        }
        quiet(&model);
    }
}

/// Refused for good: an error, and the next flush works again.
#[test]
fn queue_error_twice() {
    for resume_at_tail in [false, true] {
        let (model, mut unit) = start(VtdOptions { resume_at_tail, ..Default::default() });
        let entry = one(&mut unit);
        let _ = unit.route(&entry, target(0, 0x41));
        model.refuse_invalidations(2);
        let pending = unit.unroute(&entry);
        let (pending, error) = unit.flush(pending).unwrap_err();
        assert_eq!(error, HardwareError::InvalidationRefused);
        let pair = unit.compose(&entry, None);
        let _ = unit.flush(pending).unwrap();
        assert_eq!(model.message(Some(A), pair), MessageOutcome::Blocked(FaultReason::NotPresent));
        quiet(&model);
    }
}

/// A queue that stands still: time-outs, then a full queue, never an overrun; and when it
/// moves again, so does the driver. A late status write is not taken for a newer one.
#[test]
fn hung_queue() {
    let (model, mut unit) = start(VtdOptions::default());
    let entry = one(&mut unit);
    let _ = unit.route(&entry, target(0, 0x41));
    let pair = unit.compose(&entry, None);
    assert_eq!(model.message(Some(A), pair), event(0, 0x41));
    model.hang(true);
    let mut pending = unit.unroute(&entry);
    let mut full = 0;
    for _ in 0..200 {
        let (back, error) = unit.flush(pending).unwrap_err();
        pending = back;
        match error {
            HardwareError::Timeout(HardwareStep::Invalidation) => assert_eq!(full, 0),
            HardwareError::QueueFull => full += 1,
            other => panic!("{other:?}"),
        }
        assert_eq!(model.message(Some(A), pair), event(0, 0x41), "never flushed");
    }
    assert!(full > 0);
    model.hang(false);
    let _ = unit.flush(pending).unwrap();
    assert_eq!(model.message(Some(A), pair), MessageOutcome::Blocked(FaultReason::NotPresent));
    quiet(&model);
}

/// The queue filled up while it stood still, and then its first descriptor is refused: the
/// driver finds out although nobody waits for that one any more.
#[test]
fn full_queue_with_an_error() {
    for resume_at_tail in [false, true] {
        let (model, mut unit) = start(VtdOptions { resume_at_tail, ..Default::default() });
        let entry = one(&mut unit);
        let pair = unit.compose(&entry, None);
        let _ = unit.route(&entry, target(0, 0x41));
        assert_eq!(model.message(Some(A), pair), event(0, 0x41));
        model.hang(true);
        let mut pending = unit.unroute(&entry);
        for _ in 0..130 {
            pending = unit.flush(pending).unwrap_err().0;
        }
        model.refuse_invalidations(1);
        model.hang(false);
        let _ = unit.flush(pending).unwrap();
        assert_eq!(model.message(Some(A), pair), MessageOutcome::Blocked(FaultReason::NotPresent));
        quiet(&model);
    }
}
