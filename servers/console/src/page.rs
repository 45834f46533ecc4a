//! A PL011's page of registers, mapped.

use console_core::{Clock, Pl011Registers};
use libsys::map::Mapping;
use libsys::object::now_ns;
use tocsin_abi::{Error, Handle, Rights};

/// Bytes of the registers (DDI 0183G, table 3-1).
const BYTES: u64 = 0x1000;

/// The page.
pub struct Page(Mapping);

impl Page {
    /// Maps it.
    pub fn new(handle: Handle) -> Result<Self, Error> {
        Mapping::new(handle, 0, BYTES, Rights::READ | Rights::WRITE).map(Self)
    }
}

impl Pl011Registers for Page {
    fn read(&mut self, offset: u64) -> u32 {
        self.0.read32(offset)
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.0.write32(offset, value);
    }
}

impl Clock for Page {
    fn now_ns(&mut self) -> u64 {
        now_ns()
    }
}
