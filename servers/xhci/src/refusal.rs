//! Blocks that can not be had: each with its own error, and nothing is taken for it.

use demo_driver::Stop;
use libsys::interrupt::{InterruptError, Interrupts};
use libsys::proto::interrupt::Error as Refusal;
use libsys::store::{Store, StoreError};

use crate::error::DeviceError;

fn refused(
    interrupts: &Interrupts,
    store: &Store,
    count: u32,
    wanted: InterruptError,
) -> Result<(), Stop<DeviceError>> {
    match interrupts.add_block(store, count, 0) {
        Err(error) if error == wanted => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(Stop::Unexpected("a block was granted, and was to be refused")),
    }
    if store.used() == 0 { Ok(()) } else { Err(Stop::Unexpected("a refused slot is still taken")) }
}

/// Counts that no machine gives.
///
/// # Errors
/// One was granted, or refused with something else.
pub fn bad_counts(interrupts: &Interrupts, store: &Store) -> Result<(), Stop<DeviceError>> {
    let slots = store.capacity().unwrap_or(0);
    for count in [0, 3, slots - 1] {
        refused(interrupts, store, count, InterruptError::Server(Refusal::BadArgument))?;
    }
    for count in [slots + 1, 2 * slots] {
        refused(interrupts, store, count, InterruptError::Store(StoreError::TooManySlots))?;
    }
    Ok(())
}

/// A block where pairs name vectors, which are not to be had in a row.
///
/// # Errors
/// It was granted, or refused with something else.
pub fn no_block(interrupts: &Interrupts, store: &Store) -> Result<(), Stop<DeviceError>> {
    let slots = store.capacity().unwrap_or(0);
    refused(interrupts, store, slots, InterruptError::Server(Refusal::NoContiguous))
}
