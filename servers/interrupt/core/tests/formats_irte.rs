//! IRTE, VT-d §9.10: constants by hand, round trip, decode total.

use interrupt_core::vtd::{
    DeliveryMode, Destination, DestinationMode, Irte, Malformed, SourceCheck, Trigger,
};
use interrupt_core::{ApicId, RequesterId, Source, Vector};
use proptest::prelude::*;

fn vector(number: u8) -> Vector {
    Vector::new(number).unwrap()
}

/// An xAPIC message entry.
///
/// ```text
/// bit   0       P    present                              0x0000_0000_0000_0001
/// bit   1       FPD  0
/// bit   2       DM   0 physical
/// bit   3       RH   0
/// bit   4       TM   0 edge
/// bits  7:5     DLM  000 fixed
/// bits 23:16    V    0x41                                 0x0000_0000_0041_0000
/// bits 47:40    DST  APIC id 3                            0x0000_0300_0000_0000
/// bits 79:64    SID  bus 0, device 2, function 0 =
///                    0 << 8 | 2 << 3 | 0 = 0x0010         high 0x0000_0010
/// bits 81:80    SQ   00 compare all 16 bits
/// bits 83:82    SVT  01 compare with SID                  high 0x0004_0000
/// ```
#[test]
fn xapic_constant() {
    let id = RequesterId::new(0, 2, 0).unwrap();
    let source = SourceCheck::from(Source::Function(id));
    let destination = Destination::new(ApicId::from_bits(3), false).unwrap();
    let entry = Irte::message(source, vector(0x41), destination);
    assert_eq!(entry.encode(), [0x0000_0300_0041_0001, 0x0000_0000_0004_0010]);
    assert_eq!(Irte::decode([0x0000_0300_0041_0001, 0x0004_0010], false), Ok(Some(entry)));
}

/// Every flag set, x2APIC, bus range.
///
/// ```text
/// bits  4:0     P FPD DM RH TM  11111                     0x1f
/// bits  7:5     DLM  001 lowest priority                  0x20
/// bits 23:16    V    0xef                                 0x00ef_0000
/// bits 63:32    DST  0x0001_0002                          0x0001_0002_0000_0000
/// bits 71:64    SID  7:0  first bus 5                     high 0x05
/// bits 79:72    SID 15:8  last bus 9                      high 0x0900
/// bits 83:82    SVT  10 bus range                         high 0x0008_0000
/// ```
#[test]
fn x2apic_constant() {
    let entry = Irte {
        fault_disable: true,
        destination_mode: DestinationMode::Logical,
        redirection_hint: true,
        trigger: Trigger::Level,
        delivery: DeliveryMode::LowestPriority,
        vector: vector(0xef),
        destination: Destination::X2Apic(0x0001_0002),
        source: SourceCheck::Buses { first: 5, last: 9 },
    };
    assert_eq!(entry.encode(), [0x0001_0002_00ef_003f, 0x0000_0000_0008_0905]);
    assert_eq!(Irte::decode([0x0001_0002_00ef_003f, 0x0008_0905], true), Ok(Some(entry)));
}

/// Any function of 01:1f: SID 1 << 8 | 31 << 3 = 0x01f8, SQ 11 (0x0003_0000), SVT 01
/// (0x0004_0000).
#[test]
fn device_constant() {
    let id = RequesterId::new(1, 31, 0).unwrap();
    let source = SourceCheck::from(Source::Device(id));
    let entry = Irte::message(source, vector(0x20), Destination::XApic(0));
    assert_eq!(entry.encode(), [0x0000_0000_0020_0001, 0x0000_0000_0007_01f8]);
}

/// Each reserved or unsupported field by itself.
#[test]
fn refused_fields() {
    let good = [0x0000_0300_0041_0001_u64, 0x0004_0010_u64];
    let with = |low: u64, high: u64| Irte::decode([good[0] ^ low, good[1] ^ high], false);
    let field = |field| Err(Malformed { field });
    for bit in [12, 13, 14, 24, 31] {
        assert_eq!(with(1 << bit, 0), field("reserved (31:24, 14:12)"), "bit {bit}");
    }
    assert_eq!(with(1 << 15, 0), field("IM"));
    for bit in [32, 39, 48, 63] {
        assert_eq!(with(1 << bit, 0), field("DST"), "bit {bit}");
    }
    for bit in 20..64 {
        assert_eq!(with(0, 1 << bit), field("reserved (127:84)"), "bit {}", bit + 64);
    }
    assert_eq!(with(0, 1 << 18), field("SID without SVT"));
    assert_eq!(with(0, 1 << 19), field("SVT"), "SVT 11");
    assert_eq!(with(0, 0b11 << 18 | 1 << 16), field("SQ"), "SVT 10 with SQ");
    // Vector 0x41 less 0x40 is below 32.
    assert_eq!(with(0x0040_0000, 0), field("V"));
    for mode in 2..8_u64 {
        assert_eq!(with(mode << 5, 0), field("DLM"));
    }
    // AVAIL is software's: ignored.
    assert!(with(0xf00, 0).is_ok());
    // Not present: nothing else matters.
    assert_eq!(Irte::decode([!1, !0], false), Ok(None));
}

/// An APIC id must fit the mode; everyone's address is nobody's.
#[test]
fn destinations() {
    let new = |id, extended| Destination::new(ApicId::from_bits(id), extended);
    assert_eq!(new(254, false), Some(Destination::XApic(254)));
    assert_eq!(new(255, false), None);
    assert_eq!(new(256, false), None);
    assert_eq!(new(256, true), Some(Destination::X2Apic(256)));
    assert_eq!(new(u32::MAX, true), None);
}

fn any_source() -> impl Strategy<Value = SourceCheck> {
    prop_oneof![
        Just(SourceCheck::None),
        (any::<u16>(), 0..4_u8).prop_map(|(bits, ignore)| SourceCheck::Compare {
            id: RequesterId::from_bits(bits),
            ignore,
        }),
        any::<(u8, u8)>().prop_map(|(first, last)| SourceCheck::Buses { first, last }),
    ]
}

prop_compose! {
    fn any_entry(extended: bool)(
        flags in any::<[bool; 5]>(),
        number in 32..=255_u8,
        apic in any::<u32>(),
        source in any_source(),
    ) -> Irte {
        Irte {
            fault_disable: flags[0],
            destination_mode: if flags[1] {
                DestinationMode::Logical
            } else {
                DestinationMode::Physical
            },
            redirection_hint: flags[2],
            trigger: if flags[3] { Trigger::Level } else { Trigger::Edge },
            delivery: if flags[4] { DeliveryMode::LowestPriority } else { DeliveryMode::Fixed },
            vector: vector(number),
            destination: if extended {
                Destination::X2Apic(apic)
            } else {
                Destination::XApic(apic as u8)
            },
            source,
        }
    }
}

proptest! {
    #[test]
    fn round_trip_xapic(entry in any_entry(false)) {
        prop_assert_eq!(Irte::decode(entry.encode(), false), Ok(Some(entry)));
    }

    #[test]
    fn round_trip_x2apic(entry in any_entry(true)) {
        prop_assert_eq!(Irte::decode(entry.encode(), true), Ok(Some(entry)));
    }

    /// Any bits decode to something or to an error; what decodes encodes to the same bits,
    /// AVAIL aside.
    #[test]
    fn decode_total(low in any::<u64>(), high in any::<u64>(), extended in any::<bool>()) {
        if let Ok(Some(entry)) = Irte::decode([low, high], extended) {
            prop_assert_eq!(entry.encode(), [low & !0xf00, high]);
        }
    }

    /// The same with few bits set, so that many do decode.
    #[test]
    fn decode_sparse(
        low in any::<u64>(),
        sid in any::<u16>(),
        kind in 0..4_u64,
        extended in any::<bool>(),
    ) {
        let low = low & 0xffff_ffff_00ff_0f3f | 0x0020_0001;
        let low = if extended { low } else { low & 0x0000_ff00_ffff_ffff };
        let halves = [low, sid as u64 | kind << 18];
        if let Ok(Some(entry)) = Irte::decode(halves, extended) {
            prop_assert_eq!(entry.encode(), [low & !0xf00, halves[1]]);
        } else {
            prop_assert!(kind == 3 || kind == 0 && sid != 0);
        }
    }

    /// Hardware's check and the server's idea of a source agree.
    #[test]
    fn source_check_is_the_source(own in any::<u16>(), other in any::<u16>(), near in 0..16_u16) {
        let (own, other) = (RequesterId::from_bits(own), RequesterId::from_bits(other));
        let near = RequesterId::from_bits(own.bits() ^ near);
        let buses = Source::Buses {
            first: own.bus().min(other.bus()),
            last: own.bus().max(other.bus()),
        };
        for source in [Source::Function(own), Source::Device(own), buses] {
            for id in [own, other, near] {
                prop_assert_eq!(SourceCheck::from(source).accepts(id), source.accepts(id));
            }
        }
    }
}
