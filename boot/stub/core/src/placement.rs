//! Where the bundle may lie, and how much memory the stub needs.

use crate::fatal::Fatal;
use crate::memory::Memory;
use crate::{PAGE, page_up};
use core::ops::Range;

/// Checks that the bundle lies in usable memory that the stub can reach, beside the stub itself.
pub fn place_of_bundle(
    memory: &Memory,
    base: u64,
    size: u64,
    stub: &Range<u64>,
) -> Result<Range<u64>, Fatal> {
    if base == 0 || size == 0 {
        return Err(Fatal::NoModules);
    }
    let end = base
        .checked_add(size)
        .filter(|&end| end <= memory.reach().highest && memory.is_usable(base, end))
        .ok_or(Fatal::BundleOutOfMemory { base, size })?;
    if base < stub.end && stub.start < end {
        return Err(Fatal::BundleOverStub);
    }
    Ok(base..end)
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
