//! Message-based interrupts, MBI: SPIs that a device raises by writing their INTID to the
//! distributor (GICD_TYPER.MBIS; Arm IHI 0069H §12.9.35).
//!
//! | | |
//! | --- | --- |
//! | pair | (GICD_SETSPI_NSR in the frame, or in the alias of it that firmware names; the INTID) |
//! | entry | an SPI out of those that firmware leaves to messages (`mbi-ranges`), for any device |
//! | CPU event | the same SPI, for good; its CPU is chosen at `activate` |
//! | affinity | GICD_IROUTER: the pair stays what it is |
//! | blocked | the SPI is disabled; what a device writes stays pending |
//! | off | disabled, seen everywhere (GICD_CTLR.RWP), pending cleared |
//! | who may raise it | anybody who can write to that address: **not isolated** |
//!
//! The write carries the INTID and nothing else: no requester id, no DeviceID is looked at.
//! A device that writes another's INTID raises another's message, and one that goes on
//! writing after its message was freed raises it for whoever has the SPI next. Until then
//! what it writes is latched; it is forgotten when the SPI is activated again.
//!
//! # Level
//! A message may be a level ([`MbiUnit::set_trigger`]): then the device needs two pairs, one
//! that raises it and one that takes it down. The second follows from the first
//! ([`clearing_pair`]): the same data, written to GICD_CLRSPI_NSR, eight bytes further on. So
//! no second capability is needed: who may read the one pair knows the other.

mod backend;
mod unit;

pub use unit::{MbiConfig, MbiInitError, MbiUnit};

use crate::Pair;
use crate::gicd::offset;

/// The pair that takes a level message down, of the pair that raises it.
pub const fn clearing_pair(raising: Pair) -> Pair {
    let apart = (offset::CLEAR_SPI - offset::SET_SPI) as u64;
    Pair { address: raising.address + apart, data: raising.data }
}
