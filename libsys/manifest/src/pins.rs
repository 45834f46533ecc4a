//! Where the interrupt pins of a known board lead.
//!
//! Under ACPI only AML says it (`_PRT`), and no interpreter runs here. So the boards that are known have a table each in
//! `boot/quirks.toml`, with where it is known from; on every other board under ACPI pins lead nowhere.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// A board, by the function 00:00.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct BoardIds {
    /// Vendor id of the host bridge, 00:00.0.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
}

/// Slots of a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct Slots {
    /// First slot.
    pub first: u8,
    /// Last slot, included.
    pub last: u8,
}

/// What a board's interrupt lines belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinController {
    /// A PC's IO APICs: lines are global system interrupts.
    IoApic,
    /// A GIC: lines are INTIDs.
    Gic,
}

/// How devices take four lines in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinTurn {
    /// By slot and pin.
    Slot,
    /// By pin alone: each slot begins with the first line.
    Pin,
}

/// What counts on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinTrigger {
    /// A change.
    Edge,
    /// The level.
    Level,
}

/// Which side of a line counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinPolarity {
    /// High, or rising.
    High,
    /// Low, or falling.
    Low,
}

/// Where the interrupt pins of some slots of a board lead: four lines that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct PinTable {
    /// The board.
    pub board: BoardIds,
    /// Whose lines.
    pub controller: PinController,
    /// Which slots of bus 0.
    pub slots: Slots,
    /// How the lines are taken.
    pub turn: PinTurn,
    /// The first line.
    pub line: u32,
    /// How all four are to be taken.
    pub trigger: PinTrigger,
    /// How all four are to be taken.
    pub polarity: PinPolarity,
    /// Where this is known from, for people.
    pub reason: String,
}

impl fmt::Display for BoardIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, device, subsystem_vendor, subsystem } = self;
        write!(f, "{vendor:04x}:{device:04x} by {subsystem_vendor:04x}:{subsystem:04x}")
    }
}
