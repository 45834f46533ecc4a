//! ITS commands, §5.3: four 64-bit words (DW0 to DW3) each.
//!
//! | command | DW0 7:0 | DW0 63:32 | DW1 | DW2 | DW3 |
//! | --- | --- | --- | --- | --- | --- |
//! | MOVI | 0x01 | DeviceID | EventID 31:0 | ICID 15:0 | |
//! | INT | 0x03 | DeviceID | EventID 31:0 | | |
//! | CLEAR | 0x04 | DeviceID | EventID 31:0 | | |
//! | SYNC | 0x05 | | | RDbase 51:16 | |
//! | MAPD | 0x08 | DeviceID | Size 4:0 | V 63, ITT_addr 51:8 | |
//! | MAPC | 0x09 | | | V 63, RDbase 51:16, ICID 15:0 | |
//! | MAPTI | 0x0a | DeviceID | pINTID 63:32, EventID 31:0 | ICID 15:0 | |
//! | MAPI | 0x0b | DeviceID | EventID 31:0 | ICID 15:0 | |
//! | INV | 0x0c | DeviceID | EventID 31:0 | | |
//! | INVALL | 0x0d | | | ICID 15:0 | |
//! | MOVALL | 0x0e | | | RDbase1 51:16 | RDbase2 51:16 |
//! | DISCARD | 0x0f | DeviceID | EventID 31:0 | | |
//!
//! All other bits are reserved. With V clear, Size, ITT_addr and RDbase are not looked at by
//! hardware; `encode` writes zero there and `decode` asks for it.

use super::{CollectionId, DeviceId, EventId, Lpi, RdBase, bits, reject};
use crate::vtd::Malformed;

const MOVI: u64 = 0x01;
const INT: u64 = 0x03;
const CLEAR: u64 = 0x04;
const SYNC: u64 = 0x05;
const MAPD: u64 = 0x08;
const MAPC: u64 = 0x09;
const MAPTI: u64 = 0x0a;
const MAPI: u64 = 0x0b;
const INV: u64 = 0x0c;
const INVALL: u64 = 0x0d;
const MOVALL: u64 = 0x0e;
const DISCARD: u64 = 0x0f;

const VALID: u64 = 1 << 63;
const TABLE: u64 = 0x000f_ffff_ffff_ff00;
const DEVICE: u64 = 0xffff_ffff_0000_0000;
const EVENT: u64 = 0xffff_ffff;
const COLLECTION: u64 = 0xffff;
const NAMES: [&str; 4] = ["reserved (DW0)", "reserved (DW1)", "reserved (DW2)", "reserved (DW3)"];

/// One command for physical interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// MAPD, V set: a device has an interrupt translation table.
    MapDevice {
        /// Whose.
        device: DeviceId,
        /// It has 2^event_bits events, 1..=32 (Size + 1).
        event_bits: u8,
        /// Where: a multiple of 256 below 2^52. The memory is zero.
        table: u64,
    },
    /// MAPD, V clear: a device has none any more.
    UnmapDevice {
        /// Whose.
        device: DeviceId,
    },
    /// MAPC, V set: a collection's interrupts go to a redistributor.
    MapCollection {
        /// Which collection.
        collection: CollectionId,
        /// Where to.
        target: RdBase,
    },
    /// MAPC, V clear.
    UnmapCollection {
        /// Which collection.
        collection: CollectionId,
    },
    /// MAPTI: an event of a device is this LPI, in this collection.
    MapEvent {
        /// Whose event.
        device: DeviceId,
        /// Which event.
        event: EventId,
        /// pINTID.
        lpi: Lpi,
        /// Its collection.
        collection: CollectionId,
    },
    /// MAPI: the same with pINTID equal to EventID.
    MapSame {
        /// Whose event.
        device: DeviceId,
        /// EventID and INTID in one.
        lpi: Lpi,
        /// Its collection.
        collection: CollectionId,
    },
    /// MOVI: the event goes to another collection, with its pending state.
    Move {
        /// Whose event.
        device: DeviceId,
        /// Which event.
        event: EventId,
        /// Its new collection.
        collection: CollectionId,
    },
    /// MOVALL: everything pending in one redistributor goes to another.
    MoveAll {
        /// RDbase1.
        from: RdBase,
        /// RDbase2.
        to: RdBase,
    },
    /// INV: forget the cached property of the event's LPI.
    Invalidate {
        /// Whose event.
        device: DeviceId,
        /// Which event.
        event: EventId,
    },
    /// INVALL: forget all cached properties of a collection.
    InvalidateAll {
        /// Which collection.
        collection: CollectionId,
    },
    /// DISCARD: the event means nothing any more, and is pending nowhere.
    Discard {
        /// Whose event.
        device: DeviceId,
        /// Which event.
        event: EventId,
    },
    /// CLEAR: the event is pending nowhere.
    Clear {
        /// Whose event.
        device: DeviceId,
        /// Which event.
        event: EventId,
    },
    /// INT: as if the device had written the event.
    Raise {
        /// Whose event.
        device: DeviceId,
        /// Which event.
        event: EventId,
    },
    /// SYNC: everything before it that concerns this redistributor has taken effect.
    Sync {
        /// Which redistributor.
        target: RdBase,
    },
}

impl Command {
    /// Bytes of one command.
    pub const SIZE: usize = 32;

    /// DW0 to DW3.
    #[inline(always)]
    pub const fn encode(self) -> [u64; 4] {
        match self {
            Self::MapDevice { device, event_bits, table } => {
                let size = (event_bits as u64).saturating_sub(1) & 31;
                [named(MAPD, device), size, VALID | table & TABLE, 0]
            }
            Self::UnmapDevice { device } => [named(MAPD, device), 0, 0, 0],
            Self::MapCollection { collection, target } => {
                [MAPC, 0, VALID | target.field() | collection.bits() as u64, 0]
            }
            Self::UnmapCollection { collection } => [MAPC, 0, collection.bits() as u64, 0],
            Self::MapEvent { device, event, lpi, collection } => {
                let what = (lpi.intid() as u64) << 32 | event.bits() as u64;
                [named(MAPTI, device), what, collection.bits() as u64, 0]
            }
            Self::MapSame { device, lpi, collection } => {
                [named(MAPI, device), lpi.intid() as u64, collection.bits() as u64, 0]
            }
            Self::Move { device, event, collection } => {
                [named(MOVI, device), event.bits() as u64, collection.bits() as u64, 0]
            }
            Self::MoveAll { from, to } => [MOVALL, 0, from.field(), to.field()],
            Self::Invalidate { device, event } => event_only(INV, device, event),
            Self::InvalidateAll { collection } => [INVALL, 0, collection.bits() as u64, 0],
            Self::Discard { device, event } => event_only(DISCARD, device, event),
            Self::Clear { device, event } => event_only(CLEAR, device, event),
            Self::Raise { device, event } => event_only(INT, device, event),
            Self::Sync { target } => [SYNC, 0, target.field(), 0],
        }
    }

    /// From the queue. `Err` for other commands, for reserved bits, and for a pINTID that is
    /// no LPI.
    pub fn decode(words: [u64; 4]) -> Result<Self, Malformed> {
        let opcode = bits(words[0], 0, 8);
        let used = used_bits(opcode, words[2] & VALID != 0)?;
        for (place, name) in NAMES.iter().enumerate() {
            reject(words[place], !used[place], name)?;
        }
        let device = DeviceId::from_bits((words[0] >> 32) as u32);
        let event = EventId::from_bits(words[1] as u32);
        let collection = CollectionId::from_bits(words[2] as u16);
        let target = RdBase::from_field(words[2]);
        let valid = words[2] & VALID != 0;
        Ok(match opcode {
            MAPD if valid => Self::MapDevice {
                device,
                event_bits: bits(words[1], 0, 5) as u8 + 1,
                table: words[2] & TABLE,
            },
            MAPD => Self::UnmapDevice { device },
            MAPC if valid => Self::MapCollection { collection, target },
            MAPC => Self::UnmapCollection { collection },
            MAPTI => {
                let lpi = lpi((words[1] >> 32) as u32)?;
                Self::MapEvent { device, event, lpi, collection }
            }
            MAPI => Self::MapSame { device, lpi: lpi(words[1] as u32)?, collection },
            MOVI => Self::Move { device, event, collection },
            MOVALL => Self::MoveAll { from: target, to: RdBase::from_field(words[3]) },
            INV => Self::Invalidate { device, event },
            INVALL => Self::InvalidateAll { collection },
            DISCARD => Self::Discard { device, event },
            CLEAR => Self::Clear { device, event },
            INT => Self::Raise { device, event },
            _ => Self::Sync { target },
        })
    }
}

const fn named(opcode: u64, device: DeviceId) -> u64 {
    opcode | (device.bits() as u64) << 32
}

const fn event_only(opcode: u64, device: DeviceId, event: EventId) -> [u64; 4] {
    [named(opcode, device), event.bits() as u64, 0, 0]
}

const fn lpi(intid: u32) -> Result<Lpi, Malformed> {
    match Lpi::new(intid) {
        Some(lpi) => Ok(lpi),
        None => Err(Malformed { field: "pINTID" }),
    }
}

/// The bits of each word that the command uses.
const fn used_bits(opcode: u64, valid: bool) -> Result<[u64; 4], Malformed> {
    const DEVICE_WORD: u64 = 0xff | DEVICE;
    Ok(match opcode {
        MAPD if valid => [DEVICE_WORD, 31, VALID | TABLE, 0],
        MAPD => [DEVICE_WORD, 0, 0, 0],
        MAPC if valid => [0xff, 0, VALID | RdBase::FIELD | COLLECTION, 0],
        MAPC => [0xff, 0, COLLECTION, 0],
        MAPTI => [DEVICE_WORD, !0, COLLECTION, 0],
        MAPI | MOVI => [DEVICE_WORD, EVENT, COLLECTION, 0],
        INV | DISCARD | CLEAR | INT => [DEVICE_WORD, EVENT, 0, 0],
        INVALL => [0xff, 0, COLLECTION, 0],
        MOVALL => [0xff, 0, RdBase::FIELD, RdBase::FIELD],
        SYNC => [0xff, 0, RdBase::FIELD, 0],
        _ => return Err(Malformed { field: "command" }),
    })
}
