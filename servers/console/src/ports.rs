//! COM1's registers by system calls.

use core::mem::ManuallyDrop;

use console_core::{Clock, Registers};
use libsys::object::{IoPorts, now_ns};
use tocsin_abi::startup::Entry;

/// The eight ports.
pub struct Com1 {
    ports: ManuallyDrop<IoPorts>,
    first: u16,
}

impl Com1 {
    /// From the startup page's entry: its value is the first port.
    pub fn new(entry: &Entry) -> Self {
        Self { ports: ManuallyDrop::new(IoPorts::own(entry.handle)), first: entry.value as u16 }
    }
}

impl Registers for Com1 {
    fn read(&mut self, offset: u16) -> u8 {
        // A range that does not cover the port reads like a bus with nobody on it.
        self.ports.read8(self.first.wrapping_add(offset)).unwrap_or(0xff)
    }

    fn write(&mut self, offset: u16, value: u8) {
        let _ = self.ports.write8(self.first.wrapping_add(offset), value);
    }
}

impl Clock for Com1 {
    fn now_ns(&mut self) -> u64 {
        now_ns()
    }
}
