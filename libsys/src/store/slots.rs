//! Which slots of a store are taken.

use super::{Store, StoreError};
use alloc::vec::Vec;

/// Slots that one store can have here: a bound for the bitmap, far above any device's.
const MAX_SLOTS: u32 = 1 << 20;

/// A bit per slot, as many as were ever needed.
#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Vec<u64>,
    used: u32,
    /// No word below this has a free bit.
    hint: usize,
}

impl Slots {
    pub(super) fn take(&mut self, slot: u32) -> Result<(), StoreError> {
        if slot >= MAX_SLOTS {
            return Err(StoreError::BadSlot);
        }
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        if word >= self.taken.len() {
            self.taken.resize(word + 1, 0);
        }
        if self.taken[word] & bit != 0 {
            return Err(StoreError::SlotTaken);
        }
        self.taken[word] |= bit;
        self.used += 1;
        while self.taken.get(self.hint).is_some_and(|&word| word == u64::MAX) {
            self.hint += 1;
        }
        Ok(())
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        let word = slot as usize / 64;
        self.taken[word] &= !(1 << (slot % 64));
        self.used -= 1;
        self.hint = self.hint.min(word);
    }

    pub(super) fn lowest_free(&self) -> u32 {
        let word = self.taken.get(self.hint).copied().unwrap_or(0);
        self.hint as u32 * 64 + word.trailing_ones()
    }

    pub(super) const fn used(&self) -> u32 {
        self.used
    }
}

/// A slot that is taken until this is dropped.
#[must_use = "dropping it gives the slot back"]
#[derive(Debug)]
pub struct SlotClaim {
    store: Store,
    slot: u32,
    returns: bool,
}

impl SlotClaim {
    pub(super) const fn new(store: Store, slot: u32) -> SlotClaim {
        SlotClaim { store, slot, returns: true }
    }

    /// Its number.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// Its store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Keeps the slot from being used again: the device may still use it.
    pub(crate) const fn quarantine(&mut self) {
        self.returns = false;
    }
}

impl Drop for SlotClaim {
    fn drop(&mut self) {
        if self.returns {
            self.store.0.slots.borrow_mut().give_back(self.slot);
        }
    }
}
