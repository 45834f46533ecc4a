//! A store made of closures, for devices that no ready store fits.

use super::{MessageStore, Prepared, StoreError, StoreKind};
use alloc::boxed::Box;

type WriteSlot = Box<dyn FnMut(u32, Prepared) -> Result<(), StoreError>>;
type SlotOperation = Box<dyn FnMut(u32) -> Result<(), StoreError>>;
type Bracket = Box<dyn FnMut() -> Result<(), StoreError>>;
type SetAffinity = Box<dyn FnMut(u32, u64) -> Result<(), StoreError>>;

/// The description of a store. What a device can not do is `None`, and
/// [`Store::new`](super::Store::new) says which of the missing things is required.
pub struct Template {
    /// What kind of store it is.
    pub kind: StoreKind,
    /// Number of slots in hardware; `None` for queue memory.
    pub capacity: Option<u32>,
    /// Puts a message into a masked slot. Required.
    pub write: Option<WriteSlot>,
    /// Silences a slot, effective when it returns (or when `commit` does). Required.
    pub mask: Option<SlotOperation>,
    /// Lets a slot raise its message. Required.
    pub unmask: Option<SlotOperation>,
    /// Begins a batch; with `commit` or not at all.
    pub lock: Option<Bracket>,
    /// Makes a batch effective; with `lock` or not at all.
    pub commit: Option<Bracket>,
    /// Must be `None`: a CPU change happens in the remapper and never touches the device.
    /// The field exists so that an attempt is refused with a reason.
    pub set_affinity: Option<SetAffinity>,
}

impl Template {
    /// A template with nothing in it.
    #[must_use]
    pub const fn new(kind: StoreKind, capacity: Option<u32>) -> Template {
        Template {
            kind,
            capacity,
            write: None,
            mask: None,
            unmask: None,
            lock: None,
            commit: None,
            set_affinity: None,
        }
    }

    /// Sets [`Template::write`].
    #[must_use]
    pub fn write(
        mut self,
        f: impl FnMut(u32, Prepared) -> Result<(), StoreError> + 'static,
    ) -> Self {
        self.write = Some(Box::new(f));
        self
    }

    /// Sets [`Template::mask`].
    #[must_use]
    pub fn mask(mut self, f: impl FnMut(u32) -> Result<(), StoreError> + 'static) -> Self {
        self.mask = Some(Box::new(f));
        self
    }

    /// Sets [`Template::unmask`].
    #[must_use]
    pub fn unmask(mut self, f: impl FnMut(u32) -> Result<(), StoreError> + 'static) -> Self {
        self.unmask = Some(Box::new(f));
        self
    }

    /// Sets [`Template::lock`].
    #[must_use]
    pub fn lock(mut self, f: impl FnMut() -> Result<(), StoreError> + 'static) -> Self {
        self.lock = Some(Box::new(f));
        self
    }

    /// Sets [`Template::commit`].
    #[must_use]
    pub fn commit(mut self, f: impl FnMut() -> Result<(), StoreError> + 'static) -> Self {
        self.commit = Some(Box::new(f));
        self
    }

    /// The store, if every rule is kept. Missing operations first, then what must not be.
    pub(super) fn check(self) -> Result<Closures, StoreError> {
        let write = self.write.ok_or(StoreError::NoWrite)?;
        let mask = self.mask.ok_or(StoreError::NoMask)?;
        let unmask = self.unmask.ok_or(StoreError::NoUnmask)?;
        if self.set_affinity.is_some() {
            return Err(StoreError::HasAffinity);
        }
        let bracket = match (self.lock, self.commit) {
            (None, None) => None,
            (Some(lock), Some(commit)) => Some((lock, commit)),
            _ => return Err(StoreError::HalfBracket),
        };
        Ok(Closures { kind: self.kind, capacity: self.capacity, write, mask, unmask, bracket })
    }
}

/// A template that was found complete.
pub(super) struct Closures {
    kind: StoreKind,
    capacity: Option<u32>,
    write: WriteSlot,
    mask: SlotOperation,
    unmask: SlotOperation,
    bracket: Option<(Bracket, Bracket)>,
}

impl MessageStore for Closures {
    fn kind(&self) -> StoreKind {
        self.kind
    }

    fn capacity(&self) -> Option<u32> {
        self.capacity
    }

    fn write(&mut self, slot: u32, message: Prepared) -> Result<(), StoreError> {
        (self.write)(slot, message)
    }

    fn mask(&mut self, slot: u32) -> Result<(), StoreError> {
        (self.mask)(slot)
    }

    fn unmask(&mut self, slot: u32) -> Result<(), StoreError> {
        (self.unmask)(slot)
    }

    fn lock(&mut self) -> Result<(), StoreError> {
        self.bracket.as_mut().map_or(Ok(()), |(lock, _)| lock())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.bracket.as_mut().map_or(Ok(()), |(_, commit)| commit())
    }
}
