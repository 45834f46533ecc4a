//! A device's interrupt pin and the line that it leads to, as one value.
//!
//! ```text
//! wire    line asked at the PCI server → opened at the interrupt server → pin on
//! drop    pin off → line closed
//! ```
//!
//! The pin is on only while somebody who answers has the line: others may be on it.

use super::{Device, PciError};
use crate::driver::DriverError;
use crate::interrupt::InterruptError;
use crate::wire::{Activated, Line, Wire, WireMode};
use tocsin_abi::Handle;
use tocsin_proto::pci::{PinSet, PinWire};

/// A device's wire. Dropping it takes the device off the line and gives the line back.
#[must_use = "dropping it closes the wire"]
#[derive(Debug)]
pub struct DeviceWire {
    device: Device,
    pin: PinWire,
    wire: Wire,
    /// Its pin was switched off, or that was tried.
    is_off: bool,
}

impl Device {
    /// Opens the line that the device's interrupt pin leads to, binds it to `port` under `key`,
    /// and lets the device use its pin. PCI devices share lines: only a device that is known to
    /// be alone on its line can have it exclusively.
    ///
    /// # Errors
    /// The PCI server's (`NoPin`, `NoWire` where nobody says which line it is, `Exclusive` while
    /// messages are on), or the interrupt server's. Everything is as before then.
    pub fn wire(
        self,
        server: Handle,
        port: Handle,
        mode: WireMode,
        key: u64,
    ) -> Result<DeviceWire, DriverError> {
        let pin = self.pin()?;
        let line = Line { id: pin.line, wiring: pin.wiring };
        let wire = Wire::open(server, port, line, mode, key)?;
        // From here on a failure closes it.
        self.set_pin(PinSet::On)?;
        Ok(DeviceWire { device: self, pin, wire, is_off: false })
    }
}

impl DeviceWire {
    /// Pin and line.
    #[must_use]
    pub const fn pin(&self) -> PinWire {
        self.pin
    }

    /// The line.
    pub const fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The device has been served, or wanted nothing: as far as this owner is concerned the
    /// level may come again, and does if it still stands.
    ///
    /// # Errors
    /// As [`Wire::acknowledge`]; the server's `BadState` for an owner that has not answered for
    /// so long that its device was taken off the line.
    pub fn acknowledge(&self) -> Result<(), InterruptError> {
        self.wire.acknowledge()
    }

    /// Moves the line to a CPU of this set, for all who share it.
    ///
    /// # Errors
    /// As [`Wire::set_affinity`].
    pub fn set_affinity(&mut self, cpus: u64) -> Result<Activated, InterruptError> {
        self.wire.set_affinity(cpus)
    }

    /// Takes the device off the line and gives the line back, and says what went wrong with it;
    /// dropping does the same silently.
    ///
    /// # Errors
    /// The first of the PCI server's and the interrupt server's.
    pub fn close(mut self) -> Result<(), DriverError> {
        let off = self.switch_off();
        let closed = self.wire.give_back();
        off?;
        Ok(closed?)
    }

    fn switch_off(&mut self) -> Result<(), PciError> {
        if core::mem::replace(&mut self.is_off, true) {
            return Ok(());
        }
        self.device.set_pin(PinSet::Off)
    }
}

impl Drop for DeviceWire {
    fn drop(&mut self) {
        // First the pin, then, with its field, the line. What can be said was said by `close`.
        let _ = self.switch_off();
    }
}
