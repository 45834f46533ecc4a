//! A PC's IO APICs and ISA interrupts, good and bad.

mod common;

use common::{acpi, hex, q35, table};
use tocsin_firmware::madt::{IoApic, SourceOverride};
use tocsin_firmware::wiring::{BadOverride, IoApicFault, IoApics, MAX_IO_APICS};
use tocsin_firmware::{Dmar, Line, Madt, Polarity, RequesterId, Trigger};

/// Type 1 (ACPI §5.2.12.3): id at 2, address at 4, first GSI at 8.
fn io_apic(id: u8, address: u32, base: u32) -> Vec<u8> {
    acpi::entry(1, 12, &[(2, &[id]), (4, &address.to_le_bytes()), (8, &base.to_le_bytes())])
}

/// Type 2 (§5.2.12.5): bus at 2, source at 3, GSI at 4, flags at 8.
fn isa(source: u8, gsi: u32, flags: u16) -> Vec<u8> {
    acpi::entry(2, 10, &[(3, &[source]), (4, &gsi.to_le_bytes()), (8, &flags.to_le_bytes())])
}

fn faults(entries: &[Vec<u8>]) -> (Vec<u8>, Vec<(u8, IoApicFault)>) {
    let bytes = acpi::madt(entries);
    let all = IoApics::of(&Madt::parse(&bytes).unwrap());
    assert!(!all.too_many());
    (all.good().map(|it| it.id).collect(), all.bad().map(|it| (it.io_apic.id, it.fault)).collect())
}

#[test]
fn q35_has_one_and_its_scope() {
    let bytes = hex(q35::MADT);
    let madt = Madt::parse(&bytes).unwrap();
    let all = IoApics::of(&madt);
    let only = IoApic { id: 0, address: 0xfec0_0000, gsi_base: 0 };
    assert_eq!(all.good().collect::<Vec<_>>(), [only]);
    assert_eq!(all.bad().count(), 0);
    let bytes = hex(q35::DMAR);
    let dmar = Dmar::parse(&bytes).unwrap();
    let source = dmar.drhds().find_map(|drhd| drhd.io_apic_source(0, |_| None));
    assert_eq!(source, RequesterId::new(0xff, 0, 0));
    // No scope has this id.
    assert!(dmar.drhds().all(|drhd| drhd.io_apic_source(1, |_| None).is_none()));
}

/// QEMU's overrides: the timer is on GSI 2; 5, 9, 10 and 11 are level and high.
#[test]
fn isa_lines_of_q35() {
    let bytes = hex(q35::MADT);
    let madt = Madt::parse(&bytes).unwrap();
    let line = |number, trigger| Ok(Line { number, trigger, polarity: Polarity::High });
    assert_eq!(madt.isa_line(0), line(2, Trigger::Edge));
    assert_eq!(madt.isa_line(4), line(4, Trigger::Edge));
    assert_eq!(madt.isa_line(9), line(9, Trigger::Level));
}

#[test]
fn overrides_say_all_that_they_can() {
    let low_level = Line { number: 20, trigger: Trigger::Level, polarity: Polarity::Low };
    let bytes = acpi::madt(&[isa(3, 3, 0x5), isa(9, 20, 0xf), isa(9, 20, 0xf), isa(4, 4, 0x2)]);
    let madt = Madt::parse(&bytes).unwrap();
    assert_eq!(madt.isa_line(9), Ok(low_level));
    assert_eq!(madt.isa_line(3).map(|it| it.trigger), Ok(Trigger::Edge));
    // Reserved polarity.
    let bad = SourceOverride { source: 4, gsi: 4, flags: 2 };
    assert_eq!(madt.isa_line(4), Err(BadOverride(bad)));
    // Reserved trigger; and two that contradict each other.
    for entries in [vec![isa(4, 4, 0x8)], vec![isa(4, 4, 0x5), isa(4, 5, 0x5)]] {
        let bytes = acpi::madt(&entries);
        let refused = Madt::parse(&bytes).unwrap().isa_line(4).unwrap_err();
        assert!(refused.to_string().contains("override of ISA interrupt 4"));
    }
}

#[test]
fn addresses_that_no_io_apic_has() {
    let at = |address| faults(&[io_apic(0, address, 0)]).1;
    for address in [0, 0xfec0_0004, 0xfec0_0fc0, 0xffff_ffff] {
        assert_eq!(at(address), [(0, IoApicFault::Address)], "{address:#x}");
    }
    for address in [0xfec0_0000, 0xfec0_0100, 0xfec0_0fb0] {
        assert_eq!(at(address), [], "{address:#x}");
    }
}

/// The first of two that contradict each other counts, and a bad one still takes its place.
#[test]
fn two_that_are_one() {
    let first = io_apic(1, 0xfec0_0000, 0);
    let second = |id, address, base| faults(&[first.clone(), io_apic(id, address, base)]);
    assert_eq!(second(2, 0xfec1_0000, 24), (vec![1, 2], vec![]));
    assert_eq!(second(2, 0xfec0_0000, 24), (vec![1], vec![(2, IoApicFault::SameAddress)]));
    assert_eq!(second(1, 0xfec1_0000, 24), (vec![1], vec![(1, IoApicFault::SameId)]));
    assert_eq!(second(2, 0xfec1_0000, 0), (vec![1], vec![(2, IoApicFault::SameBase)]));
    let (good, bad) = faults(&[io_apic(1, 4, 0), io_apic(1, 0xfec1_0000, 24)]);
    assert_eq!((good, bad.len()), (vec![], 2));
}

#[test]
fn more_than_are_kept() {
    let entries: Vec<_> = (0..=MAX_IO_APICS as u8)
        .map(|n| io_apic(n, 0xfec0_0000 + 4096 * u32::from(n), 24 * u32::from(n)))
        .collect();
    let bytes = table(b"APIC", &[vec![0; 8], entries.concat()].concat());
    let all = IoApics::of(&Madt::parse(&bytes).unwrap());
    assert!(all.too_many());
    assert_eq!(all.good().count(), MAX_IO_APICS);
}
