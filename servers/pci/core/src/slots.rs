//! The MSI capability slot by slot: what a driver may do with it, and when hardware is written.
//!
//! The capability holds one pair, and a function that may send several messages makes theirs by putting a message's number
//! into the data's low bits (PCIe §7.7.1.2). So whoever fills the capability names pairs that it does not write: here every
//! one of them has to be shown, as a message, before hardware gets any. The rules:
//!
//! * slot 0 begins a block; each slot after it has the same address and the next data;
//! * the first slot that is opened has the block written, which must be a power of two of slots: the whole capability at
//!   once, with messages off;
//! * while a slot is open nothing that slots share changes (DESIGN §4, invariant 6): its pair is in use.
//!
//! A capability without mask bits can not silence one slot and keep its event, nor one of several. There an open slot means
//! that messages are on, and they go off with the last one: what silences a slot of several is the remapper.

use crate::{
    ConfigSpace,
    msi::{MessageError, Msi, Pair},
};

/// The slots of a function's MSI capability.
#[derive(Clone, Debug)]
pub struct MsiSlots {
    msi: Msi,
    /// The pair of slot 0, if it has one.
    first: Option<Pair>,
    /// Slots that have a pair, from 0 on.
    filled: u32,
    /// Hardware has this block, and not yet only because nobody has opened a slot.
    is_stored: bool,
    /// Open slots, one bit each.
    open: u32,
}

impl MsiSlots {
    /// No slot has a pair, and none is open: messages must be off.
    pub const fn new(msi: Msi) -> Self {
        Self { msi, first: None, filled: 0, is_stored: false, open: 0 }
    }

    /// The capability.
    pub const fn msi(&self) -> &Msi {
        &self.msi
    }

    fn bit(&self, slot: u32) -> Result<u32, MessageError> {
        if slot < self.msi.capacity() { Ok(1 << slot) } else { Err(MessageError::NoSlot) }
    }

    /// Puts a pair into a slot. Hardware gets it when a slot is opened.
    pub fn fill(&mut self, slot: u32, pair: Pair) -> Result<(), MessageError> {
        self.bit(slot)?;
        if self.open != 0 {
            return Err(MessageError::InUse);
        }
        self.msi.check(pair, 0)?;
        if slot == 0 {
            (self.first, self.filled, self.is_stored) = (Some(pair), 1, false);
            return Ok(());
        }
        let first = self.first.ok_or(MessageError::NotConsecutive)?;
        let follows = pair.address == first.address && pair.data == first.data + slot;
        if slot > self.filled || !follows {
            return Err(MessageError::NotConsecutive);
        }
        if slot == self.filled {
            (self.filled, self.is_stored) = (slot + 1, false);
        }
        Ok(())
    }

    /// Lets a slot raise its message.
    pub fn open<C: ConfigSpace + ?Sized>(
        &mut self,
        config: &mut C,
        slot: u32,
    ) -> Result<(), MessageError> {
        let bit = self.bit(slot)?;
        let first = self.first.filter(|_| slot < self.filled).ok_or(MessageError::Empty)?;
        if !self.is_stored {
            // None is open: `fill` sees to it.
            if !self.filled.is_power_of_two() {
                return Err(MessageError::Incomplete);
            }
            self.msi.write(config, first, self.filled.ilog2() as u8)?;
            self.is_stored = true;
        }
        if self.msi.is_maskable() {
            self.msi.set_masked(config, slot, false)?;
        }
        if self.open == 0 {
            self.msi.set_enabled(config, true)?;
        }
        self.open |= bit;
        Ok(())
    }

    /// Keeps a slot from raising its message, as far as the function can: by its mask bit; or else, when it is the last
    /// one, by the enable bit.
    pub fn close<C: ConfigSpace + ?Sized>(
        &mut self,
        config: &mut C,
        slot: u32,
    ) -> Result<(), MessageError> {
        let bit = self.bit(slot)?;
        if self.open & bit == 0 {
            return Ok(());
        }
        let left = self.open & !bit;
        if self.msi.is_maskable() {
            self.msi.set_masked(config, slot, true)?;
        } else if left == 0 {
            self.msi.set_enabled(config, false)?;
        }
        self.open = left;
        Ok(())
    }

    /// Where no slot is open, messages go off: masked ones keep them on, and then the function's pin can not be used. What a
    /// masked slot has pending is lost with that, so it is for an owner that wants the pin instead.
    pub fn rest<C: ConfigSpace + ?Sized>(&self, config: &mut C) -> Result<(), MessageError> {
        if self.open == 0 { self.msi.set_enabled(config, false) } else { Ok(()) }
    }
}
