//! Memory and device registers in this address space.
//!
//! Another process or a device may change what a mapping shows at any time, so there are
//! no references into it: every access is a volatile read or write of a plain number, with
//! its offset checked.

use crate::object::{Capability, Memory, Physical};
use crate::{arch, sys};
use alloc::vec::Vec;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights};

/// A part of a memory object or physical range, mapped here until dropped.
#[must_use = "dropping it unmaps"]
#[derive(Debug)]
pub struct Mapping {
    address: usize,
    len: usize,
    /// The object, where the mapping owns its handle.
    object: Option<Capability>,
}

/// Registers and memory, read and written by offset. Stores work on any of these, so that
/// they can be tested without a device.
pub trait Access {
    /// Bytes that can be accessed.
    fn size_bytes(&self) -> u64;
    /// Reads 32 bits.
    ///
    /// # Panics
    /// When the offset is misaligned or outside.
    fn read32(&self, offset: u64) -> u32;
    /// Writes 32 bits.
    ///
    /// # Panics
    /// When the offset is misaligned or outside.
    fn write32(&self, offset: u64, value: u32);
}

impl<A: Access + ?Sized> Access for &A {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }
    fn read32(&self, offset: u64) -> u32 {
        (**self).read32(offset)
    }
    fn write32(&self, offset: u64, value: u32) {
        (**self).write32(offset, value);
    }
}

impl<A: Access + ?Sized> Access for alloc::rc::Rc<A> {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }
    fn read32(&self, offset: u64) -> u32 {
        (**self).read32(offset)
    }
    fn write32(&self, offset: u64, value: u32) {
        (**self).write32(offset, value);
    }
}

impl<A: Access + ?Sized> Access for alloc::sync::Arc<A> {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }
    fn read32(&self, offset: u64) -> u32 {
        (**self).read32(offset)
    }
    fn write32(&self, offset: u64, value: u32) {
        (**self).write32(offset, value);
    }
}

impl Access for Mapping {
    #[inline]
    fn size_bytes(&self) -> u64 {
        self.len as u64
    }
    #[inline]
    fn read32(&self, offset: u64) -> u32 {
        Mapping::read32(self, offset)
    }
    #[inline]
    fn write32(&self, offset: u64, value: u32) {
        Mapping::write32(self, offset, value);
    }
}

macro_rules! accessors {
    ($($read:ident $write:ident $ty:ty;)*) => {$(
        /// Reads one number.
        ///
        /// # Panics
        /// When the offset is misaligned or outside.
        #[inline]
        #[must_use]
        pub fn $read(&self, offset: u64) -> $ty {
            let pointer = self.pointer::<$ty>(offset);
            // SAFETY: `pointer` checked alignment and range; the range is mapped as long as
            // `self` lives, and any bits are a valid number. Nobody holds a reference to
            // it, because nothing here hands one out.
            unsafe { pointer.read_volatile() }
        }

        /// Writes one number. Needs a mapping with `WRITE`; without it the process faults.
        ///
        /// # Panics
        /// When the offset is misaligned or outside.
        #[inline]
        pub fn $write(&self, offset: u64, value: $ty) {
            let pointer = self.pointer::<$ty>(offset);
            // SAFETY: as for reading.
            unsafe { pointer.write_volatile(value) }
        }
    )*};
}

impl Mapping {
    /// Maps `size_bytes` from `offset` of a memory object or physical range. The mapping
    /// lives at most as long as `object`'s handle does.
    ///
    /// # Errors
    /// As `memory_map`.
    pub fn new(
        object: Handle,
        offset: u64,
        size_bytes: u64,
        protection: Rights,
    ) -> Result<Mapping, Error> {
        let address = arch::map(object, offset, size_bytes, protection)?;
        Ok(Mapping { address, len: size_bytes as usize, object: None })
    }

    /// Maps a whole memory object or physical range for reading and writing, and keeps it
    /// open for as long as the mapping lives.
    ///
    /// # Errors
    /// As `memory_info` and `memory_map`.
    pub fn owning(object: Capability) -> Result<Mapping, Error> {
        let size = sys::memory_info(object.handle())?.values[0];
        let mut mapping = Mapping::new(object.handle(), 0, size, Rights::READ | Rights::WRITE)?;
        mapping.object = Some(object);
        Ok(mapping)
    }

    /// The object's handle, where the mapping owns it.
    #[must_use]
    pub fn object(&self) -> Option<Handle> {
        self.object.as_ref().map(Capability::handle)
    }

    /// Takes over what is mapped at an address already.
    pub(crate) const fn adopt(address: usize, size_bytes: u64) -> Mapping {
        Mapping { address, len: size_bytes as usize, object: None }
    }

    /// Maps a whole memory object for reading and writing.
    ///
    /// # Errors
    /// As `memory_info` and `memory_map`.
    pub fn of_memory(memory: &Memory) -> Result<Mapping, Error> {
        let (size, _) = memory.info()?;
        Mapping::new(memory.handle(), 0, size, Rights::READ | Rights::WRITE)
    }

    /// Maps a whole physical range for reading and writing.
    ///
    /// # Errors
    /// As `memory_info` and `memory_map`.
    pub fn of_physical(range: &Physical) -> Result<Mapping, Error> {
        let (size, _) = range.info()?;
        Mapping::new(range.handle(), 0, size, Rights::READ | Rights::WRITE)
    }

    /// Address of the first byte in this process.
    #[must_use]
    pub const fn address(&self) -> usize {
        self.address
    }

    /// Bytes mapped.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub const fn len(&self) -> u64 {
        self.len as u64
    }

    /// Keeps the mapping for the life of the process and returns its address.
    #[must_use]
    pub fn leak(self) -> usize {
        let address = self.address;
        core::mem::forget(self);
        address
    }

    accessors! {
        read8 write8 u8;
        read16 write16 u16;
        read32 write32 u32;
        read64 write64 u64;
    }

    /// Checks an access and returns where it goes.
    #[inline]
    fn pointer<T>(&self, offset: u64) -> *mut T {
        let offset = offset as usize;
        let size = size_of::<T>();
        let inside = offset <= self.len && self.len - offset >= size;
        assert!(inside && offset.is_multiple_of(size), "access outside of a mapping");
        core::ptr::with_exposed_provenance_mut(self.address + offset)
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// When they do not fit behind `offset`.
    pub fn copy_from(&self, offset: u64, bytes: &[u8]) {
        let end = offset.checked_add(bytes.len() as u64);
        assert!(end.is_some_and(|end| end <= self.len()), "copy outside of a mapping");
        // Words where both sides allow it: a program is copied so when it is started.
        let head = (offset.next_multiple_of(8) - offset).min(bytes.len() as u64);
        let (first, rest) = bytes.split_at(head as usize);
        for (at, &byte) in (offset..).zip(first) {
            self.write8(at, byte);
        }
        let mut at = offset + head;
        let words = rest.chunks_exact(8);
        let last = words.remainder();
        for word in words {
            let mut raw = [0; 8];
            raw.copy_from_slice(word);
            self.write64(at, u64::from_ne_bytes(raw));
            at += 8;
        }
        for (at, &byte) in (at..).zip(last) {
            self.write8(at, byte);
        }
    }

    /// Copies bytes out.
    ///
    /// # Panics
    /// When there are not so many behind `offset`.
    pub fn copy_to(&self, offset: u64, bytes: &mut [u8]) {
        let end = offset.checked_add(bytes.len() as u64);
        assert!(end.is_some_and(|end| end <= self.len()), "copy outside of a mapping");
        let head = (offset.next_multiple_of(8) - offset).min(bytes.len() as u64);
        let (first, rest) = bytes.split_at_mut(head as usize);
        for (at, byte) in (offset..).zip(first) {
            *byte = self.read8(at);
        }
        let mut at = offset + head;
        let mut words = rest.chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&self.read64(at).to_ne_bytes());
            at += 8;
        }
        for (at, byte) in (at..).zip(words.into_remainder()) {
            *byte = self.read8(at);
        }
    }

    /// A copy of `size_bytes` behind `offset`.
    ///
    /// # Panics
    /// When there are not so many behind `offset`.
    #[must_use]
    pub fn to_vec(&self, offset: u64, size_bytes: u64) -> Vec<u8> {
        let mut bytes = alloc::vec![0; size_bytes as usize];
        self.copy_to(offset, &mut bytes);
        bytes
    }

    /// Writes a startup page at the mapping's start.
    ///
    /// # Panics
    /// When the mapping is smaller than a page.
    pub fn write_startup(&self, page: &Startup) {
        assert!(self.len >= size_of::<Startup>(), "startup page outside of a mapping");
        let pointer: *mut Startup = core::ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: the mapping has a page (checked), begins on a page, and a startup page is
        // plain numbers and bytes. Nobody holds a reference into a mapping.
        unsafe { pointer.write_volatile(*page) }
    }

    /// The bytes, for as long as the mapping lives.
    ///
    /// # Safety
    /// 1. The mapping can be read.
    /// 2. Nobody changes the memory while the slice lives: no device, no process that maps
    ///    it writable, and not this one through [`Mapping::write8`] and its like.
    #[must_use]
    pub unsafe fn bytes(&self) -> &[u8] {
        let pointer: *const u8 = core::ptr::with_exposed_provenance(self.address);
        // SAFETY: mapped for `len` bytes as long as `self` is borrowed, readable and
        // unchanging by the caller's promises.
        unsafe { core::slice::from_raw_parts(pointer, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        arch::unmap(self.address);
    }
}

/// Everything written before is visible to a device before anything written after.
#[inline]
pub fn ordering() {
    arch::ordering();
}

#[cfg(test)]
mod tests;
