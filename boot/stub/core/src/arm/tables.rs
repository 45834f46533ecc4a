//! Translation tables with four levels of 4 KiB pages (Arm ARM, D8.3, "VMSAv8-64 translation table
//! format descriptors"), built in a block of memory that is not in use yet.

use super::registers::attribute;
use crate::PAGE;
use crate::elf::{Access, Kernel};
use crate::fatal::Fatal;
use crate::memory::{Kind, Memory};
use core::ops::Range;

/// Words of a table.
const ENTRIES: usize = 512;

/// Bits of a descriptor.
mod bit {
    pub const VALID: u64 = 1;
    /// A table at levels 0 to 2, a page at level 3; a block has it clear.
    pub const TABLE_OR_PAGE: u64 = 1 << 1;
    /// The index into `MAIR_EL1`.
    pub const ATTRIBUTE: u32 = 2;
    pub const READ_ONLY: u64 = 1 << 7;
    pub const INNER_SHAREABLE: u64 = 3 << 8;
    /// Access flag: without it, the first access faults.
    pub const ACCESSED: u64 = 1 << 10;
    /// Never executed by the kernel.
    pub const NOT_PRIVILEGED_EXECUTE: u64 = 1 << 53;
    /// Never executed by user programs.
    pub const NOT_USER_EXECUTE: u64 = 1 << 54;
    /// The address in a descriptor.
    pub const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
}

/// What a mapping is used for. User programs reach none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Memory, with the access of a kernel's segment.
    Segment(Access),
    /// Memory that is readable, writable and executable: the direct map is, by the protocol.
    AllMemory,
    /// The registers of a device.
    Device,
}

impl Use {
    const fn bits(self) -> u64 {
        const COMMON: u64 = bit::VALID | bit::ACCESSED | bit::NOT_USER_EXECUTE;
        const MEMORY: u64 = COMMON | bit::INNER_SHAREABLE | attribute::MEMORY << bit::ATTRIBUTE;
        match self {
            Self::AllMemory => MEMORY,
            Self::Segment(Access::Read) => MEMORY | bit::READ_ONLY | bit::NOT_PRIVILEGED_EXECUTE,
            Self::Segment(Access::ReadExecute) => MEMORY | bit::READ_ONLY,
            Self::Segment(Access::ReadWrite) => MEMORY | bit::NOT_PRIVILEGED_EXECUTE,
            Self::Device => {
                COMMON | bit::NOT_PRIVILEGED_EXECUTE | attribute::DEVICE << bit::ATTRIBUTE
            }
        }
    }
}

/// Tables while they are built. No processor uses them yet.
#[derive(Debug)]
pub struct Tables<'a> {
    words: &'a mut [u64],
    base: u64,
    used: usize,
}

/// The top table of one half of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root(usize);

impl<'a> Tables<'a> {
    /// Builds in `words`, which lie at the physical address `base`.
    pub const fn new(words: &'a mut [u64], base: u64) -> Self {
        Self { words, base, used: 0 }
    }

    /// An empty half.
    pub fn root(&mut self) -> Result<Root, Fatal> {
        self.take().map(Root)
    }

    /// The physical address of a top table, for `TTBR0_EL1` or `TTBR1_EL1`.
    pub const fn address(&self, Root(table): Root) -> u64 {
        self.base + table as u64 * PAGE
    }

    /// Maps the pages of `physical` at `virtual_base`, with the largest blocks that fit.
    pub fn map(
        &mut self,
        root: Root,
        virtual_base: u64,
        physical: Range<u64>,
        purpose: Use,
    ) -> Result<(), Fatal> {
        let offset = virtual_base.wrapping_sub(physical.start);
        let mut at = physical.start;
        while at < physical.end {
            let address = at.wrapping_add(offset);
            let fits = |shift: u32| {
                (at | address).is_multiple_of(1 << shift) && physical.end - at >= 1 << shift
            };
            // Level 1 has blocks of 1 GiB, level 2 of 2 MiB, level 3 has pages.
            let (level, shift) =
                [(1, 30), (2, 21)].into_iter().find(|&(_, shift)| fits(shift)).unwrap_or((3, 12));
            let entry = self.entry(root, address, level)?;
            let page = if level == 3 { bit::TABLE_OR_PAGE } else { 0 };
            if self.words[entry] != 0 {
                return Err(Fatal::Internal("two mappings of one page"));
            }
            self.words[entry] = at | purpose.bits() | page;
            at += 1 << shift;
        }
        Ok(())
    }

    /// The word that describes `address` at `level`; makes the tables above it.
    fn entry(&mut self, Root(mut table): Root, address: u64, level: u32) -> Result<usize, Fatal> {
        for upper in 0..level {
            let at = word(table, address, upper);
            let descriptor = self.words[at];
            table = if descriptor == 0 {
                let new = self.take()?;
                let target = self.base + new as u64 * PAGE;
                self.words[at] = target | bit::TABLE_OR_PAGE | bit::VALID;
                new
            } else if descriptor & bit::TABLE_OR_PAGE != 0 {
                (((descriptor & bit::ADDRESS) - self.base) / PAGE) as usize
            } else {
                return Err(Fatal::Internal("a page inside a block"));
            };
        }
        Ok(word(table, address, level))
    }

    /// Takes the next table and empties it.
    fn take(&mut self) -> Result<usize, Fatal> {
        let table = self.used;
        let words = self.words.get_mut(table * ENTRIES..(table + 1) * ENTRIES);
        words.ok_or(Fatal::Internal("too few page-table frames were planned"))?.fill(0);
        self.used += 1;
        Ok(table)
    }
}

/// Where the entry for `address` is in `table`, which is of `level`.
const fn word(table: usize, address: u64, level: u32) -> usize {
    let index = address >> (39 - 9 * level) & (ENTRIES as u64 - 1);
    table * ENTRIES + index as usize
}

/// The memory that the stub maps, in runs without gaps: all that the map does not call reserved or
/// broken. Nothing else: what lies between may be devices, and a mapping of those as memory would
/// let the processor read them ahead of time.
pub fn mapped(memory: &Memory) -> impl Iterator<Item = Range<u64>> + '_ {
    let mut regions = memory
        .regions()
        .iter()
        .filter(|region| !matches!(region.kind, Kind::Reserved | Kind::Bad))
        .peekable();
    core::iter::from_fn(move || {
        let first = regions.next()?;
        let mut end = first.end;
        while let Some(next) = regions.next_if(|next| next.base == end) {
            end = next.end;
        }
        Some(first.base..end)
    })
}

/// An upper bound of the tables below a root for one mapping at virtual addresses that differ from
/// the physical ones by a multiple of 1 GiB: blocks fill all but the two ends.
pub fn aligned_frames(range: &Range<u64>) -> u64 {
    touched(range, 39) + 4
}

/// The same for a mapping that may have pages only.
pub fn page_frames(range: &Range<u64>) -> u64 {
    touched(range, 39) + touched(range, 30) + touched(range, 21)
}

/// How many tables, each covering `1 << shift` bytes, a range touches.
const fn touched(range: &Range<u64>, shift: u32) -> u64 {
    if range.start >= range.end {
        return 0;
    }
    ((range.end - 1) >> shift) - (range.start >> shift) + 1
}

/// Maps the memory of the machine at `offset` from its physical addresses.
pub fn map_memory(
    tables: &mut Tables<'_>,
    root: Root,
    memory: &Memory,
    offset: u64,
) -> Result<(), Fatal> {
    for range in mapped(memory) {
        tables.map(root, range.start.wrapping_add(offset), range, Use::AllMemory)?;
    }
    Ok(())
}

/// Maps the kernel's segments, each with its own access, in the image at `physical`.
pub fn map_kernel(
    tables: &mut Tables<'_>,
    root: Root,
    kernel: &Kernel,
    physical: u64,
) -> Result<(), Fatal> {
    let base = kernel.image().start;
    for segment in &kernel.segments {
        let pages = segment.pages();
        let frames = physical + (pages.start - base)..physical + (pages.end - base);
        tables.map(root, pages.start, frames, Use::Segment(segment.access))?;
    }
    Ok(())
}
