//! All IOAPICs of a machine: which line is whose pin, and what firmware may say wrongly.

use interrupt_core::fake::{ChipOptions, IoApicModel, ModelChip};
use interrupt_core::ioapic::{
    Chip, EntryForm, GsiOverlap, IoApic, IoApics, LineError, PinError, Polarity,
};
use interrupt_core::vtd::{Malformed, Trigger};
use interrupt_core::{Pair, RequesterId, Source};

const ID: RequesterId = RequesterId::from_bits(0xff00);
/// Entry 5 of a VT-d unit, with a subhandle.
const REMAPPED: Pair = Pair { address: 0xfee0_0018, data: 5 };
const DIRECT: Pair = Pair { address: 0xfee0_0000, data: 0x41 };

fn chip(
    options: ChipOptions,
    first: u32,
    source: Option<RequesterId>,
) -> (IoApicModel, Chip<ModelChip>) {
    let model = IoApicModel::new(options);
    let unit = IoApic::new(model.registers(), 100).unwrap();
    (model, Chip { unit, first, source })
}

fn whole(form: EntryForm, silent_cpus: bool) -> (IoApicModel, IoApics<ModelChip>) {
    let mut all = IoApics::new(form, silent_cpus);
    let (model, chip) = chip(ChipOptions::default(), 0, Some(ID));
    all.add(chip).unwrap();
    (model, all)
}

#[test]
fn a_line_is_a_pin_of_one_chip() {
    let (low, mut all) = whole(EntryForm::VtD, false);
    let (high, second) = chip(ChipOptions { pins: 8, ..ChipOptions::default() }, 24, Some(ID));
    all.add(second).unwrap();
    for (gsi, model, pin) in [(0, &low, 0), (23, &low, 23), (24, &high, 0), (31, &high, 7)] {
        assert_eq!(all.check(gsi, Trigger::Edge), Ok(Source::Pins(ID)));
        all.program(gsi, REMAPPED, Trigger::Edge, Polarity::High).unwrap();
        model.pulse(pin);
        assert_eq!(model.sent(), [], "masked until it is opened");
        all.unmask(gsi).unwrap();
        model.pulse(pin);
        // Index 5, no subhandle.
        let sent = model.sent();
        assert_eq!((sent.len(), sent[0].pin, sent[0].pair.address), (1, pin, 0xfee0_00b0));
        all.clear(gsi).unwrap();
        model.pulse(pin);
        assert_eq!(model.sent(), []);
    }
    for gsi in [32, 255, u32::MAX] {
        assert_eq!(all.check(gsi, Trigger::Edge), Err(LineError::NoSuchLine));
        assert_eq!(all.acknowledge(gsi), Err(LineError::NoSuchLine));
    }
}

/// Firmware's GSIs overlap, by one pin or as a whole, or run past the last number: the earlier
/// chip keeps its lines, and the later one is handed back.
#[test]
fn overlapping_gsis() {
    for first in [0, 1, 23, u32::MAX, u32::MAX - 22] {
        let (_, mut all) = whole(EntryForm::VtD, false);
        let (_, second) = chip(ChipOptions::default(), first, Some(ID));
        let Err(GsiOverlap(second)) = all.add(second) else { panic!("{first} was taken") };
        assert_eq!(second.first, first);
        assert_eq!(all.chips().len(), 1);
        assert!(all.check(5, Trigger::Level).is_ok());
    }
    let (_, mut all) = whole(EntryForm::VtD, false);
    let (_, last) = chip(ChipOptions::default(), u32::MAX - 23, Some(ID));
    all.add(last).unwrap();
    assert!(all.check(u32::MAX, Trigger::Edge).is_ok());
}

/// With a remapper a chip without a source id has no messages; without one nobody asks.
#[test]
fn no_scope_for_the_chip() {
    for form in [EntryForm::VtD, EntryForm::AmdVi] {
        let mut all = IoApics::new(form, true);
        let (model, chip) = chip(ChipOptions::default(), 0, None);
        all.add(chip).unwrap();
        assert_eq!(all.check(4, Trigger::Edge), Err(LineError::NoSource));
        let refused = all.program(4, REMAPPED, Trigger::Edge, Polarity::High);
        assert_eq!(refused, Err(LineError::NoSource));
        assert_eq!(model.entry(4), 1 << 16);
    }
    let mut all = IoApics::new(EntryForm::Compatibility, false);
    let (model, chip) = chip(ChipOptions::default(), 0, None);
    all.add(chip).unwrap();
    all.program(4, DIRECT, Trigger::Edge, Polarity::High).unwrap();
    all.unmask(4).unwrap();
    model.pulse(4);
    assert_eq!(model.sent()[0].pair, DIRECT);
}

#[test]
fn levels_without_a_remapper() {
    let (_, all) = whole(EntryForm::Compatibility, false);
    assert_eq!(all.check(4, Trigger::Level), Err(LineError::NoLevels));
    let (model, mut all) = whole(EntryForm::Compatibility, true);
    all.program(4, DIRECT, Trigger::Level, Polarity::High).unwrap();
    all.unmask(4).unwrap();
    model.drive(4, true);
    assert!(all.status(4).unwrap().remote_irr);
    model.sent();
    all.acknowledge(4).unwrap();
    assert_eq!(model.sent().len(), 1);
    // Another level on the same vector of another CPU would be released with it.
    let other_cpu = Pair { address: 0xfee0_1000, ..DIRECT };
    let shared = all.program(5, other_cpu, Trigger::Level, Polarity::High);
    assert_eq!(shared, Err(LineError::Pin(PinError::SharedEoi(4))));
    let old = ChipOptions { version: 0x11, ..ChipOptions::default() };
    let (_, chip) = chip(old, 24, Some(ID));
    all.add(chip).unwrap();
    let refused = Err(LineError::Pin(PinError::LevelNotSupported));
    assert_eq!(all.check(24, Trigger::Level), refused);
}

#[test]
fn a_pair_of_another_kind() {
    let (model, mut all) = whole(EntryForm::VtD, false);
    let field = "interrupt format";
    let refused = all.program(4, DIRECT, Trigger::Edge, Polarity::High);
    assert_eq!(refused, Err(LineError::Pair(Malformed { field })));
    assert_eq!(model.entry(4), 1 << 16);
}

/// As `wire` uses it: one life of a level, and what it hears when the chip says no.
#[test]
fn as_line_hardware() {
    use interrupt_core::CpuIndex;
    use interrupt_core::wire::{LineError, LineHardware, LineId, LineTarget, Way, Wiring};
    let (model, mut all) = whole(EntryForm::VtD, false);
    let wires: &mut dyn LineHardware = &mut all;
    let (line, none) = (LineId::new(9), LineId::new(24));
    let level = Wiring { trigger: Trigger::Level, polarity: Polarity::High };
    assert_eq!(wires.check(line, level), Ok(Way::Message(Source::Pins(ID))));
    assert_eq!(wires.check(none, level), Err(LineError::NoSuchLine));
    let here = LineTarget::Cpu(CpuIndex::new(0).unwrap());
    assert_eq!(wires.set(line, level, here), Err(LineError::NotSupported));
    model.drive(9, true);
    wires.set(line, level, LineTarget::Message(REMAPPED)).unwrap();
    assert_eq!(model.sent(), []);
    wires.unmask(line).unwrap();
    assert_eq!(model.sent().len(), 1);
    wires.end(line).unwrap();
    assert_eq!(model.sent().len(), 1, "it stands still");
    wires.mask(line).unwrap();
    wires.end(line).unwrap();
    assert_eq!(model.sent(), []);
    wires.clear(line).unwrap();
    assert_eq!(wires.unmask(line), Err(LineError::NotSupported));
    assert_eq!(model.violations(), Vec::<String>::new());
    let options = ChipOptions { slow_delivery: true, ..ChipOptions::default() };
    let (model, chip) = chip(options, 24, Some(ID));
    all.add(chip).unwrap();
    LineHardware::set(&mut all, none, level, LineTarget::Message(REMAPPED)).unwrap();
    LineHardware::unmask(&mut all, none).unwrap();
    model.drive(0, true);
    assert_eq!(LineHardware::mask(&mut all, none), Err(LineError::Late));
    model.deliver();
    assert_eq!(LineHardware::mask(&mut all, none), Ok(()));
}
