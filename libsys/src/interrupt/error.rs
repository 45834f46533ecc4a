//! Why an interrupt can not be had.

use crate::ipc::AskError;
use crate::store::StoreError;
use tocsin_abi::Error;
use tocsin_proto::DecodeError;
use tocsin_proto::interrupt as protocol;

/// Why an interrupt can not be had or changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterruptError {
    /// The interrupt server's answer: `NoVectors`, `NotSupported`, ….
    Server(protocol::Error),
    /// The kernel's.
    Kernel(Error),
    /// The store's.
    Store(StoreError),
    /// The server's reply makes no sense.
    Malformed(DecodeError),
}

impl From<AskError<protocol::Error>> for InterruptError {
    fn from(error: AskError<protocol::Error>) -> Self {
        match error {
            AskError::Kernel(error) => InterruptError::Kernel(error),
            AskError::Refused(error) => InterruptError::Server(error),
            AskError::Malformed(error) => InterruptError::Malformed(error),
        }
    }
}

impl From<Error> for InterruptError {
    fn from(error: Error) -> Self {
        InterruptError::Kernel(error)
    }
}

impl From<StoreError> for InterruptError {
    fn from(error: StoreError) -> Self {
        InterruptError::Store(error)
    }
}

impl core::fmt::Display for InterruptError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            InterruptError::Server(error) => error.fmt(f),
            InterruptError::Kernel(error) => error.fmt(f),
            InterruptError::Store(error) => error.fmt(f),
            InterruptError::Malformed(_) => f.write_str("interrupt server's reply makes no sense"),
        }
    }
}
