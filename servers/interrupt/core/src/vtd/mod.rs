//! Intel VT-d interrupt remapping (Intel Virtualization Technology for Directed I/O,
//! Architecture Specification; section numbers are those of revision 4).
//!
//! The formats are values with `encode` and a strict `decode`. [`VtdUnit`] drives a unit
//! through [`VtdRegisters`] and [`DmaRegion`]; it is the only code here that has an effect.

mod backend;
mod descriptor;
mod event;
mod fault;
mod irte;
mod msi;
mod queue;
mod registers;
mod unit;

pub use descriptor::{CacheInvalidate, Descriptor, Wait};
pub use fault::FaultRecord;
pub use irte::{DeliveryMode, Destination, DestinationMode, Irte, SourceCheck, Trigger};
pub use msi::{CompatibilityMessage, RemappableMessage};
pub use registers::{
    Capability, ExtendedCapability, FaultStatus, GlobalStatus, QueueAddress, TableAddress, offset,
};
pub use unit::{
    DmaRegion, ExtendedMode, Initial, VtdConfig, VtdInitError, VtdMemory, VtdRegisters, VtdUnit,
};

/// A hardware value that the specification does not allow: which field is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The specification's name of the field.
    pub field: &'static str,
}

/// `Err` naming the field when any of the `reserved` bits is set in `value`.
const fn reject(value: u64, reserved: u64, field: &'static str) -> Result<(), Malformed> {
    if value & reserved != 0 {
        return Err(Malformed { field });
    }
    Ok(())
}

/// Bits `low + width - 1 : low` of a value.
const fn bits(value: u64, low: u32, width: u32) -> u64 {
    value >> low & ((1 << width) - 1)
}
