//! The interrupt pins of PCI functions.

use core::fmt;

/// INTA to INTD of a function, or of the slot that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin(u8);

/// Pins of a function.
const PINS: u8 = 4;

impl Pin {
    /// All four.
    pub const ALL: [Self; PINS as usize] = [Self(0), Self(1), Self(2), Self(3)];

    /// From a function's interrupt pin register (PCIe §7.5.1.1.13): zero is a function that uses none, and what is above 4
    /// is reserved.
    pub const fn from_register(value: u8) -> Option<Self> {
        match value {
            1..=PINS => Some(Self(value - 1)),
            _ => None,
        }
    }

    /// As the register and device trees have it: 1 for INTA.
    pub const fn number(self) -> u8 {
        self.0 + 1
    }

    /// 0 for INTA.
    pub const fn index(self) -> u8 {
        self.0
    }

    /// The pin of a bridge that the pin of device `device` behind it comes out at (PCI-to-PCI bridge §9.1, table 9-1; for
    /// PCI Express PCIe §2.2.8.1, table 2-21): devices take the four in turn.
    #[must_use]
    pub const fn swizzle(self, device: u8) -> Self {
        Self(self.0.wrapping_add(device) % PINS)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INT{}", char::from(b'A' + self.0))
    }
}
