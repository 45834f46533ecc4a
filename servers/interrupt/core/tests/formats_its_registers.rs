//! Registers of the ITS and of redistributors (Arm IHI 0069 §12.11, §12.19).

use interrupt_core::its::{
    CommandBase, Control, ItsType, LevelOneEntry, MemoryAttributes, PageSize, PendingBase,
    PropertyBase, ReadPointer, RedistributorControl, RedistributorType, TableBase, TableKind,
    WritePointer, offset, translater,
};
use interrupt_core::vtd::Malformed;
use proptest::prelude::*;

const SHARED: MemoryAttributes = MemoryAttributes::SHARED;

/// QEMU's `virt` has its ITS at 0x0808_0000, and GITS_TRANSLATER at 0x0809_0040.
#[test]
fn addresses() {
    assert_eq!(translater(0x0808_0000), 0x0809_0040);
    assert_eq!((offset::CONTROL, offset::TYPE, offset::TABLE_BASE), (0, 8, 0x100));
    let queue = (offset::COMMAND_BASE, offset::COMMAND_WRITE, offset::COMMAND_READ);
    assert_eq!(queue, (0x80, 0x88, 0x90));
    assert_eq!((offset::REDISTRIBUTOR_CONTROL, offset::REDISTRIBUTOR_TYPE), (0, 8));
    assert_eq!((offset::PROPERTY_BASE, offset::PENDING_BASE), (0x70, 0x78));
}

/// Enabled 0, ITS_Number 2 at 7:4, UMSIirq 8, Quiescent 31.
#[test]
fn control_constant() {
    let control = Control {
        enabled: true,
        implementation_defined: false,
        number: 2,
        unmapped_interrupt: true,
        quiescent: true,
    };
    assert_eq!(control.encode(), 0x8000_0121);
    for bit in [2, 3, 9, 30] {
        assert!(Control::decode(1 << bit).is_err(), "{bit}");
    }
}

/// QEMU 7.2: Physical 0, ITT entries of 12 bytes (11 at 7:4), 16 event bits (15 at 12:8), 16
/// device bits (15 at 17:13), CIDbits 15 at 35:32, CIL 36.
#[test]
fn type_constant() {
    let kind = ItsType::decode(0x1f_0001_efb1);
    assert!(kind.physical() && !kind.virtual_lpis());
    assert!(!kind.target_is_address() && !kind.reports_errors());
    assert_eq!(kind.event_entry_bytes(), 12);
    assert_eq!((kind.event_bits(), kind.device_bits()), (16, 16));
    assert_eq!((kind.collection_bits(), kind.hardware_collections()), (16, 0));
    // Virtual 1, SEIS 18, PTA 19, HCC 31:24 = 5; CIL clear: 16 bits whatever CIDbits says.
    let other = ItsType::decode(0x03_050c_0002);
    assert!(!other.physical() && other.virtual_lpis());
    assert!(other.target_is_address() && other.reports_errors());
    assert_eq!((other.collection_bits(), other.hardware_collections()), (16, 5));
    // CIL set, CIDbits 3.
    assert_eq!(ItsType::decode(0x13_0000_0000).collection_bits(), 4);
}

/// Offset is 19:5: command 3 is byte offset 0x60.
#[test]
fn pointer_constants() {
    assert_eq!(ReadPointer { command: 3, stalled: true }.encode(), 0x61);
    assert_eq!(WritePointer { command: 3, retry: true }.encode(), 0x61);
    assert_eq!(WritePointer { command: 0x7fff, retry: false }.encode(), 0xf_ffe0);
    let refused = Err(Malformed { field: "reserved (63:20, 4:1)" });
    assert_eq!(ReadPointer::decode(0x10_0000), refused);
    assert_eq!(WritePointer::decode(2).err(), refused.err());
}

/// Valid 63, Indirect 62, InnerCache 7 at 61:59, Type 1 at 58:56, 8-byte entries (7 at 52:48),
/// address, Shareability 1 at 11:10, 64 KiB (2 at 9:8), two pages (1 at 7:0):
/// 0xc000.. | 0x3800.. | 0x0100.. | 0x0007.. = 0xf907.
#[test]
fn table_base_constants() {
    let base = TableBase {
        valid: true,
        indirect: true,
        attributes: SHARED,
        kind: TableKind::Devices,
        entry_bytes: 8,
        address: 0x4_5678_0000,
        page: PageSize::Size64K,
        pages: 2,
    };
    assert_eq!(base.encode(), 0xf907_0004_5678_0601);
    // Address bits 51:48 lie in 15:12 with 64 KiB pages.
    let high = TableBase { address: 0x000a_0004_5678_0000, ..base };
    assert_eq!(high.encode(), 0xf907_0004_5678_a601);
    // Collections: Type 4; 4 KiB; not valid, one level; not cacheable: InnerCache 1.
    let other = TableBase {
        valid: false,
        indirect: false,
        attributes: MemoryAttributes::UNCACHED,
        kind: TableKind::Collections,
        entry_bytes: 1,
        address: 0x1000,
        page: PageSize::Size4K,
        pages: 256,
    };
    assert_eq!(other.encode(), 0x0c00_0000_0000_10ff);
    let small = TableBase { page: PageSize::Size16K, address: 0x4000, ..other };
    assert_eq!(small.encode(), 0x0c00_0000_0000_41ff);
    for (value, field) in [
        (3 << 56, "Type"),
        (5 << 56, "Type"),
        (3 << 8, "Page_Size"),
        (1 << 8 | 0x1000, "Physical_Address (13:12)"),
        (3 << 10, "Shareability"),
    ] {
        assert_eq!(TableBase::decode(value), Err(Malformed { field }));
    }
    assert_eq!(TableBase::decode(2 << 56).unwrap().kind, TableKind::VirtualProcessors);
    assert_eq!(TableBase::decode(0).unwrap().kind, TableKind::None);
}

/// Valid 63, InnerCache 7 at 61:59 (0x38..), 64 KiB: 16 pages, Shareability 1 at 11:10.
#[test]
fn command_base_constant() {
    let base = CommandBase { valid: true, attributes: SHARED, address: 0x4567_0000, pages: 16 };
    assert_eq!(base.encode(), 0xb800_0000_4567_040f);
    for bit in [62, 58, 56, 52, 9, 8, 12, 15] {
        assert!(CommandBase::decode(1 << bit).is_err(), "{bit}");
    }
}

/// InnerCache 7 at 9:7 (0x380), Shareability 1 at 11:10 (0x400), 16 INTID bits: 15 at 4:0.
#[test]
fn property_base_constant() {
    let base = PropertyBase { attributes: SHARED, address: 0x4567_8000, id_bits: 16 };
    assert_eq!(base.encode(), 0x4567_878f);
    let outer = MemoryAttributes { outer: 7, ..SHARED };
    let base = PropertyBase { attributes: outer, ..base };
    assert_eq!(base.encode(), 0x0700_0000_4567_878f);
    for bit in [5, 6, 52, 55, 59, 63] {
        assert!(PropertyBase::decode(1 << bit).is_err(), "{bit}");
    }
}

/// PTZ is 62; the address is 51:16.
#[test]
fn pending_base_constant() {
    let base = PendingBase { zeroed: true, attributes: SHARED, address: 0x4567_0000 };
    assert_eq!(base.encode(), 0x4000_0000_4567_0780);
    for bit in [0, 6, 12, 15, 52, 55, 59, 61, 63] {
        assert!(PendingBase::decode(1 << bit).is_err(), "{bit}");
    }
}

/// 63 Valid, the rest the page's address.
#[test]
fn level_one_constant() {
    let entry = LevelOneEntry { page: Some(0x4567_0000) };
    assert_eq!(entry.encode(), 0x8000_0000_4567_0000);
    assert_eq!(LevelOneEntry { page: None }.encode(), 0);
    let decode = |value| LevelOneEntry::decode(value, PageSize::Size64K);
    assert_eq!(decode(0x8000_0000_4567_1000).err().unwrap().field, "Physical_Address (low)");
    assert_eq!(decode(0xc000_0000_4567_0000).err().unwrap().field, "reserved (62:52)");
    assert_eq!(decode(0x1234), Ok(LevelOneEntry { page: None }));
}

/// GICR_CTLR: EnableLPIs 0, CES 1, RWP 3, UWP 31. GICR_TYPER: PLPIS 0, Dirty 2, DirectLPI 3,
/// Last 4, Processor_Number 23:8.
#[test]
fn redistributor_constants() {
    let control = RedistributorControl::decode(0x8000_000b);
    assert!(control.lpis_enabled() && control.can_disable());
    assert!(control.write_pending() && control.upstream_pending());
    assert_eq!(control.with_lpis(false), 0);
    assert_eq!(RedistributorControl::decode(0x0700_0000).with_lpis(true), 0x0700_0001);
    let none = RedistributorControl::decode(!0x8000_000b);
    assert!(!none.lpis_enabled() && !none.can_disable());
    assert!(!none.write_pending() && !none.upstream_pending());
    let kind = RedistributorType::decode(0x0000_0102_0003_0411);
    assert!(kind.lpis() && kind.last() && !kind.direct_lpis());
    assert_eq!((kind.processor(), kind.affinity()), (0x0304, 0x0000_0102));
    assert!(RedistributorType::decode(8).direct_lpis());
}

fn attributes() -> impl Strategy<Value = MemoryAttributes> {
    (0..3_u8, 0..8_u8, 0..8_u8).prop_map(|(shareability, inner, outer)| MemoryAttributes {
        shareability,
        inner,
        outer,
    })
}

proptest! {
    #[test]
    fn table_base_round_trip(
        flags in any::<[bool; 2]>(),
        attributes in attributes(),
        kind in 0..4_usize,
        entry_bytes in 1..=32_u8,
        word in any::<u64>(),
        page in 0..3_usize,
        pages in 1..=256_u16,
    ) {
        let kinds = [
            TableKind::None,
            TableKind::Devices,
            TableKind::VirtualProcessors,
            TableKind::Collections,
        ];
        let (page, mask) = [
            (PageSize::Size4K, 0xffff_ffff_f000),
            (PageSize::Size16K, 0xffff_ffff_c000),
            (PageSize::Size64K, 0xf_ffff_ffff_0000),
        ][page];
        let base = TableBase {
            valid: flags[0],
            indirect: flags[1],
            attributes,
            kind: kinds[kind],
            entry_bytes,
            address: word & mask,
            page,
            pages,
        };
        prop_assert_eq!(TableBase::decode(base.encode()), Ok(base));
    }

    #[test]
    fn other_bases_round_trip(
        flag in any::<bool>(),
        attributes in attributes(),
        word in any::<u64>(),
        pages in 1..=256_u16,
        id_bits in 1..=32_u8,
    ) {
        let address = word & 0xf_ffff_ffff_0000;
        let queue = CommandBase { valid: flag, attributes, address, pages };
        prop_assert_eq!(CommandBase::decode(queue.encode()), Ok(queue));
        let property = PropertyBase { attributes, address: word & 0xf_ffff_ffff_f000, id_bits };
        prop_assert_eq!(PropertyBase::decode(property.encode()), Ok(property));
        let pending = PendingBase { zeroed: flag, attributes, address };
        prop_assert_eq!(PendingBase::decode(pending.encode()), Ok(pending));
        let entry = LevelOneEntry { page: flag.then_some(address) };
        prop_assert_eq!(LevelOneEntry::decode(entry.encode(), PageSize::Size64K), Ok(entry));
    }

    #[test]
    fn control_and_pointers_round_trip(
        flags in any::<[bool; 4]>(),
        number in 0..16_u8,
        command in 0..0x8000_u32,
    ) {
        let control = Control {
            enabled: flags[0],
            implementation_defined: flags[1],
            number,
            unmapped_interrupt: flags[2],
            quiescent: flags[3],
        };
        prop_assert_eq!(Control::decode(control.encode()), Ok(control));
        let read = ReadPointer { command, stalled: flags[0] };
        prop_assert_eq!(ReadPointer::decode(read.encode()), Ok(read));
        let write = WritePointer { command, retry: flags[0] };
        prop_assert_eq!(WritePointer::decode(write.encode()), Ok(write));
    }

    /// Whatever is taken comes back as it was; ItsType takes everything.
    #[test]
    fn registers_decode_total(word in any::<u64>(), mask in any::<u64>()) {
        for value in [word, word & mask, word & 0xf_ffff_ffff_ffff & !0xf060] {
            if let Ok(decoded) = TableBase::decode(value) {
                prop_assert_eq!(decoded.encode(), value);
            }
            if let Ok(decoded) = CommandBase::decode(value) {
                prop_assert_eq!(decoded.encode(), value);
            }
            if let Ok(decoded) = PropertyBase::decode(value) {
                prop_assert_eq!(decoded.encode(), value);
            }
            if let Ok(decoded) = PendingBase::decode(value) {
                prop_assert_eq!(decoded.encode(), value);
            }
            if let Ok(decoded) = ReadPointer::decode(value) {
                prop_assert_eq!(decoded.encode(), value);
            }
            if let Ok(decoded) = WritePointer::decode(value) {
                prop_assert_eq!(decoded.encode(), value);
            }
            if let Ok(decoded) = Control::decode(value as u32) {
                prop_assert_eq!(decoded.encode(), value as u32);
            }
            for page in [PageSize::Size4K, PageSize::Size16K, PageSize::Size64K] {
                if let Ok(entry @ LevelOneEntry { page: Some(_) }) =
                    LevelOneEntry::decode(value, page)
                {
                    prop_assert_eq!(entry.encode(), value);
                }
            }
            prop_assert_eq!(ItsType::decode(value).encode(), value);
            prop_assert!(ItsType::decode(value).event_bits() <= 32);
        }
    }
    /// Every value is legal; only EnableLPIs changes, and status bits are written as zero.
    #[test]
    fn redistributor_decode_total(word in any::<u64>(), on in any::<bool>()) {
        let value = word as u32;
        let control = RedistributorControl::decode(value);
        let written = control.with_lpis(on);
        prop_assert_eq!(written & 1 == 1, on);
        prop_assert_eq!(written & !1, value & !0x8000_000f);
        prop_assert_eq!(RedistributorControl::decode(written).lpis_enabled(), on);
        let kind = RedistributorType::decode(word);
        prop_assert_eq!(u64::from(kind.affinity()), word >> 32);
        prop_assert_eq!(u64::from(kind.processor()), word >> 8 & 0xffff);
    }
}
