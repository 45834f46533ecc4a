//! Faults of a driver's device, heard of on its port.

use super::{InterruptError, Interrupts};
use crate::ipc::{ask, ask_with};
use crate::object::Message;
use tocsin_abi::Handle;
use tocsin_proto::DecodeError;
use tocsin_proto::interrupt::{self as protocol, FaultCount};

/// A packet on the driver's port whenever the remapper has stopped a write of its device and
/// recorded it. Dropping it ends that; the counts go on.
#[must_use = "dropping it ends the packets"]
#[derive(Debug)]
pub struct FaultWatch {
    server: Handle,
    key: u64,
    message: Message,
}

impl FaultWatch {
    /// Key of its packets. A packet's count says in how many steps the faults were counted.
    #[must_use]
    pub const fn key(&self) -> u64 {
        self.key
    }

    /// How many there were.
    ///
    /// # Errors
    /// The server's.
    pub fn counts(&self) -> Result<FaultCount, InterruptError> {
        Ok(ask(self.server, &protocol::Faults)?)
    }
}

impl Drop for FaultWatch {
    fn drop(&mut self) {
        // A newer watch may have ended this one's message: there is nothing to undo then.
        let _ = self.message.unbind();
    }
}

impl Interrupts {
    /// Hears of the device's faults from now on, by packets with this key. A device has one
    /// watch: a new one ends the one before.
    ///
    /// # Errors
    /// The server's or the kernel's.
    pub fn watch_faults(&self, key: u64) -> Result<FaultWatch, InterruptError> {
        let (protocol::FaultWatch, mut handles) =
            ask_with(self.server, &protocol::WatchFaults, &[])?;
        let none = InterruptError::Malformed(DecodeError::WrongHandles);
        let message: Message = handles.pop().ok_or(none)?.into();
        message.bind(self.port, key)?;
        Ok(FaultWatch { server: self.server, key, message })
    }
}
