//! The memory map: ordered, without overlaps, in whole pages, and the source of the stub's memory.
//!
//! Firmware promises none of these properties, the Limine protocol asks for all of them for usable
//! memory. Where two entries overlap, the one that forbids more wins, so that a page is usable only
//! if everything that is said about it agrees.

use crate::{FOUR_GIB, PAGE, page_down, page_up};
use heapless::Vec;

/// The most regions that a map may have, the stub's own included.
pub const MAX_REGIONS: usize = 256;

/// Which addresses a machine lets the stub use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The stub allocates from here up,
    pub lowest: u64,
    /// and below here; the bundle must lie below it too.
    pub highest: u64,
    /// Memory from here on is left alone: no machine of ours has it, it would not fit the direct
    /// map, and a wrong entry must not make the stub build page tables for it.
    pub top: u64,
}

impl Reach {
    /// A PC. What lies below 1 MiB is scarce, and the kernel needs it to start its other
    /// processors, which begin in real mode; the stub itself begins in protected mode and reaches
    /// no higher than 4 GiB.
    pub const PC: Self = Self { lowest: 1 << 20, highest: FOUR_GIB, top: 1 << 46 };

    /// An Arm machine: memory may begin anywhere. The top is half of the kernel's half of the
    /// address space, which has room for the direct map up to there.
    pub const ARM: Self = Self { lowest: PAGE, highest: 1 << 47, top: 1 << 47 };
}

/// What a region is for. The numbers are those of the Limine memory map; the order is not: see
/// [`Kind::stronger`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// Free.
    Usable = 0,
    /// Not memory, or not for us.
    Reserved = 1,
    /// ACPI tables: free once they have been read.
    AcpiReclaimable = 2,
    /// Memory that the firmware keeps.
    AcpiNvs = 3,
    /// Broken memory.
    Bad = 4,
    /// Made by the stub: free once its answers have been read.
    BootloaderReclaimable = 5,
    /// The kernel's image and the boot modules.
    ExecutableAndModules = 6,
}

impl Kind {
    /// From an E820 type. Unknown types are reserved, as the ACPI specification asks.
    pub const fn from_e820(number: u32) -> Self {
        match number {
            1 => Self::Usable,
            3 => Self::AcpiReclaimable,
            4 => Self::AcpiNvs,
            5 => Self::Bad,
            _ => Self::Reserved,
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Usable => 0,
            Self::AcpiReclaimable => 1,
            Self::AcpiNvs => 2,
            Self::BootloaderReclaimable => 3,
            Self::ExecutableAndModules => 4,
            Self::Reserved => 5,
            Self::Bad => 6,
        }
    }

    /// The one of two that forbids more.
    const fn stronger(self, other: Self) -> Self {
        if self.rank() >= other.rank() { self } else { other }
    }
}

/// What the firmware says about a piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// First byte, with no promise of alignment.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// What it is for.
    pub kind: Kind,
}

/// A run of pages of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub base: u64,
    /// Byte after the last.
    pub end: u64,
    /// What it is for.
    pub kind: Kind,
}

impl Region {
    /// Its size in bytes.
    pub const fn length(&self) -> u64 {
        self.end - self.base
    }
}

/// More than [`MAX_REGIONS`] regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRegions;

/// The map. Its regions are sorted, do not overlap, are whole pages and never empty; neighbours of
/// one kind are one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    regions: Vec<Region, MAX_REGIONS>,
    reach: Reach,
}

impl Memory {
    /// Orders what the firmware says.
    pub fn new(
        reach: Reach,
        claims: impl IntoIterator<Item = Claim>,
    ) -> Result<Self, TooManyRegions> {
        let mut memory = Self { regions: Vec::new(), reach };
        for claim in claims {
            memory.add(claim)?;
        }
        Ok(memory)
    }

    /// Adds what the firmware says about a piece of memory: where something was said before, what
    /// forbids more wins. Usable memory is rounded to the pages that it fills, everything else to
    /// the pages that it touches. The first page is never usable: address zero means "nothing" in
    /// the boot protocols.
    pub fn add(&mut self, Claim { base, size, kind }: Claim) -> Result<(), TooManyRegions> {
        let top = self.reach.top;
        let end = base.saturating_add(size);
        let (base, end) = match kind {
            Kind::Usable => (page_up(base).unwrap_or(top), page_down(end)),
            _ => (page_down(base), page_up(end).unwrap_or(top)),
        };
        let end = end.min(top);
        if base >= end || size == 0 {
            return Ok(());
        }
        self.overlay(Region { base, end, kind }, Kind::stronger)?;
        if base == 0 {
            let page_zero = Region { base, end: PAGE, kind: Kind::Reserved };
            self.overlay(page_zero, Kind::stronger)?;
        }
        Ok(())
    }

    /// Which addresses the stub may use.
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// The regions in order.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Total size of the usable regions in which the stub may allocate.
    pub fn allocatable(&self) -> u64 {
        self.holes().map(|(base, end)| end - base).sum()
    }

    /// True if every byte of `base..end` is usable.
    pub fn is_usable(&self, base: u64, end: u64) -> bool {
        self.regions
            .iter()
            .any(|r| r.kind == Kind::Usable && r.base <= base && base <= end && end <= r.end)
    }

    /// Gives the pages that `base..end` touches another kind, whatever they were.
    pub fn assign(&mut self, base: u64, end: u64, kind: Kind) -> Result<(), TooManyRegions> {
        let top = self.reach.top;
        let (base, end) = (page_down(base).min(top), page_up(end).unwrap_or(top).min(top));
        if base >= end {
            return Ok(());
        }
        self.overlay(Region { base, end, kind }, |_, new| new)
    }

    /// Gives the pages that `base..end` touches the kind `to`, where they are of the kind `from`.
    pub fn change(
        &mut self,
        base: u64,
        end: u64,
        from: Kind,
        to: Kind,
    ) -> Result<(), TooManyRegions> {
        if base >= end {
            return Ok(());
        }
        let end = page_up(end).unwrap_or(u64::MAX);
        let mut done = page_down(base);
        loop {
            let next = self
                .regions
                .iter()
                .filter(|region| region.kind == from && region.end > done)
                .map(|region| (region.base.max(done), region.end.min(end)))
                .find(|(start, stop)| start < stop);
            let Some((start, stop)) = next else { return Ok(()) };
            self.assign(start, stop, to)?;
            done = stop;
        }
    }

    /// Takes `size` bytes, rounded up to pages, from the lowest usable place in reach, and marks
    /// them as `kind`. `Ok(None)`: there is no such place.
    pub fn allocate(&mut self, size: u64, kind: Kind) -> Result<Option<u64>, TooManyRegions> {
        let Some(size) = page_up(size.max(1)) else { return Ok(None) };
        let Some(base) = self.holes().find(|(base, end)| end - base >= size).map(|hole| hole.0)
        else {
            return Ok(None);
        };
        self.assign(base, base + size, kind)?;
        Ok(Some(base))
    }

    /// The parts of usable regions that the stub may allocate from.
    fn holes(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.regions
            .iter()
            .filter(|region| region.kind == Kind::Usable)
            .map(|region| (region.base.max(self.reach.lowest), region.end.min(self.reach.highest)))
            .filter(|(base, end)| base < end)
    }

    /// Lays `new` over the map; where it overlaps, `pick(old, new)` decides.
    fn overlay(
        &mut self,
        new: Region,
        pick: impl Fn(Kind, Kind) -> Kind,
    ) -> Result<(), TooManyRegions> {
        let mut merged = Self { regions: Vec::new(), reach: self.reach };
        // Everything of `new` below `cursor` is in the merged map.
        let mut cursor = new.base;
        for region in &self.regions {
            let gap_end = region.base.min(new.end);
            if cursor < gap_end {
                merged.push(cursor, gap_end, new.kind)?;
                cursor = gap_end;
            }
            let (start, end) = (region.base.max(new.base), region.end.min(new.end));
            if start < end {
                merged.push(region.base, start, region.kind)?;
                merged.push(start, end, pick(region.kind, new.kind))?;
                merged.push(end, region.end, region.kind)?;
                cursor = end;
            } else {
                merged.push(region.base, region.end, region.kind)?;
            }
        }
        merged.push(cursor, new.end, new.kind)?;
        *self = merged;
        Ok(())
    }

    /// Appends a region, joining it to the last one where it can.
    fn push(&mut self, base: u64, end: u64, kind: Kind) -> Result<(), TooManyRegions> {
        if base >= end {
            return Ok(());
        }
        if let Some(last) = self.regions.last_mut()
            && last.end == base
            && last.kind == kind
        {
            last.end = end;
            return Ok(());
        }
        self.regions.push(Region { base, end, kind }).map_err(|_| TooManyRegions)
    }
}
