//! Where the bundle may lie, how much memory the stub needs, and which parts of physical memory the
//! direct map covers.

use crate::fatal::Fatal;
use crate::memory::{Kind, Memory, TOP};
use crate::start_info::Module;
use crate::{FOUR_GIB, PAGE, page_up};
use core::ops::Range;

/// The direct map is made of whole gibibytes: one page directory of 2 MiB pages each.
pub const GIB: u64 = 1 << 30;

const TWO_MIB: u64 = 2 << 20;

/// Checks that the bundle lies in usable memory that the stub can reach, beside the stub itself.
pub fn place_of_bundle(
    memory: &Memory,
    Module { base, size }: Module,
    stub: &Range<u64>,
) -> Result<Range<u64>, Fatal> {
    if base == 0 || size == 0 {
        return Err(Fatal::NoModules);
    }
    let end = base
        .checked_add(size)
        .filter(|&end| end <= FOUR_GIB && memory.is_usable(base, end))
        .ok_or(Fatal::BundleOutOfMemory { base, size })?;
    if base < stub.end && stub.start < end {
        return Err(Fatal::BundleOverStub);
    }
    Ok(base..end)
}

/// The gibibytes of physical memory that the direct map covers, as numbers in rising order: the
/// first four, and above them all that the map does not call reserved or broken (Limine protocol,
/// "Entry memory layout").
pub fn direct_map(memory: &Memory) -> impl Iterator<Item = u64> + '_ {
    let mut next = FOUR_GIB / GIB;
    let above = memory
        .regions()
        .iter()
        .filter(|region| !matches!(region.kind, Kind::Reserved | Kind::Bad))
        .flat_map(move |region| {
            let first = (region.base / GIB).max(next);
            let end = region.end.min(TOP).div_ceil(GIB);
            next = next.max(end);
            first..end
        });
    (0..FOUR_GIB / GIB).chain(above)
}

/// An upper bound of the page-table frames that the kernel's first address space needs: the direct
/// map, the kernel's image in 4 KiB pages, and the stub at its own address.
pub fn table_frames(memory: &Memory, image: u64, stub: u64) -> u64 {
    // A run of 4 KiB pages: a third-level table, up to two second-level ones, and one table for
    // each 2 MiB that it touches.
    let run = |size: u64| 1 + 2 + size.div_ceil(TWO_MIB) + 1;
    let mut directories = 0;
    let mut thirds = 0;
    let mut last_third = None;
    for gib in direct_map(memory) {
        directories += 1;
        if last_third != Some(gib / 512) {
            last_third = Some(gib / 512);
            thirds += 1;
        }
    }
    1 + directories + thirds + run(image) + run(stub)
}

/// What the stub must allocate, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The kernel's image.
    pub image: u64,
    /// The modules, each in pages of its own.
    pub files: u64,
    /// The kernel's first stack.
    pub stack: u64,
    /// Page tables.
    pub tables: u64,
    /// The answers to the kernel's requests.
    pub arena: u64,
}

impl Needs {
    /// All of it, each part rounded up to pages.
    pub fn total(&self) -> u64 {
        [self.image, self.files, self.stack, self.tables, self.arena]
            .into_iter()
            .map(|size| page_up(size).unwrap_or(u64::MAX))
            .fold(0, u64::saturating_add)
    }

    /// Adds a file in pages of its own; an empty one has a page too.
    pub fn add_file(&mut self, size: usize) {
        let size = page_up(size.max(1) as u64).unwrap_or(u64::MAX);
        self.files = self.files.saturating_add(size);
    }

    /// Sets the number of page-table frames.
    pub const fn set_table_frames(&mut self, frames: u64) {
        self.tables = frames.saturating_mul(PAGE);
    }
}
