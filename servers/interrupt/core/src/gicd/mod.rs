//! The distributor of a GICv3: shared peripheral interrupts, SPIs (Arm IHI 0069, chapter 12.9;
//! numbers are those of issue H).
//!
//! An SPI is one interrupt for the whole machine, INTID 32 to 1019. A wire raises it, or, where
//! the distributor takes messages (GICD_TYPER.MBIS), a write of its INTID to GICD_SETSPI_NSR.
//! The distributor has for each one: a group, an enable bit, a pending and an active state, a
//! priority, edge or level, and the CPU that it goes to.
//!
//! The kernel brings the distributor up (affinity routing on, group 1 on, every SPI disabled
//! and in group 1) and never looks at it again: what is here changes one SPI at a time.
//! [`Distributor`] drives it through [`GicdRegisters`]; the formats are values.
//!
//! | what is changed | register | counts from |
//! | --- | --- | --- |
//! | enabled | GICD_ISENABLER: one bit set | at once |
//! | disabled | GICD_ICENABLER: one bit set | GICD_CTLR.RWP clear |
//! | pending, not pending | GICD_ISPENDR, GICD_ICPENDR: one bit set | at once |
//! | priority | its byte of GICD_IPRIORITYR | at once, while disabled |
//! | edge, level | its two bits of GICD_ICFGR | at once, only while disabled |
//! | CPU | its own GICD_IROUTER | at once; what is pending goes along |
//!
//! Only GICD_ICFGR has to be read to be written, because it has no set and clear forms; nobody
//! but the interrupt server writes it, and it is one thread. All others take the change alone,
//! so several [`Distributor`]s over one frame do not disturb each other.

mod ids;
mod lines;
mod private;
mod registers;
mod unit;

pub use ids::{Route, Spi};
pub use lines::SpiLines;
pub use private::{GicLines, Ppi};
pub use registers::{DistributorControl, DistributorType, SpiTrigger, offset};
pub use unit::{Distributor, GicdInitError, GicdRegisters, SpiError, SpiSetup};
