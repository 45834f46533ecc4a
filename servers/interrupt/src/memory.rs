//! Registers and memory of remappers as `interrupt-core` wants them.
//!
//! All memory that a remapper works in is granted by `init` and stays init's: hardware goes
//! on reading it when this server is gone.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::RefCell;

use interrupt_core::amdvi::{AmdViRegisters, EntryMemory};
use interrupt_core::its::{ItsRegisters, TableMemory};
use interrupt_core::numbers::{Extent, Extents};
use interrupt_core::vtd::{DmaRegion, VtdRegisters};
use libsys::map::{Mapping, ordering};
use libsys::object::Memory;
use libsys::startup;
use tocsin_abi::Error;
use tocsin_abi::startup::Startup;

use crate::arch;

/// The registers of a VT-d unit or an AMD IOMMU, mapped uncached.
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

impl AmdViRegisters for Registers {
    fn read64(&mut self, offset: u16) -> u64 {
        self.0.read64(offset.into())
    }

    fn write64(&mut self, offset: u16, value: u64) {
        ordering();
        self.0.write64(offset.into(), value);
    }
}

/// Memory that a VT-d unit reads or writes.
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

/// A frame of an ITS, a redistributor or a distributor, mapped as device memory.
pub struct Frame(pub Mapping);

impl ItsRegisters for Frame {
    fn read32(&mut self, offset: u16) -> u32 {
        self.0.read32(offset.into())
    }

    fn write32(&mut self, offset: u16, value: u32) {
        arch::publish();
        self.0.write32(offset.into(), value);
    }

    fn read64(&mut self, offset: u16) -> u64 {
        self.0.read64(offset.into())
    }

    fn write64(&mut self, offset: u16, value: u64) {
        arch::publish();
        self.0.write64(offset.into(), value);
    }
}

/// One block of memory from which an ITS's or an AMD IOMMU's tables are cut; clones are the same one.
#[derive(Clone)]
pub struct Arena(Rc<Block>);

struct Block {
    mapping: Mapping,
    bus_address: u64,
    free: RefCell<Extents>,
}

impl Arena {
    /// The memory that was granted under this name.
    pub fn granted(env: &Startup, name: &str) -> Result<Self, String> {
        let memory = startup::memory(env, name).ok_or(format!("no grant `{name}`"))?;
        let failed = |error: Error| format!("`{name}`: {error}");
        let (_, bus_address) = memory.info().map_err(failed)?;
        let mapping = Mapping::of_memory(&memory).map_err(failed)?;
        let free = Extents::new(mapping.len() as usize).ok_or(format!("`{name}`: no memory"))?;
        Ok(Self(Rc::new(Block { mapping, bus_address, free: RefCell::new(free) })))
    }

    /// All its bytes.
    pub fn size_bytes(&self) -> usize {
        self.0.mapping.len() as usize
    }

    /// A piece whose bus address is a multiple of `align`. The block is aligned to its size,
    /// so offsets in it are as good.
    pub fn cut(&self, bytes: usize, align: usize) -> Option<Piece> {
        if !self.0.bus_address.is_multiple_of(align as u64) {
            return None;
        }
        let place = self.0.free.borrow_mut().take(bytes, align)?;
        Some(Piece { block: self.0.clone(), place })
    }
}

impl TableMemory<Piece> for Arena {
    fn take(&mut self, bytes: usize, align: usize) -> Option<Piece> {
        self.cut(bytes, align)
    }

    fn give_back(&mut self, piece: Piece) {
        // What can not be taken back is lost, and nobody else's.
        let _ = piece.block.free.borrow_mut().give_back(piece.place);
    }
}

/// A part of the block. Dropped, it stays taken: hardware may still use it.
pub struct Piece {
    block: Rc<Block>,
    place: Extent,
}

impl Piece {
    fn at(&self, offset: usize) -> u64 {
        assert!(offset < self.place.bytes, "an offset outside of a piece of memory");
        (self.place.start + offset) as u64
    }
}

impl DmaRegion for Piece {
    fn bus_address(&self) -> u64 {
        self.block.bus_address + self.place.start as u64
    }

    fn size_bytes(&self) -> usize {
        self.place.bytes
    }

    fn read64(&self, offset: usize) -> u64 {
        self.block.mapping.read64(self.at(offset))
    }

    fn write64(&mut self, offset: usize, value: u64) {
        self.block.mapping.write64(self.at(offset), value);
    }

    fn write_back(&mut self, offset: usize) {
        let offset = self.at(offset) as usize;
        // SAFETY: 1. inside of the mapping, which lives as long as the block.
        unsafe { arch::write_back(self.block.mapping.address() + offset) }
    }
}

impl EntryMemory for Piece {
    fn write128(&mut self, offset: usize, value: [u64; 2]) {
        let last = self.at(offset + 15);
        assert!(last % 16 == 15, "128 bits at a multiple of 16");
        let address = self.block.mapping.address() + (last - 15) as usize;
        // SAFETY: 1. inside of the mapping, which lives as long as the block, and aligned.
        // 2. the server asks for this only where the CPU can.
        unsafe { arch::write_128(address, value) }
    }
}
