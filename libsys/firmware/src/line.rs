//! Interrupt lines, as every kind of firmware describes them.

use core::fmt;

/// What of a line counts as an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A change to the asserted level.
    Edge,
    /// The asserted level, for as long as it is there. Only such lines can be shared.
    Level,
}

/// Which level of a line is the asserted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// High, or a rising edge.
    High,
    /// Low, or a falling edge.
    Low,
}

/// An input of the machine's interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// A global system interrupt on a PC (ACPI 5.2.12.3), an INTID on Arm.
    pub number: u32,
    /// What counts.
    pub trigger: Trigger,
    /// Which level.
    pub polarity: Polarity,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.trigger, self.polarity) {
            (Trigger::Edge, Polarity::High) => "rising edge",
            (Trigger::Edge, Polarity::Low) => "falling edge",
            (Trigger::Level, Polarity::High) => "level high",
            (Trigger::Level, Polarity::Low) => "level low",
        };
        write!(f, "{} ({how})", self.number)
    }
}
