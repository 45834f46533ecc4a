//! A device's memory that keeps a trace and can misbehave.

use super::trace;
use crate::map::Access;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

type Watch = dyn Fn(&[u32], u64, u32);

/// Registers of a fake device. Clones are the same registers.
#[derive(Clone)]
pub struct DeviceMemory(Rc<Registers>);

struct Registers {
    words: RefCell<Vec<u32>>,
    /// Writes are dropped while this is set, as by a device that hangs.
    is_stuck: Cell<bool>,
    watch: RefCell<Option<alloc::boxed::Box<Watch>>>,
}

impl DeviceMemory {
    /// Memory of `size_bytes`, zero.
    #[must_use]
    pub fn new(size_bytes: u64) -> DeviceMemory {
        DeviceMemory(Rc::new(Registers {
            words: RefCell::new(alloc::vec![0; size_bytes as usize / 4]),
            is_stuck: Cell::new(false),
            watch: RefCell::new(None),
        }))
    }

    /// Calls `watch` before each write with the words, the offset and the value: the
    /// device's view at every moment.
    pub fn watch(&self, watch: impl Fn(&[u32], u64, u32) + 'static) {
        *self.0.watch.borrow_mut() = Some(alloc::boxed::Box::new(watch));
    }

    /// Drops writes from now on, or takes them again.
    pub fn set_stuck(&self, is_stuck: bool) {
        self.0.is_stuck.set(is_stuck);
    }

    /// A word, without leaving a trace.
    #[must_use]
    pub fn peek(&self, offset: u64) -> u32 {
        self.0.words.borrow()[offset as usize / 4]
    }
}

impl Access for DeviceMemory {
    fn size_bytes(&self) -> u64 {
        self.0.words.borrow().len() as u64 * 4
    }

    fn read32(&self, offset: u64) -> u32 {
        assert!(offset.is_multiple_of(4), "misaligned read");
        trace(format!("read {offset:#x}"));
        self.peek(offset)
    }

    fn write32(&self, offset: u64, value: u32) {
        assert!(offset.is_multiple_of(4), "misaligned write");
        trace(format!("write {offset:#x} {value:#x}"));
        if let Some(watch) = &*self.0.watch.borrow() {
            watch(&self.0.words.borrow(), offset, value);
        }
        if !self.0.is_stuck.get() {
            self.0.words.borrow_mut()[offset as usize / 4] = value;
        }
    }
}
