//! Numbers that any device can have, one at a time or in blocks: what an entry is where
//! hardware keeps no table for a device.

use super::{RemapEntry, ReserveError};
use crate::numbers::Bitmap;
use crate::{Drained, EntryIndex};

/// Multi-message MSI has at most 32 messages (PCI Local Bus 3.0 §6.8.1.3).
const LARGEST_ORDER: u8 = 5;

/// Which numbers are free.
pub struct Pool {
    free: Bitmap,
    total: u32,
}

/// Ownership of one number. Not `Copy`: it is given back once.
#[must_use = "a number that is dropped is lost until the server restarts"]
#[derive(PartialEq, Eq, Debug)]
pub struct PoolEntry(EntryIndex);

/// Ownership of numbers in a row, taken out one by one, lowest first.
#[must_use = "numbers that are not taken out are lost until the server restarts"]
#[derive(PartialEq, Eq, Debug)]
pub struct PoolBlock {
    first: EntryIndex,
    taken: u16,
    count: u16,
}

impl RemapEntry for PoolEntry {
    #[inline]
    fn index(&self) -> EntryIndex {
        self.0
    }
}

impl Iterator for PoolBlock {
    type Item = PoolEntry;

    #[inline]
    fn next(&mut self) -> Option<PoolEntry> {
        if self.taken == self.count {
            return None;
        }
        let index = self.first.plus(self.taken)?;
        self.taken += 1;
        Some(PoolEntry(index))
    }
}

impl Pool {
    /// Largest `order` that `reserve` takes.
    pub const LARGEST_ORDER: u8 = LARGEST_ORDER;

    /// All of 0..size. `None` above 65,536, or when memory is short.
    pub fn full(size: u32) -> Option<Self> {
        Some(Self { free: Bitmap::full(size)?, total: size })
    }

    /// None of 0..size yet: see [`Pool::add`].
    pub fn empty(size: u32) -> Option<Self> {
        let mut free = Bitmap::full(size)?;
        while free.take_lowest().is_some() {}
        Some(Self { free, total: 0 })
    }

    /// A number more. `false`, and nothing changed, for one that is there already, or that
    /// there can not be.
    pub fn add(&mut self, number: u32) -> bool {
        let added = self.free.insert(number);
        self.total += u32::from(added);
        added
    }

    /// Takes `2^order` consecutive numbers, aligned to their count: a device of multi-message
    /// MSI puts the number of the message into the lowest bits.
    pub fn reserve(&mut self, order: u8) -> Result<PoolBlock, ReserveError> {
        if self.free.is_empty() {
            return Err(ReserveError::NoVectors);
        }
        let first = match order {
            0 => self.free.take_lowest(),
            1..=LARGEST_ORDER => self.free.take_run(order),
            _ => None,
        };
        let first = first.ok_or(ReserveError::NoContiguous)?;
        // A bitmap's numbers are below 65,536.
        Ok(PoolBlock { first: EntryIndex::new(first as u16), taken: 0, count: 1 << order })
    }

    /// A number is free again. Without a proof about it, it is lost, never shared.
    pub fn give_back(&mut self, entry: PoolEntry, proof: Drained) {
        let freed = proof.index() == entry.0 && self.free.insert(entry.0.bits().into());
        debug_assert!(freed, "proof and entry belong together");
    }

    /// How many are taken.
    pub const fn used(&self) -> u32 {
        self.total - self.free.len()
    }

    /// How many there are.
    pub const fn total(&self) -> u32 {
        self.total
    }
}
