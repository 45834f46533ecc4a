//! Remapper entries: one shared space of up to 65,536.
//!
//! There is no list of numbers in quarantine here: an [`Entry`] that its owner has given up
//! stays a value in the server's quarantine, and only with a [`Drained`] proof about this
//! very entry does it become free.

use super::Bitmap;
use crate::{Drained, Entry, EntryBlock, EntryIndex, ReserveError, Source};

/// Which entries are free.
pub struct EntryAllocator {
    free: Bitmap,
    size: u32,
}

impl EntryAllocator {
    /// All of 0..size free. `None` above 65,536, or when memory is short.
    pub fn new(size: u32) -> Option<Self> {
        Some(Self { free: Bitmap::full(size)?, size })
    }

    /// Takes `2^order` consecutive entries, aligned to their number, for messages of
    /// `source`. `order` ≤ 6. A single one costs the same however many are taken.
    pub fn take(&mut self, source: Source, order: u8) -> Result<EntryBlock, ReserveError> {
        let first = if order == 0 {
            self.free.take_lowest().ok_or(ReserveError::NoEntries)?
        } else {
            if self.free.is_empty() {
                return Err(ReserveError::NoEntries);
            }
            self.free.take_run(order).ok_or(ReserveError::NoContiguous)?
        };
        // The bitmap's numbers are below 65,536.
        Ok(EntryBlock::new(EntryIndex::new(first as u16), order, source))
    }

    /// Makes an entry free. With a proof about another entry, or for an entry that is free,
    /// nothing changes and the entry comes back.
    pub fn give_back(&mut self, entry: Entry, proof: Drained) -> Result<(), Entry> {
        if proof.index() != entry.index() || !self.free.insert(entry.index().bits() as u32) {
            return Err(entry);
        }
        Ok(())
    }

    /// Whether an entry is free.
    pub fn is_free(&self, index: EntryIndex) -> bool {
        self.free.contains(index.bits() as u32)
    }

    /// How many are free.
    pub const fn free(&self) -> u32 {
        self.free.len()
    }

    /// How many there are in all.
    pub const fn size(&self) -> u32 {
        self.size
    }
}
