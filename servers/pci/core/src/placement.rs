//! Which BARs may be given away.
//!
//! Memory is mapped by pages. A BAR smaller than a page can share its page with another function's, and mapping it would
//! give a driver both; and a BAR that firmware put over something else (ECAM, a VT-d unit, the local APICs) would give it
//! that. So a driver gets a BAR only if the pages around it hold nothing of anybody else.

use alloc::vec::Vec;

use crate::{
    FunctionAddress,
    bars::{Bar, Space},
};

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 4096;

/// A range of physical addresses; `end` is the first byte behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
}

impl Range {
    /// A range of `size` bytes; what would lie behind the end of the address space is cut off.
    pub fn new(start: u64, size: u64) -> Self {
        Self { start, end: start.saturating_add(size) }
    }

    /// The whole pages that it touches.
    pub fn pages(self) -> Self {
        Self {
            start: self.start & !(PAGE_BYTES - 1),
            end: self.end.checked_next_multiple_of(PAGE_BYTES).unwrap_or(!(PAGE_BYTES - 1)),
        }
    }

    /// Bytes.
    pub fn size(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the two have a byte in common.
    pub fn touches(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether all of `other` is in it.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// Why a BAR is not given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// It is in I/O space, which has no pages; ports are granted by number.
    NotMemory,
    /// Firmware gave it no address.
    Unassigned,
    /// Its pages hold another function's BAR.
    Shared {
        /// The other function.
        with: FunctionAddress,
    },
    /// Its pages hold something that is not PCI's.
    Reserved {
        /// What.
        range: Range,
    },
}

/// Who has which memory.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    bars: Vec<(FunctionAddress, Range)>,
    reserved: Vec<Range>,
}

impl Placement {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function's BAR. All functions' must be added before the first [`Placement::check`].
    pub fn add(&mut self, function: FunctionAddress, bar: &Bar) {
        if bar.space != Space::Io && bar.is_assigned() {
            self.bars.push((function, Range::new(bar.address, bar.size)));
        }
    }

    /// Adds memory that is no BAR: RAM, ECAM, interrupt controllers, remapping units.
    pub fn reserve(&mut self, range: Range) {
        self.reserved.push(range);
    }

    /// The pages to map for a function's BAR, or why it cannot be had.
    pub fn check(&self, function: FunctionAddress, bar: &Bar) -> Result<Range, Conflict> {
        if bar.space == Space::Io {
            return Err(Conflict::NotMemory);
        }
        if !bar.is_assigned() {
            return Err(Conflict::Unassigned);
        }
        let pages = Range::new(bar.address, bar.size).pages();
        if let Some(range) = self.reserved.iter().find(|range| range.touches(pages)) {
            return Err(Conflict::Reserved { range: *range });
        }
        match self.bars.iter().find(|(owner, range)| *owner != function && range.touches(pages)) {
            Some((with, _)) => Err(Conflict::Shared { with: *with }),
            None => Ok(pages),
        }
    }
}
