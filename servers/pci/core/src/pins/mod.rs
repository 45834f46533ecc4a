//! Interrupt pins: which line a function's pin leads to, and whether the function may use it.
//!
//! Messages and the pin exclude each other (PCIe §6.1.4.3: a function that has MSI or MSI-X enabled must not use its pin),
//! and a pin shares its line with others, so that a device which asserts it without anybody who answers holds them all up.
//! So a pin is off ([`Switch`]) unless a driver has opened its wire.

mod route;
mod switch;

pub use init_control::pins::{Board, Controller, PinRule, Turn};
pub use route::{NoWire, Routes, Table};
pub use switch::{Switch, SwitchError, interrupt_status, messages_are_on};
pub use tocsin_firmware::pci_host::{NoLine, Pin, Pins};
pub use tocsin_firmware::{Line, Polarity, Trigger};
