//! The VT-d back end against the register-level model: what it needs, in which order it
//! works, and what it does when hardware does not follow.

use interrupt_core::fake::{FakeMachine, FakeUnit, MessageOutcome, VtdModel, VtdOptions};
use interrupt_core::vtd::{
    CacheInvalidate, DmaRegion, ExtendedMode, GlobalStatus, Irte, RemappableMessage, VtdConfig,
    VtdInitError, VtdUnit,
};
use interrupt_core::{
    ApicId, CpuIndex, Drained, Entry, EntryIndex, FaultReason, HardwareError, HardwareStep, Pair,
    Remapper, RequesterId, ReserveError, Source, Target, Unrouted, Vector, Written,
};

const A: RequesterId = RequesterId::from_bits(0x0010);
const B: RequesterId = RequesterId::from_bits(0x0018);

fn config(extended_mode: ExtendedMode) -> VtdConfig {
    VtdConfig { extended_mode, wait_budget: 1000 }
}

fn new(model: &VtdModel, mode: ExtendedMode) -> Result<FakeUnit, VtdInitError> {
    VtdUnit::new(model.registers(), model.memory(), config(mode))
}

fn start(options: VtdOptions) -> (VtdModel, FakeUnit) {
    let model = VtdModel::new(options);
    let unit = new(&model, ExtendedMode::IfSupported).expect("the unit follows");
    (model, unit)
}

fn target(apic: u32, vector: u8) -> Target {
    Target {
        cpu: CpuIndex::new(0).unwrap(),
        apic: ApicId::from_bits(apic),
        vector: Vector::new(vector).unwrap(),
    }
}

fn event(apic: u32, vector: u8) -> MessageOutcome {
    let Target { apic, vector, .. } = target(apic, vector);
    MessageOutcome::Event { apic, vector }
}

fn one(unit: &mut FakeUnit) -> Entry {
    unit.reserve(Source::Function(A), 0).unwrap().take().unwrap()
}

fn quiet(model: &VtdModel) {
    assert_eq!(model.violations(), Vec::<String>::new());
}

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
        let entry = block.take().unwrap();
        let pair = unit.compose(&entry, None);
        assert_eq!(pair.data, number);
        assert_eq!(*address.get_or_insert(pair.address), pair.address);
        let _ = unit.route(&entry, target(0, 0x50 + number as u8));
        assert_eq!(model.message(Some(A), pair), event(0, 0x50 + number as u8));
    }
    assert!(block.take().is_none());
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
        let entry = unit.reserve(source, 0).unwrap().take().unwrap();
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
    assert!(unit.take_fault_overflow());
    assert!(!unit.take_fault_overflow());
    let mut left = 0;
    while unit.next_fault().is_some() {
        left += 1;
    }
    assert_eq!(left, 4);
    quiet(&model);
}

/// The event comes when it has somewhere to go, also for what was recorded before.
#[test]
fn fault_event() {
    let (model, mut unit) = start(VtdOptions::default());
    let entry = one(&mut unit);
    model.message(Some(A), unit.compose(&entry, None));
    assert!(model.fault_events().is_empty());
    let pair = Pair { address: 0xfee0_2000, data: 0x31 };
    unit.set_fault_event(pair);
    assert_eq!(model.fault_events(), [pair]);
    assert!(unit.next_fault().is_some());
    model.message(Some(B), unit.compose(&entry, None));
    assert_eq!(model.fault_events(), [pair, pair]);
    quiet(&model);
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
