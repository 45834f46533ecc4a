//! What the controller did that it should not.

use core::fmt;

/// Its errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceError {
    /// It does not take pages of 4 KiB, or its queues are too short.
    Unsuitable,
    /// It did not become ready, or did not stop being, in the time that it says it needs.
    Slow {
        /// Its status register.
        status: u32,
    },
    /// It says that it has failed.
    Failed,
    /// No completion came in time.
    NoCompletion {
        /// Of this queue.
        queue: u16,
    },
    /// A completion of another command or queue.
    WrongCompletion {
        /// The queue that it came in.
        queue: u16,
        /// Its command's id.
        id: u16,
    },
    /// A command failed.
    Refused {
        /// The queue.
        queue: u16,
        /// Status type and code (NVM Express 1.4, §4.6.1).
        status: u16,
    },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Unsuitable => f.write_str("the controller lacks 4 KiB pages or entries"),
            DeviceError::Slow { status } => {
                write!(f, "the controller's status stays {status:#x}")
            }
            DeviceError::Failed => f.write_str("the controller reports a fatal error"),
            DeviceError::NoCompletion { queue } => write!(f, "queue {queue}: no completion came"),
            DeviceError::WrongCompletion { queue, id } => {
                write!(f, "queue {queue}: completion of command {id}, which was not the next")
            }
            DeviceError::Refused { queue, status } => {
                write!(f, "queue {queue}: command failed with status {status:#x}")
            }
        }
    }
}
