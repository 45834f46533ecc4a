//! GICv3 Interrupt Translation Service (Arm IHI 0069, GIC architecture specification v3 and
//! v4; chapter numbers are those of issue H).
//!
//! A device writes an EventID to GITS_TRANSLATER; the interconnect adds its DeviceID. The ITS
//! looks the device up (device table → its interrupt translation table, ITT), the event up
//! (ITT → LPI and collection) and the collection up (→ redistributor). Whether the LPI is
//! let through to the CPU is one byte in memory, the LPI's property. So there is no vector
//! space here: the CPU event *is* the LPI, a number for the whole machine, and only its CPU
//! is chosen.
//!
//! The formats are values with `encode` and a strict `decode`. [`ItsUnit`] drives an ITS
//! through [`ItsRegisters`] and [`DmaRegion`](crate::vtd::DmaRegion), [`enable_lpis`] a
//! redistributor's LPI side; nothing else here has an effect.

mod backend;
mod bringup;
mod command;
mod devices;
mod events;
mod ids;
mod pool;
mod probe;
mod property;
mod queue;
mod redistributor;
mod registers;
mod tables;
mod unit;

pub use bringup::{DeviceTable, ItsConfig, ItsInitError, ItsMemory, RedistributorTarget};
pub use command::Command;
pub use devices::{AttachError, Attached, DetachError};
pub use events::{
    Event, EventBlock, EventCapabilities, EventRemapper, EventReserveError, EventState, Prepare,
    PrepareError, Stale,
};
pub use ids::{CollectionId, DeviceId, EventId, Lpi, RdBase};
pub use pool::TableMemory;
pub use probe::{ItsProbe, TableNeed};
pub use property::{LpiProperty, LpiTable, LpiTableError, Priority};
pub use redistributor::{
    LpisEnabled, PendingTableNeed, RedistributorControl, RedistributorError, RedistributorType,
    enable_lpis,
};
pub use registers::{Control, ItsType, ReadPointer, WritePointer, offset, translater};
pub use tables::{
    CommandBase, LevelOneEntry, MemoryAttributes, PageSize, PendingBase, PropertyBase, TableBase,
    TableKind,
};
pub use unit::{ItsError, ItsRegisters, ItsStep, ItsUnit};

use crate::vtd::Malformed;

/// `Err` naming the field when any of the `reserved` bits is set in `value`.
const fn reject(value: u64, reserved: u64, field: &'static str) -> Result<(), Malformed> {
    if value & reserved != 0 {
        return Err(Malformed { field });
    }
    Ok(())
}

/// Bits `low + width - 1 : low` of a value, `width` below 64.
pub(crate) const fn bits(value: u64, low: u32, width: u32) -> u64 {
    value >> low & ((1 << width) - 1)
}
