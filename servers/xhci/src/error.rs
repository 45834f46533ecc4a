//! What the controller did that it should not.

use core::fmt;

/// Its errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceError {
    /// The registers are no controller's.
    Unsuitable,
    /// It has fewer interrupters than its MSI capability has messages.
    TooFew {
        /// As many as it has.
        interrupters: u16,
    },
    /// It did not stop, or its reset did not end, in time.
    Slow {
        /// Its status register.
        status: u32,
    },
    /// It says that it has failed.
    Failed {
        /// Its status register.
        status: u32,
    },
    /// An event ring can not be where its memory is.
    Ring,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Unsuitable => f.write_str("the registers are no xHCI controller's"),
            DeviceError::TooFew { interrupters } => {
                write!(f, "the controller has {interrupters} interrupters only")
            }
            DeviceError::Slow { status } => {
                write!(f, "the controller's status stays {status:#x}")
            }
            DeviceError::Failed { status } => {
                write!(f, "the controller reports an error: status {status:#x}")
            }
            DeviceError::Ring => f.write_str("an event ring does not fit its memory"),
        }
    }
}
