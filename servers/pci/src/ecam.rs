//! Configuration space as memory.

use alloc::vec::Vec;
use core::cell::RefCell;

use libsys::map::Mapping;
use libsys::println;
use pci_core::{BusRange, ConfigSpace, FunctionAddress, Register, Width, ecam_offset};
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_firmware::mcfg::Segment;

use crate::firmware::SEGMENT;

/// Buses that stay mapped during enumeration, which goes bus by bus but looks back at
/// bridges.
const MAPPED_BUSES: usize = 4;

/// A part of configuration space, and the authority over it.
struct Part {
    segment: Segment,
    physical: Handle,
}

/// One bus, mapped.
struct Window {
    part: usize,
    offset: u64,
    mapping: Mapping,
}

/// One function's own page of it: what serves a driver's requests, so that none of them
/// can touch another function.
pub struct Page {
    function: FunctionAddress,
    mapping: Mapping,
}

impl ConfigSpace for Page {
    #[inline]
    fn read(&self, function: FunctionAddress, register: Register) -> u32 {
        if function != self.function {
            return register.width().ones();
        }
        let offset = register.offset().into();
        match register.width() {
            Width::Byte => self.mapping.read8(offset).into(),
            Width::Word => self.mapping.read16(offset).into(),
            Width::Dword => self.mapping.read32(offset),
        }
    }

    #[inline]
    fn write(&mut self, function: FunctionAddress, register: Register, value: u32) {
        if function != self.function {
            return;
        }
        let offset = register.offset().into();
        match register.width() {
            Width::Byte => self.mapping.write8(offset, value as u8),
            Width::Word => self.mapping.write16(offset, value as u16),
            Width::Dword => self.mapping.write32(offset, value),
        }
    }
}

/// All of it.
pub struct Ecam {
    parts: Vec<Part>,
    /// The one that was used last is at the back.
    windows: RefCell<Vec<Window>>,
}

impl Ecam {
    /// Joins the grants `ecam<n>` with what firmware says about them.
    pub fn new(env: &Startup, segments: &[Segment]) -> Self {
        let mut parts = Vec::new();
        for &segment in segments {
            if segment.segment != SEGMENT {
                println!("pci: segment {} is left alone", segment.segment);
                continue;
            }
            let granted = env.entries().iter().find(|entry| {
                let is_ecam = entry.name().starts_with("ecam");
                is_ecam && entry.value2 == segment.first_address() && entry.value >= segment.bytes()
            });
            match granted {
                Some(entry) => parts.push(Part { segment, physical: entry.handle }),
                None => println!("pci: no grant for buses from {:#x}", segment.first_address()),
            }
        }
        Self { parts, windows: RefCell::new(Vec::new()) }
    }

    /// The buses that it reaches.
    pub fn ranges(&self) -> Vec<BusRange> {
        self.parts.iter().map(|part| part.segment.into()).collect()
    }

    /// The configuration space of one function and no other. `None` where no part reaches.
    pub fn page(&self, function: FunctionAddress) -> Option<Result<Page, Error>> {
        let start = Register::new(0, Width::Dword)?;
        let (part, offset) = self
            .parts
            .iter()
            .find_map(|part| Some((part, ecam_offset(&part.segment, function, start)?)))?;
        let size = Register::SPACE_BYTES.into();
        let mapping = Mapping::new(part.physical, offset, size, Rights::READ | Rights::WRITE);
        Some(mapping.map(|mapping| Page { function, mapping }))
    }

    /// Calls `f` with the mapping of the register's bus and the offset in it. `None` where
    /// no part reaches, or mapping fails.
    #[inline]
    fn with<T>(
        &self,
        function: FunctionAddress,
        register: Register,
        f: impl FnOnce(&Mapping, u64) -> T,
    ) -> Option<T> {
        let (part, offset) = self
            .parts
            .iter()
            .enumerate()
            .find_map(|(n, part)| Some((n, ecam_offset(&part.segment, function, register)?)))?;
        let bus = offset / Segment::BYTES_PER_BUS * Segment::BYTES_PER_BUS;
        let mut windows = self.windows.borrow_mut();
        let is_it = |window: &Window| (window.part, window.offset) == (part, bus);
        if !windows.last().is_some_and(is_it) {
            self.bring_last(&mut windows, part, bus)?;
        }
        windows.last().map(|window| f(&window.mapping, offset - bus))
    }

    /// Makes a bus the one that was used last; maps it if need be.
    #[cold]
    fn bring_last(&self, windows: &mut Vec<Window>, part: usize, bus: u64) -> Option<()> {
        let is_it = |window: &Window| (window.part, window.offset) == (part, bus);
        let window = match windows.iter().position(is_it) {
            Some(place) => windows.remove(place),
            None => {
                if windows.len() >= MAPPED_BUSES {
                    windows.remove(0);
                }
                let rights = Rights::READ | Rights::WRITE;
                let physical = self.parts.get(part)?.physical;
                let mapping = Mapping::new(physical, bus, Segment::BYTES_PER_BUS, rights);
                Window { part, offset: bus, mapping: mapping.ok()? }
            }
        };
        windows.push(window);
        Some(())
    }
}

impl ConfigSpace for Ecam {
    #[inline]
    fn read(&self, function: FunctionAddress, register: Register) -> u32 {
        let value = self.with(function, register, |mapping, offset| match register.width() {
            Width::Byte => mapping.read8(offset).into(),
            Width::Word => mapping.read16(offset).into(),
            Width::Dword => mapping.read32(offset),
        });
        value.unwrap_or(register.width().ones())
    }

    #[inline]
    fn write(&mut self, function: FunctionAddress, register: Register, value: u32) {
        // Where nothing is mapped, nothing is written, as where no function is.
        let _ = self.with(function, register, |mapping, offset| match register.width() {
            Width::Byte => mapping.write8(offset, value as u8),
            Width::Word => mapping.write16(offset, value as u16),
            Width::Dword => mapping.write32(offset, value),
        });
    }
}
