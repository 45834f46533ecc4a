//! The IOAPIC: wires become messages (82093AA datasheet §3; ICH and later PCH datasheets, "I/O
//! APIC"; for remapped entries VT-d §5.1.5.1 and AMD 48882 §2.2.5.1).
//!
//! A pin's redirection entry is a message store like any other: it holds the message that the
//! pin sends. What is special is that the interrupt server itself writes it, and that a level
//! pin is held by the chip (Remote IRR) until somebody says that its cause is gone.
//!
//! | | where it is said |
//! | --- | --- |
//! | whose message it is | the remapper's entry: the source id of this IOAPIC |
//! | which CPU and vector | the remapper's entry, always edge |
//! | edge or level, high or low | the pin's redirection entry |
//! | that a level's owner has answered | a write of the pin's EOI vector to this chip's EOI register |
//!
//! To the CPU every message is an edge, so no CPU broadcasts an end of interrupt for one, and
//! nothing releases a level pin but its owner. The entry's vector field, which with a remapper
//! only the EOI register looks at, is the pin's number (VT-d) or the remapper's entry number
//! (AMD-Vi): below 32 on chips of up to 32 pins, where no CPU has a device's vector.
//!
//! [`IoApic`] drives a chip through [`IoApicRegisters`], [`IoApics`] are all of a machine, whose pins
//! are known by their GSI; the formats are values.

mod entry;
mod lines;
mod registers;
mod unit;
mod wires;

pub use entry::{EntryForm, PinEntry, PinMessage, PinStatus, Polarity};
pub use lines::{Chip, GsiOverlap, IoApics, LineError};
pub use registers::{Version, offset, register};
pub use unit::{IoApic, IoApicInitError, IoApicRegisters, PinError};
