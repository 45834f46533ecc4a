//! Message address and data, VT-d §5.1.5.2 and Intel SDM 3A §11.11.

use interrupt_core::vtd::{CompatibilityMessage, Malformed, RemappableMessage};
use interrupt_core::{EntryIndex, Pair, Vector};
use proptest::prelude::*;

/// Handle 0x8123 without a subhandle.
///
/// ```text
/// bits 31:20   0xfee                                      0xfee0_0000
/// bits 19:5    handle 14:0 = 0x0123, << 5                 0x0000_2460
/// bit   4      1 remappable                               0x0000_0010
/// bit   3      SHV 0
/// bit   2      handle 15 = 1                              0x0000_0004
/// ```
///
/// With subhandle 7: SHV adds 8 and the data is 7; the entry is 0x812a.
#[test]
fn remappable_constants() {
    let plain = RemappableMessage { handle: EntryIndex::new(0x8123), subhandle: None };
    assert_eq!(plain.encode(), Pair { address: 0xfee0_2474, data: 0 });
    let member = RemappableMessage { handle: EntryIndex::new(0x8123), subhandle: Some(7) };
    assert_eq!(member.encode(), Pair { address: 0xfee0_247c, data: 7 });
    assert_eq!(member.entry(), Some(EntryIndex::new(0x812a)));
    // All fifteen low handle bits: 0x7fff << 5 = 0xf_ffe0.
    let low = RemappableMessage { handle: EntryIndex::new(0x7fff), subhandle: None };
    assert_eq!(low.encode(), Pair { address: 0xfeef_fff0, data: 0 });
    let past = RemappableMessage { handle: EntryIndex::new(0xffff), subhandle: Some(1) };
    assert_eq!(past.entry(), None);
}

/// Vector 0x31 on APIC id 2: 0xfee0_0000 | 2 << 12, data 0x31; edge, fixed, physical are 0.
#[test]
fn compatibility_constant() {
    let message = CompatibilityMessage { destination: 2, vector: Vector::new(0x31).unwrap() };
    assert_eq!(message.encode(), Pair { address: 0xfee0_2000, data: 0x31 });
}

#[test]
fn refused_fields() {
    let remappable = |address, data| RemappableMessage::decode(Pair { address, data });
    let field = |field| Err(Malformed { field });
    assert_eq!(remappable(0x1_fee0_0010, 0), field("address 63:32"));
    assert_eq!(remappable(0xfed0_0010, 0), field("address 31:20"));
    assert_eq!(remappable(0xfee0_0000, 0), field("interrupt format"));
    assert_eq!(remappable(0xfee0_0011, 0), field("address 1:0"));
    assert_eq!(remappable(0xfee0_0018, 0x1_0000), field("data 31:16"));
    assert_eq!(remappable(0xfee0_0010, 1), field("data without SHV"));
    let plain = |address, data| CompatibilityMessage::decode(Pair { address, data });
    let field = |field| Err(Malformed { field });
    assert_eq!(plain(0x1_fee0_0000, 0x31), field("address 63:32"));
    assert_eq!(plain(0xfec0_0000, 0x31), field("address 31:20"));
    assert_eq!(plain(0xfee0_0010, 0x31), field("interrupt format"));
    assert_eq!(plain(0xfee0_0004, 0x31), field("address 11:5, 3:0"));
    assert_eq!(plain(0xfee0_0020, 0x31), field("address 11:5, 3:0"));
    assert_eq!(plain(0xfee0_0000, 0x131), field("data 31:8"));
    assert_eq!(plain(0xfee0_0000, 0x1f), field("vector"));
}

proptest! {
    #[test]
    fn remappable_round_trip(handle in any::<u16>(), subhandle in any::<Option<u16>>()) {
        let message = RemappableMessage { handle: EntryIndex::new(handle), subhandle };
        prop_assert_eq!(RemappableMessage::decode(message.encode()), Ok(message));
        // Never mistaken for the other format.
        prop_assert!(CompatibilityMessage::decode(message.encode()).is_err());
    }

    #[test]
    fn compatibility_round_trip(destination in any::<u8>(), vector in 32..=255_u8) {
        let message = CompatibilityMessage { destination, vector: Vector::new(vector).unwrap() };
        prop_assert_eq!(CompatibilityMessage::decode(message.encode()), Ok(message));
        prop_assert!(RemappableMessage::decode(message.encode()).is_err());
    }

    #[test]
    fn decode_total(address in any::<u64>(), low in any::<u32>(), data in any::<u32>()) {
        for address in [address, 0xfee0_0000 | low as u64 & 0xf_ffff] {
            for data in [data, data & 0xff, 0] {
                let pair = Pair { address, data };
                if let Ok(message) = RemappableMessage::decode(pair) {
                    prop_assert_eq!(message.encode(), pair);
                }
                if let Ok(message) = CompatibilityMessage::decode(pair) {
                    prop_assert_eq!(message.encode(), pair);
                }
            }
        }
    }
}
