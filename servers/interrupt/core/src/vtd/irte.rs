//! Interrupt remapping table entry for remapped interrupts, §9.10: 128 bits.
//!
//! | bits | field |
//! | --- | --- |
//! | 0 | P, present |
//! | 1 | FPD, fault processing disable |
//! | 2 | DM, destination mode: 0 physical, 1 logical |
//! | 3 | RH, redirection hint |
//! | 4 | TM, trigger mode: 0 edge, 1 level |
//! | 7:5 | DLM, delivery mode |
//! | 11:8 | AVAIL, ignored by hardware |
//! | 14:12 | reserved |
//! | 15 | IM, mode: 0 remapped, 1 posted (§9.11, not used here) |
//! | 23:16 | V, vector |
//! | 31:24 | reserved |
//! | 63:32 | DST: xAPIC mode bits 47:40, the others reserved; x2APIC mode all 32 |
//! | 79:64 | SID, source id |
//! | 81:80 | SQ, source id qualifier |
//! | 83:82 | SVT, source validation type |
//! | 127:84 | reserved |

use super::{Malformed, bits, reject};
use crate::{ApicId, RequesterId, Source, Vector};

const PRESENT: u64 = 1;
const FAULT_DISABLE: u64 = 1 << 1;
const LOGICAL: u64 = 1 << 2;
const REDIRECTION_HINT: u64 = 1 << 3;
const LEVEL: u64 = 1 << 4;
const LOW_RESERVED: u64 = 0xff00_7000;
const POSTED: u64 = 1 << 15;
/// DST bits that are reserved in xAPIC mode: all but 47:40.
const XAPIC_RESERVED: u64 = 0xffff_00ff_0000_0000;
/// Bits 127:84, as they lie in the high half.
const HIGH_RESERVED: u64 = !0xf_ffff;

/// A present entry's contents. A blocked entry is no `Irte`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Irte {
    /// Do not record faults for this entry. This server never sets it.
    pub fault_disable: bool,
    /// How `destination` is understood.
    pub destination_mode: DestinationMode,
    /// Deliver to one of the addressed CPUs rather than to all.
    pub redirection_hint: bool,
    /// Edge or level.
    pub trigger: Trigger,
    /// What the CPU is to do.
    pub delivery: DeliveryMode,
    /// The vector raised.
    pub vector: Vector,
    /// The CPU addressed.
    pub destination: Destination,
    /// Whose requests are accepted.
    pub source: SourceCheck,
}

/// DM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DestinationMode {
    /// The destination is one APIC id.
    Physical,
    /// The destination is a logical set.
    Logical,
}

/// TM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// Edge: what every message is.
    Edge,
    /// Level: IOAPIC pins only.
    Level,
}

/// DLM, without the modes that take no vector from the entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryMode {
    /// To all addressed CPUs.
    Fixed,
    /// To the addressed CPU of the lowest priority.
    LowestPriority,
}

/// DST, in the form that the table's mode (IRTA_REG.EIME) asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// xAPIC mode: 8 bits.
    XApic(u8),
    /// x2APIC mode: 32 bits.
    X2Apic(u32),
}

/// SVT, SQ and SID together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceCheck {
    /// SVT 00: anyone. Decoded because hardware takes it; this server never writes it.
    None,
    /// SVT 01: compare the requester id. `ignore` is SQ: 0 compares all 16 bits, 1 ignores
    /// bit 2, 2 ignores bits 2:1, 3 ignores bits 2:0.
    Compare {
        /// The id to compare with.
        id: RequesterId,
        /// SQ, 0..4.
        ignore: u8,
    },
    /// SVT 10: the request's bus number lies between these two, both included.
    Buses {
        /// SID bits 7:0.
        first: u8,
        /// SID bits 15:8.
        last: u8,
    },
}

impl SourceCheck {
    /// Whether hardware lets a request of `id` through.
    pub const fn accepts(self, id: RequesterId) -> bool {
        match self {
            SourceCheck::None => true,
            SourceCheck::Compare { id: own, ignore } => {
                let ignored = [0, 0b100, 0b110, 0b111][ignore as usize & 3];
                own.bits() & !ignored == id.bits() & !ignored
            }
            SourceCheck::Buses { first, last } => first <= id.bus() && id.bus() <= last,
        }
    }
}

impl From<Source> for SourceCheck {
    fn from(source: Source) -> Self {
        match source {
            Source::Function(id) | Source::Pins(id) => SourceCheck::Compare { id, ignore: 0 },
            Source::Device(id) => SourceCheck::Compare { id, ignore: 3 },
            Source::Buses { first, last } => SourceCheck::Buses { first, last },
        }
    }
}

impl Destination {
    /// A CPU in the form of the table's mode. `None` when its id does not fit: xAPIC has 8
    /// bits, of which 0xff means everyone.
    pub const fn new(apic: ApicId, extended: bool) -> Option<Self> {
        match (extended, apic.bits()) {
            (true, u32::MAX) => None,
            (true, id) => Some(Destination::X2Apic(id)),
            (false, id) if id < 0xff => Some(Destination::XApic(id as u8)),
            (false, _) => None,
        }
    }
}

impl Irte {
    /// The low half of an entry that is reserved or blocked: not present, and FPD clear, so
    /// that a late write is recorded as a fault. The high half then means nothing.
    pub const BLOCKED_LOW: u64 = 0;

    /// The entry that sends `source`'s messages to one CPU: edge, fixed, physical.
    pub const fn message(source: SourceCheck, vector: Vector, destination: Destination) -> Self {
        Self {
            fault_disable: false,
            destination_mode: DestinationMode::Physical,
            redirection_hint: false,
            trigger: Trigger::Edge,
            delivery: DeliveryMode::Fixed,
            vector,
            destination,
            source,
        }
    }

    /// The two 64-bit halves, low first, with P set.
    pub const fn encode(&self) -> [u64; 2] {
        let mut low = PRESENT | (self.vector.number() as u64) << 16;
        if self.fault_disable {
            low |= FAULT_DISABLE;
        }
        if let DestinationMode::Logical = self.destination_mode {
            low |= LOGICAL;
        }
        if self.redirection_hint {
            low |= REDIRECTION_HINT;
        }
        if let Trigger::Level = self.trigger {
            low |= LEVEL;
        }
        if let DeliveryMode::LowestPriority = self.delivery {
            low |= 1 << 5;
        }
        low |= match self.destination {
            Destination::XApic(id) => (id as u64) << 40,
            Destination::X2Apic(id) => (id as u64) << 32,
        };
        let high = match self.source {
            SourceCheck::None => 0,
            SourceCheck::Compare { id, ignore } => {
                id.bits() as u64 | (ignore as u64 & 3) << 16 | 0b01 << 18
            }
            SourceCheck::Buses { first, last } => first as u64 | (last as u64) << 8 | 0b10 << 18,
        };
        [low, high]
    }

    /// From a table whose mode is known. `Ok(None)` when not present: then hardware looks at
    /// no other bit but FPD.
    pub fn decode(halves: [u64; 2], extended: bool) -> Result<Option<Self>, Malformed> {
        let [low, high] = halves;
        if low & PRESENT == 0 {
            return Ok(None);
        }
        reject(low, LOW_RESERVED, "reserved (31:24, 14:12)")?;
        reject(low, POSTED, "IM")?;
        reject(high, HIGH_RESERVED, "reserved (127:84)")?;
        let destination = if extended {
            Destination::X2Apic(bits(low, 32, 32) as u32)
        } else {
            reject(low, XAPIC_RESERVED, "DST")?;
            Destination::XApic(bits(low, 40, 8) as u8)
        };
        let sid = bits(high, 0, 16) as u16;
        let source = match (bits(high, 18, 2), bits(high, 16, 2) as u8) {
            (0b00, 0) if sid == 0 => SourceCheck::None,
            (0b00, _) => return Err(Malformed { field: "SID without SVT" }),
            (0b01, ignore) => SourceCheck::Compare { id: RequesterId::from_bits(sid), ignore },
            (0b10, 0) => SourceCheck::Buses { first: sid as u8, last: (sid >> 8) as u8 },
            (0b10, _) => return Err(Malformed { field: "SQ" }),
            _ => return Err(Malformed { field: "SVT" }),
        };
        Ok(Some(Self {
            fault_disable: low & FAULT_DISABLE != 0,
            destination_mode: if low & LOGICAL == 0 {
                DestinationMode::Physical
            } else {
                DestinationMode::Logical
            },
            redirection_hint: low & REDIRECTION_HINT != 0,
            trigger: if low & LEVEL == 0 { Trigger::Edge } else { Trigger::Level },
            delivery: match bits(low, 5, 3) {
                0b000 => DeliveryMode::Fixed,
                0b001 => DeliveryMode::LowestPriority,
                _ => return Err(Malformed { field: "DLM" }),
            },
            vector: Vector::new(bits(low, 16, 8) as u8).ok_or(Malformed { field: "V" })?,
            destination,
            source,
        }))
    }
}
