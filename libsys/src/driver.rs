//! One error for a driver's `?`.

use crate::interrupt::InterruptError;
use crate::pci::PciError;
use crate::startup::Environment;
use crate::store::StoreError;
use core::fmt;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle};

/// Why a driver can not work, from whichever side it comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DriverError {
    /// The manifest grants no capability of this name.
    Missing(&'static str),
    /// The kernel's answer.
    Kernel(Error),
    /// The PCI server's.
    Pci(PciError),
    /// The store's.
    Store(StoreError),
    /// The interrupt server's, or one on the way to it.
    Interrupt(InterruptError),
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DriverError::Missing(name) => write!(f, "the manifest grants no `{name}`"),
            DriverError::Kernel(error) => error.fmt(f),
            DriverError::Pci(error) => error.fmt(f),
            DriverError::Store(error) => error.fmt(f),
            DriverError::Interrupt(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DriverError {}

macro_rules! from {
    ($($error:ty => $variant:ident,)*) => {$(
        impl From<$error> for DriverError {
            fn from(error: $error) -> Self {
                DriverError::$variant(error)
            }
        }
    )*};
}

from! {
    Error => Kernel,
    PciError => Pci,
    StoreError => Store,
    InterruptError => Interrupt,
}

/// The capability under this name.
///
/// # Errors
/// `Missing`.
pub fn need(env: &Startup, name: &'static str) -> Result<Handle, DriverError> {
    env.handle(name).ok_or(DriverError::Missing(name))
}
