//! The views against tables with known bytes: QEMU's own, and ones worked out by hand from the specifications.

mod common;

use common::{fix_checksum, hex, q35, table};
use tocsin_firmware::{
    Dmar, Error, Hpet, Madt, Mcfg, RequesterId, ScopeKind, Signature, Table,
    dmar::Structure,
    madt::{Entry, IoApic, Processor, SourceOverride},
    mcfg::Segment,
};

fn cpu(apic_id: u32, uid: u32) -> Processor {
    Processor { apic_id, uid, enabled: true, online_capable: false }
}

#[test]
fn madt_of_q35() {
    let bytes = hex(q35::MADT);
    let madt = Madt::parse(&bytes).unwrap();
    assert_eq!(madt.local_apic_address(), 0xfee0_0000);
    assert!(madt.has_8259());
    assert_eq!(madt.processors().collect::<Vec<_>>(), [cpu(0, 0), cpu(1, 1)]);
    assert_eq!(
        madt.io_apics().collect::<Vec<_>>(),
        [IoApic { id: 0, address: 0xfec0_0000, gsi_base: 0 }]
    );
    let timer = SourceOverride { source: 0, gsi: 2, flags: 0 };
    assert_eq!(madt.entries().nth(3), Some(Ok(Entry::SourceOverride(timer))));
    let last = madt.entries().last().unwrap().unwrap();
    assert_eq!(last, Entry::Other { kind: 4, bytes: &[4, 6, 0xff, 0, 0, 1] });
}

#[test]
fn madt_with_x2apic_entries_and_address_override() {
    let mut body = hex("0000e0fe 00000000");
    // Local APICs: unused filler with id 255, one that is only online capable, one that is neither.
    body.extend(hex("0008 05 ff 01000000  0008 06 10 02000000  0008 07 11 00000000"));
    // x2APIC: reserved 2, id 4, flags 4, uid 4 (§5.2.12.12).
    body.extend(hex("0910 0000 34120000 03000000 78560000"));
    // Address override: reserved 2, address 8 (§5.2.12.8).
    body.extend(hex("050c 0000 0000e0fe01000000"));
    let bytes = table(b"APIC", &body);
    let madt = Madt::parse(&bytes).unwrap();
    assert_eq!(madt.local_apic_address(), 0x1_fee0_0000);
    assert!(!madt.has_8259());
    let later = Processor { apic_id: 0x10, uid: 6, enabled: false, online_capable: true };
    assert_eq!(madt.processors().collect::<Vec<_>>(), [later, cpu(0x1234, 0x5678)]);
}

#[test]
fn madt_entry_without_length_ends_the_walk() {
    let bytes = table(b"APIC", &hex("00000000 00000000 0008000001000000 0000 0008010101000000"));
    let entries: Vec<_> = Madt::parse(&bytes).unwrap().entries().collect();
    assert_eq!(entries.len(), 2);
    let what = "MADT entry";
    assert_eq!(entries[1], Err(Error::BadLength { what, length: 0 }));
    // A length of 1 would let the next entry begin at this one's length.
    let bytes = table(b"APIC", &hex("00000000 00000000 0001 0008010101000000"));
    let entries: Vec<_> = Madt::parse(&bytes).unwrap().entries().collect();
    assert_eq!(entries, [Err(Error::BadLength { what, length: 1 })]);
}

#[test]
fn madt_entry_past_the_end_is_refused() {
    let bytes = table(b"APIC", &hex("00000000 00000000 000800000100"));
    let what = "MADT entry";
    assert_eq!(
        Madt::parse(&bytes).unwrap().entries().collect::<Vec<_>>(),
        [Err(Error::Truncated { what, needed: 8, available: 6 })]
    );
}

#[test]
fn mcfg_of_q35() {
    let bytes = hex(q35::MCFG);
    let segments: Vec<_> = Mcfg::parse(&bytes).unwrap().segments().collect();
    let only = Segment { base: 0xb000_0000, segment: 0, first_bus: 0, last_bus: 255 };
    assert_eq!(segments, [Ok(only)]);
    assert_eq!((only.first_address(), only.bytes()), (0xb000_0000, 256 << 20));
}

#[test]
fn mcfg_base_is_that_of_bus_0() {
    let bytes = table(b"MCFG", &hex("0000000000000000 000000e001000000 0100 20 3f 00000000"));
    let segment = Mcfg::parse(&bytes).unwrap().segments().next().unwrap().unwrap();
    assert_eq!(segment.segment, 1);
    assert_eq!(segment.first_address(), 0x1_e200_0000);
    assert_eq!(segment.bytes(), 32 << 20);
}

#[test]
fn mcfg_with_impossible_entries() {
    let bytes = table(
        b"MCFG",
        &hex("0000000000000000
              0000000000000000 0000 02 01 00000000
              0010000000000000 0000 00 01 00000000
              0000f0ffffffffff 0000 00 01 00000000
              0000000000000000 0000"),
    );
    let mcfg = Mcfg::parse(&bytes).unwrap();
    assert_eq!(mcfg.segments().count(), 4);
    assert!(mcfg.segments().all(|segment| segment.is_err()));
}

#[test]
fn dmar_of_q35() {
    let bytes = hex(q35::DMAR);
    let dmar = Dmar::parse(&bytes).unwrap();
    assert_eq!(dmar.host_address_width(), 39);
    assert!(dmar.interrupt_remapping());
    assert!(!dmar.x2apic_opt_out());
    assert_eq!(dmar.structures().count(), 1);
    let unit = dmar.drhds().next().unwrap();
    assert_eq!(unit.register_base, 0xfed9_0000);
    assert_eq!(unit.register_bytes, 4096);
    assert_eq!(unit.segment, 0);
    assert!(!unit.include_pci_all);
    assert_eq!(unit.scopes().count(), 8);
    let source = unit.io_apic_source(0, |_| None).unwrap();
    assert_eq!(source.bits(), 0xff00);
    assert_eq!(source.to_string(), "ff:00.0");
    assert_eq!(unit.io_apic_source(1, |_| None), None);

    // 00:02.0 is a root port with buses 1 to 2 behind it; 00:04.0 is in no scope, and nothing includes all.
    let port = RequesterId::new(0, 2, 0).unwrap();
    let behind = |bridge| (bridge == port).then_some((1, 2));
    let find = |bus, device| dmar.unit_of(0, RequesterId::new(bus, device, 0).unwrap(), behind);
    assert_eq!(find(0, 3), Some(unit));
    assert_eq!(find(0, 4), None);
    assert_eq!(find(1, 9), Some(unit));
    assert_eq!(find(3, 0), None);
    assert_eq!(dmar.unit_of(1, RequesterId::new(0, 3, 0).unwrap(), behind), None);
}

/// VT-d §8.1, §8.3, §8.3.1: width field 0x2d is 46 bits; a unit with everything, an IO APIC behind a bridge.
#[test]
fn dmar_by_hand() {
    let mut body = hex("2d 03 00000000000000000000");
    // An RMRR (type 1), to be passed over.
    body.extend(hex("0100 1800 0000 0000 0000000000000000 ff0f000000000000"));
    // DRHD: 24 + 10 + 8 bytes; two pages of registers; segment 1.
    body.extend(hex("0000 2200 01 01 0100 0010d0fe00000000"));
    body.extend(hex("03 0a 0000 02 40 1c03 0001"));
    body.extend(hex("04 08 0000 01 f0 1f01"));
    let bytes = table(b"DMAR", &body);
    let dmar = Dmar::parse(&bytes).unwrap();
    assert_eq!(dmar.host_address_width(), 46);
    assert!(dmar.x2apic_opt_out());
    assert!(matches!(
        dmar.structures().next(),
        Some(Ok(Structure::Other { kind: 1, bytes })) if bytes.len() == 24
    ));
    let unit = dmar.drhds().next().unwrap();
    assert!(unit.include_pci_all);
    assert_eq!((unit.segment, unit.register_base), (1, 0xfed0_1000));
    assert_eq!(unit.register_bytes, 8192);
    let scopes: Vec<_> = unit.scopes().map(Result::unwrap).collect();
    assert_eq!(scopes[0].kind, ScopeKind::IoApic);
    assert_eq!(scopes[0].requester_id(), None, "a bridge is on the way");
    assert_eq!(
        unit.io_apic_source(2, |bridge| {
            assert_eq!(bridge.to_string(), "40:1c.3");
            Some(0x41)
        }),
        RequesterId::new(0x41, 0, 1)
    );
    assert_eq!(scopes[1].kind, ScopeKind::MsiHpet);
    // Hand-worked: bus 0xf0, device 0x1f << 3 = 0xf8, function 1.
    assert_eq!(scopes[1].requester_id().unwrap().bits(), 0xf0f9);
    let anything = RequesterId::new(7, 7, 7).unwrap();
    assert_eq!(dmar.unit_of(1, anything, |_| None), Some(unit));
    assert_eq!(dmar.unit_of(0, anything, |_| None), None);
}

#[test]
fn x2apic_opt_out_means_nothing_without_remapping() {
    for (flags, remapping, opt_out) in
        [(0, false, false), (1, true, false), (2, false, false), (3, true, true)]
    {
        let bytes = table(b"DMAR", &[38, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let dmar = Dmar::parse(&bytes).unwrap();
        assert_eq!((dmar.interrupt_remapping(), dmar.x2apic_opt_out()), (remapping, opt_out));
    }
}

#[test]
fn dmar_with_broken_structures() {
    let with = |tail: &str| table(b"DMAR", &hex(&format!("26 01 00000000000000000000 {tail}")));
    let structures = |bytes: &[u8]| {
        Dmar::parse(bytes)
            .unwrap()
            .structures()
            .map(|structure| structure.map(|_| ()))
            .collect::<Vec<_>>()
    };
    let what = "DMAR structure";
    assert_eq!(structures(&with("0000 0000 0000")), [Err(Error::BadLength { what, length: 0 })]);
    assert!(matches!(
        structures(&with("0000 1000 01 00 0000 0108d0fe00000000"))[..],
        [Err(Error::BadValue { value: 0xfed0_0801, .. })]
    ));
    // A scope without a path, and one of odd length.
    for scope in ["03 06 0000 02 40", "03 09 0000 02 40 1c0300"] {
        let bytes = with(&format!(
            "0000 {:02x}00 01 00 0000 0000d0fe00000000 {scope}",
            16 + hex(scope).len()
        ));
        let dmar = Dmar::parse(&bytes).unwrap();
        let scopes: Vec<_> = dmar.drhds().next().unwrap().scopes().collect();
        assert!(matches!(scopes[..], [Err(Error::BadLength { .. })]));
    }
}

#[test]
fn scope_with_an_impossible_device_resolves_to_nothing() {
    let bytes = table(
        b"DMAR",
        &hex(
            "26 01 00000000000000000000 0000 1800 00 00 0000 0000d0fe00000000 03 08 0000 00 00 2000",
        ),
    );
    let unit = Dmar::parse(&bytes).unwrap().drhds().next().unwrap();
    assert_eq!(unit.io_apic_source(0, |_| None), None);
}

#[test]
fn hpet_of_q35() {
    let bytes = hex(q35::HPET);
    let hpet = Hpet::parse(&bytes).unwrap();
    assert_eq!(
        (hpet.base, hpet.number, hpet.block_id, hpet.minimum_tick),
        (0xfed0_0000, 0, 0x8086_a201, 0)
    );
    let mut in_io_space = bytes;
    in_io_space[40] = 1;
    fix_checksum(&mut in_io_space, 9);
    assert!(matches!(Hpet::parse(&in_io_space), Err(Error::BadValue { value: 1, .. })));
}

#[test]
fn a_table_says_what_is_wrong_with_it() {
    let good = hex(q35::MCFG);
    let signature = Signature::MCFG;
    assert_eq!(Table::parse(&good).unwrap().signature(), signature);
    assert_eq!(Table::parse(&good).unwrap().revision(), 1);

    let mut flipped = good.clone();
    flipped[50] ^= 1;
    assert_eq!(Table::parse(&flipped), Err(Error::BadChecksum { signature }));
    assert_eq!(
        Madt::parse(&good).unwrap_err(),
        Error::WrongSignature { expected: Signature::MADT, found: signature }
    );
    assert!(matches!(
        Table::parse(&good[..59]),
        Err(Error::Truncated { needed: 60, available: 59, .. })
    ));
    let mut short = good;
    short[4] = 35;
    assert!(matches!(Table::parse(&short), Err(Error::BadLength { length: 35, .. })));
    // A header alone is a table, but not a MADT.
    assert!(matches!(Madt::parse(&table(b"APIC", &[])), Err(Error::Truncated { needed: 40, .. })));
}

#[test]
fn unprintable_signatures_are_escaped() {
    assert_eq!(Signature::new([0x1b, b'A', 0, 0xff]).to_string(), r"\x1bA\x00\xff");
}
