//! Fixed arrays of objects, made at boot, addressed by typed indices.
//!
//! Objects never move and their memory is never used for anything else, so an index is
//! always safe to follow; a generation tells an object from its successor in the slot.

use core::cell::Cell;
use core::marker::PhantomData;

/// Index of a `T` in its [`Arena`], or [`Id::NONE`].
pub struct Id<T>(u32, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// No object: the index that no arena gives out.
    pub const NONE: Id<T> = Id(0, PhantomData);

    /// The object with this index.
    #[inline(always)]
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Id(index, PhantomData)
    }

    /// The index.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }

    /// True for [`Id::NONE`].
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// False for [`Id::NONE`].
    #[inline(always)]
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl<T> Clone for Id<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> Default for Id<T> {
    fn default() -> Self {
        Id::NONE
    }
}
impl<T> core::fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.is_none() { f.write_str("#none") } else { write!(f, "#{}", self.0) }
    }
}

/// An object that can be made anew in place.
pub trait Reset: Default {
    /// Sets every field as `Default` does.
    fn reset(&self);
}

/// Implements [`Reset`] for a struct of `Cell`s and nested `Reset` structs: every field
/// named before `;` is a `Cell` set to the value given, every one after is reset.
#[macro_export]
macro_rules! reset_cells {
    ($type:ty { $($field:ident: $value:expr),* $(,)? ; $($nested:ident),* $(,)? }) => {
        impl $crate::arena::Reset for $type {
            fn reset(&self) {
                $(self.$field.set($value);)*
                $($crate::arena::Reset::reset(&self.$nested);)*
            }
        }
    };
}

/// One place in an arena.
#[derive(Default)]
#[repr(C)]
pub struct Item<T> {
    /// The object.
    pub value: T,
    /// Counts the objects that lived here before.
    pub generation: Cell<u32>,
    next_free: Cell<u32>,
}

/// All objects of one type.
pub struct Arena<T: 'static> {
    items: &'static [Item<T>],
    /// First free place. The list is first in, first out, so that a place rests as long
    /// as possible before its next generation, and generations take long to come round.
    free: Cell<u32>,
    last_free: Cell<u32>,
    live: Cell<u32>,
}

impl<T: Reset> Arena<T> {
    /// Takes the items; index 0 is never given out, so that zero is never a name.
    #[must_use]
    pub fn new(items: &'static [Item<T>]) -> Self {
        let last = items.len().saturating_sub(1);
        for (index, item) in items.iter().enumerate() {
            let next = if index == last { u32::MAX } else { index as u32 + 1 };
            item.next_free.set(next);
        }
        let (free, last_free) =
            if items.len() > 1 { (1, last as u32) } else { (u32::MAX, u32::MAX) };
        Arena { items, free: Cell::new(free), last_free: Cell::new(last_free), live: Cell::new(0) }
    }

    /// Takes an unused object, reset. `None` when all are in use.
    pub fn alloc(&self) -> Option<Id<T>> {
        let index = self.free.get();
        let item = self.items.get(index as usize)?;
        self.free.set(item.next_free.get());
        if self.free.get() == u32::MAX {
            self.last_free.set(u32::MAX);
        }
        self.live.set(self.live.get() + 1);
        item.value.reset();
        Some(Id::new(index))
    }

    /// Gives an object back. Its generation ends.
    pub fn free(&self, id: Id<T>) {
        let item = &self.items[id.0 as usize];
        item.generation.set(item.generation.get().wrapping_add(1));
        item.next_free.set(u32::MAX);
        match self.items.get(self.last_free.get() as usize) {
            Some(last) => last.next_free.set(id.0),
            None => self.free.set(id.0),
        }
        self.last_free.set(id.0);
        self.live.set(self.live.get() - 1);
    }

    /// How many more objects `alloc` would find.
    #[must_use]
    pub fn room(&self) -> u32 {
        (self.items.len() as u32).saturating_sub(1 + self.live.get())
    }
}

#[cfg(test)]
impl<T> Arena<T> {
    /// The objects in use; the free list must be whole.
    pub(crate) fn in_use(&self) -> std::vec::Vec<Id<T>> {
        let mut used = std::vec![true; self.items.len()];
        used[0] = false;
        let (mut at, mut last) = (self.free.get(), u32::MAX);
        while at != u32::MAX {
            assert!(used[at as usize], "a place is twice in the free list");
            used[at as usize] = false;
            last = at;
            at = self.items[at as usize].next_free.get();
        }
        assert_eq!(last, self.last_free.get(), "end of the free list");
        let used = used.iter().enumerate().filter(|(_, used)| **used);
        let used: std::vec::Vec<_> = used.map(|(index, _)| Id::new(index as u32)).collect();
        assert_eq!(used.len() as u32, self.live.get(), "a place is lost");
        used
    }
}

impl<T> Arena<T> {
    /// The object.
    ///
    /// # Panics
    /// On an index that this arena never gave out: a bug in the kernel.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, id: Id<T>) -> &'static T {
        &self.items[id.0 as usize].value
    }

    /// The object's place, with its generation.
    #[inline(always)]
    #[must_use]
    pub fn item(&self, id: Id<T>) -> &'static Item<T> {
        &self.items[id.0 as usize]
    }

    /// The place with a number that came from outside.
    #[inline(always)]
    #[must_use]
    pub fn lookup(&self, index: usize) -> Option<&'static Item<T>> {
        self.items.get(index)
    }

    /// Number of objects there can be.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.items.len() as u32
    }

    /// Number of objects in use.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.live.get()
    }

    /// Bytes that one object takes.
    #[must_use]
    pub const fn item_bytes() -> u64 {
        core::mem::size_of::<Item<T>>() as u64
    }
}
