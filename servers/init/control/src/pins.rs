//! Where a known board's interrupt pins lead.
//!
//! Under ACPI only AML says it (`_PRT`), which nobody here runs. What the manifest says instead (`[[pins]]`) goes from
//! `init` to `pci` as values of its startup page, one entry a rule, and counts for the board that the rule names only.

use tocsin_firmware::pci_host::Pin;
use tocsin_firmware::{Line, Polarity, Trigger};

/// A board, known by its host bridge: the function 00:00.0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Board {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id: whose board it is.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
}

/// What the lines belong to. One host bridge can be on boards of several architectures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Controller {
    /// A PC's IO APICs: lines are global system interrupts.
    IoApic,
    /// A GIC: lines are INTIDs.
    Gic,
}

/// How devices take the four lines in turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// By slot and pin: INTA of the next slot has the next line.
    SlotAndPin,
    /// By pin alone: INTA of each slot has the first line.
    Pin,
}

/// Four lines that follow each other, and the slots on the root bus whose pins they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PinRule {
    /// The board.
    pub board: Board,
    /// Whose lines.
    pub controller: Controller,
    /// First slot.
    pub first_slot: u8,
    /// Last slot, included.
    pub last_slot: u8,
    /// How they are taken.
    pub turn: Turn,
    /// The first of the four, and how all of them are to be taken.
    pub line: Line,
}

/// Lines of a rule: as many as pins.
const LINES: u32 = Pin::ALL.len() as u32;
/// Highest slot (PCIe §7.5.1: 5 bits).
const LAST_SLOT: u8 = 31;

impl PinRule {
    /// Name of its entry on the startup page.
    pub const ENTRY: &'static str = "pins";

    /// The line of a pin in a slot of the root bus. `None` when the rule is not for that slot.
    #[must_use]
    pub fn line(&self, slot: u8, pin: Pin) -> Option<Line> {
        if !(self.first_slot..=self.last_slot).contains(&slot) {
            return None;
        }
        let turn = match self.turn {
            Turn::SlotAndPin => pin.swizzle(slot),
            Turn::Pin => pin,
        };
        // `is_sound` has looked at the last.
        Some(Line { number: self.line.number.wrapping_add(turn.index().into()), ..self.line })
    }

    /// The slots are slots, in order, and all four lines have numbers.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.first_slot <= self.last_slot
            && self.last_slot <= LAST_SLOT
            && self.line.number.checked_add(LINES - 1).is_some()
    }

    /// As the two values of an entry.
    #[must_use]
    pub fn values(&self) -> (u64, u64) {
        let Board { vendor, device, subsystem_vendor, subsystem } = self.board;
        let board = u64::from(vendor)
            | u64::from(device) << 16
            | u64::from(subsystem_vendor) << 32
            | u64::from(subsystem) << 48;
        let rule = u64::from(self.line.number)
            | u64::from(self.first_slot) << 32
            | u64::from(self.last_slot) << 40
            | u64::from(self.controller == Controller::Gic) << 48
            | u64::from(self.turn == Turn::Pin) << 49
            | u64::from(self.line.trigger == Trigger::Level) << 50
            | u64::from(self.line.polarity == Polarity::Low) << 51;
        (board, rule)
    }

    /// From an entry; `None` unless it is exactly such a rule.
    #[must_use]
    pub fn from_values(board: u64, rule: u64) -> Option<Self> {
        let half = |shift: u32| (board >> shift) as u16;
        let flag = |bit: u32| rule >> bit & 1 != 0;
        let found = Self {
            board: Board {
                vendor: half(0),
                device: half(16),
                subsystem_vendor: half(32),
                subsystem: half(48),
            },
            controller: if flag(48) { Controller::Gic } else { Controller::IoApic },
            first_slot: (rule >> 32) as u8,
            last_slot: (rule >> 40) as u8,
            turn: if flag(49) { Turn::Pin } else { Turn::SlotAndPin },
            line: Line {
                number: rule as u32,
                trigger: if flag(50) { Trigger::Level } else { Trigger::Edge },
                polarity: if flag(51) { Polarity::Low } else { Polarity::High },
            },
        };
        (rule >> 52 == 0 && found.is_sound()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q35: PinRule = PinRule {
        board: Board {
            vendor: 0x8086,
            device: 0x29c0,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        },
        controller: Controller::IoApic,
        first_slot: 0,
        last_slot: 24,
        turn: Turn::SlotAndPin,
        line: Line { number: 20, trigger: Trigger::Level, polarity: Polarity::High },
    };

    #[test]
    fn values_by_hand_and_there_and_back() {
        assert_eq!(Q35.values(), (0x1100_1af4_29c0_8086, 0x0004_1800_0000_0014));
        let other = PinRule {
            controller: Controller::Gic,
            turn: Turn::Pin,
            first_slot: 31,
            last_slot: 31,
            line: Line { number: 35, trigger: Trigger::Edge, polarity: Polarity::Low },
            ..Q35
        };
        assert_eq!(other.values().1, 0x000b_1f1f_0000_0023);
        for rule in [Q35, other] {
            let (board, packed) = rule.values();
            assert_eq!(PinRule::from_values(board, packed), Some(rule));
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let (board, rule) = Q35.values();
        for wrong in [
            rule | 1 << 52,
            rule | 1 << 63,
            rule | 0x0020 << 40,
            rule | 0x19 << 32,
            rule & !0xffff_ffff | 0xffff_fffd,
        ] {
            assert_eq!(PinRule::from_values(board, wrong), None, "{wrong:#x}");
        }
        let last = PinRule::from_values(board, rule & !0xffff_ffff | 0xffff_fffc);
        assert_eq!(last.and_then(|rule| rule.line(0, Pin::ALL[3])).map(|l| l.number), Some(!0));
        // Every pattern of bits is a rule that comes back as it was, or none.
        for bit in 0..64 {
            for packed in [rule ^ 1 << bit, 1 << bit] {
                if let Some(found) = PinRule::from_values(board, packed) {
                    assert_eq!(found.values(), (board, packed));
                }
            }
        }
    }

    #[test]
    fn lines_are_taken_in_turn() {
        let line = |rule: PinRule, slot, pin: usize| {
            rule.line(slot, Pin::ALL[pin]).map(|line| line.number)
        };
        assert_eq!(line(Q35, 2, 0), Some(22));
        assert_eq!(line(Q35, 6, 0), Some(22));
        assert_eq!(line(Q35, 3, 1), Some(20));
        assert_eq!(line(Q35, 24, 3), Some(23));
        assert_eq!(line(Q35, 25, 0), None);
        let by_pin = PinRule { turn: Turn::Pin, first_slot: 25, last_slot: 29, ..Q35 };
        assert_eq!((line(by_pin, 26, 1), line(by_pin, 24, 1)), (Some(21), None));
    }
}
