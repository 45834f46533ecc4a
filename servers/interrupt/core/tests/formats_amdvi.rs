//! AMD-Vi formats (48882 §2.2.2.1, §2.2.5, §2.4, §2.5, §3.4): constants by hand, round trips,
//! decoding total.

use interrupt_core::amdvi::{
    BufferBase, Command, Control, DeviceEntry, DeviceTableBase, EventCode, Features, IndexMessage,
    Irte, LogEvent, Status,
};
use interrupt_core::vtd::{DeliveryMode, Destination, DestinationMode, Malformed};
use interrupt_core::{FaultReason, Pair, RequesterId, Vector};
use proptest::prelude::*;

const ID: RequesterId = RequesterId::from_bits(0x0110);

fn vector(number: u8) -> Vector {
    Vector::new(number).unwrap()
}

/// ```text
/// third word
/// bit  0      IV         1                              0x01
/// bits 4:1    IntTabLen  9 (512 entries)      9 << 1  = 0x12
/// bits 51:6   root       0x1_2345_6780, as it stands
/// bits 61:60  IntCtl     10 remap             2 << 60 = 0x2000_0000_0000_0000
/// ```
#[test]
fn device_entry_constants() {
    let remap = DeviceEntry::Remap { table: 0x1_2345_6780, entries_log2: 9 };
    assert_eq!(remap.encode(), [0, 0, 0x2000_0001_2345_6793, 0]);
    assert_eq!(DeviceEntry::decode(remap.encode()), Ok(remap));
    // IV and nothing else: IntCtl 00 aborts, the pass bits are off, faults are logged.
    assert_eq!(DeviceEntry::Abort.encode(), [0, 0, 1, 0]);
    assert_eq!(DeviceEntry::decode([0, 0, 1, 0]), Ok(DeviceEntry::Abort));
    assert_eq!(DeviceEntry::decode([0; 4]), Ok(DeviceEntry::Unmapped));
}

#[test]
fn device_entry_refuses() {
    let good = DeviceEntry::Remap { table: 0x8000, entries_log2: 11 }.encode();
    let with = |place: usize, bits: u64| {
        let mut words = good;
        words[place] ^= bits;
        DeviceEntry::decode(words).map_err(|error| error.field)
    };
    assert!(with(0, 0).is_ok());
    assert_eq!(with(0, 1), Err("V and translation"));
    assert_eq!(with(1, 1), Err("DomainID and guest translation"));
    assert_eq!(with(3, 1 << 63), Err("reserved (255:192)"));
    assert_eq!(with(2, 1), Err("interrupt map without IV"));
    assert_eq!(with(2, 0b100 << 1), Err("IntTabLen"));
    assert_eq!(with(2, 1 << 5), Err("IG"));
    for bit in [6, 52, 55, 59] {
        assert_eq!(with(2, 1 << bit), Err("reserved in 191:134"), "{bit}");
    }
    for bit in [56, 57, 58, 62, 63] {
        let field = "INITPass, EIntPass, NMIPass, LINT0Pass, LINT1Pass";
        assert_eq!(with(2, 1 << bit), Err(field), "{bit}");
    }
    assert_eq!(with(2, 1 << 60), Err("IntCtl"));
    assert_eq!(with(2, 3 << 60), Err("IntCtl"));
    assert_eq!(with(2, 2 << 60), Err("table without IntCtl"));
}

/// ```text
/// bit  0      RemapEn      1              0x01
/// bits 4:2    IntType      001 arbitrated 0x04
/// bit  5      RqEoi        1              0x20
/// bit  6      DM           1 logical      0x40
/// bits 15:8   Destination  3              0x0300
/// bits 23:16  Vector       0x41           0x41_0000
/// ```
#[test]
fn short_entry_constants() {
    let plain = Irte::message(vector(0x41), Destination::XApic(3));
    assert_eq!(plain.encode_short(), 0x0041_0301);
    assert_eq!(Irte::decode_short(0x0041_0301), Ok(Some(plain)));
    let all = Irte {
        suppress_faults: true,
        delivery: DeliveryMode::LowestPriority,
        request_eoi: true,
        destination_mode: DestinationMode::Logical,
        ..plain
    };
    assert_eq!(all.encode_short(), 0x0041_0367);
    assert_eq!(Irte::decode_short(0x0041_0367), Ok(Some(all)));
    assert_eq!(Irte::decode_short(0xffff_fffe), Ok(None));
}

/// ```text
/// low   bit 0 RemapEn; bits 15:8 Destination 3, or 31:8 of 0xab_01_02_03: 0x01_02_03
/// high  bits 71:64 (7:0) Vector; bits 127:120 (63:56) Destination 31:24: 0xab
/// ```
#[test]
fn wide_entry_constants() {
    let short = Irte::message(vector(0xef), Destination::XApic(3));
    assert_eq!(short.encode_wide(), [0x301, 0xef]);
    assert_eq!(Irte::decode_wide([0x301, 0xef], false), Ok(Some(short)));
    let long = Irte::message(vector(0xef), Destination::X2Apic(0xab01_0203));
    assert_eq!(long.encode_wide(), [0x0102_0301, 0xab00_0000_0000_00ef]);
    assert_eq!(Irte::decode_wide(long.encode_wide(), true), Ok(Some(long)));
    assert_eq!(Irte::decode_wide([u64::MAX - 1, u64::MAX], false), Ok(None));
}

#[test]
fn entries_refuse() {
    let short = |bits: u32| Irte::decode_short(0x0041_0301 ^ bits).map_err(|error| error.field);
    assert_eq!(short(1 << 24), Err("reserved (31:24)"));
    assert_eq!(short(1 << 7), Err("GuestMode"));
    assert_eq!(short(0b010 << 2), Err("IntType"));
    assert_eq!(short(0x40 << 16), Err("Vector"));
    let wide = |low: u64, high: u64, extended| {
        Irte::decode_wide([0x301 ^ low, 0xef ^ high], extended).map_err(|error| error.field)
    };
    assert_eq!(wide(1 << 16, 0, false), Err("reserved (63:16)"));
    assert_eq!(wide(0, 1 << 63, false), Err("reserved (127:72)"));
    assert_eq!(wide(1 << 32, 0, true), Err("reserved (63:32)"));
    assert_eq!(wide(0, 1 << 55, true), Err("reserved (119:72)"));
    assert_eq!(wide(0x80, 0, true), Err("GuestMode"));
}

#[test]
fn message_constants() {
    let pair = IndexMessage { number: 0x1ff }.encode();
    assert_eq!(pair, Pair { address: 0xfee0_0000, data: 0x1ff });
    let refused = |address, data| IndexMessage::decode(Pair { address, data }).unwrap_err();
    assert_eq!(refused(0xfed0_0000, 0), Malformed { field: "address" });
    assert_eq!(refused(0x1_fee0_0000, 0), Malformed { field: "address" });
    assert_eq!(refused(0xfee0_0000, 0x800), Malformed { field: "data (31:11)" });
    let anywhere = Pair { address: 0xfeef_fffc, data: 0x7ff };
    assert_eq!(IndexMessage::decode(anywhere), Ok(IndexMessage { number: 0x7ff }));
}

/// The opcode in 63:60; COMPLETION_WAIT with s (0) and f (2), address in 51:3.
#[test]
fn command_constants() {
    let wait = Command::CompletionWait { address: 0x1234_5678, data: 7 };
    assert_eq!(wait.encode(), [0x1000_0000_1234_567d, 7]);
    assert_eq!(Command::InvalidateDeviceEntry(ID).encode(), [0x2000_0000_0000_0110, 0]);
    assert_eq!(Command::InvalidateInterruptTable(ID).encode(), [0x5000_0000_0000_0110, 0]);
    assert_eq!(Command::InvalidateAll.encode(), [0x8000_0000_0000_0000, 0]);
    let field = |low, high| Command::decode([low, high]).unwrap_err().field;
    assert_eq!(field(0, 0), "opcode");
    assert_eq!(field(0x1000_0000_1234_567c, 0), "COMPLETION_WAIT s, i, f");
    assert_eq!(field(0x1010_0000_1234_567d, 0), "COMPLETION_WAIT reserved (59:52)");
    assert_eq!(field(0x2000_0000_0001_0110, 0), "reserved (59:16)");
    assert_eq!(field(0x5000_0000_0000_0110, 1), "reserved (127:64)");
    assert_eq!(field(0x8000_0000_0000_0001, 0), "INVALIDATE_IOMMU_ALL reserved (59:0)");
}

/// IO_PAGE_FAULT (2) of an interrupt (51): 1 << 51 = 0x0008_0000_0000_0000, PR (52), RZ (55).
#[test]
fn event_constants() {
    let event = LogEvent::interrupt(ID, false, false);
    assert_eq!(event.encode(), [0x2008_0000_0000_0110, 0xfee0_0000]);
    assert_eq!(LogEvent::decode(event.encode()), Ok(event));
    let fault = event.fault().unwrap();
    assert_eq!((fault.source, fault.entry, fault.reason), (ID, None, FaultReason::NotPresent));
    let reserved = LogEvent::interrupt(ID, true, true);
    assert_eq!(reserved.encode()[0], 0x2098_0000_0000_0110);
    assert_eq!(reserved.fault().unwrap().reason, FaultReason::EntryReserved);
    let of = |low: u64| LogEvent::decode([low, 0]).unwrap();
    assert_eq!(of(0x1000_0000_0000_0110).fault().unwrap().reason, FaultReason::EntryReserved);
    assert_eq!(of(0x3000_0000_0000_0110).fault().unwrap().reason, FaultReason::TableAccess);
    assert_eq!(of(0x4000_0000_0000_0110).fault().unwrap().reason, FaultReason::TableAccess);
    assert_eq!(
        (of(0x5000_0000_0000_0000).fault(), of(0x6000_0000_0000_0000).fault()),
        (None, None)
    );
    assert_eq!(of(0x8000_0000_0000_0110).fault().unwrap().reason, FaultReason::RequestReserved);
    // DMA that was not let through.
    assert_eq!(of(0x2000_0000_0000_0110).fault().unwrap().reason, FaultReason::Other(2));
    assert_eq!(of(0xd000_0000_0000_0110).code, EventCode::Other(13));
    assert!(LogEvent::decode([0x0fff_ffff_ffff_ffff, 0]).is_err(), "not written yet");
}

#[test]
fn register_constants() {
    let table = DeviceTableBase { address: 0x1_2340_0000, pages: 512 };
    assert_eq!(table.encode(), 0x1_2340_01ff);
    assert_eq!(DeviceTableBase::decode(0x1_2340_01ff), Ok(table));
    assert!(DeviceTableBase::decode(0x1_2340_0200).is_err());
    let buffer = BufferBase { address: 0x5000, entries_log2: 8 };
    assert_eq!(buffer.encode(), 0x0800_0000_0000_5000);
    assert_eq!(BufferBase::decode(0x0800_0000_0000_5000), Ok(buffer));
    for wrong in [0x0700_0000_0000_5000, 0x1800_0000_0000_5000, 0x0800_0000_0000_5001] {
        assert!(BufferBase::decode(wrong).is_err(), "{wrong:#x}");
    }
    // EFR of QEMU 7.2: PreFSup, PPRSup, GTSup, IASup, GASup, HESup, HATS, GATS.
    let features = Features::decode(0x29d3, 0);
    assert!(features.invalidate_all() && features.wide_entries());
    assert!(!features.x2apic() && !features.large_tables());
    assert!(Features::decode(4, 0x100).x2apic());
    assert!(Features::decode(0, 0x100).large_tables());
    assert!(!Features::decode(0, 0x300).large_tables(), "11 is reserved");
    assert_eq!(Control::ENABLED | Control::EVENT_LOG | Control::COMMANDS, 0x1005);
    assert_eq!(Control::COHERENT | Control::WIDE_ENTRIES, 0x2_0400);
    assert_eq!(Control::X2APIC | Control::LARGE_TABLES, 0x0004_0800_0000_0000);
    // Off: IommuEn 0, EventLogEn 2, EventIntEn 3, ComWaitIntEn 4, CmdBufEn 12, PPRLogEn 13, PPRIntEn
    // 14, PPREn 15, GAEn 17, GALogEn 28, GAIntEn 29, NumIntRemapMode 44:43, XTEn 50.
    assert_eq!(Control::decode(u64::MAX).idle().encode(), !0x0004_1800_3002_f01d);
    assert!(
        Status::decode(0x18).has(Status::LOG_RUNS)
            && Status::decode(0x10).has(Status::COMMANDS_RUN)
    );
}

proptest! {
    #[test]
    fn entries_round_trip(flags in any::<[bool; 4]>(), number in 32..=255_u8, apic in any::<u32>()) {
        let irte = |destination| Irte {
            suppress_faults: flags[0],
            delivery: if flags[1] { DeliveryMode::LowestPriority } else { DeliveryMode::Fixed },
            request_eoi: flags[2],
            destination_mode: if flags[3] { DestinationMode::Logical } else { DestinationMode::Physical },
            destination,
            vector: vector(number),
        };
        let short = irte(Destination::XApic(apic as u8));
        prop_assert_eq!(Irte::decode_short(short.encode_short()), Ok(Some(short)));
        prop_assert_eq!(Irte::decode_wide(short.encode_wide(), false), Ok(Some(short)));
        let long = irte(Destination::X2Apic(apic));
        prop_assert_eq!(Irte::decode_wide(long.encode_wide(), true), Ok(Some(long)));
    }

    /// Any bits have an answer, and what is decoded encodes to the same bits.
    #[test]
    fn decoding_is_total(words in any::<[u64; 4]>(), mask in any::<u64>(), opcode in 0..16_u64) {
        let entry = words.map(|word| word & mask);
        for words in [words, entry, [0, 0, entry[2], 0]] {
            if let Ok(entry) = DeviceEntry::decode(words) {
                prop_assert_eq!(entry.encode(), words);
            }
        }
        let halves = [words[0], words[1]];
        if let Ok(Some(entry)) = Irte::decode_short(words[0] as u32) {
            prop_assert_eq!(entry.encode_short(), words[0] as u32);
        }
        for (halves, extended) in
            [(halves, false), (halves, true), ([words[0] & 0xffff, words[1] & 0xff], false)]
        {
            if let Ok(Some(entry)) = Irte::decode_wide(halves, extended) {
                prop_assert_eq!(entry.encode_wide(), halves);
            }
        }
        let coded = [words[0] & !(0xf << 60) | opcode << 60, words[1]];
        for halves in [coded, [coded[0] & 0xf000_0000_0000_ffff, 0]] {
            if let Ok(command) = Command::decode(halves) {
                prop_assert_eq!(command.encode(), halves);
            }
            if let Ok(event) = LogEvent::decode(halves) {
                prop_assert_eq!(LogEvent::decode(event.encode()), Ok(event));
            }
        }
        if let Ok(base) = DeviceTableBase::decode(words[0]) {
            prop_assert_eq!(base.encode(), words[0]);
        }
        if let Ok(base) = BufferBase::decode(words[0]) {
            prop_assert_eq!(base.encode(), words[0]);
        }
        let _ = IndexMessage::decode(Pair { address: words[0], data: words[1] as u32 });
    }
}
