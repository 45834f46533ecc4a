//! Direct LPI: LPIs without an ITS. A device writes an LPI's INTID to a redistributor's
//! GICR_SETLPIR (GICR_TYPER.DirectLPI; Arm IHI 0069H §12.11, §5.1).
//!
//! | | |
//! | --- | --- |
//! | pair | (GICR_SETLPIR of a CPU's redistributor, the INTID) |
//! | entry | an LPI, for any device; a byte in the property table, as with an ITS |
//! | CPU event | the same LPI, on the CPU whose redistributor the pair names |
//! | affinity | `NotSupported`: see below |
//! | blocked | the property disabled, GICR_INVLPIR, GICR_SYNCR; what a device writes stays pending |
//! | off | the same, then GICR_CLRLPIR, and GICR_INVLPIR and GICR_SYNCR again |
//! | retrigger | GICR_SETLPIR: really pending, like a device's write |
//! | who may raise it | anybody who can write to that address: **not isolated** |
//!
//! # Decision: the CPU is fixed with the pair
//! Another CPU is another address, and the address is in the device. Three ways were possible:
//!
//! 1. change the pair, and have every driver write its slot anew on a change of affinity. It
//!    breaks invariant 7 (affinity never touches the device) and the promise that a pair never
//!    changes, for all drivers, because of one back end;
//! 2. keep the pair and forward: the old CPU takes the LPI and pokes the new one. That is an
//!    interrupt on the CPU that was to be left alone, and work in the interrupt path;
//! 3. choose the CPU when the pair is made, out of the set that the client asks for, and
//!    refuse to change it afterwards.
//!
//! The third is taken ([`Binding::EntryAndCpu`](crate::Binding::EntryAndCpu)): it is what x86
//! without a remapper does, `alloc` already has a set of CPUs, and the refusal is an answer
//! (`NotSupported`), not a lie. GICR_MOVLPIR, which GICv3 does not define, would not help: the
//! device would go on writing to the old address. A block of multi-message MSI has one address
//! for all, so all of it is one CPU's.
//!
//! No device is told apart from another: the write carries the INTID and nothing else. An LPI
//! that was freed can still be raised by its former device, in whoever's name it then is, and
//! at the redistributor of its former CPU, which is why pending state is cleared at every
//! redistributor that an LPI was ever paired with.

mod backend;
mod registers;
mod unit;

pub use registers::{LpiWrite, SyncStatus, offset, setter};
pub use unit::{
    DirectLpiConfig, DirectLpiError, DirectLpiInitError, DirectLpiUnit, DirectRedistributor,
};
