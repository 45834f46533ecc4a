//! A redirection entry (82093AA §3.2.4), 64 bits.
//!
//! | bits | compatibility | VT-d, remappable (§5.1.5.1) | AMD-Vi |
//! | --- | --- | --- | --- |
//! | 7:0 | vector | vector, for EOI only | entry number 7:0, and for EOI |
//! | 10:8 | delivery mode: 000 fixed | 000 | entry number 10:8 |
//! | 11 | destination mode: 0 physical | index 15 | 0 |
//! | 12 | delivery status, read only | the same | the same |
//! | 13 | polarity: 1 active low | the same | the same |
//! | 14 | Remote IRR, read only | the same | the same |
//! | 15 | trigger: 1 level | the same | the same |
//! | 16 | mask | the same | the same |
//! | 47:17 | reserved | reserved | reserved |
//! | 48 | reserved | 1, remappable | reserved |
//! | 55:49 | reserved | index 6:0 | reserved |
//! | 63:56 | destination APIC id | index 14:7 | reserved |

use crate::amdvi::IndexMessage;
use crate::vtd::{CompatibilityMessage, Malformed, RemappableMessage, Trigger};
use crate::{EntryIndex, Pair, Vector};

const INDEX_HIGH: u64 = 1 << 11;
const DELIVERY_PENDING: u64 = 1 << 12;
const ACTIVE_LOW: u64 = 1 << 13;
const REMOTE_IRR: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;
pub(super) const MASKED: u64 = 1 << 16;
const REMAPPABLE: u64 = 1 << 48;
/// Bits 47:17.
const RESERVED: u64 = 0x0000_ffff_fffe_0000;

/// Which level of a wire means that its source wants something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Polarity {
    /// High, or a rising edge.
    High,
    /// Low, or a falling edge.
    Low,
}

/// How the chip's messages are understood: what stands behind it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EntryForm {
    /// A VT-d unit.
    VtD,
    /// An AMD IOMMU.
    AmdVi,
    /// Nothing: CPU and vector stand in the entry.
    Compatibility,
}

/// What a pin sends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PinMessage {
    /// Names a VT-d entry. The vector is for EOI only.
    Remappable {
        /// The entry.
        index: EntryIndex,
        /// What the EOI register takes for this pin.
        eoi: u8,
    },
    /// Names an entry of the chip's own AMD-Vi table, below 2048.
    Indexed {
        /// The entry. Its low 8 bits are what the EOI register takes.
        number: u16,
    },
    /// Names the CPU and the vector: fixed, physical.
    Direct {
        /// The CPU's 8-bit APIC id.
        destination: u8,
        /// The vector raised.
        vector: Vector,
    },
}

impl PinMessage {
    /// The message of a pin, from the pair that was composed for it. Fails where the pair is not
    /// of that form.
    pub fn new(pair: Pair, form: EntryForm, pin: u8) -> Result<Self, Malformed> {
        Ok(match form {
            EntryForm::VtD => {
                let entry = RemappableMessage::decode(pair)?.entry();
                let index = entry.ok_or(Malformed { field: "subhandle" })?;
                PinMessage::Remappable { index, eoi: pin }
            }
            EntryForm::AmdVi => PinMessage::Indexed { number: IndexMessage::decode(pair)?.number },
            EntryForm::Compatibility => {
                let CompatibilityMessage { destination, vector } =
                    CompatibilityMessage::decode(pair)?;
                PinMessage::Direct { destination, vector }
            }
        })
    }

    /// What the EOI register takes for it.
    pub const fn eoi(self) -> u8 {
        match self {
            PinMessage::Remappable { eoi, .. } => eoi,
            PinMessage::Indexed { number } => number as u8,
            PinMessage::Direct { vector, .. } => vector.number(),
        }
    }
}

/// What is written into a pin's entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PinEntry {
    /// Edge or level.
    pub trigger: Trigger,
    /// High or low.
    pub polarity: Polarity,
    /// The pin sends nothing.
    pub masked: bool,
    /// What it sends.
    pub message: PinMessage,
}

impl PinEntry {
    /// The 64 bits, of which the status bits are zero.
    pub const fn encode(self) -> u64 {
        let mut entry = match self.message {
            PinMessage::Remappable { index, eoi } => {
                let index = index.bits() as u64;
                let high = if index & 0x8000 == 0 { 0 } else { INDEX_HIGH };
                (index & 0x7fff) << 49 | REMAPPABLE | high | eoi as u64
            }
            PinMessage::Indexed { number } => number as u64 & 0x7ff,
            PinMessage::Direct { destination, vector } => {
                (destination as u64) << 56 | vector.number() as u64
            }
        };
        if let Polarity::Low = self.polarity {
            entry |= ACTIVE_LOW;
        }
        if let Trigger::Level = self.trigger {
            entry |= LEVEL;
        }
        if self.masked {
            entry |= MASKED;
        }
        entry
    }

    /// From a chip behind that form of remapper. Status bits are not looked at.
    pub fn decode(entry: u64, form: EntryForm) -> Result<Self, Malformed> {
        reject(entry, RESERVED, "reserved (47:17)")?;
        let message = match form {
            EntryForm::VtD => {
                if entry & REMAPPABLE == 0 {
                    return Err(Malformed { field: "interrupt format" });
                }
                reject(entry, 0x700, "delivery mode")?;
                let high = if entry & INDEX_HIGH == 0 { 0 } else { 0x8000 };
                let index = EntryIndex::new((entry >> 49) as u16 | high);
                PinMessage::Remappable { index, eoi: entry as u8 }
            }
            EntryForm::AmdVi => {
                reject(entry, 0xffff << 48, "reserved (63:48)")?;
                reject(entry, INDEX_HIGH, "destination mode")?;
                PinMessage::Indexed { number: entry as u16 & 0x7ff }
            }
            EntryForm::Compatibility => {
                reject(entry, 0xff << 48, "reserved (55:48)")?;
                reject(entry, 0x700, "delivery mode")?;
                reject(entry, INDEX_HIGH, "destination mode")?;
                let vector = Vector::new(entry as u8).ok_or(Malformed { field: "vector" })?;
                PinMessage::Direct { destination: (entry >> 56) as u8, vector }
            }
        };
        Ok(Self {
            trigger: if entry & LEVEL == 0 { Trigger::Edge } else { Trigger::Level },
            polarity: if entry & ACTIVE_LOW == 0 { Polarity::High } else { Polarity::Low },
            masked: entry & MASKED != 0,
            message,
        })
    }
}

/// What the chip says of a pin, in the low half of its entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PinStatus {
    /// A message has left the pin and not been accepted yet.
    pub delivery_pending: bool,
    /// A level was accepted, and no EOI has come since. Means nothing on edge pins.
    pub remote_irr: bool,
    /// It is masked.
    pub masked: bool,
    /// It is a level pin.
    pub level: bool,
}

impl PinStatus {
    /// From the low half. Every value is legal.
    pub const fn decode(low: u32) -> Self {
        let low = low as u64;
        Self {
            delivery_pending: low & DELIVERY_PENDING != 0,
            remote_irr: low & REMOTE_IRR != 0,
            masked: low & MASKED != 0,
            level: low & LEVEL != 0,
        }
    }
}

const fn reject(value: u64, reserved: u64, field: &'static str) -> Result<(), Malformed> {
    if value & reserved != 0 {
        return Err(Malformed { field });
    }
    Ok(())
}
