//! Registers: three that are mapped, through two of which the others are reached.

/// Byte offsets in the chip's page (82093AA §3.1; EOI: ICH datasheets, from version 0x20 on).
pub mod offset {
    /// IOREGSEL: which register IOWIN shows, 8 bits.
    pub const SELECT: u16 = 0x00;
    /// IOWIN: the register, 32 bits.
    pub const WINDOW: u16 = 0x10;
    /// EOIR: a vector; level pins with that vector are released. Write only.
    pub const END_OF_INTERRUPT: u16 = 0x40;
}

/// Registers behind IOREGSEL (82093AA §3.2).
pub mod register {
    /// IOAPICID.
    pub const ID: u8 = 0x00;
    /// IOAPICVER.
    pub const VERSION: u8 = 0x01;
    /// IOREDTBL0, low half; each pin has two registers.
    pub const REDIRECTION: u8 = 0x10;
}

/// Lowest version with an EOI register.
const WITH_END_OF_INTERRUPT: u8 = 0x20;
/// Pins that IOREGSEL's 8 bits can reach: (0x100 - 0x10) / 2.
const MOST_PINS: u16 = 120;

/// IOAPICVER (82093AA §3.2.2): 7:0 version, 15 PRQ, 23:16 number of the last pin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// The chip's version.
    pub number: u8,
    /// How many pins it has, 1..=120.
    pub pins: u8,
}

impl Version {
    /// From the register. `None` where no chip answers (all ones, all zeros), or with more pins
    /// than there are registers for.
    pub const fn decode(value: u32) -> Option<Self> {
        let pins = (value >> 16 & 0xff) as u16 + 1;
        if value == u32::MAX || value == 0 || pins > MOST_PINS {
            return None;
        }
        Some(Self { number: value as u8, pins: pins as u8 })
    }

    /// It has an EOI register, so a level pin can be released by itself.
    pub const fn has_end_of_interrupt(self) -> bool {
        self.number >= WITH_END_OF_INTERRUPT
    }
}
