//! The IVRS view: QEMU's own table, one by hand from the specification, and each mistake.

mod common;

use common::{hex, q35, table};
use tocsin_firmware::{DeviceEntry, Devices, Error, Ivrs, RequesterId, Special, ivrs::Block};

fn id(bus: u8, device: u8, function: u8) -> RequesterId {
    RequesterId::new(bus, device, function).unwrap()
}

#[test]
fn ivrs_of_q35() {
    let bytes = hex(q35::IVRS);
    let ivrs = Ivrs::parse(&bytes).unwrap();
    assert_eq!(ivrs.physical_address_bits(), 40);
    assert!(!ivrs.dma_was_remapped());
    assert_eq!(ivrs.blocks().count(), 1);
    let unit = ivrs.units().next().unwrap();
    assert_eq!((unit.kind, unit.flags), (0x10, 0xd1));
    assert_eq!((unit.device, unit.capability_offset), (id(0, 3, 0), 0x40));
    assert_eq!((unit.register_base, unit.segment), (0xfed8_0000, 0));
    // GTSup (2), GASup (6).
    assert_eq!((unit.features, unit.extended_features), (0x44, None));
    assert_eq!(unit.entries().count(), 15);
    assert!(unit.entries().all(|entry| entry.is_ok()));
    assert!(unit.covers(id(1, 31, 7)) && unit.covers(id(3, 1, 0)) && unit.covers(id(0, 2, 0)));
    assert!(!unit.covers(id(4, 0, 0)) && !unit.covers(id(0, 2, 1)));
    // What is behind the bridge to plain PCI arrives with the id of the bridge's own bus.
    assert_eq!(unit.arrives_as(id(3, 1, 0)), id(3, 0, 0));
    assert_eq!(unit.arrives_as(id(1, 0, 0)), id(1, 0, 0));
    assert_eq!(unit.io_apic_source(0), Some(id(0, 0x14, 0)));
    assert_eq!(unit.io_apic_source(1), None);
}

/// The same IOMMU by blocks of three types, another one, and a memory block.
///
/// ```text
/// type flags length  id    cap   base              seg   info  features
/// 10   00    1c 00   02 00 40 00 00 00 00 f0 0 0 0 0 00 00 00 00 00000000  and 4 bytes of entries
/// 11   ...   the same, then the feature register (8) and 8 reserved bytes, entries from 40
/// ```
#[test]
fn each_unit_once_by_its_highest_type() {
    let mut body = hex("00 28 00 00  0000000000000000");
    body.extend(hex("10 00 1c00 0200 4000 000000f000000000 0000 0000 00000000  01000000"));
    body.extend(hex("11 00 2c00 0200 4000 000000f000000000 0000 0000 00000000
         c2 00 00 00 00 00 00 00 0000000000000000  01000000"));
    body.extend(hex("20 08 2000 0000 0000 0000000000000000 0000100000000000 0000010000000000"));
    body.extend(hex("40 00 4800 0200 4000 000000f000000000 0000 0000 00000000
         86 00 00 00 00 00 00 00 0000000000000000
         01 0000 40  00000000  f0 a100 07 414d444930303230 0000000000000000 02 02 4142"));
    body.extend(hex("10 00 1800 0200 4000 000040f000000000 0100 0000 00000000"));
    let bytes = table(b"IVRS", &body);
    let ivrs = Ivrs::parse(&bytes).unwrap();
    let kinds: Vec<_> = ivrs.units().map(|unit| (unit.segment, unit.kind)).collect();
    assert_eq!(kinds, [(0, 0x40), (1, 0x10)]);
    assert!(matches!(ivrs.blocks().nth(2), Some(Ok(Block::Other { kind: 0x20, .. }))));
    let unit = ivrs.units().next().unwrap();
    assert_eq!(unit.extended_features, Some(0x86));
    assert!(unit.covers(id(200, 3, 0)));
    let entries: Result<Vec<_>, _> = unit.entries().collect();
    assert_eq!(
        entries.unwrap(),
        [
            DeviceEntry { devices: Devices::All, settings: 0x40 },
            DeviceEntry { devices: Devices::Acpi(id(0, 0x14, 1)), settings: 7 },
        ]
    );
    assert_eq!(ivrs.units().nth(1).unwrap().entries().count(), 0);
}

fn with_entries(entries: &str) -> Vec<u8> {
    let entries = hex(entries);
    let length = (24 + entries.len()) as u16;
    let mut body = hex("00280000 0000000000000000 10 00");
    body.extend(length.to_le_bytes());
    body.extend(hex("0200 4000 000000f000000000 0000 0000 00000000"));
    body.extend(entries);
    table(b"IVRS", &body)
}

fn entries(text: &str) -> Vec<Result<DeviceEntry, Error>> {
    let bytes = with_entries(text);
    Ivrs::parse(&bytes).unwrap().units().next().unwrap().entries().collect()
}

#[test]
fn device_entries_by_hand() {
    let devices = |text: &str| entries(text)[0].map(|entry| entry.devices);
    assert_eq!(devices("02 1000 00"), Ok(Devices::Select(id(0, 2, 0))));
    assert_eq!(devices("46 1000 00 00000080"), Ok(Devices::Select(id(0, 2, 0))));
    assert_eq!(devices("03 1000 00 04 ff01 00"), Ok(Devices::Range(id(0, 2, 0), id(1, 31, 7))));
    assert_eq!(
        devices("47 1000 00 00000000 04 1000 00"),
        Ok(Devices::Range(id(0, 2, 0), id(0, 2, 0)))
    );
    assert_eq!(devices("42 1000 00 00 0800 00"), Ok(Devices::Alias(id(0, 2, 0), id(0, 1, 0))));
    assert_eq!(
        devices("48 0000 d7 02 a200 02"),
        Ok(Devices::Special { handle: 2, source: id(0, 0x14, 2), kind: Special::Hpet })
    );
    assert_eq!(devices("48 0000 00 02 a200 07"), {
        let kind = Special::Other(7);
        Ok(Devices::Special { handle: 2, source: id(0, 0x14, 2), kind })
    });
    // A type of 8 bytes that nobody knows is stepped over; padding is nothing.
    let all = entries("4f 0000 00 00000000 00000000 01 0000 80");
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].unwrap().devices, Devices::Other(0x4f));
    assert_eq!(all[1], Ok(DeviceEntry { devices: Devices::All, settings: 0x80 }));
}

#[test]
fn broken_device_entries_end_the_walk() {
    let last = |text: &str| entries(text).pop().unwrap().unwrap_err();
    let what = "IVHD device entry";
    assert_eq!(last("42 1000 00"), Error::Truncated { what, needed: 8, available: 4 });
    assert_eq!(
        last("04 1000 00 01 0000 00"),
        Error::BadValue { what: "IVHD end without a start", value: 4 }
    );
    let what = "IVHD entry after a range's start";
    assert_eq!(last("03 1000 00 02 1800 00"), Error::BadValue { what, value: 2 });
    let what = "end of an IVHD range";
    assert_eq!(last("03 1000 00 04 0f00 00"), Error::BadValue { what, value: 0x0f });
    // Without a length nobody knows where the next one begins.
    let what = "IVHD device entry type";
    assert_eq!(last("f0 0000 00 01 0000 00"), Error::BadValue { what, value: 0xf0 });
    assert_eq!(entries("02 1000 00 c1 0000 00 01 0000 00").len(), 2);
}

#[test]
fn broken_blocks_end_the_walk() {
    let first = |tail: &str| {
        let mut body = hex("00280000 0000000000000000");
        body.extend(hex(tail));
        let bytes = table(b"IVRS", &body);
        let ivrs = Ivrs::parse(&bytes).unwrap();
        assert_eq!(ivrs.blocks().count(), 1);
        ivrs.blocks().next().unwrap().map(|_| ()).unwrap_err()
    };
    let what = "IVRS block";
    assert_eq!(first("10 00 0300"), Error::BadLength { what, length: 3 });
    assert_eq!(first("10 00 1800"), Error::Truncated { what, needed: 24, available: 4 });
    assert_eq!(first("10 00 0400"), Error::BadLength { what: "IVHD", length: 4 });
    let what = "IVHD register base";
    for (base, value) in [("0010d8fe00000000", 0xfed8_1000), ("0000000000000000", 0)] {
        let block = format!("10 00 1800 0200 4000 {base} 0000 0000 00000000");
        assert_eq!(first(&block), Error::BadValue { what, value });
    }
    // Type 11h has 40 bytes before its entries.
    let block = "11 00 1800 0200 4000 0000d8fe00000000 0000 0000 00000000";
    assert_eq!(first(block), Error::BadLength { what: "IVHD", length: 24 });
    let short = table(b"IVRS", &[0; 11]);
    assert!(matches!(Ivrs::parse(&short), Err(Error::Truncated { needed: 48, .. })));
}
