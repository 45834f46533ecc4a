//! AMD-Vi interrupt remapping (AMD I/O Virtualization Technology Specification, 48882; section
//! numbers are those of revision 3).
//!
//! | | VT-d | AMD-Vi |
//! | --- | --- | --- |
//! | entries | one table for all | a table for each device, found by its id in the device table |
//! | who may use one | a source check in the entry | whose table it is in |
//! | a pair names | the entry, in the address | the entry, in data 10:0; the address is everybody's |
//! | an entry | 128 bits, changed by its low half | 32 bits, or 128 that change at once |
//!
//! The formats are values with `encode` and a strict `decode`. [`AmdViUnit`] drives a unit
//! through [`AmdViRegisters`] and [`EntryMemory`]; it is the only code here that has an effect.

mod backend;
mod command;
mod device;
mod event;
mod irte;
mod log;
mod queue;
mod registers;
mod tables;
mod unit;

pub use command::Command;
pub use device::{DeviceEntry, TABLE_ALIGN};
pub use event::{EventCode, LogEvent};
pub use irte::{EntryFormat, IndexMessage, Irte};
pub use registers::{BufferBase, Control, DeviceTableBase, Features, Status, offset};
pub use unit::{
    Alias, AmdViConfig, AmdViInitError, AmdViMemory, AmdViRegisters, AmdViUnit, EntryMemory,
    Initial,
};

use crate::vtd::Malformed;

/// `Err` naming the field when any of the `reserved` bits is set in `value`.
const fn reject(value: u64, reserved: u64, field: &'static str) -> Result<(), Malformed> {
    if value & reserved != 0 {
        return Err(Malformed { field });
    }
    Ok(())
}

/// Bits `low + width - 1 : low` of a value, `width` below 64.
const fn bits(value: u64, low: u32, width: u32) -> u64 {
    value >> low & ((1 << width) - 1)
}
