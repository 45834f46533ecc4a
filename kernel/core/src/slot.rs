//! A slot: the kernel's side of a handle.

use core::cell::Cell;

use tocsin_abi::{Kind, Rights};

use crate::arena::Id;
use crate::objects::{MappingId, ProcessId, SlotId};
use crate::reset_cells;

/// One handle: who holds it, what it names, with which rights, and its place in the
/// tree of derivation.
#[derive(Default)]
pub struct Slot {
    /// The process that holds the handle; none while the slot is unused.
    pub owner: Cell<ProcessId>,
    /// Index of the object in its arena.
    pub object: Cell<u32>,
    /// Bits of [`Rights`].
    pub rights: Cell<u16>,
    /// Code of [`Kind`].
    pub kind: Cell<u8>,
    /// Seen by receivers on an endpoint.
    pub badge: Cell<u64>,
    /// The slot that this one was derived from.
    pub parent: Cell<SlotId>,
    /// First of those derived from this one.
    pub child: Cell<SlotId>,
    /// Next with the same parent.
    pub next: Cell<SlotId>,
    /// Previous with the same parent.
    pub prev: Cell<SlotId>,
    /// Next in the owner's list.
    pub owner_next: Cell<SlotId>,
    /// Previous in the owner's list.
    pub owner_prev: Cell<SlotId>,
    /// First mapping made through this handle.
    pub mappings: Cell<MappingId>,
}

reset_cells!(Slot {
    owner: Id::NONE, object: 0, rights: 0, kind: 0, badge: 0,
    parent: Id::NONE, child: Id::NONE, next: Id::NONE, prev: Id::NONE,
    owner_next: Id::NONE, owner_prev: Id::NONE, mappings: Id::NONE;
});

impl Slot {
    /// The rights.
    #[inline(always)]
    #[must_use]
    pub fn rights(&self) -> Rights {
        Rights::from_bits_retain(self.rights.get())
    }

    /// The kind of object.
    ///
    /// # Panics
    /// On an unused slot: a bug in the kernel.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::from_code(self.kind.get()).expect("slot in use")
    }

    /// A typed index for the object.
    #[inline(always)]
    #[must_use]
    pub fn id<T>(&self) -> Id<T> {
        Id::new(self.object.get())
    }
}
