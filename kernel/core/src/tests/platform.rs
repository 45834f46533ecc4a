//! A machine made of maps and counters, strict about how the core uses it: a frame freed
//! twice, a freed frame still mapped, an address space unmapped under a CPU that runs in
//! it, an eviction outside an exclusive context: each fails the test.

use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::string::String;
use std::vec::Vec;

use tocsin_abi::limits::{MAX_CPUS, PAGE_BYTES};
use tocsin_abi::{Error, Handle, Rights, Trigger};

use crate::platform::{Frame, Platform, VectorSpace};

mod space;

/// First address of the pretended RAM.
pub const RAM_START: u64 = 0x1000_0000;
/// Ticks in a nanosecond: not one, so that mixed-up units show.
pub const TICKS_PER_NS: u64 = 3;
/// Few vectors, so that they run out.
pub const FIRST_VECTOR: u16 = 48;
/// See `FIRST_VECTOR`.
pub const LAST_VECTOR: u16 = 53;
/// Where vectors are shared, this one and those above are wires: held, and perhaps level.
pub const FIRST_WIRE: u16 = 52;
/// Where vectors are shared, this one is not for devices, as between SPIs and LPIs.
pub const HOLE: u16 = 51;
/// Places of one CPU in the vector table.
const VECTORS: usize = 64;
/// Where vectors are shared, every CPU has these for itself, the last one excluded; they are wires.
pub const PRIVATE: (u16, u16) = (8, 12);
/// The kernel's own of them.
pub const OWN: u16 = 10;
/// Places in the vector table.
pub const PLACES: usize = VECTORS * MAX_CPUS;

const PAGE_WORDS: usize = PAGE_BYTES as usize / 8;
/// Byte offsets in an IPC buffer.
const HANDLES_AT: u64 = 512;
const RIGHTS_AT: u64 = HANDLES_AT + 32;

/// A thread's registers.
#[derive(Default)]
pub struct FakeFrame {
    /// Result of the last call.
    pub result: Cell<u64>,
    /// Values 0 to 5 of the last call.
    pub values: [Cell<u64>; 6],
    /// How often a result was set: each call is answered once.
    pub answers: Cell<u64>,
    /// Call to issue again.
    pub again: Cell<Option<(u64, u64)>>,
    /// Where it begins.
    pub begin: Cell<(u64, u64, u64)>,
}

impl Frame for FakeFrame {
    fn set_result(&self, value: u64) {
        self.result.set(value);
        self.answers.set(self.answers.get() + 1);
    }
    fn set_values4(&self, values: [u64; 4]) {
        for (cell, value) in self.values.iter().zip(values) {
            cell.set(value);
        }
    }
    fn set_value(&self, index: usize, value: u64) {
        self.values[index].set(value);
    }
    fn start(&self, entry: u64, stack: u64, argument: u64) {
        self.begin.set((entry, stack, argument));
    }
    fn restart(&self, number: u64, argument0: u64) {
        self.again.set(Some((number, argument0)));
    }
}

/// A page of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    pub physical: u64,
    pub protection: Rights,
    pub device: bool,
}

#[derive(Default)]
struct Space {
    pages: BTreeMap<u64, Page>,
    /// Table frames by level and index.
    tables: BTreeMap<(u32, u64), u64>,
}

/// Work done, for bounds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Work {
    pub unmaps: u64,
    pub evictions: u64,
    pub frees: u64,
    pub pokes: u64,
}

/// The machine.
pub struct FakePlatform {
    /// The CPU that the test pretends to run on.
    pub cpu: Cell<usize>,
    /// Whether the test pretends to be alone.
    pub exclusive: Cell<bool>,
    /// Ticks.
    pub clock: Cell<u64>,
    /// Deadline of each CPU's timer.
    pub timers: [Cell<u64>; MAX_CPUS],
    /// Pokes on their way.
    pub poked: [Cell<bool>; MAX_CPUS],
    /// All CPUs have the same vectors.
    pub shared: Cell<bool>,
    /// Wires that the interrupt controller holds back.
    pub held: RefCell<BTreeSet<u16>>,
    /// The same of private wires, and of which CPU.
    pub held_private: RefCell<BTreeSet<(usize, u16)>>,
    /// Private wires that are on.
    pub private: RefCell<BTreeMap<(usize, u16), Trigger>>,
    /// How the machine was ended.
    pub ended: Cell<Option<bool>>,
    /// Address space that each CPU runs in; zero: none.
    pub loaded: [Cell<u64>; MAX_CPUS],
    /// What has been done.
    pub work: Cell<Work>,
    /// The next so many allocations succeed, then one fails.
    pub fail_after: Cell<Option<u32>>,
    /// What the kernel printed.
    pub printed: RefCell<String>,
    used: RefCell<Vec<bool>>,
    blocks: RefCell<BTreeMap<u64, u64>>,
    spaces: RefCell<BTreeMap<u64, Space>>,
    contents: RefCell<BTreeMap<u64, Vec<Cell<u64>>>>,
}

impl FakePlatform {
    /// A machine with so many frames.
    pub fn new(frames: usize) -> Self {
        FakePlatform {
            cpu: Cell::new(0),
            exclusive: Cell::new(false),
            clock: Cell::new(1000),
            timers: core::array::from_fn(|_| Cell::new(u64::MAX)),
            poked: Default::default(),
            shared: Cell::new(false),
            held: RefCell::default(),
            held_private: RefCell::default(),
            private: RefCell::default(),
            ended: Cell::default(),
            loaded: Default::default(),
            work: Cell::default(),
            fail_after: Cell::new(None),
            printed: RefCell::default(),
            used: RefCell::new(std::vec![false; frames]),
            blocks: RefCell::default(),
            spaces: RefCell::default(),
            contents: RefCell::default(),
        }
    }

    /// Frames in use.
    pub fn frames_in_use(&self) -> usize {
        self.used.borrow().iter().filter(|used| **used).count()
    }

    /// All pages of an address space.
    pub fn pages(&self, space: u64) -> BTreeMap<u64, Page> {
        self.spaces.borrow()[&space].pages.clone()
    }

    /// Table frames of an address space, without the first.
    pub fn tables(&self, space: u64) -> u64 {
        self.spaces.borrow()[&space].tables.len() as u64
    }

    /// Address spaces there are.
    pub fn spaces(&self) -> Vec<u64> {
        self.spaces.borrow().keys().copied().collect()
    }

    fn count(&self, change: impl Fn(&mut Work)) {
        let mut work = self.work.get();
        change(&mut work);
        self.work.set(work);
    }

    fn take(&self, pages: u64) -> Option<u64> {
        let mut used = self.used.borrow_mut();
        let step = pages as usize;
        let start = (0..used.len() / step)
            .map(|n| n * step)
            .find(|&at| !used[at..at + step].contains(&true))?;
        used[start..start + step].fill(true);
        let address = RAM_START + start as u64 * PAGE_BYTES;
        self.blocks.borrow_mut().insert(address, pages);
        for page in 0..pages {
            self.contents.borrow_mut().remove(&(address + page * PAGE_BYTES));
        }
        Some(address)
    }

    fn injected(&self) -> bool {
        match self.fail_after.get() {
            Some(0) => {
                self.fail_after.set(None);
                true
            }
            Some(left) => {
                self.fail_after.set(Some(left - 1));
                false
            }
            None => false,
        }
    }

    fn missing_tables(space: &Space, address: u64, pages: u64) -> BTreeSet<(u32, u64)> {
        let mut missing = BTreeSet::new();
        for page in 0..pages {
            for level in [21, 30, 39] {
                let key = (level, (address + page * PAGE_BYTES) >> level);
                if !space.tables.contains_key(&key) {
                    missing.insert(key);
                }
            }
        }
        missing
    }

    fn with_frame<R>(&self, address: u64, action: impl FnOnce(&[Cell<u64>]) -> R) -> R {
        let mut contents = self.contents.borrow_mut();
        let words = contents.entry(address).or_insert_with(|| std::vec![Cell::new(0); PAGE_WORDS]);
        action(words)
    }

    fn read_byte(&self, physical: u64) -> u8 {
        let at = physical % PAGE_BYTES;
        self.with_frame(physical - at, |words| {
            words[at as usize / 8].get().to_le_bytes()[at as usize % 8]
        })
    }

    fn write_byte(&self, physical: u64, byte: u8) {
        let at = (physical % PAGE_BYTES) as usize;
        self.with_frame(physical - at as u64, |words| {
            let mut bytes = words[at / 8].get().to_le_bytes();
            bytes[at % 8] = byte;
            words[at / 8].set(u64::from_le_bytes(bytes));
        });
    }

    fn translate(&self, space: u64, address: u64, write: bool) -> Result<u64, Error> {
        let spaces = self.spaces.borrow();
        let page = spaces[&space].pages.get(&(address / PAGE_BYTES)).ok_or(Error::BadAddress)?;
        if page.device || write && !page.protection.contains(Rights::WRITE) {
            return Err(Error::BadAddress);
        }
        Ok(page.physical + address % PAGE_BYTES)
    }

    /// A word of an IPC buffer.
    pub fn ipc_word(&self, buffer: u64, index: usize) -> u64 {
        self.with_frame(buffer, |words| words[index].get())
    }

    /// Sets a word of an IPC buffer.
    pub fn set_ipc_word(&self, buffer: u64, index: usize, value: u64) {
        self.with_frame(buffer, |words| words[index].set(value));
    }

    /// Puts a handle and the rights it keeps into an IPC buffer.
    pub fn set_ipc_handle(&self, buffer: u64, index: usize, handle: Handle, rights: u16) {
        self.ipc_set_handle(buffer, index, handle);
        for (offset, byte) in rights.to_le_bytes().into_iter().enumerate() {
            self.write_byte(buffer + RIGHTS_AT + index as u64 * 2 + offset as u64, byte);
        }
    }
}

impl Platform for FakePlatform {
    type Frame = FakeFrame;

    fn now(&self) -> u64 {
        self.clock.get()
    }
    fn ticks(&self, ns: u64) -> u64 {
        ns.saturating_mul(TICKS_PER_NS).min(u64::MAX - 1)
    }
    fn nanoseconds(&self, ticks: u64) -> u64 {
        ticks / TICKS_PER_NS
    }
    fn arm_timer(&self, deadline: u64) {
        self.timers[self.cpu.get()].set(deadline);
    }
    fn poke(&self, cpu: usize) {
        self.count(|work| work.pokes += 1);
        self.poked[cpu].set(true);
    }
    fn evict(&self, cpu: usize) {
        assert!(self.exclusive.get(), "eviction outside an exclusive context");
        assert_ne!(cpu, self.cpu.get(), "a CPU evicts itself");
        self.count(|work| work.evictions += 1);
        self.loaded[cpu].set(0);
        // A poke is what brings it out: it looks for work when it is let go on.
        self.poked[cpu].set(true);
    }

    fn alloc_frames(&self, pages: u64) -> Option<u64> {
        assert!(pages.is_power_of_two());
        if self.injected() { None } else { self.take(pages) }
    }
    fn free_frames(&self, address: u64, pages: u64) {
        let block = self.blocks.borrow_mut().remove(&address);
        assert_eq!(block, Some(pages), "block {address:#x} is not what was allocated");
        let range = address..address + pages * PAGE_BYTES;
        for space in self.spaces.borrow().values() {
            for page in space.pages.values() {
                assert!(!range.contains(&page.physical), "a freed frame is still mapped");
            }
        }
        self.count(|work| work.frees += pages);
        let start = ((address - RAM_START) / PAGE_BYTES) as usize;
        self.used.borrow_mut()[start..start + pages as usize].fill(false);
    }
    fn free_bytes(&self) -> u64 {
        self.used.borrow().iter().filter(|used| !**used).count() as u64 * PAGE_BYTES
    }

    fn is_ram(&self, address: u64, bytes: u64) -> bool {
        let end = RAM_START + self.used.borrow().len() as u64 * PAGE_BYTES;
        address < end && address + bytes > RAM_START
    }

    fn space_create(&self) -> Option<u64> {
        let root = if self.injected() { None } else { self.take(1) }?;
        self.spaces.borrow_mut().insert(root, Space::default());
        Some(root)
    }
    fn space_shrink(&self, space: u64, tables: u64) -> bool {
        for _ in 0..tables {
            let table =
                self.spaces.borrow_mut().get_mut(&space).expect("a space").tables.pop_first();
            match table {
                Some((_, table)) => self.free_frames(table, 1),
                None => {
                    self.space_destroy(space);
                    return true;
                }
            }
        }
        false
    }
    fn space_plan(&self, space: u64, address: u64, pages: u64) -> Result<u64, Error> {
        let spaces = self.spaces.borrow();
        let first = address / PAGE_BYTES;
        if spaces[&space].pages.range(first..first + pages).next().is_some() {
            return Err(Error::AlreadyMapped);
        }
        Ok(Self::missing_tables(&spaces[&space], address, pages).len() as u64)
    }
    fn space_map(
        &self,
        space: u64,
        address: u64,
        physical: u64,
        pages: u64,
        protection: Rights,
        device: bool,
    ) {
        assert!(!protection.contains(Rights::WRITE | Rights::EXECUTE), "writable and executable");
        assert_eq!(device, !self.is_ram(physical, pages * PAGE_BYTES));
        let missing = Self::missing_tables(&self.spaces.borrow()[&space], address, pages);
        for key in missing {
            let table = self.take(1).expect("the core has looked whether there are frames");
            self.spaces.borrow_mut().get_mut(&space).expect("a space").tables.insert(key, table);
        }
        let mut spaces = self.spaces.borrow_mut();
        for page in 0..pages {
            let physical = physical + page * PAGE_BYTES;
            let page = (address / PAGE_BYTES + page, Page { physical, protection, device });
            let old = spaces.get_mut(&space).expect("a space").pages.insert(page.0, page.1);
            assert_eq!(old, None, "mapped over a mapping");
        }
    }
    fn space_unmap(&self, space: u64, address: u64, pages: u64) {
        self.count(|work| work.unmaps += 1);
        for (cpu, loaded) in self.loaded.iter().enumerate() {
            assert!(loaded.get() != space || cpu == self.cpu.get(), "CPU {cpu} keeps old entries");
        }
        let mut spaces = self.spaces.borrow_mut();
        for page in address / PAGE_BYTES..address / PAGE_BYTES + pages {
            let old = spaces.get_mut(&space).expect("a space").pages.remove(&page);
            assert!(old.is_some(), "unmapped what is not mapped");
        }
    }

    fn copy_to_user(&self, space: u64, address: u64, bytes: &[u8]) -> Result<(), Error> {
        self.check_user_writable(space, address, bytes.len() as u64)?;
        for (offset, &byte) in bytes.iter().enumerate() {
            self.write_byte(self.translate(space, address + offset as u64, true)?, byte);
        }
        Ok(())
    }
    fn check_user_writable(&self, space: u64, address: u64, bytes: u64) -> Result<(), Error> {
        let end = address.checked_add(bytes).ok_or(Error::BadAddress)?;
        for page in address / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            self.translate(space, page * PAGE_BYTES, true)?;
        }
        Ok(())
    }
    fn copy_from_user(&self, space: u64, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        address.checked_add(bytes.len() as u64).ok_or(Error::BadAddress)?;
        for (offset, byte) in bytes.iter_mut().enumerate() {
            *byte = self.read_byte(self.translate(space, address + offset as u64, false)?);
        }
        Ok(())
    }

    fn ipc_copy(&self, from: u64, to: u64, count: usize) {
        for index in 4..count {
            self.set_ipc_word(to, index, self.ipc_word(from, index));
        }
    }
    fn ipc_handle(&self, buffer: u64, index: usize) -> (Handle, Rights) {
        let byte = |at: u64| self.read_byte(buffer + at);
        let (handle, rights) = (HANDLES_AT + index as u64 * 4, RIGHTS_AT + index as u64 * 2);
        let handle =
            u32::from_le_bytes(core::array::from_fn(|offset| byte(handle + offset as u64)));
        let rights =
            u16::from_le_bytes(core::array::from_fn(|offset| byte(rights + offset as u64)));
        (Handle(handle), Rights::from_bits_retain(rights))
    }
    fn ipc_set_handle(&self, buffer: u64, index: usize, handle: Handle) {
        for (offset, byte) in handle.0.to_le_bytes().into_iter().enumerate() {
            self.write_byte(buffer + HANDLES_AT + index as u64 * 4 + offset as u64, byte);
        }
    }

    fn io_read(&self, port: u16, width: u64) -> Result<u64, Error> {
        Ok(u64::from(port) << 8 | width)
    }
    fn io_write(&self, _port: u16, _width: u64, _value: u64) -> Result<(), Error> {
        Ok(())
    }
    fn early_print(&self, text: &[u8]) {
        self.printed.borrow_mut().push_str(&String::from_utf8_lossy(text));
    }
    fn vector_space(&self) -> VectorSpace {
        let is_shared = self.shared.get();
        let (private, own) = if is_shared { (PRIVATE, OWN) } else { ((0, 0), 0) };
        VectorSpace { first: FIRST_VECTOR, last: LAST_VECTOR, is_shared, private, own }
    }
    fn vector_place(&self, cpu: usize, vector: u16) -> usize {
        let place = usize::from(vector);
        if self.shared.get() && self.vector_space().is_private(vector) {
            return VECTORS + 4 * cpu + usize::from(vector - PRIVATE.0);
        }
        let is_device = (FIRST_VECTOR..=LAST_VECTOR).contains(&vector) && vector != HOLE;
        if place >= VECTORS || self.shared.get() && !is_device {
            return usize::MAX;
        }
        if self.shared.get() { place } else { cpu * VECTORS + place }
    }
    fn check_level(&self, vector: u16) -> Result<(), Error> {
        let is_wire = vector >= FIRST_WIRE || self.vector_space().is_private(vector);
        match (self.shared.get(), is_wire) {
            (false, _) => Err(Error::NotSupported),
            (true, false) => Err(Error::BadArgument),
            (true, true) => Ok(()),
        }
    }
    fn complete(&self, cpu: usize, vector: u16) {
        if self.vector_space().is_private(vector) {
            let held = self.held_private.borrow_mut().remove(&(cpu, vector));
            return assert!(held, "completed {vector} of CPU {cpu}, which is not held");
        }
        assert!(self.held.borrow_mut().remove(&vector), "completed {vector}, which is not held");
    }
    fn set_private(&self, cpu: usize, vector: u16, comes: Option<Trigger>) {
        assert!(self.vector_space().is_private(vector) && vector != OWN, "{vector} is not private");
        match comes {
            Some(trigger) => {
                let before = self.private.borrow_mut().insert((cpu, vector), trigger);
                assert!(before.is_none(), "{vector} of CPU {cpu} is on already");
            }
            None => {
                let before = self.private.borrow_mut().remove(&(cpu, vector));
                assert!(before.is_some(), "{vector} of CPU {cpu} is off already");
            }
        }
    }
    fn machine_end(&self, success: bool) {
        self.ended.set(Some(success));
    }
    fn cpu_hardware_id(&self, cpu: usize) -> u64 {
        cpu as u64 * 2
    }
}
