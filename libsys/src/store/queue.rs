//! A store in system memory that a device reads: the pair lives in a queue entry.
//!
//! The operations only note what is wanted; `commit` writes it, in order, and then tells
//! the device (if it must be told). So the server's answer is *prepared* until the driver
//! commits, and only then is the message activated (DESIGN §5).

use super::layout::Checked;
use super::{EntryLayout, MessageStore, Pair, Prepared, StoreError, StoreKind};
use crate::map::{Access, ordering};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// One wanted change of a slot.
#[derive(Clone, Copy, Debug)]
enum Change {
    Mask(u32),
    Write(u32, Pair),
    Unmask(u32),
}

type Publish = Box<dyn FnMut() -> Result<(), StoreError>>;

/// Slots in queue entries.
pub struct QueueMemory<A> {
    memory: A,
    layout: Checked,
    /// What this batch wants; `None` outside of a batch.
    batch: Option<Vec<Change>>,
    /// The batch's memory between batches.
    spare: Vec<Change>,
    publish: Option<Publish>,
}

impl<A: Access> QueueMemory<A> {
    /// The entries that `layout` describes in `memory`.
    ///
    /// # Errors
    /// The first rule that the layout breaks.
    pub fn new(memory: A, layout: EntryLayout) -> Result<QueueMemory<A>, StoreError> {
        let layout = layout.check(memory.size_bytes())?;
        Ok(QueueMemory { memory, layout, batch: None, spare: Vec::new(), publish: None })
    }

    /// Runs `publish` at the end of each batch that changed something, for devices that
    /// keep a copy of their queue entries: it returns when the device has the new ones. It
    /// may block.
    #[must_use]
    pub fn publishing(
        mut self,
        publish: impl FnMut() -> Result<(), StoreError> + 'static,
    ) -> QueueMemory<A> {
        self.publish = Some(Box::new(publish));
        self
    }

    /// Notes a change.
    fn want(&mut self, change: Change) -> Result<(), StoreError> {
        self.batch.as_mut().ok_or(StoreError::NotLocked)?.push(change);
        Ok(())
    }

    fn check_slot(&self, slot: u32) -> Result<(), StoreError> {
        if slot < self.layout.slots() { Ok(()) } else { Err(StoreError::BadSlot) }
    }

    fn apply(&self, change: Change) -> Result<(), StoreError> {
        match change {
            // Each step is visible to the device before the next: a device that reads in
            // between sees a masked slot, never half a pair in a live one.
            Change::Mask(slot) => self.layout.mask(&self.memory, slot)?,
            Change::Write(slot, pair) => self.layout.write(&self.memory, slot, pair)?,
            Change::Unmask(slot) => self.layout.unmask(&self.memory, slot)?,
        };
        ordering();
        Ok(())
    }
}

impl<A: Access> MessageStore for QueueMemory<A> {
    fn kind(&self) -> StoreKind {
        StoreKind::QueueMemory
    }

    fn capacity(&self) -> Option<u32> {
        None
    }

    fn has_slot(&self, slot: u32) -> bool {
        slot < self.layout.slots()
    }

    fn write(&mut self, slot: u32, message: Prepared) -> Result<(), StoreError> {
        // Refused now rather than in `commit`, where others wait for their changes.
        self.layout.fits(slot, message.pair)?;
        self.want(Change::Write(slot, message.pair))
    }

    fn mask(&mut self, slot: u32) -> Result<(), StoreError> {
        self.check_slot(slot)?;
        self.want(Change::Mask(slot))
    }

    fn unmask(&mut self, slot: u32) -> Result<(), StoreError> {
        self.check_slot(slot)?;
        self.want(Change::Unmask(slot))
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        if self.batch.is_some() {
            return Err(StoreError::Busy);
        }
        self.batch = Some(core::mem::take(&mut self.spare));
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let mut batch = self.batch.take().ok_or(StoreError::NotLocked)?;
        let changed = !batch.is_empty();
        let mut result = Ok(());
        for &change in &batch {
            result = result.and(self.apply(change));
        }
        batch.clear();
        self.spare = batch;
        if changed && let Some(publish) = &mut self.publish {
            result = result.and(publish());
        }
        result
    }
}
