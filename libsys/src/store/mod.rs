//! Where a device keeps its messages: the trait, its checks, and the ready stores.
//!
//! | store | where the pair lives | made by |
//! | --- | --- | --- |
//! | [`PciMsi`] | the PCI MSI capability | [`Store::pci_msi`] |
//! | [`MsixTable`] | the MSI-X table, in device memory | [`Store::msix_table`] |
//! | [`DeviceArray`] | an array in device memory | [`Store::device_array`] |
//! | [`QueueMemory`] | queue entries in system memory | [`Store::queue_memory`] |
//! | [`Registers`] | registers of the device's own | [`Store::registers`] |
//! | anything else | wherever its closures put it | [`Store::new`] with a [`Template`] |
//!
//! A store knows one device's way of writing, masking and unmasking a slot. It does not
//! know about vectors, CPUs or affinity (those are the remapper's), and it decides nothing:
//! [`Interrupt`](crate::interrupt::Interrupt) calls it in the order that keeps a pair from
//! ever being half written while its slot is live (DESIGN §4, invariant 6).

mod array;
mod error;
mod layout;
mod msi;
mod msix;
mod queue;
mod registers;
mod slots;
mod template;

#[cfg(test)]
mod tests;

pub use array::DeviceArray;
pub use error::StoreError;
pub use layout::{EntryLayout, MaskField};
pub use msi::PciMsi;
pub use msix::MsixTable;
pub use queue::QueueMemory;
pub use registers::{RegisterSlot, Registers};
pub use slots::SlotClaim;
pub use template::Template;
pub use tocsin_proto::StoreKind;

use crate::map::Access;
use crate::pci::Device;
use alloc::rc::Rc;
use core::cell::RefCell;
use slots::Slots;
use tocsin_abi::Handle;

/// What a device writes and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Bus address.
    pub address: u64,
    /// The 32 bits to write there.
    pub data: u32,
}

/// A message that is ready to be put into a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// Its pair.
    pub pair: Pair,
    /// Its handle, for stores that are written by another server.
    pub message: Handle,
}

/// A place in a device, or shared with it, that holds messages.
///
/// Every operation is called between [`lock`](MessageStore::lock) and
/// [`commit`](MessageStore::commit); a store that can not be written directly collects the
/// operations and makes them effective in `commit`, which may block. `write` is called on
/// masked slots only. When `mask` (with its `commit`) has returned, the device uses the
/// slot no more: a store in device memory reads back what it wrote. Where a device has no such
/// mask, [`masks_slots`](MessageStore::masks_slots) says so.
pub trait MessageStore {
    /// What kind of store it is.
    fn kind(&self) -> StoreKind;

    /// Number of slots in hardware; `None` for queue memory.
    fn capacity(&self) -> Option<u32>;

    /// Whether there is such a slot.
    fn has_slot(&self, slot: u32) -> bool {
        self.capacity().is_none_or(|slots| slot < slots)
    }

    /// Puts a message into a masked slot.
    ///
    /// # Errors
    /// [`StoreError`]; the slot stays masked.
    fn write(&mut self, slot: u32, message: Prepared) -> Result<(), StoreError>;

    /// Silences a slot at its source, if the store [`masks_slots`](MessageStore::masks_slots).
    /// A store that can not do more than silence all of its slots does it with the last one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn mask(&mut self, slot: u32) -> Result<(), StoreError>;

    /// Lets a slot raise its message.
    ///
    /// # Errors
    /// [`StoreError`].
    fn unmask(&mut self, slot: u32) -> Result<(), StoreError>;

    /// Whether `mask` silences the one slot and nothing is lost by it. Where it does not,
    /// [`Interrupt::mask`](crate::interrupt::Interrupt::mask) has the remapper stop the slot.
    fn masks_slots(&self) -> bool {
        true
    }

    /// Whether an event came while the slot was masked and waits in the device; `None` where
    /// the device can not tell.
    fn is_pending(&self, slot: u32) -> Option<bool> {
        let _ = slot;
        None
    }

    /// Begins a batch.
    ///
    /// # Errors
    /// [`StoreError`]; the batch has not begun.
    fn lock(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends a batch: what was asked since `lock` is effective when this returns. Called
    /// after a failed operation too, for the operations before it.
    ///
    /// # Errors
    /// [`StoreError`]; the batch has ended.
    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A checked store. Clones are the same store; each [`Interrupt`](crate::interrupt::Interrupt)
/// holds one for its slot.
#[derive(Clone)]
pub struct Store(Rc<Shared<dyn MessageStore>>);

struct Shared<S: ?Sized> {
    kind: StoreKind,
    capacity: Option<u32>,
    masks_slots: bool,
    slots: RefCell<Slots>,
    store: RefCell<S>,
}

impl core::fmt::Debug for Store {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Store({}, {:?})", self.0.kind, self.0.capacity)
    }
}

impl Store {
    /// A store from a template, if the template keeps the rules.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn new(template: Template) -> Result<Store, StoreError> {
        Store::custom(template.check()?)
    }

    /// A store in the PCI MSI capability of a device.
    ///
    /// # Errors
    /// `NoCapacity` when the device has no such capability, or the PCI server's error.
    pub fn pci_msi(device: Device) -> Result<Store, StoreError> {
        Store::custom(PciMsi::new(device)?)
    }

    /// A store in the MSI-X table of a device, which must answer at its memory BARs
    /// ([`Device::enable`]). Every slot is masked, and slots can be filled at any time after.
    /// One device can have it beside other stores.
    ///
    /// # Errors
    /// `NoCapacity` when the device has no such table, `NotMasked` when it does not answer,
    /// or the PCI server's error.
    pub fn msix_table(device: Device) -> Result<Store, StoreError> {
        let msix = device.describe()?.msix.ok_or(StoreError::NoCapacity)?;
        let table = device.map_bar(msix.table.bar)?;
        let pending = device.map_bar(msix.pending.bar)?;
        let (table, pending) = ((table.mapping, table.base), (pending.mapping, pending.base));
        Store::custom(MsixTable::new(device, msix, table, pending)?)
    }

    /// A store in device memory.
    ///
    /// # Errors
    /// The first rule that the layout breaks.
    pub fn device_array(
        memory: impl Access + 'static,
        layout: EntryLayout,
    ) -> Result<Store, StoreError> {
        Store::custom(DeviceArray::new(memory, layout)?)
    }

    /// A store in queue entries in system memory.
    ///
    /// # Errors
    /// The first rule that the layout breaks.
    pub fn queue_memory(
        memory: impl Access + 'static,
        layout: EntryLayout,
    ) -> Result<Store, StoreError> {
        Store::custom(QueueMemory::new(memory, layout)?)
    }

    /// A store in registers of the device's own: each slot where `layout` says.
    ///
    /// # Errors
    /// The first rule that the layout breaks.
    pub fn registers(
        memory: impl Access + 'static,
        layout: &[RegisterSlot],
    ) -> Result<Store, StoreError> {
        Store::custom(Registers::new(memory, layout)?)
    }

    /// Any implementation of the trait.
    ///
    /// # Errors
    /// `NoCapacity` or `FixedQueue` when its capacity does not suit its kind.
    pub fn custom(store: impl MessageStore + 'static) -> Result<Store, StoreError> {
        let (kind, capacity, masks_slots) = (store.kind(), store.capacity(), store.masks_slots());
        match (kind, capacity) {
            (StoreKind::QueueMemory, Some(_)) => return Err(StoreError::FixedQueue),
            (StoreKind::QueueMemory, None) => {}
            (_, None | Some(0)) => return Err(StoreError::NoCapacity),
            (_, Some(_)) => {}
        }
        let slots = RefCell::new(Slots::default());
        let store = RefCell::new(store);
        Ok(Store(Rc::new(Shared { kind, capacity, masks_slots, slots, store })))
    }

    /// What kind of store it is.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        self.0.kind
    }

    /// Number of slots in hardware; `None` for queue memory.
    #[must_use]
    pub fn capacity(&self) -> Option<u32> {
        self.0.capacity
    }

    /// See [`MessageStore::masks_slots`].
    pub(crate) fn masks_slots(&self) -> bool {
        self.0.masks_slots
    }

    /// Number of slots in use, or lost to a device that did not mask them.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.0.slots.borrow().used()
    }

    /// Whether an event waits in a masked slot; `None` where the device can not tell.
    ///
    /// # Errors
    /// `BadSlot`, or `Busy`.
    pub fn is_pending(&self, slot: u32) -> Result<Option<bool>, StoreError> {
        let store = self.0.store.try_borrow().map_err(|_| StoreError::Busy)?;
        if store.has_slot(slot) { Ok(store.is_pending(slot)) } else { Err(StoreError::BadSlot) }
    }

    /// Takes a slot; dropping the claim gives it back.
    ///
    /// # Errors
    /// `BadSlot` or `SlotTaken`.
    pub fn claim(&self, slot: u32) -> Result<SlotClaim, StoreError> {
        let exists = self.0.store.try_borrow().map_err(|_| StoreError::Busy)?.has_slot(slot);
        if !exists {
            return Err(StoreError::BadSlot);
        }
        self.0.slots.borrow_mut().take(slot)?;
        Ok(SlotClaim::new(self.clone(), slot))
    }

    /// Takes the lowest free slot.
    ///
    /// # Errors
    /// `NoSlots`.
    pub fn claim_any(&self) -> Result<SlotClaim, StoreError> {
        let slot = self.0.slots.borrow().lowest_free();
        self.claim(slot).map_err(|error| match error {
            StoreError::BadSlot => StoreError::NoSlots,
            other => other,
        })
    }

    /// Runs operations in one batch. The batch ends (`commit`) whether they worked or not.
    ///
    /// # Errors
    /// The first error of the operations, else of `lock` or `commit`.
    pub(crate) fn batch<T>(
        &self,
        operations: impl FnOnce(&mut dyn MessageStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut store = self.0.store.try_borrow_mut().map_err(|_| StoreError::Busy)?;
        store.lock()?;
        let result = operations(&mut *store);
        let committed = store.commit();
        let value = result?;
        committed?;
        Ok(value)
    }
}
