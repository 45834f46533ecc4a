//! The VT-d unit's registers and memory as `interrupt-core` wants them.

use interrupt_core::vtd::{DmaRegion, VtdRegisters};
use libsys::map::{Mapping, ordering};
use libsys::object::Memory;
use tocsin_abi::Error;

use crate::arch;

/// The register page, mapped uncached.
pub struct Registers(pub Mapping);

impl VtdRegisters for Registers {
    fn read32(&mut self, offset: u16) -> u32 {
        self.0.read32(offset.into())
    }

    fn write32(&mut self, offset: u16, value: u32) {
        ordering();
        self.0.write32(offset.into(), value);
    }

    fn read64(&mut self, offset: u16) -> u64 {
        self.0.read64(offset.into())
    }

    fn write64(&mut self, offset: u16, value: u64) {
        ordering();
        self.0.write64(offset.into(), value);
    }
}

/// Memory that the unit reads or writes.
pub struct Region {
    mapping: Mapping,
    bus_address: u64,
}

impl Region {
    /// Maps the memory. Its bus address is its physical one: this system leaves DMA
    /// translation off.
    pub fn new(memory: &Memory) -> Result<Self, Error> {
        let (_, bus_address) = memory.info()?;
        Ok(Self { mapping: Mapping::of_memory(memory)?, bus_address })
    }
}

impl DmaRegion for Region {
    fn bus_address(&self) -> u64 {
        self.bus_address
    }

    fn size_bytes(&self) -> usize {
        self.mapping.len() as usize
    }

    fn read64(&self, offset: usize) -> u64 {
        self.mapping.read64(offset as u64)
    }

    fn write64(&mut self, offset: usize, value: u64) {
        self.mapping.write64(offset as u64, value);
    }

    fn write_back(&mut self, offset: usize) {
        assert!(offset < self.size_bytes(), "write-back outside of a region");
        // SAFETY: 1. inside of the mapping, which lives as long as `self`.
        unsafe { arch::write_back(self.mapping.address() + offset) }
    }
}
