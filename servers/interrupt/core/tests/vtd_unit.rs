//! The VT-d back end against the register-level model: what it needs, what it lets through,
//! what it records.

mod unit;

use interrupt_core::fake::{FakeMachine, FakeUnit, MessageOutcome, VtdModel, VtdOptions};
use interrupt_core::vtd::{
    CacheInvalidate, DmaRegion, ExtendedMode, Irte, RemappableMessage, VtdInitError, VtdUnit,
};
use interrupt_core::{
    Drained, EntryIndex, FaultReason, HardwareError, Pair, Rearmed, Remapper, RequesterId,
    ReserveError, Source, Unrouted, Written,
};
use unit::{A, config, event, new, one, quiet, start, target};

/// Another device.
const B: RequesterId = RequesterId::from_bits(0x0018);

#[test]
fn initialises_and_routes() {
    let (model, mut unit) = start(VtdOptions::default());
    assert!(unit.capabilities().isolated);
    assert_eq!(unit.capabilities().entries, 256);
    assert_eq!(model.invalidations(), [CacheInvalidate::Global]);
    let entry = one(&mut unit);
    let pair = unit.compose(&entry, None);
    assert_eq!(pair.address & 0xfff0_0018, 0xfee0_0018, "remappable, with a subhandle");

    // Reserved: not present.
    let blocked = MessageOutcome::Blocked(FaultReason::NotPresent);
    assert_eq!(model.message(Some(A), pair), blocked);
    // Without caching mode a new entry needs no flush.
    assert_eq!(unit.route(&entry, target(2, 0x41)), Written::Visible);
    assert_eq!(model.message(Some(A), pair), event(2, 0x41));
    assert_eq!(
        model.message(Some(B), pair),
        MessageOutcome::Blocked(FaultReason::WrongSource),
        "invariant 1: A's pair from device B reaches nothing"
    );
    quiet(&model);
}

/// A unit that snoops and one that does not see the same.
#[test]
fn coherent_or_not() {
    for coherent in [false, true] {
        let (model, mut unit) = start(VtdOptions { coherent, ..Default::default() });
        let entry = one(&mut unit);
        let pair = unit.compose(&entry, None);
        let _ = unit.route(&entry, target(0, 0x41));
        assert_eq!(model.message(Some(A), pair), event(0, 0x41), "coherent: {coherent}");
        quiet(&model);
    }
}

/// A block shares its address and counts up in the data.
#[test]
fn contiguous_block() {
    let (model, mut unit) = start(VtdOptions::default());
    let mut block = unit.reserve(Source::Function(A), 3).unwrap();
    let mut address = None;
    for number in 0..8_u32 {
        let entry = block.next().unwrap();
        let pair = unit.compose(&entry, None);
        assert_eq!(pair.data, number);
        assert_eq!(*address.get_or_insert(pair.address), pair.address);
        let _ = unit.route(&entry, target(0, 0x50 + number as u8));
        assert_eq!(model.message(Some(A), pair), event(0, 0x50 + number as u8));
    }
    assert!(block.next().is_none());
    assert_eq!(unit.reserve(Source::Function(A), 6), Err(ReserveError::NoContiguous));
    quiet(&model);
}

#[test]
fn sources() {
    let (model, mut unit) = start(VtdOptions::default());
    let id = |bus, device, function| RequesterId::new(bus, device, function).unwrap();
    for (source, inside, outside) in [
        (Source::Function(id(1, 2, 3)), id(1, 2, 3), id(1, 2, 4)),
        (Source::Device(id(1, 2, 3)), id(1, 2, 7), id(1, 3, 3)),
        (Source::Buses { first: 3, last: 5 }, id(5, 31, 7), id(6, 0, 0)),
    ] {
        let entry = unit.reserve(source, 0).unwrap().next().unwrap();
        let pair = unit.compose(&entry, None);
        let _ = unit.route(&entry, target(0, 0x41));
        assert_eq!(model.message(Some(inside), pair), event(0, 0x41));
        let wrong = MessageOutcome::Blocked(FaultReason::WrongSource);
        assert_eq!(model.message(Some(outside), pair), wrong);
        // QEMU's DMA carries no requester id and skips the check: DESIGN §9.
        assert_eq!(model.message(None, pair), event(0, 0x41));
    }
    quiet(&model);
}

/// Compatibility format is off: a device cannot name a vector itself.
#[test]
fn compatibility_format_is_blocked() {
    let model = VtdModel::new(VtdOptions::default());
    model.leave_firmware_state();
    let mut unit = new(&model, ExtendedMode::Off).unwrap();
    assert!(unit.initial().remapping);
    let pair = Pair { address: 0xfee0_0000, data: 0x41 };
    let blocked = MessageOutcome::Blocked(FaultReason::Compatibility);
    assert_eq!(model.message(Some(A), pair), blocked);
    let fault = unit.next_fault().unwrap();
    assert_eq!((fault.source, fault.entry, fault.reason), (A, None, FaultReason::Compatibility));
    quiet(&model);
}

#[test]
fn refuses_what_it_cannot_use() {
    let options = VtdOptions::default();
    let refuse = |options| new(&VtdModel::new(options), ExtendedMode::Required).err();
    let eim = VtdOptions { extended: true, ..options };
    assert_eq!(
        refuse(VtdOptions { remapping: false, ..eim }),
        Some(VtdInitError::NoInterruptRemapping)
    );
    assert_eq!(
        refuse(VtdOptions { queue: false, ..eim }),
        Some(VtdInitError::NoQueuedInvalidation)
    );
    assert_eq!(refuse(options), Some(VtdInitError::NoExtendedMode));
    assert_eq!(refuse(eim), None);
}

#[test]
fn extended_mode_only_when_asked_and_there() {
    for (mode, extended, expected) in [
        (ExtendedMode::Off, true, false),
        (ExtendedMode::IfSupported, true, true),
        (ExtendedMode::IfSupported, false, false),
    ] {
        let model = VtdModel::new(VtdOptions { extended, ..Default::default() });
        let mut unit = new(&model, mode).unwrap();
        assert_eq!(unit.extended_mode(), expected);
        assert_eq!(unit.can_target(target(0x1_0000, 0x41)), expected);
        assert!(!unit.can_target(target(u32::MAX, 0x41)));
        let entry = one(&mut unit);
        let pair = unit.compose(&entry, None);
        let apic = if expected { 0x1_0000 } else { 7 };
        let _ = unit.route(&entry, target(apic, 0x41));
        assert_eq!(model.message(Some(A), pair), event(apic, 0x41));
        quiet(&model);
    }
}

/// Each fault with its source, entry and reason; the record is given back.
#[test]
fn fault_records() {
    let (model, mut unit) = start(VtdOptions { fault_records: 4, ..Default::default() });
    let first = one(&mut unit);
    let entry = one(&mut unit);
    let pair = unit.compose(&entry, None);
    let _ = unit.route(&entry, target(0, 0x41));
    assert_eq!(unit.next_fault(), None);
    // More than there are records, in several rounds: the ring of records wraps.
    for round in 0..10_u16 {
        let stranger = RequesterId::from_bits(0x100 + round);
        model.message(Some(stranger), pair);
        model.message(Some(A), unit.compose(&first, None));
        let mut seen = [unit.next_fault().unwrap(), unit.next_fault().unwrap()];
        seen.sort_by_key(|fault| fault.source);
        assert_eq!((seen[0].source, seen[0].reason), (A, FaultReason::NotPresent));
        assert_eq!(seen[0].entry, Some(first.index()));
        assert_eq!((seen[1].source, seen[1].reason), (stranger, FaultReason::WrongSource));
        assert_eq!(seen[1].entry, Some(entry.index()));
        assert_eq!(unit.next_fault(), None);
    }
    let too_large = RemappableMessage { handle: EntryIndex::new(256), subhandle: None }.encode();
    model.message(Some(A), too_large);
    assert_eq!(unit.next_fault().unwrap().reason, FaultReason::IndexTooLarge);
    model.message(Some(A), Pair { address: pair.address, data: 0x8000_0000 });
    assert_eq!(unit.next_fault().unwrap().reason, FaultReason::RequestReserved);
    // Five sources, four records.
    for source in 0x200..0x205 {
        model.message(Some(RequesterId::from_bits(source)), pair);
    }
    assert!(unit.rearm().lost);
    assert!(!unit.rearm().lost);
    let mut left = 0;
    while unit.next_fault().is_some() {
        left += 1;
    }
    assert_eq!(left, 4);
    quiet(&model);
}

/// The event comes when it has somewhere to go, also for what was recorded before; then with
/// the first condition, and not again before all are gone.
#[test]
fn fault_event() {
    let (model, mut unit) = start(VtdOptions { fault_records: 2, ..Default::default() });
    let entry = one(&mut unit);
    let pair = unit.compose(&entry, None);
    model.message(Some(A), pair);
    assert!(model.fault_events().is_empty());
    let own = Pair { address: 0xfee0_2000, data: 0x31 };
    write_event(&mut unit, own).unwrap();
    assert_eq!(model.fault_events(), [own]);
    assert!(unit.next_fault().is_some());
    model.message(Some(B), pair);
    model.message(Some(A), pair);
    assert_eq!(model.fault_events(), [own; 2], "one for the first of two");
    // A third has no record: overflow, which is no new event while records wait.
    model.message(Some(RequesterId::from_bits(0x20)), pair);
    while unit.next_fault().is_some() {}
    model.message(Some(B), pair);
    assert_eq!(model.fault_events(), [own; 2], "the overflow still stands");
    assert_eq!(unit.rearm(), Rearmed { lost: true, stalled: false });
    assert_eq!(unit.rearm(), Rearmed::default());
    model.message(Some(B), pair);
    assert_eq!(model.fault_events(), [own; 3]);
    quiet(&model);
}

/// mask, write, read back, unmask: the model says when half a pair could be sent.
#[test]
fn the_events_pair_is_never_torn() {
    let (model, mut unit) = start(VtdOptions::default());
    let own = Pair { address: 0xfee0_2000, data: 0x31 };
    write_event(&mut unit, own).unwrap();
    quiet(&model);
    // Not masked: refused, and nothing is written.
    let event = unit.event_source().unwrap();
    assert_eq!(event.write(Pair { data: 0x99, ..own }), Err(HardwareError::EventNotWritten));
    // A pair that the registers can not hold.
    event.mask().unwrap();
    for wrong in [Pair { address: 0x1_fee0_2000, ..own }, Pair { data: 0x1_0031, ..own }] {
        assert_eq!(event.write(wrong), Err(HardwareError::EventNotWritten));
    }
    // A unit that does not mask its event.
    write_event(&mut unit, own).unwrap();
    model.deafen_event(true);
    let event = unit.event_source().unwrap();
    assert_eq!(event.mask(), Err(HardwareError::EventNotWritten));
    model.deafen_event(false);
    let entry = one(&mut unit);
    model.message(Some(A), unit.compose(&entry, None));
    assert_eq!(model.fault_events(), [own]);
    quiet(&model);
}

/// A descriptor that must be refused raises the event, and the queue goes on after it, with
/// both ways in which units go on.
#[test]
fn the_self_test_is_told_of_and_recovered_from() {
    for resume_at_tail in [false, true] {
        let (model, mut unit) = start(VtdOptions { resume_at_tail, ..Default::default() });
        let own = Pair { address: 0xfee0_2000, data: 0x31 };
        write_event(&mut unit, own).unwrap();
        for round in 1..=300 {
            unit.event_source().unwrap().provoke().unwrap();
            assert_eq!(model.fault_events().len(), round);
            assert_eq!(unit.next_fault(), None);
            assert_eq!(unit.rearm(), Rearmed { lost: false, stalled: true });
        }
        let before = model.invalidations().len();
        let entry = one(&mut unit);
        let stale = unit.unroute(&entry);
        assert!(unit.flush(stale).is_ok());
        assert_eq!(model.invalidations().len(), before + 1, "the queue works");
        assert_eq!(model.fault_events().len(), 300);
        // The model noted each descriptor that makes no sense, and nothing else.
        assert_eq!(model.violations().len(), 300);
    }
}

fn write_event(unit: &mut FakeUnit, pair: Pair) -> Result<(), HardwareError> {
    let event = unit.event_source().expect("a VT-d unit has one");
    event.mask()?;
    event.write(pair)?;
    event.unmask();
    Ok(())
}

/// Memory that the unit could not use.
#[test]
fn memory_is_checked() {
    struct Shifted<M>(M, u64, usize);
    impl<M: DmaRegion> DmaRegion for Shifted<M> {
        fn bus_address(&self) -> u64 {
            self.0.bus_address() + self.1
        }
        fn size_bytes(&self) -> usize {
            self.2
        }
        fn read64(&self, offset: usize) -> u64 {
            self.0.read64(offset)
        }
        fn write64(&mut self, offset: usize, value: u64) {
            self.0.write64(offset, value);
        }
        fn write_back(&mut self, offset: usize) {
            self.0.write_back(offset);
        }
    }
    let attempt = |table: (u64, usize), queue: (u64, usize), status: (u64, usize)| {
        let options = VtdOptions { entries_log2: 12, ..Default::default() };
        let model = VtdModel::new(options);
        let memory = model.memory();
        let memory = interrupt_core::vtd::VtdMemory {
            table: Shifted(memory.table, table.0, table.1),
            queue: Shifted(memory.queue, queue.0, queue.1),
            status: Shifted(memory.status, status.0, status.1),
        };
        VtdUnit::new(model.registers(), memory, config(ExtendedMode::Off)).err()
    };
    let (table, queue, status) = ((0, 65_536), (0, 4096), (0, 4096));
    assert_eq!(attempt(table, queue, status), None);
    // A table above a page is aligned to its size.
    for table in [(4096, 65_536), (8, 4096), (0, 16), (0, 48), (0, 2 << 20)] {
        assert_eq!(attempt(table, queue, status), Some(VtdInitError::BadTable), "{table:?}");
    }
    for queue in [(16, 4096), (0, 2048), (0, 3 * 4096), (0, 256 * 4096)] {
        assert_eq!(attempt(table, queue, status), Some(VtdInitError::BadQueue), "{queue:?}");
    }
    for status in [(4, 4096), (0, 4)] {
        assert_eq!(attempt(table, queue, status), Some(VtdInitError::BadStatus), "{status:?}");
    }
}

/// What firmware left in the memory is not an entry.
#[test]
fn table_is_cleared() {
    let (model, unit) = start(VtdOptions::default());
    for index in 0..256 {
        let halves = model.entry(EntryIndex::new(index)).unwrap();
        assert_eq!(Irte::decode(halves, unit.extended_mode()), Ok(None), "{index}");
    }
}

/// A proof about one entry does not free another.
#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "belong together"))]
fn foreign_proof_frees_nothing() {
    let (_model, mut unit) = start(VtdOptions::default());
    let (first, second) = (one(&mut unit), one(&mut unit));
    let proof: Drained = Unrouted::new(second.index()).flushed().drained();
    unit.release(first, proof);
    assert_eq!(unit.entries_used(), 2);
}

/// The helper that other crates use builds the same.
#[test]
fn machine_helper() {
    let machine = FakeMachine::new(2, Some(VtdOptions::default()));
    assert_eq!(machine.unit().unwrap().capabilities().name, "VT-d");
    assert!(machine.violations().is_empty());
}
