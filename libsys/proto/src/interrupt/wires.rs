//! Lines: interrupts that come by a wire (an IOAPIC's pin, a GIC's SPI).
//!
//! Who may open which line is said by the system's own servers; nobody else's request opens it.
//! The id that [`WireOpen`] answers with is a [`MessageId`] that no message has:
//! [`SetAffinity`](super::SetAffinity) takes it too.

use super::{Error, MessageId};
use crate::wire::{Reader, operation};
use crate::{DecodeError, Nothing, Reply, Words};

/// A line: a global system interrupt on a PC, an INTID on Arm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct LineId(pub u32);

impl core::fmt::Display for LineId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "line {}", self.0)
    }
}

/// What of a line counts as an interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Trigger {
    /// A change to the asserted level.
    Edge = 0,
    /// The asserted level, for as long as it is there.
    Level = 1,
}

/// Which level of a line is the asserted one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Polarity {
    /// High, or a rising edge.
    High = 0,
    /// Low, or a falling edge.
    Low = 1,
}

/// How a line is wired, which its device decides and firmware says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Wiring {
    /// Edge or level.
    pub trigger: Trigger,
    /// High or low.
    pub polarity: Polarity,
}

impl Wiring {
    /// Two bits: the trigger, then the polarity.
    #[must_use]
    pub const fn to_bits(self) -> u8 {
        self.trigger as u8 | (self.polarity as u8) << 1
    }

    /// From such bits; `None` when others are set.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Wiring> {
        if bits >> 2 != 0 {
            return None;
        }
        let trigger = if bits & 1 == 0 { Trigger::Edge } else { Trigger::Level };
        let polarity = if bits & 2 == 0 { Polarity::High } else { Polarity::Low };
        Some(Wiring { trigger, polarity })
    }
}

impl core::fmt::Display for Wiring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match (self.trigger, self.polarity) {
            (Trigger::Edge, Polarity::High) => "rising edge",
            (Trigger::Edge, Polarity::Low) => "falling edge",
            (Trigger::Level, Polarity::High) => "level high",
            (Trigger::Level, Polarity::Low) => "level low",
        })
    }
}

/// Whether others may have the line too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum WireMode {
    /// Nobody else. The message is the line's own, and nobody is in between.
    Exclusive = 0,
    /// Whoever else may open it and says the same. Levels only. The message is one that the
    /// server signals.
    Shared = 1,
}

/// Opens a line. The message's handle comes with the reply; bind it, and then look at the device
/// once: an edge that came before is not told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireOpen {
    /// Which.
    pub line: LineId,
    /// How its device drives it: has to be what the system says of it.
    pub wiring: Wiring,
    /// Whether others may have it too.
    pub mode: WireMode,
    /// CPUs that may take it, one bit each. Who comes later to a shared line takes it where it is.
    pub cpus: u64,
}

operation! { WireOpen = 32, handles 0 => WireOpened;
    put(request, words) {
        let how = u64::from(request.wiring.to_bits()) | (request.mode as u64) << 8;
        words.put(u64::from(request.line.0) | how << 32);
        words.put(request.cpus);
    }
    get(reader) {
        let mut bits = reader.bits()?;
        let line = LineId(bits.long());
        let wiring = Wiring::from_bits(bits.byte()).ok_or(DecodeError::BadValue)?;
        let mode = if bits.flag() { WireMode::Shared } else { WireMode::Exclusive };
        bits.end()?;
        Ok(WireOpen { line, wiring, mode, cpus: reader.word()? })
    }
}

/// Whom an owner tells that a level's cause is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Acknowledge {
    /// Nobody: an edge stands for itself.
    Nobody = 0,
    /// The kernel, by `message_acknowledge`.
    Kernel = 1,
    /// The server, by [`WireAcknowledge`].
    Server = 2,
}

/// Reply to [`WireOpen`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireOpened {
    /// The wire's id at the server.
    pub id: MessageId,
    /// Whom to tell that its cause is gone.
    pub acknowledge: Acknowledge,
    /// CPU that the line leads to.
    pub cpu: u8,
    /// Vector there; on aarch64 the INTID.
    pub vector: u16,
}

impl Reply for WireOpened {
    fn put(&self, words: &mut Words) {
        words.put(self.id.0);
        let acknowledge = (self.acknowledge as u64) << 24;
        words.put(u64::from(self.vector) | u64::from(self.cpu) << 16 | acknowledge);
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        if handles != 1 {
            return Err(DecodeError::WrongHandles);
        }
        let id = MessageId(reader.word()?);
        let mut bits = reader.bits()?;
        let (vector, cpu) = (bits.half(), bits.byte());
        let acknowledge = match bits.byte() {
            0 => Acknowledge::Nobody,
            1 => Acknowledge::Kernel,
            2 => Acknowledge::Server,
            _ => return Err(DecodeError::BadValue),
        };
        bits.end()?;
        Ok(WireOpened { id, acknowledge, cpu, vector })
    }
}

/// Gives a wire back: when it answers, no packet of it comes any more. The last owner's close
/// masks the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireClose {
    /// Which wire.
    pub id: MessageId,
}

operation! { WireClose = 33, handles 0 => Nothing;
    put(request, words) { words.put(request.id.0); }
    get(reader) { Ok(WireClose { id: MessageId(reader.word()?) }) }
}

/// The device has been served, or wants nothing: as far as this owner is concerned the level may
/// come again. `BadState` on an edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireAcknowledge {
    /// Which wire.
    pub id: MessageId,
}

operation! { WireAcknowledge = 34, handles 0 => Nothing;
    put(request, words) { words.put(request.id.0); }
    get(reader) { Ok(WireAcknowledge { id: MessageId(reader.word()?) }) }
}
