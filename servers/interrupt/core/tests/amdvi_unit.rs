//! The AMD-Vi back end against the register-level model: what it needs, what it lets through,
//! what it records, and hardware that is slow, refuses, or stands still.

use interrupt_core::amdvi::{
    Alias, AmdViConfig, AmdViInitError, AmdViUnit, Command, DeviceEntry, EntryFormat, Status,
};
use interrupt_core::fake::{AmdViModel, AmdViOptions, FakeAmdViUnit, MessageOutcome};
use interrupt_core::vtd::ExtendedMode;
use interrupt_core::{
    ApicId, CpuIndex, Entry, EntryIndex, FaultReason, HardwareError, HardwareStep, Pair, Remapper,
    RequesterId, ReserveError, Source, Target, Unrouted, Vector, Written,
};

const A: RequesterId = RequesterId::from_bits(0x0010);
const B: RequesterId = RequesterId::from_bits(0x0018);
const IO_APIC: RequesterId = RequesterId::from_bits(0x00a0);

fn config() -> AmdViConfig {
    AmdViConfig {
        extended_mode: ExtendedMode::IfSupported,
        writes_128: true,
        wait_budget: 1000,
        aliases: Vec::new(),
        io_apics: Vec::new(),
    }
}

fn start_with(options: AmdViOptions, config: AmdViConfig) -> (AmdViModel, FakeAmdViUnit) {
    let model = AmdViModel::new(options);
    let unit = AmdViUnit::new(model.registers(), model.memory(), config);
    (model, unit.expect("the unit follows"))
}

fn start(options: AmdViOptions) -> (AmdViModel, FakeAmdViUnit) {
    start_with(options, config())
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

fn one(unit: &mut FakeAmdViUnit, id: RequesterId) -> Entry {
    unit.reserve(Source::Function(id), 0).unwrap().next().unwrap()
}

fn route(unit: &mut FakeAmdViUnit, entry: &Entry, target: Target) {
    let Written::Stale(pending) = unit.route(entry, target) else {
        panic!("an entry's absence may be cached");
    };
    let _ = unit.flush(pending).expect("the unit follows");
}

fn quiet(model: &AmdViModel) {
    assert_eq!(model.violations(), Vec::<String>::new());
}

const OFF: MessageOutcome = MessageOutcome::Blocked(FaultReason::NotPresent);

/// A device about which nobody has asked raises nothing, in any format; another's pair means
/// one's own entry, or nothing.
#[test]
fn initialises_and_routes() {
    let (model, mut unit) = start(AmdViOptions::default());
    assert!(unit.capabilities().isolated && !unit.initial().enabled);
    assert_eq!(model.commands(), [Command::InvalidateAll]);
    let raw = Pair { address: 0xfee0_0000, data: 0x41 };
    for id in [A, B, IO_APIC, RequesterId::from_bits(0xffff)] {
        assert_eq!(model.device_entry(id), Some(DeviceEntry::Abort));
        assert_eq!(model.message(Some(id), raw), OFF);
    }
    let entry = one(&mut unit, A);
    let pair = unit.compose(&entry, None);
    assert_eq!(pair, Pair { address: 0xfee0_0000, data: 0 });
    assert_eq!(model.message(Some(A), pair), OFF, "reserved");
    route(&mut unit, &entry, target(2, 0x41));
    assert_eq!(model.message(Some(A), pair), event(2, 0x41));
    assert_eq!(model.message(Some(B), pair), OFF, "invariant 1");
    assert_eq!(model.message(Some(A), raw), OFF, "another entry of its own");
    assert_eq!(model.message(None, pair), OFF, "DMA counts as the IO APIC's");
    let theirs = one(&mut unit, B);
    assert_eq!(unit.compose(&theirs, None), pair, "numbers are each device's own");
    assert_ne!(theirs.index(), entry.index(), "the server's are not");
    route(&mut unit, &theirs, target(0, 0x55));
    assert_eq!(model.message(Some(B), pair), event(0, 0x55));
    assert_eq!(model.message(Some(A), pair), event(2, 0x41));
    assert_eq!((unit.name(&theirs).number, unit.entries_used()), (0, 2));
    assert_eq!(unit.name(&theirs).device.unwrap().bits(), 0x18);
    quiet(&model);
}

/// Each format that unit, CPU and wish allow.
#[test]
fn formats() {
    let wide = AmdViOptions::default();
    let x2apic = AmdViOptions { x2apic: true, ..wide };
    let short = AmdViOptions { wide: false, ..x2apic };
    let slow = AmdViConfig { writes_128: false, ..config() };
    let off = AmdViConfig { extended_mode: ExtendedMode::Off, ..config() };
    for (options, config, expected) in [
        (wide, config(), EntryFormat::Wide),
        (x2apic, config(), EntryFormat::WideX2Apic),
        (x2apic, off, EntryFormat::Wide),
        (x2apic, slow.clone(), EntryFormat::Short),
        (short, config(), EntryFormat::Short),
    ] {
        let (model, mut unit) = start_with(options, config);
        assert_eq!(unit.entry_format(), expected);
        let extended = expected == EntryFormat::WideX2Apic;
        assert_eq!(unit.can_target(target(0x0101_0000, 0x41)), extended);
        assert!(!unit.can_target(target(u32::MAX, 0x41)));
        let apic = if extended { 0x0101_0000 } else { 7 };
        let (first, second) = (one(&mut unit, A), one(&mut unit, A));
        let pairs = [unit.compose(&first, None), unit.compose(&second, None)];
        // Short entries share a word: one does not disturb the other.
        route(&mut unit, &second, target(apic, 0x42));
        assert_eq!(model.message(Some(A), pairs[0]), OFF);
        route(&mut unit, &first, target(1, 0x41));
        assert_eq!(model.message(Some(A), pairs[1]), event(apic, 0x42));
        assert_eq!(model.message(Some(A), pairs[0]), event(1, 0x41));
        let gone = unit.unroute(&second);
        let _ = unit.flush(gone).unwrap();
        assert_eq!(model.message(Some(A), pairs[0]), event(1, 0x41));
        assert_eq!(model.message(Some(A), pairs[1]), OFF);
        quiet(&model);
    }
    let required = AmdViConfig { extended_mode: ExtendedMode::Required, ..config() };
    for (options, writes_128) in [(wide, true), (short, true), (x2apic, false)] {
        let model = AmdViModel::new(options);
        let config = AmdViConfig { writes_128, ..required.clone() };
        let unit = AmdViUnit::new(model.registers(), model.memory(), config);
        assert_eq!(unit.err(), Some(AmdViInitError::NoExtendedMode));
    }
}

/// The caches keep what they may: only the flush makes a change take effect.
#[test]
fn flush_makes_the_change_visible() {
    let (model, mut unit) = start(AmdViOptions::default());
    let entry = one(&mut unit, A);
    let pair = unit.compose(&entry, None);
    // The unit remembers that the device had no table, and then that the entry was off.
    assert_eq!(model.message(Some(A), pair), OFF);
    route(&mut unit, &entry, target(0, 0x41));
    assert_eq!(
        model.commands(),
        [
            Command::InvalidateAll,
            Command::InvalidateInterruptTable(A),
            Command::InvalidateDeviceEntry(A),
        ]
    );
    assert_eq!(model.message(Some(A), pair), event(0, 0x41));
    let Written::Stale(pending) = unit.route(&entry, target(2, 0x42)) else { panic!() };
    assert_eq!(model.message(Some(A), pair), event(0, 0x41), "still the old one, whole");
    let _ = unit.flush(pending).unwrap();
    assert_eq!(model.message(Some(A), pair), event(2, 0x42));
    let gone = unit.unroute(&entry);
    assert_eq!(model.message(Some(A), pair), event(2, 0x42), "still cached");
    let flushed = unit.flush(gone).unwrap();
    assert_eq!(model.message(Some(A), pair), OFF);
    unit.release(entry, flushed.drained());
    assert_eq!(unit.entries_used(), 0);
    assert_eq!(model.commands().len(), 5, "the device entry is announced once");
    quiet(&model);
}

#[test]
fn contiguous_block() {
    let (model, mut unit) = start(AmdViOptions::default());
    let block = unit.reserve(Source::Function(A), 4).unwrap();
    let mut first = None;
    for (number, entry) in block.enumerate() {
        let pair = unit.compose(&entry, None);
        let first = *first.get_or_insert(pair.data);
        assert_eq!((first % 16, pair.data), (0, first + number as u32));
        route(&mut unit, &entry, target(0, 0x50 + number as u8));
        assert_eq!(model.message(Some(A), pair), event(0, 0x50 + number as u8));
    }
    assert_eq!(unit.reserve(Source::Function(A), 6), Err(ReserveError::NoContiguous));
    quiet(&model);
}

/// 512 entries for a device, and its neighbour has as many of its own.
#[test]
fn a_table_runs_out() {
    let (model, mut unit) = start(AmdViOptions::default());
    let all: Vec<_> = (0..512).map(|_| one(&mut unit, A)).collect();
    assert_eq!(unit.reserve(Source::Function(A), 0), Err(ReserveError::NoEntries));
    assert_eq!(unit.reserve(Source::Function(A), 3), Err(ReserveError::NoEntries));
    let last = unit.compose(&all[511], None);
    assert_eq!(last.data, 511);
    route(&mut unit, &all[511], target(0, 0x41));
    assert_eq!(model.message(Some(A), last), event(0, 0x41));
    // Bits 10:8 of data above 1 are no fixed message for a unit without large tables.
    let beyond = Pair { data: 512, ..last };
    let refused = MessageOutcome::Blocked(FaultReason::RequestReserved);
    assert_eq!(model.message(Some(A), beyond), refused);
    let theirs = one(&mut unit, B);
    assert_eq!(unit.compose(&theirs, None).data, 0);
    quiet(&model);
}

/// Where the unit has them: 2048 entries, as long as there are numbers for devices to come.
#[test]
fn large_tables() {
    let options = AmdViOptions { large: true, table_bytes: 2 << 20, ..Default::default() };
    let (model, mut unit) = start(options);
    let id = |number: u16| RequesterId::from_bits(0x100 + 8 * number);
    for _ in 0..2047 {
        let _ = one(&mut unit, A);
    }
    let last = one(&mut unit, A);
    assert_eq!(unit.reserve(Source::Function(A), 0), Err(ReserveError::NoEntries));
    let pair = unit.compose(&last, None);
    assert_eq!(pair.data, 2047);
    route(&mut unit, &last, target(0, 0x41));
    assert_eq!(model.message(Some(A), pair), event(0, 0x41));
    // 16 large tables in all, then 64 small ones, then nobody else.
    for number in 0..15 + 64 {
        let _ = one(&mut unit, id(number));
        let entry = model.device_entry(id(number));
        let expected = if number < 15 { 11 } else { 9 };
        assert!(
            matches!(entry, Some(DeviceEntry::Remap { entries_log2, .. }) if entries_log2 == expected),
            "{number}: {entry:?}"
        );
    }
    assert_eq!(unit.reserve(Source::Function(B), 0), Err(ReserveError::NoMemory));
    assert_eq!(model.device_entry(B), Some(DeviceEntry::Abort));
    quiet(&model);
}

/// Tables of devices that hold nothing make room; those that do, do not.
#[test]
fn idle_tables_are_given_up() {
    let options = AmdViOptions { table_bytes: 16 << 10, ..Default::default() };
    let (model, mut unit) = start(options);
    let (mine, theirs) = (one(&mut unit, A), one(&mut unit, B));
    let third = RequesterId::from_bits(0x0020);
    assert_eq!(unit.reserve(Source::Function(third), 0), Err(ReserveError::NoMemory));
    route(&mut unit, &mine, target(0, 0x41));
    let pair = unit.compose(&mine, None);
    assert_eq!(model.message(Some(A), pair), event(0, 0x41));
    let gone = unit.unroute(&mine);
    let flushed = unit.flush(gone).unwrap();
    unit.release(mine, flushed.drained());
    // A unit that is late keeps the table, and the device keeps it as well.
    model.hang(true);
    let late = HardwareError::Timeout(HardwareStep::Invalidation);
    assert_eq!(unit.reserve(Source::Function(third), 0), Err(ReserveError::Hardware(late)));
    assert!(matches!(model.device_entry(A), Some(DeviceEntry::Remap { .. })));
    model.hang(false);
    let entry = one(&mut unit, third);
    assert_eq!(model.device_entry(A), Some(DeviceEntry::Abort));
    assert_eq!(model.message(Some(A), pair), OFF);
    route(&mut unit, &entry, target(0, 0x42));
    assert_eq!(model.message(Some(third), pair), event(0, 0x42));
    route(&mut unit, &theirs, target(0, 0x43));
    assert_eq!(model.message(Some(B), pair), event(0, 0x43));
    assert_eq!(unit.reserve(Source::Function(A), 0), Err(ReserveError::NoMemory));
    quiet(&model);
}

/// Bridges, and what the IVRS says of aliases.
#[test]
fn ids_that_arrive() {
    let id = |bus, device, function| RequesterId::new(bus, device, function).unwrap();
    let aliases = vec![
        Alias { first: id(4, 0, 0), last: id(4, 31, 7), arrives: id(0, 7, 0) },
        Alias { first: id(4, 1, 0), last: id(4, 1, 0), arrives: id(4, 0, 0) },
    ];
    let (model, mut unit) =
        start_with(AmdViOptions::default(), AmdViConfig { aliases, ..config() });
    for (vector, source, arrives) in [
        (0x41, Source::Function(A), A),
        (0x42, Source::Buses { first: 3, last: 5 }, id(3, 0, 0)),
        (0x43, Source::Function(id(4, 2, 0)), id(0, 7, 0)),
        (0x44, Source::Function(id(4, 1, 0)), id(4, 0, 0)),
    ] {
        let entry = unit.reserve(source, 0).unwrap().next().unwrap();
        let pair = unit.compose(&entry, None);
        route(&mut unit, &entry, target(0, vector));
        assert_eq!(model.message(Some(arrives), pair), event(0, vector));
    }
    quiet(&model);
}

/// An IOAPIC's pins have the first 32 entries for themselves, whoever else sends with its id
/// and however much: QEMU counts devices' DMA as its.
#[test]
fn pins_are_kept_apart() {
    let config = AmdViConfig { io_apics: vec![IO_APIC], ..config() };
    let (model, mut unit) = start_with(AmdViOptions::default(), config);
    let number = |unit: &FakeAmdViUnit, entry: &Entry| unit.name(entry).number;
    let mut others = Vec::new();
    while let Ok(mut block) = unit.reserve(Source::Function(IO_APIC), 0) {
        others.push(block.next().unwrap());
    }
    assert_eq!(others.len(), 512 - 32);
    assert!(others.iter().all(|entry| number(&unit, entry) >= 32));
    assert_eq!(unit.reserve(Source::Function(IO_APIC), 3), Err(ReserveError::NoEntries));
    let mut pins = Vec::new();
    while let Ok(mut block) = unit.reserve(Source::Pins(IO_APIC), 0) {
        pins.push(block.next().unwrap());
    }
    assert_eq!(pins.len(), 32);
    assert!(pins.iter().all(|entry| number(&unit, entry) < 32));
    assert_eq!(unit.entries_used(), 512);
    // What comes back comes back to its own kind.
    let pin = pins.pop().unwrap();
    let pair = unit.compose(&pin, None);
    route(&mut unit, &pin, target(0, 0x41));
    assert_eq!(model.message(Some(IO_APIC), pair), event(0, 0x41));
    let unrouted = unit.unroute(&pin);
    let flushed = unit.flush(unrouted).unwrap();
    unit.release(pin, flushed.drained());
    assert_eq!(unit.reserve(Source::Function(IO_APIC), 0), Err(ReserveError::NoEntries));
    assert!(unit.reserve(Source::Pins(IO_APIC), 0).is_ok());
    quiet(&model);
}

#[test]
fn faults_are_logged() {
    let (model, mut unit) = start(AmdViOptions::default());
    assert_eq!(unit.next_fault(), None);
    let entry = one(&mut unit, A);
    let pair = unit.compose(&entry, None);
    for round in 0..300_u16 {
        // More in all than the log has places: it wraps.
        model.message(Some(A), pair);
        model.message(Some(RequesterId::from_bits(0x300 + round)), pair);
        for source in [0x10, 0x300 + round] {
            let fault = unit.next_fault().unwrap();
            assert_eq!((fault.source.bits(), fault.entry), (source, None));
            assert_eq!(fault.reason, FaultReason::NotPresent);
        }
        assert_eq!(unit.next_fault(), None);
    }
    // One place stays free; what comes when it is full is lost, and then it goes on.
    for _ in 0..400 {
        model.message(Some(B), pair);
    }
    let mut seen = 0;
    while unit.next_fault().is_some() {
        seen += 1;
    }
    assert_eq!(seen, 255);
    assert_eq!((unit.rearm().lost, unit.rearm().lost), (true, false));
    model.message(Some(B), pair);
    assert_eq!(unit.next_fault().unwrap().source, B);
    quiet(&model);
}

/// What firmware left is off, and forgotten, before anything of ours is on.
#[test]
fn after_firmware() {
    for invalidate_all in [false, true] {
        let model = AmdViModel::new(AmdViOptions { invalidate_all, lag: 2, ..Default::default() });
        model.leave_firmware_state();
        let unit = AmdViUnit::new(model.registers(), model.memory(), config());
        let unit = unit.expect("the unit follows");
        assert!(unit.initial().enabled);
        let last = RequesterId::from_bits(0xffff);
        let expected = if invalidate_all {
            Command::InvalidateAll
        } else {
            Command::InvalidateInterruptTable(last)
        };
        assert_eq!(model.commands().last(), Some(&expected));
        quiet(&model);
    }
}

/// Each wait ends, and says which step.
#[test]
fn every_wait_is_bounded() {
    for (bit, firmware, step) in [
        (Status::COMMANDS_RUN, false, HardwareStep::QueueOn),
        (Status::LOG_RUNS, false, HardwareStep::LogOn),
        (Status::COMMANDS_RUN, true, HardwareStep::QueueOff),
        (Status::LOG_RUNS, true, HardwareStep::LogOff),
    ] {
        let model = AmdViModel::new(AmdViOptions::default());
        if firmware {
            model.leave_firmware_state();
        }
        model.ignore(bit);
        let unit = AmdViUnit::new(model.registers(), model.memory(), config());
        let late = AmdViInitError::Hardware(HardwareError::Timeout(step));
        assert_eq!(unit.err(), Some(late));
    }
}

/// A unit that stands still is waited for, and never sent more than the buffer holds.
#[test]
fn hung_commands() {
    let (model, mut unit) = start(AmdViOptions::default());
    let entry = one(&mut unit, A);
    route(&mut unit, &entry, target(0, 0x41));
    model.hang(true);
    let late = HardwareError::Timeout(HardwareStep::Invalidation);
    let (mut pending, mut errors) = (unit.unroute(&entry), Vec::new());
    for _ in 0..200 {
        let (back, error) = unit.flush(pending).unwrap_err();
        (pending, _) = (back, errors.push(error));
    }
    assert_eq!(errors[0], late);
    assert_eq!(*errors.last().unwrap(), HardwareError::QueueFull);
    model.hang(false);
    let flushed = unit.flush(pending).unwrap();
    assert_eq!(model.message(Some(A), unit.compose(&entry, None)), OFF);
    unit.release(entry, flushed.drained());
    quiet(&model);
}

/// A refused command: the buffer is started anew, once for each wait.
#[test]
fn refused_commands() {
    let (model, mut unit) = start(AmdViOptions::default());
    let entry = one(&mut unit, A);
    model.refuse_commands(1);
    route(&mut unit, &entry, target(0, 0x41));
    assert_eq!(model.message(Some(A), unit.compose(&entry, None)), event(0, 0x41));
    model.refuse_commands(2);
    let gone = unit.unroute(&entry);
    let (gone, error) = unit.flush(gone).unwrap_err();
    assert_eq!(error, HardwareError::InvalidationRefused);
    let _ = unit.flush(gone).unwrap();
    assert_eq!(model.message(Some(A), unit.compose(&entry, None)), OFF);
    // What the log says about commands is nobody's fault, and hides none.
    assert_eq!(unit.next_fault().map(|fault| fault.source), Some(A));
    assert_eq!(unit.next_fault(), None);
    quiet(&model);
}

/// A proof about one entry does not free another.
#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "belong together"))]
fn foreign_proof_frees_nothing() {
    let (_model, mut unit) = start(AmdViOptions::default());
    let (first, second) = (one(&mut unit, A), one(&mut unit, A));
    unit.release(first, Unrouted::new(second.index()).flushed().drained());
    assert_eq!(unit.entries_used(), 2);
}

/// An index that nobody has is nowhere: nothing to flush.
#[test]
fn flush_of_no_entry() {
    let (model, mut unit) = start(AmdViOptions::default());
    assert!(unit.flush(Unrouted::new(EntryIndex::new(0xffff))).is_ok());
    assert_eq!(model.commands().len(), 1);
    quiet(&model);
}
