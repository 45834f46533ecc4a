//! Interrupt remapping table entries, §2.2.5, and the message that names one.
//!
//! | 32 bits | 128 bits (GAEn) | field |
//! | --- | --- | --- |
//! | 0 | 0 | RemapEn |
//! | 1 | 1 | SupIOPF, faults are not logged |
//! | 4:2 | 4:2 | IntType: 000 fixed, 001 arbitrated |
//! | 5 | 5 | RqEoi |
//! | 6 | 6 | DM, destination mode: 0 physical, 1 logical |
//! | 7 | 7 | GuestMode; reserved without GAEn |
//! | 15:8 | 15:8; with XTEn 31:8 and 127:120 | Destination |
//! | 23:16 | 71:64 | Vector |
//! | 31:24 | the rest | reserved |

use super::{bits, reject};
use crate::vtd::{DeliveryMode, Destination, DestinationMode, Malformed};
use crate::{Pair, Vector};

const ENABLED: u64 = 1;
const SUPPRESS: u64 = 1 << 1;
const REQUEST_EOI: u64 = 1 << 5;
const LOGICAL: u64 = 1 << 6;
const GUEST_MODE: u64 = 1 << 7;

/// How the entries of all tables are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryFormat {
    /// 32 bits, 8-bit APIC ids.
    Short,
    /// 128 bits (GAEn), 8-bit APIC ids.
    Wide,
    /// 128 bits (GAEn), 32-bit APIC ids (XTEn).
    WideX2Apic,
}

impl EntryFormat {
    /// Bytes of an entry.
    pub const fn bytes(self) -> usize {
        match self {
            EntryFormat::Short => 4,
            EntryFormat::Wide | EntryFormat::WideX2Apic => 16,
        }
    }

    /// Whether APIC ids have 32 bits.
    pub const fn is_extended(self) -> bool {
        matches!(self, EntryFormat::WideX2Apic)
    }
}

/// An enabled entry's contents. A blocked entry is no `Irte`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Irte {
    /// SupIOPF. This server never sets it.
    pub suppress_faults: bool,
    /// IntType.
    pub delivery: DeliveryMode,
    /// RqEoi: the source is told of the end of interrupt; for level interrupts.
    pub request_eoi: bool,
    /// DM.
    pub destination_mode: DestinationMode,
    /// The CPU addressed.
    pub destination: Destination,
    /// The vector raised.
    pub vector: Vector,
}

impl Irte {
    /// The entry that sends a message to one CPU: edge, fixed, physical.
    pub const fn message(vector: Vector, destination: Destination) -> Self {
        Self {
            suppress_faults: false,
            delivery: DeliveryMode::Fixed,
            request_eoi: false,
            destination_mode: DestinationMode::Physical,
            destination,
            vector,
        }
    }

    const fn flags(&self) -> u64 {
        let mut flags = ENABLED;
        if self.suppress_faults {
            flags |= SUPPRESS;
        }
        if let DeliveryMode::LowestPriority = self.delivery {
            flags |= 1 << 2;
        }
        if self.request_eoi {
            flags |= REQUEST_EOI;
        }
        if let DestinationMode::Logical = self.destination_mode {
            flags |= LOGICAL;
        }
        flags
    }

    /// 32 bits, with RemapEn set. Of a 32-bit APIC id the low 8 bits: a unit in this format
    /// takes no others.
    pub const fn encode_short(&self) -> u32 {
        let destination = match self.destination {
            Destination::XApic(id) => id as u32,
            Destination::X2Apic(id) => id & 0xff,
        };
        self.flags() as u32 | destination << 8 | (self.vector.number() as u32) << 16
    }

    /// The two halves of 128 bits, low first, with RemapEn set.
    pub const fn encode_wide(&self) -> [u64; 2] {
        let vector = self.vector.number() as u64;
        match self.destination {
            Destination::XApic(id) => [self.flags() | (id as u64) << 8, vector],
            Destination::X2Apic(id) => {
                let (low, high) = (id as u64 & 0xff_ffff, id as u64 >> 24);
                [self.flags() | low << 8, vector | high << 56]
            }
        }
    }

    /// `Ok(None)` when not enabled: then hardware looks at no other bit but SupIOPF.
    pub fn decode_short(entry: u32) -> Result<Option<Self>, Malformed> {
        let entry = u64::from(entry);
        if entry & ENABLED == 0 {
            return Ok(None);
        }
        reject(entry, 0xff00_0000, "reserved (31:24)")?;
        let destination = Destination::XApic(bits(entry, 8, 8) as u8);
        Self::decode(entry, bits(entry, 16, 8), destination).map(Some)
    }

    /// From a table whose destinations have 32 bits (`extended`), or 8.
    pub fn decode_wide(halves: [u64; 2], extended: bool) -> Result<Option<Self>, Malformed> {
        let [low, high] = halves;
        if low & ENABLED == 0 {
            return Ok(None);
        }
        let destination = if extended {
            reject(low, 0xffff_ffff_0000_0000, "reserved (63:32)")?;
            reject(high, 0x00ff_ffff_ffff_ff00, "reserved (119:72)")?;
            Destination::X2Apic((bits(low, 8, 24) | bits(high, 56, 8) << 24) as u32)
        } else {
            reject(low, 0xffff_ffff_ffff_0000, "reserved (63:16)")?;
            reject(high, 0xffff_ffff_ffff_ff00, "reserved (127:72)")?;
            Destination::XApic(bits(low, 8, 8) as u8)
        };
        Self::decode(low, bits(high, 0, 8), destination).map(Some)
    }

    fn decode(low: u64, vector: u64, destination: Destination) -> Result<Self, Malformed> {
        reject(low, GUEST_MODE, "GuestMode")?;
        Ok(Self {
            suppress_faults: low & SUPPRESS != 0,
            delivery: match bits(low, 2, 3) {
                0b000 => DeliveryMode::Fixed,
                0b001 => DeliveryMode::LowestPriority,
                _ => return Err(Malformed { field: "IntType" }),
            },
            request_eoi: low & REQUEST_EOI != 0,
            destination_mode: if low & LOGICAL == 0 {
                DestinationMode::Physical
            } else {
                DestinationMode::Logical
            },
            destination,
            vector: Vector::new(vector as u8).ok_or(Malformed { field: "Vector" })?,
        })
    }
}

/// A message that names an entry of the sender's table, §2.2.5.1: an edge message to
/// FEE0_0000h whose data 10:0 are the entry's number. Up to 512 entries, bits 10:8, where a
/// message has its delivery mode, stay at *fixed* or *arbitrated*, as units want them that can
/// not take more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexMessage {
    /// The entry, below 2048.
    pub number: u16,
}

impl IndexMessage {
    const ADDRESS: u64 = 0xfee0_0000;
    const NUMBERS: u32 = 0x7ff;

    /// Address and data.
    pub const fn encode(self) -> Pair {
        Pair { address: Self::ADDRESS, data: self.number as u32 & Self::NUMBERS }
    }

    /// Any message into the interrupt window names an entry; what else stands in its address
    /// does not matter. Level messages (data 15) are no messages of this server's.
    pub fn decode(pair: Pair) -> Result<Self, Malformed> {
        if pair.address >> 20 != Self::ADDRESS >> 20 {
            return Err(Malformed { field: "address" });
        }
        if pair.data & !Self::NUMBERS != 0 {
            return Err(Malformed { field: "data (31:11)" });
        }
        Ok(Self { number: pair.data as u16 })
    }
}
