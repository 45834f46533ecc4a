//! Why a driver's demonstration stopped, and whose word it is.

use core::fmt;

use demo_core::{Failure, Mismatch};
use libsys::Error;
use libsys::driver::DriverError;
use libsys::interrupt::InterruptError;
use libsys::pci::PciError;
use libsys::store::StoreError;

use crate::{HoldError, ReportError};

/// Why the demonstration stopped. `D` is the device's own error.
#[derive(Debug)]
pub enum Stop<D> {
    /// The kernel.
    Kernel(Error),
    /// The PCI server.
    Pci(PciError),
    /// The store.
    Store(StoreError),
    /// The interrupt server, or what stands between it and us.
    Interrupt(InterruptError),
    /// The device.
    Device(D),
    /// Delivery, or the rig.
    Drill(Failure<RigError<D>>),
    /// `demo`.
    Report(ReportError),
    /// A step went well that must not.
    Unexpected(&'static str),
}

/// What can go wrong while a drill runs.
#[derive(Debug)]
pub enum RigError<D> {
    /// Waiting on the port.
    Port(Error),
    /// The device.
    Device(D),
}

impl<D: fmt::Display> fmt::Display for RigError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RigError::Port(error) => write!(f, "port: {error}"),
            RigError::Device(error) => write!(f, "device: {error}"),
        }
    }
}

impl<D: fmt::Display> fmt::Display for Stop<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Kernel(error) => write!(f, "kernel: {error}"),
            Stop::Pci(error) => write!(f, "pci server: {error}"),
            Stop::Store(error) => write!(f, "store: {error}"),
            Stop::Interrupt(error) => write!(f, "interrupt: {error}"),
            Stop::Device(error) => write!(f, "device: {error}"),
            Stop::Drill(failure) => failure.fmt(f),
            Stop::Report(error) => write!(f, "report: {error}"),
            Stop::Unexpected(what) => f.write_str(what),
        }
    }
}

macro_rules! stops {
    ($($from:ty => $variant:ident;)*) => {$(
        impl<D> From<$from> for Stop<D> {
            fn from(error: $from) -> Self {
                Stop::$variant(error)
            }
        }
    )*};
}

stops! {
    Error => Kernel;
    PciError => Pci;
    StoreError => Store;
    InterruptError => Interrupt;
    Failure<RigError<D>> => Drill;
    ReportError => Report;
}

impl<D> From<HoldError> for Stop<D> {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Report(error) => Stop::Report(error),
            HoldError::Kernel(error) => Stop::Kernel(error),
            HoldError::TooLong => Stop::Unexpected("nobody has looked at what stands still"),
        }
    }
}

impl<D> From<DriverError> for Stop<D> {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Missing(_) => Stop::Unexpected("the manifest lacks a grant"),
            DriverError::Kernel(error) => Stop::Kernel(error),
            DriverError::Pci(error) => Stop::Pci(error),
            DriverError::Store(error) => Stop::Store(error),
            DriverError::Interrupt(error) => Stop::Interrupt(error),
        }
    }
}

impl<D> From<Mismatch> for Stop<D> {
    fn from(mismatch: Mismatch) -> Self {
        Stop::Drill(mismatch.into())
    }
}
