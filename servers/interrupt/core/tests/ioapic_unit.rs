//! The IOAPIC's driver against a model of the chip, and what others may try.

use interrupt_core::fake::{ChipOptions, IoApicModel, ModelChip};
use interrupt_core::ioapic::{
    EntryForm, IoApic, IoApicInitError, IoApicRegisters, PinEntry, PinError, PinMessage, Polarity,
};
use interrupt_core::vtd::Trigger;
use interrupt_core::{EntryIndex, Pair, Vector};
use proptest::prelude::*;

const MASKED: u64 = 1 << 16;
const REMOTE_IRR: u64 = 1 << 14;

fn chip(options: ChipOptions) -> (IoApicModel, IoApic<ModelChip>) {
    let model = IoApicModel::new(options);
    let unit = IoApic::new(model.registers(), 100).unwrap();
    (model, unit)
}

fn entry(pin: u8, index: u16, trigger: Trigger) -> PinEntry {
    let message = PinMessage::Remappable { index: EntryIndex::new(index), eoi: pin };
    PinEntry { trigger, polarity: Polarity::High, masked: false, message }
}

/// What a remapper sees of `entry(_, index, _)`: no SHV, the index in the address.
fn address(index: u16) -> u64 {
    let index = u64::from(index);
    0xfee0_0010 | (index & 0x7fff) << 5 | (index >> 15) << 2
}

fn addresses(model: &IoApicModel) -> Vec<u64> {
    model.sent().iter().map(|sent| sent.pair.address).collect()
}

#[test]
fn an_edge_is_one_message() {
    let (model, mut unit) = chip(ChipOptions::default());
    unit.program(4, entry(4, 0x8123, Trigger::Edge)).unwrap();
    model.pulse(4);
    let sent = model.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].pair, Pair { address: address(0x8123), data: 4 });
    // Standing high is no second edge.
    model.drive(4, true);
    assert_eq!(model.sent().len(), 1);
    unit.mask(4).unwrap();
    unit.unmask(4).unwrap();
    assert_eq!(model.sent(), []);
    assert_eq!(model.violations(), Vec::<String>::new());
}

/// An edge that comes while the pin is masked is gone: the driver's `unmask` says so, and a
/// client has to look at its device then.
#[test]
fn an_edge_while_masked_is_lost() {
    let (model, mut unit) = chip(ChipOptions::default());
    unit.program(4, entry(4, 1, Trigger::Edge)).unwrap();
    unit.mask(4).unwrap();
    model.pulse(4);
    unit.unmask(4).unwrap();
    assert_eq!(model.sent(), []);
    model.pulse(4);
    assert_eq!(model.sent().len(), 1);
}

#[test]
fn a_level_is_held_until_acknowledged_and_fires_again() {
    let (model, mut unit) = chip(ChipOptions::default());
    unit.program(9, entry(9, 2, Trigger::Level)).unwrap();
    model.drive(9, true);
    assert_eq!(model.sent().len(), 1);
    assert!(unit.pin_status(9).unwrap().remote_irr);
    // Down and up again, masked and open again: it is held all the same.
    model.drive(9, false);
    model.drive(9, true);
    unit.mask(9).unwrap();
    unit.unmask(9).unwrap();
    assert_eq!(model.sent(), []);
    // Still asserted: again.
    unit.acknowledge(9).unwrap();
    assert_eq!(model.sent().len(), 1);
    model.drive(9, false);
    unit.acknowledge(9).unwrap();
    assert_eq!(model.sent(), []);
    assert!(!unit.pin_status(9).unwrap().remote_irr);
}

/// A level that stands while its pin is masked is not lost, unlike an edge.
#[test]
fn a_level_while_masked_is_kept() {
    let (model, mut unit) = chip(ChipOptions::default());
    unit.program(9, entry(9, 2, Trigger::Level)).unwrap();
    unit.mask(9).unwrap();
    model.drive(9, true);
    unit.acknowledge(9).unwrap();
    assert_eq!(model.sent(), []);
    unit.unmask(9).unwrap();
    assert_eq!(addresses(&model), [address(2)]);
}

#[test]
fn low_is_active_where_it_is() {
    let (model, mut unit) = chip(ChipOptions::default());
    let low = PinEntry { polarity: Polarity::Low, ..entry(9, 2, Trigger::Level) };
    model.drive(9, true);
    unit.program(9, low).unwrap();
    assert_eq!(model.sent(), []);
    model.drive(9, false);
    assert_eq!(model.sent().len(), 1);
}

/// No CPU's end of interrupt releases a level pin: CPUs have vectors from 32 on, and the pins'
/// are below.
#[test]
fn no_broadcast_releases_a_pin() {
    let (model, mut unit) = chip(ChipOptions::default());
    for pin in 0..24 {
        unit.program(pin, entry(pin, 100 + u16::from(pin), Trigger::Level)).unwrap();
        model.drive(pin, true);
    }
    assert_eq!(model.sent().len(), 24);
    (32..=255).for_each(|vector| model.broadcast_eoi(vector));
    assert_eq!(model.sent(), []);
}

/// Acknowledging one pin leaves the others held.
#[test]
fn an_acknowledge_is_one_pins() {
    let (model, mut unit) = chip(ChipOptions::default());
    for pin in [3, 5, 7] {
        unit.program(pin, entry(pin, u16::from(pin), Trigger::Level)).unwrap();
        model.drive(pin, true);
    }
    model.sent();
    unit.acknowledge(5).unwrap();
    assert_eq!(addresses(&model), [address(5)]);
    assert!(unit.pin_status(3).unwrap().remote_irr);
    // An edge pin has nothing to release, even one with a held pin's number in its vector.
    unit.program(4, entry(3, 44, Trigger::Edge)).unwrap();
    unit.acknowledge(4).unwrap();
    assert_eq!(model.sent(), []);
    // Two level pins that would be released together are refused, and nothing has changed.
    let before = model.entry(8);
    let same = unit.program(8, entry(3, 45, Trigger::Level));
    assert_eq!(same, Err(PinError::SharedEoi(3)));
    assert_eq!(model.entry(8), before);
    // AMD's entry 0x105 has the same low 8 bits as entry 5.
    let (_, mut amd) = chip(ChipOptions::default());
    let indexed = |number| PinEntry {
        message: PinMessage::Indexed { number },
        ..entry(0, 0, Trigger::Level)
    };
    amd.program(5, indexed(5)).unwrap();
    assert_eq!(amd.program(6, indexed(0x105)), Err(PinError::SharedEoi(5)));
}

/// Without an EOI register a level could not be released by itself.
#[test]
fn an_older_chip_has_no_levels() {
    let (model, mut unit) = chip(ChipOptions { version: 0x11, ..ChipOptions::default() });
    let refused = unit.program(9, entry(9, 2, Trigger::Level));
    assert_eq!(refused, Err(PinError::LevelNotSupported));
    assert_eq!(model.entry(9), MASKED);
    unit.program(9, entry(9, 2, Trigger::Edge)).unwrap();
    model.pulse(9);
    assert_eq!(model.sent().len(), 1);
    unit.clear(9).unwrap();
    assert_eq!(model.violations(), Vec::<String>::new());
}

/// An edge arrives after each of the driver's writes in turn, while a pin gets another
/// message: it is sent as the old one, the new one, or not at all.
#[test]
fn no_torn_entry() {
    let (old, new) = (0x7abc, 0x8543);
    for writes in 1..20 {
        let (model, mut unit) = chip(ChipOptions::default());
        unit.program(4, entry(4, old, Trigger::Edge)).unwrap();
        model.pulse_after(writes, 4);
        unit.program(4, entry(4, new, Trigger::Edge)).unwrap();
        for sent in addresses(&model) {
            assert!(sent == address(old) || sent == address(new), "{writes}: {sent:#x}");
        }
        model.pulse_after(writes, 4);
        unit.clear(4).unwrap();
        for sent in addresses(&model) {
            assert!(sent == address(new), "{writes}: {sent:#x}");
        }
        model.pulse(4);
        assert_eq!(model.sent(), []);
        assert_eq!(model.violations(), Vec::<String>::new());
    }
}

/// The model sees what the driver must not do.
#[test]
fn the_model_sees_torn_entries() {
    let (model, mut unit) = chip(ChipOptions::default());
    unit.program(4, entry(4, 1, Trigger::Edge)).unwrap();
    let mut registers = model.registers();
    registers.write(0x00, 0x19);
    registers.write(0x10, 0x0005_0000);
    assert_eq!(model.violations().len(), 1);
    model.pulse(4);
    assert_ne!(addresses(&model), [address(1)]);
}

#[test]
fn firmware_left_pins_open() {
    let model = IoApicModel::new(ChipOptions::default());
    // Vector 0x30 on everybody, level, held; and ExtINT, edge, open.
    model.leave(9, 0xff00_0000_0000_8030 | REMOTE_IRR);
    model.leave(0, 0x700);
    model.drive(9, true);
    let mut unit = IoApic::new(model.registers(), 100).unwrap();
    assert_eq!(unit.left_open(), 2);
    for pin in 0..24 {
        assert_eq!(model.entry(pin), MASKED, "pin {pin}");
    }
    assert_eq!(model.sent(), []);
    // It was held for nobody: its new life begins free.
    unit.program(9, entry(9, 2, Trigger::Level)).unwrap();
    assert_eq!(addresses(&model), [address(2)]);
    assert_eq!(model.violations(), Vec::<String>::new());
}

/// Taken away while it is held, and given to somebody else.
#[test]
fn a_held_pin_is_let_go_when_it_is_cleared() {
    let (model, mut unit) = chip(ChipOptions::default());
    unit.program(9, entry(9, 2, Trigger::Level)).unwrap();
    model.drive(9, true);
    model.sent();
    unit.clear(9).unwrap();
    assert_eq!(model.entry(9), MASKED);
    assert_eq!(unit.acknowledge(9), Err(PinError::NotProgrammed));
    assert_eq!(unit.unmask(9), Err(PinError::NotProgrammed));
    assert_eq!(model.sent(), []);
    unit.program(9, entry(9, 3, Trigger::Level)).unwrap();
    assert_eq!(addresses(&model), [address(3)]);
}

#[test]
fn no_such_pin() {
    let (model, mut unit) = chip(ChipOptions { pins: 8, ..ChipOptions::default() });
    for pin in [8, 119, 120, 255] {
        assert_eq!(unit.program(pin, entry(pin, 1, Trigger::Edge)), Err(PinError::NoSuchPin));
        assert_eq!(unit.mask(pin), Err(PinError::NoSuchPin));
        assert_eq!(unit.unmask(pin), Err(PinError::NoSuchPin));
        assert_eq!(unit.acknowledge(pin), Err(PinError::NoSuchPin));
        assert_eq!(unit.clear(pin), Err(PinError::NoSuchPin));
    }
    assert_eq!(model.violations(), Vec::<String>::new());
}

/// The wait for a message on its way has an end, and then the pin is silent all the same.
#[test]
fn delivery_does_not_end() {
    let (model, mut unit) = chip(ChipOptions { slow_delivery: true, ..ChipOptions::default() });
    unit.program(4, entry(4, 1, Trigger::Edge)).unwrap();
    model.pulse(4);
    assert_eq!(unit.mask(4), Err(PinError::DeliveryPending));
    let other = unit.program(4, entry(4, 2, Trigger::Edge));
    assert_eq!(other, Err(PinError::DeliveryPending));
    model.sent();
    model.pulse(4);
    assert_eq!(model.sent(), []);
    model.deliver();
    unit.program(4, entry(4, 2, Trigger::Edge)).unwrap();
    model.pulse(4);
    assert_eq!(addresses(&model), [address(2)]);
}

/// Registers that read the same whatever is asked.
struct Constant(u32);

impl IoApicRegisters for Constant {
    fn read(&mut self, _offset: u16) -> u32 {
        self.0
    }

    fn write(&mut self, _offset: u16, _value: u32) {}
}

#[test]
fn nobody_there() {
    let of = |value| IoApic::new(Constant(value), 100).err();
    assert_eq!(of(u32::MAX), Some(IoApicInitError::NotThere(u32::MAX)));
    assert_eq!(of(0), Some(IoApicInitError::NotThere(0)));
    // Something answers, and is no IOAPIC.
    assert_eq!(of(0x0017_0020), Some(IoApicInitError::NoSelect));
    assert_eq!(of(0x000e_0001), Some(IoApicInitError::DoesNotMask(0)));
}

/// In compatibility format the vector is a CPU's own: what a broadcast does then, and why a
/// level needs CPUs that do not broadcast.
#[test]
fn compatibility_levels_need_silent_cpus() {
    let (model, mut unit) = chip(ChipOptions::default());
    let message = PinMessage::Direct { destination: 1, vector: Vector::new(0x41).unwrap() };
    unit.program(9, PinEntry { message, ..entry(9, 0, Trigger::Level) }).unwrap();
    model.drive(9, true);
    assert_eq!(model.sent()[0].pair, Pair { address: 0xfee0_1000, data: 0xc041 });
    model.broadcast_eoi(0x41);
    // The owner has not answered, and it comes again.
    assert_eq!(model.sent().len(), 1);
}

proptest! {
    /// Whatever is done, in whatever order: a message is one that its pin was given and not
    /// yet robbed of, and no open entry is ever changed.
    #[test]
    fn any_order(acts in prop::collection::vec((0..8_u8, 0..24_u8, any::<u16>()), 1..200)) {
        let (model, mut unit) = chip(ChipOptions::default());
        for (act, pin, index) in acts {
            let trigger = if index & 1 == 0 { Trigger::Edge } else { Trigger::Level };
            let _ = match act {
                0 => unit.program(pin, entry(pin, index, trigger)),
                1 => unit.mask(pin),
                2 => unit.unmask(pin),
                3 => unit.acknowledge(pin),
                4 => unit.clear(pin),
                5 => { model.drive(pin, true); Ok(()) }
                6 => { model.drive(pin, false); Ok(()) }
                _ => { model.pulse(pin); Ok(()) }
            };
            for sent in model.sent() {
                let own = unit.entry(sent.pin);
                let Some(PinEntry { message: PinMessage::Remappable { index, .. }, masked, .. }) = own
                else { panic!("{own:?} sent {sent:?}") };
                prop_assert_eq!(sent.pair.address, address(index.bits()));
                prop_assert!(!masked);
            }
            // The chip's entry is what the driver thinks it is.
            let bits = model.entry(pin);
            match unit.entry(pin) {
                Some(known) => prop_assert_eq!(
                    PinEntry::decode(bits, EntryForm::VtD), Ok(known)
                ),
                None => prop_assert_eq!(bits & MASKED, MASKED),
            }
        }
        prop_assert_eq!(model.violations(), Vec::<String>::new());
    }
}
