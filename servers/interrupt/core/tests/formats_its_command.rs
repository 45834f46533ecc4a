//! ITS commands (Arm IHI 0069 §5.3) and LPI properties (§6.1.2).

use interrupt_core::its::{
    CollectionId, Command, DeviceId, EventId, Lpi, LpiProperty, Priority, RdBase,
};
use interrupt_core::vtd::Malformed;
use proptest::prelude::*;

const DEVICE: DeviceId = DeviceId::from_bits(0x0001_0010);
const EVENT: EventId = EventId::from_bits(0x0203);
const COLLECTION: CollectionId = CollectionId::from_bits(0x0405);

fn lpi(intid: u32) -> Lpi {
    Lpi::new(intid).unwrap()
}

/// The opcode in DW0 7:0, the DeviceID in DW0 63:32, the EventID in DW1 31:0.
#[test]
fn event_constants() {
    let (device, event) = (DEVICE, EVENT);
    for (command, opcode) in [
        (Command::Raise { device, event }, 0x03),
        (Command::Clear { device, event }, 0x04),
        (Command::Invalidate { device, event }, 0x0c),
        (Command::Discard { device, event }, 0x0f),
    ] {
        let words = [0x0001_0010_0000_0000 | opcode, 0x0203, 0, 0];
        assert_eq!(command.encode(), words, "{command:?}");
        assert_eq!(Command::decode(words), Ok(command));
    }
}

/// MAPD: 2^5 events: Size 4 in DW1 4:0; ITT at 0x4_5678_9a00: DW2 51:8 in place; V is 63.
#[test]
fn map_device_constant() {
    let map = Command::MapDevice { device: DEVICE, event_bits: 5, table: 0x4_5678_9a00 };
    assert_eq!(map.encode(), [0x0001_0010_0000_0008, 4, 0x8000_0004_5678_9a00, 0]);
    let unmap = Command::UnmapDevice { device: DEVICE };
    assert_eq!(unmap.encode(), [0x0001_0010_0000_0008, 0, 0, 0]);
}

/// MAPC: processor number 3 is RDbase 3 in DW2 51:16 (0x3_0000), ICID 0x0405 in 15:0, V 63;
/// by address 0x80a_0000 the address bits stay where they are.
#[test]
fn map_collection_constant() {
    let by = |target| Command::MapCollection { collection: COLLECTION, target }.encode();
    assert_eq!(by(RdBase::processor(3)), [0x09, 0, 0x8000_0000_0003_0405, 0]);
    assert_eq!(by(RdBase::address(0x80a_0000).unwrap()), [0x09, 0, 0x8000_0000_080a_0405, 0]);
    let unmap = Command::UnmapCollection { collection: COLLECTION };
    assert_eq!(unmap.encode(), [0x09, 0, 0x0405, 0]);
    assert_eq!(RdBase::address(0x80a_1000), None);
    assert_eq!(RdBase::address(1 << 52), None);
}

/// MAPTI: pINTID 8192 + 1 = 0x2001 in DW1 63:32; MAPI: the INTID is the EventID.
#[test]
fn map_event_constant() {
    let (device, event, collection) = (DEVICE, EVENT, COLLECTION);
    let map = Command::MapEvent { device, event, lpi: lpi(8193), collection };
    assert_eq!(map.encode(), [0x0001_0010_0000_000a, 0x0000_2001_0000_0203, 0x0405, 0]);
    let same = Command::MapSame { device, lpi: lpi(8193), collection };
    assert_eq!(same.encode(), [0x0001_0010_0000_000b, 0x2001, 0x0405, 0]);
    let moved = Command::Move { device, event, collection };
    assert_eq!(moved.encode(), [0x0001_0010_0000_0001, 0x0203, 0x0405, 0]);
}

/// SYNC and MOVALL name redistributors in 51:16 of DW2 (and DW3), INVALL an ICID in DW2.
#[test]
fn whole_constants() {
    let (from, to) = (RdBase::processor(1), RdBase::processor(0x1234));
    assert_eq!(Command::Sync { target: to }.encode(), [0x05, 0, 0x1234_0000, 0]);
    assert_eq!(Command::MoveAll { from, to }.encode(), [0x0e, 0, 0x1_0000, 0x1234_0000]);
    assert_eq!(Command::InvalidateAll { collection: COLLECTION }.encode(), [0x0d, 0, 0x0405, 0]);
}

#[test]
fn refused_commands() {
    let field = |field| Err(Malformed { field });
    for opcode in [0, 2, 6, 7, 0x10, 0x21, 0x2a, 0xff] {
        assert_eq!(Command::decode([opcode, 0, 0, 0]), field("command"));
    }
    // SYNC names no device, DISCARD no collection, MAPTI ends with DW2.
    assert_eq!(Command::decode([1 << 32 | 5, 0, 0, 0]), field("reserved (DW0)"));
    assert_eq!(Command::decode([1 << 8 | 5, 0, 0, 0]), field("reserved (DW0)"));
    assert_eq!(Command::decode([0x0f, 1 << 32, 0, 0]), field("reserved (DW1)"));
    assert_eq!(Command::decode([0x0f, 0, 1, 0]), field("reserved (DW2)"));
    assert_eq!(Command::decode([0x0a, 0x2000 << 32, 0, 1]), field("reserved (DW3)"));
    assert_eq!(Command::decode([0x0a, 0x1fff << 32, 0, 0]), field("pINTID"));
    assert_eq!(Command::decode([0x0b, 0x0100_0000, 0, 0]), field("pINTID"));
    // MAPD with V clear and a size.
    assert_eq!(Command::decode([8, 1, 0, 0]), field("reserved (DW1)"));
}

/// Priority 0xa0 in 7:2, bit 1 reads as one, Enable is bit 0.
#[test]
fn property_constants() {
    let priority = Priority::new(0xa0).unwrap();
    assert_eq!(LpiProperty { priority, enabled: true }.encode(), 0xa3);
    assert_eq!(LpiProperty { priority, enabled: false }.encode(), 0xa2);
    assert_eq!(LpiProperty::decode(0xa1), Err(Malformed { field: "reserved (1)" }));
    assert_eq!(Priority::new(0xa1), None);
    assert_eq!(Priority::new(0xa2), None);
}

/// LPIs are 8192 to 2^24 - 1.
#[test]
fn lpi_range() {
    assert_eq!(Lpi::new(8191), None);
    assert_eq!(Lpi::new(1 << 24), None);
    assert_eq!(lpi(8192).offset(), 0);
    assert_eq!(lpi((1 << 24) - 1).intid(), 0xff_ffff);
}

fn any_command() -> impl Strategy<Value = Command> {
    let ids = (any::<u32>(), any::<u32>(), any::<u16>(), 8192..1_u32 << 24);
    let rest = (1..=32_u8, any::<u64>(), any::<u16>(), any::<u64>());
    (0..14, ids, rest).prop_map(|(kind, (device, event, icid, intid), rest)| {
        let (event_bits, word, processor, other) = rest;
        let device = DeviceId::from_bits(device);
        let event = EventId::from_bits(event);
        let collection = CollectionId::from_bits(icid);
        let target = RdBase::address(word & 0xf_ffff_ffff_0000).unwrap();
        let from = RdBase::processor(processor);
        let lpi = lpi(intid);
        match kind {
            0 => Command::MapDevice { device, event_bits, table: other & 0xf_ffff_ffff_ff00 },
            1 => Command::UnmapDevice { device },
            2 => Command::MapCollection { collection, target },
            3 => Command::UnmapCollection { collection },
            4 => Command::MapEvent { device, event, lpi, collection },
            5 => Command::MapSame { device, lpi, collection },
            6 => Command::Move { device, event, collection },
            7 => Command::MoveAll { from, to: target },
            8 => Command::Invalidate { device, event },
            9 => Command::InvalidateAll { collection },
            10 => Command::Discard { device, event },
            11 => Command::Clear { device, event },
            12 => Command::Raise { device, event },
            _ => Command::Sync { target },
        }
    })
}

proptest! {
    #[test]
    fn command_round_trip(command in any_command()) {
        prop_assert_eq!(Command::decode(command.encode()), Ok(command));
    }

    /// Any bits, and bits near a command's.
    #[test]
    fn command_decode_total(
        words in any::<[u64; 4]>(),
        command in any_command(),
        place in 0..4_usize,
        bit in 0..64,
    ) {
        let mut near = command.encode();
        near[place] ^= 1_u64 << bit;
        let opcode = [words[0] & 0xffff_ffff_0000_0000 | words[1] & 15, words[2], words[3], 0];
        for words in [words, near, opcode] {
            if let Ok(command) = Command::decode(words) {
                prop_assert_eq!(command.encode(), words);
            }
        }
    }

    #[test]
    fn property_round_trip(bits in any::<u8>(), enabled in any::<bool>()) {
        let priority = Priority::new(bits & !3).unwrap();
        let property = LpiProperty { priority, enabled };
        prop_assert_eq!(LpiProperty::decode(property.encode()), Ok(property));
    }

    #[test]
    fn property_decode_total(byte in any::<u8>()) {
        match LpiProperty::decode(byte) {
            Ok(property) => prop_assert_eq!(property.encode(), byte),
            Err(_) => prop_assert_eq!(byte & 2, 0),
        }
    }
}
