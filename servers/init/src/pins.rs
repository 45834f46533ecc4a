//! From the manifest's tables of pins to what the PCI server is told.

use init_control::pins::{Board, Controller, PinRule, Turn};
use tocsin_firmware::{Line, Polarity, Trigger};
use tocsin_manifest::{PinController, PinPolarity, PinTable, PinTrigger, PinTurn};

/// A table of the manifest, as a rule. Its numbers were checked with the manifest.
pub fn rule(table: &PinTable) -> PinRule {
    PinRule {
        board: Board {
            vendor: table.board.vendor,
            device: table.board.device,
            subsystem_vendor: table.board.subsystem_vendor,
            subsystem: table.board.subsystem,
        },
        controller: match table.controller {
            PinController::IoApic => Controller::IoApic,
            PinController::Gic => Controller::Gic,
        },
        first_slot: table.slots.first,
        last_slot: table.slots.last,
        turn: match table.turn {
            PinTurn::Slot => Turn::SlotAndPin,
            PinTurn::Pin => Turn::Pin,
        },
        line: Line {
            number: table.line,
            trigger: match table.trigger {
                PinTrigger::Edge => Trigger::Edge,
                PinTrigger::Level => Trigger::Level,
            },
            polarity: match table.polarity {
                PinPolarity::High => Polarity::High,
                PinPolarity::Low => Polarity::Low,
            },
        },
    }
}
