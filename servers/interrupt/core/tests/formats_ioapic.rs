//! Redirection entries, 82093AA §3.2.4 and VT-d §5.1.5.1: constants by hand, round trip,
//! decode total.

use interrupt_core::ioapic::{EntryForm, PinEntry, PinMessage, PinStatus, Polarity, Version};
use interrupt_core::vtd::{Malformed, Trigger};
use interrupt_core::{EntryIndex, Pair, Vector};
use proptest::prelude::*;

/// Pin 9, level, low, entry 0x9234 of a VT-d unit.
///
/// ```text
/// bits  7:0    vector  9, for EOI                        0x0000_0000_0000_0009
/// bits 10:8    000
/// bit  11      index 15 = 1                              0x0000_0000_0000_0800
/// bit  13      polarity 1, low                           0x0000_0000_0000_2000
/// bit  15      trigger 1, level                          0x0000_0000_0000_8000
/// bit  48      format 1, remappable                      0x0001_0000_0000_0000
/// bits 63:49   index 14:0 = 0x1234; 0x1234 << 49 =       0x2468_0000_0000_0000
/// ```
#[test]
fn remappable_constant() {
    let entry = PinEntry {
        trigger: Trigger::Level,
        polarity: Polarity::Low,
        masked: false,
        message: PinMessage::Remappable { index: EntryIndex::new(0x9234), eoi: 9 },
    };
    assert_eq!(entry.encode(), 0x2469_0000_0000_a809);
    assert_eq!(PinEntry::decode(0x2469_0000_0000_a809, EntryForm::VtD), Ok(entry));
}

/// Entry 0x104 of the chip's AMD-Vi table, edge, high, masked: bits 10:0 are the number,
/// bit 16 the mask.
#[test]
fn indexed_constant() {
    let entry = PinEntry {
        trigger: Trigger::Edge,
        polarity: Polarity::High,
        masked: true,
        message: PinMessage::Indexed { number: 0x104 },
    };
    assert_eq!(entry.encode(), 0x1_0104);
    assert_eq!(PinEntry::decode(0x1_0104, EntryForm::AmdVi), Ok(entry));
    assert_eq!(entry.message.eoi(), 4);
}

/// Vector 0x31 on APIC 3, edge, high: bits 63:56 are the CPU.
#[test]
fn compatibility_constant() {
    let entry = PinEntry {
        trigger: Trigger::Edge,
        polarity: Polarity::High,
        masked: false,
        message: PinMessage::Direct { destination: 3, vector: Vector::new(0x31).unwrap() },
    };
    assert_eq!(entry.encode(), 0x0300_0000_0000_0031);
    assert_eq!(PinEntry::decode(0x0300_0000_0000_0031, EntryForm::Compatibility), Ok(entry));
}

/// From what the back ends compose: VT-d's pair has a subhandle, a redirection entry none.
#[test]
fn messages_of_pairs() {
    let of = |address, data, form| PinMessage::new(Pair { address, data }, form, 7);
    // Handle 5 (address 19:5), SHV (3), format (4), subhandle 2.
    let remapped = PinMessage::Remappable { index: EntryIndex::new(7), eoi: 7 };
    assert_eq!(of(0xfee0_00b8, 2, EntryForm::VtD), Ok(remapped));
    assert_eq!(of(0xfee0_0000, 7, EntryForm::AmdVi), Ok(PinMessage::Indexed { number: 7 }));
    let direct = PinMessage::Direct { destination: 1, vector: Vector::new(0x40).unwrap() };
    assert_eq!(of(0xfee0_1000, 0x40, EntryForm::Compatibility), Ok(direct));
    // A pair of another form is no pin's.
    let format = Err(Malformed { field: "interrupt format" });
    assert_eq!(of(0xfee0_1000, 0x40, EntryForm::VtD), format);
    assert_eq!(of(0xfee0_00b8, 2, EntryForm::Compatibility), format);
    // Past the largest table.
    let past = Err(Malformed { field: "subhandle" });
    assert_eq!(of(0xfeef_fffc, 1, EntryForm::VtD), past);
}

#[test]
fn what_hardware_refuses() {
    let of = |entry, form| PinEntry::decode(entry, form).map_err(|error| error.field).err();
    assert_eq!(of(0x2_0031, EntryForm::Compatibility), Some("reserved (47:17)"));
    assert_eq!(of(1 << 47 | 0x31, EntryForm::Compatibility), Some("reserved (47:17)"));
    assert_eq!(of(1 << 48 | 0x31, EntryForm::Compatibility), Some("reserved (55:48)"));
    assert_eq!(of(0x1f, EntryForm::Compatibility), Some("vector"));
    assert_eq!(of(0x231, EntryForm::Compatibility), Some("delivery mode"));
    assert_eq!(of(0x831, EntryForm::Compatibility), Some("destination mode"));
    assert_eq!(of(0x31, EntryForm::VtD), Some("interrupt format"));
    assert_eq!(of(1 << 48 | 0x231, EntryForm::VtD), Some("delivery mode"));
    assert_eq!(of(0x831, EntryForm::AmdVi), Some("destination mode"));
    assert_eq!(of(1 << 56 | 1, EntryForm::AmdVi), Some("reserved (63:48)"));
}

/// Bits 12, 14, 15, 16 of the low half.
#[test]
fn status_constant() {
    let idle = PinStatus::decode(0);
    assert!(!idle.delivery_pending && !idle.remote_irr && !idle.level && !idle.masked);
    assert!(PinStatus::decode(0x1000).delivery_pending);
    assert!(PinStatus::decode(0x4000).remote_irr);
    assert!(PinStatus::decode(0x8000).level);
    assert!(PinStatus::decode(0x1_0000).masked);
}

/// 23:16 the last pin, 7:0 the version: what QEMU's and ICH's say, and an 82093AA's.
#[test]
fn version_constant() {
    let newer = Version { number: 0x20, pins: 24 };
    assert_eq!(Version::decode(0x0017_0020), Some(newer));
    assert!(newer.has_end_of_interrupt());
    let older = Version::decode(0x0017_0011).unwrap();
    assert!(!older.has_end_of_interrupt());
    assert_eq!(Version::decode(0x0077_0020).map(|it| it.pins), Some(120));
    // 121 pins have no registers; nobody there.
    assert_eq!(Version::decode(0x0078_0020), None);
    assert_eq!(Version::decode(u32::MAX), None);
    assert_eq!(Version::decode(0), None);
}

fn forms() -> impl Strategy<Value = EntryForm> {
    prop_oneof![Just(EntryForm::VtD), Just(EntryForm::AmdVi), Just(EntryForm::Compatibility)]
}

fn messages() -> impl Strategy<Value = (EntryForm, PinMessage)> {
    (forms(), any::<u16>(), any::<u8>(), 32..=255_u8).prop_map(|(form, number, byte, vector)| {
        let message = match form {
            EntryForm::VtD => PinMessage::Remappable { index: EntryIndex::new(number), eoi: byte },
            EntryForm::AmdVi => PinMessage::Indexed { number: number & 0x7ff },
            EntryForm::Compatibility => {
                PinMessage::Direct { destination: byte, vector: Vector::new(vector).unwrap() }
            }
        };
        (form, message)
    })
}

proptest! {
    #[test]
    fn round_trip((form, message) in messages(), level: bool, low: bool, masked: bool) {
        let trigger = if level { Trigger::Level } else { Trigger::Edge };
        let polarity = if low { Polarity::Low } else { Polarity::High };
        let entry = PinEntry { trigger, polarity, masked, message };
        prop_assert_eq!(PinEntry::decode(entry.encode(), form), Ok(entry));
    }

    #[test]
    fn decode_total(bits: u64, form in forms()) {
        // Half of them without the reserved bits, which would refuse nearly all.
        for bits in [bits, bits & !0x0000_ffff_fffe_0000, bits & 0x0001_ffff] {
            if let Ok(entry) = PinEntry::decode(bits, form) {
                // All but the status bits.
                prop_assert_eq!(entry.encode(), bits & !0x5000);
            }
        }
    }
}
