//! Page tables. The formats are `kernel_core::stage1`; what they mean to the CPU is `regime`.
//!
//! The upper half of the addresses has tables of its own (`TTBR1_EL1`): the kernel's image and
//! a direct map of physical memory, made once at boot, and never changed after. An address
//! space is the lower half: a root table and a number, by which the CPUs tell translations
//! of different spaces apart, so that a switch has nothing to forget.
//!
//! An entry that is valid never becomes another valid one, so there is no need to break
//! before making (DDI 0487, D8.16).

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{TTBR0_EL1, Writeable};
use kernel_core::asids::Asids;
use kernel_core::stage1::{
    Access, BLOCK_LEVEL, Descriptor, ENTRIES, Leaf, Memory, Owner, PAGE_LEVEL, PHYSICAL_BYTES,
    ROOT_LEVEL, Space, index, span,
};
use tocsin_abi::limits::PAGE_BYTES;
use tocsin_abi::{Error, Rights};

use super::{caches, percpu, regime};
use crate::mm::{PageKind, alloc_frame, direct, free_frame};

/// From how many pages on one forgets the whole address space.
const MANY_PAGES: u64 = 64;

static KERNEL_ROOT: AtomicU64 = AtomicU64::new(0);
/// A table with nothing in it, for CPUs that are in no address space.
static NO_SPACE: AtomicU64 = AtomicU64::new(0);
static ASIDS: Asids = Asids::new();

/// One table. Entries are read and written whole; the walker of another CPU may look at
/// the same time.
#[derive(Clone, Copy)]
struct Table {
    entries: *mut u64,
    level: u32,
}

impl Table {
    fn at(physical: u64, level: u32) -> Table {
        Table { entries: direct(physical).cast(), level }
    }

    fn root(space: u64) -> Table {
        Table::at(Space::from_bits(space).root(), ROOT_LEVEL)
    }

    fn kernel() -> Table {
        Table::at(kernel_root(), ROOT_LEVEL)
    }

    fn get(self, index: usize) -> Descriptor {
        // SAFETY: a table is a whole frame under the direct map, and the index is masked.
        let bits = unsafe { self.entries.wrapping_add(index % ENTRIES).read_volatile() };
        Descriptor::decode(bits, self.level).expect("only `set` writes tables")
    }

    fn set(self, index: usize, value: Descriptor) {
        let bits = value.encode(self.level);
        // SAFETY: as in `get`; only whoever has the kernel to itself changes tables.
        unsafe { self.entries.wrapping_add(index % ENTRIES).write_volatile(bits) };
    }

    /// The table below the entry for an address, made when there is none. `None`: no frame.
    fn below(self, address: u64) -> Option<Table> {
        let index = index(address, self.level);
        if let Descriptor::Table(below) = self.get(index) {
            return Some(Table::at(below, self.level + 1));
        }
        let frame = alloc_frame()?;
        // The frame's zeros must be seen before what leads to them.
        written();
        self.set(index, Descriptor::Table(frame));
        Some(Table::at(frame, self.level + 1))
    }

    /// The table below entry `index`.
    fn existing(self, index: usize) -> Option<Table> {
        match self.get(index) {
            Descriptor::Table(below) => Some(Table::at(below, self.level + 1)),
            _ => None,
        }
    }
}

/// The table of the last level for an address.
fn last_table(space: u64, address: u64) -> Option<Table> {
    let mut table = Table::root(space);
    while table.level < PAGE_LEVEL {
        table = table.existing(index(address, table.level))?;
    }
    Some(table)
}

/// What has been written to tables is seen by the walkers of all CPUs from now on.
fn written() {
    // SAFETY: a barrier (DDI 0487, D8.2: translation table walks and ordering).
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
}

/// Loads an address space. It counts after the next barrier (`isb`).
#[inline(always)]
pub fn load(space: u64) {
    TTBR0_EL1.set(space);
}

/// The kernel's own tables.
#[inline(always)]
pub fn kernel_root() -> u64 {
    KERNEL_ROOT.load(Ordering::Relaxed)
}

/// The address space in which nothing is; its number, zero, belongs to nobody.
#[inline(always)]
pub fn no_space() -> u64 {
    NO_SPACE.load(Ordering::Relaxed)
}

/// Begins the kernel's tables. `None`: no frame.
pub fn create_kernel_root() -> Option<()> {
    KERNEL_ROOT.store(alloc_frame()?, Ordering::Relaxed);
    NO_SPACE.store(alloc_frame()?, Ordering::Relaxed);
    ASIDS.set_bits(regime::asid_bits());
    Some(())
}

fn kernel_leaf(address: u64, kind: PageKind) -> Descriptor {
    let (memory, access) = match kind {
        PageKind::Code => (Memory::Normal, Access::Execute),
        PageKind::Constants => (Memory::Normal, Access::Read),
        PageKind::Data => (Memory::Normal, Access::Write),
        PageKind::Device => (Memory::Device, Access::Write),
    };
    Descriptor::Leaf(Leaf { address, owner: Owner::Kernel, memory, access })
}

/// Maps a range into the kernel's tables, with blocks where it fits. Boot only: nobody uses
/// the tables yet.
pub fn map_kernel(mut virt: u64, mut phys: u64, bytes: u64, kind: PageKind) -> Option<()> {
    let large = span(BLOCK_LEVEL);
    let end = virt + bytes;
    while virt < end {
        let table = Table::kernel().below(virt)?.below(virt)?;
        let fits = virt.is_multiple_of(large) && phys.is_multiple_of(large) && end - virt >= large;
        let table = if fits { table } else { table.below(virt)? };
        table.set(index(virt, table.level), kernel_leaf(phys, kind));
        virt += span(table.level);
        phys += span(table.level);
    }
    written();
    Some(())
}

/// A new address space. `None`: no frame, or no number. With numbers of 8 bits there are 255
/// address spaces, whatever memory there is.
pub fn create() -> Option<u64> {
    let asid = ASIDS.alloc()?;
    let Some(root) = alloc_frame() else {
        ASIDS.free(asid);
        return None;
    };
    written();
    Some(Space::new(root, asid).bits())
}

/// Frees up to `limit` tables of an address space that maps nothing any more and that no
/// other CPU has loaded. Says whether that was all, the root and the number included.
pub fn shrink(space: u64, mut limit: u64) -> bool {
    /// Frees what is below a table; stops when the limit is used up.
    fn shrink_below(table: Table, limit: &mut u64) -> bool {
        for index in 0..ENTRIES {
            let Descriptor::Table(frame) = table.get(index) else { continue };
            let below = Table::at(frame, table.level + 1);
            if below.level < PAGE_LEVEL && !shrink_below(below, limit) {
                return false;
            }
            if *limit == 0 {
                return false;
            }
            *limit -= 1;
            table.set(index, Descriptor::None);
            free_frame(frame);
        }
        true
    }
    if percpu::loaded_space() == space {
        percpu::leave_space();
    }
    let space = Space::from_bits(space);
    // No CPU walks these tables any more, and from here on none remembers a walk: frames and
    // the number can be used for something else at once.
    flush_all(space);
    let all = shrink_below(Table::root(space.bits()), &mut limit);
    if all {
        free_frame(space.root());
        ASIDS.free(space.asid());
    }
    all
}

/// Tables that mapping the range would take.
///
/// # Errors
/// `AlreadyMapped`.
pub fn plan(space: u64, address: u64, pages: u64) -> Result<u64, Error> {
    let mut missing = 0;
    let mut page = address;
    let end = address + pages * PAGE_BYTES;
    while page < end {
        let mut table = Some(Table::root(space));
        for level in ROOT_LEVEL..PAGE_LEVEL {
            table = table.and_then(|table| table.existing(index(page, level)));
            let first = page == address || page.is_multiple_of(span(level));
            if table.is_none() && first {
                missing += 1;
            }
        }
        if table.is_some_and(|table| table.get(index(page, PAGE_LEVEL)) != Descriptor::None) {
            return Err(Error::AlreadyMapped);
        }
        page += PAGE_BYTES;
    }
    Ok(missing)
}

/// Maps a range that `plan` has accepted. Memory that is to be executed is what it says to
/// all CPUs' instruction fetches from here on. Nobody executes a device, whatever the rights:
/// a CPU may fetch ahead, and reading a device can have effects.
///
/// # Panics
/// When a frame that was counted is not there, or for addresses that no handle is for: a bug in
/// the kernel.
pub fn map(space: u64, address: u64, physical: u64, pages: u64, rights: Rights, device: bool) {
    let bytes = pages * PAGE_BYTES;
    assert!(physical + bytes <= PHYSICAL_BYTES, "a handle beyond physical memory");
    let memory = if device { Memory::Device } else { Memory::Normal };
    let access = if rights.contains(Rights::WRITE) {
        Access::Write
    } else if rights.contains(Rights::EXECUTE) && !device {
        caches::publish_code(direct(physical), bytes as usize);
        Access::Execute
    } else {
        Access::Read
    };
    for offset in (0..bytes).step_by(PAGE_BYTES as usize) {
        let virt = address + offset;
        let mut table = Table::root(space);
        while table.level < PAGE_LEVEL {
            table = table.below(virt).expect("frames were counted");
        }
        let leaf = Leaf { address: physical + offset, owner: Owner::User, memory, access };
        table.set(index(virt, PAGE_LEVEL), Descriptor::Leaf(leaf));
    }
    written();
}

/// Unmaps a range. When this is done, no CPU uses it.
pub fn unmap(space: u64, address: u64, pages: u64) {
    let range = (address..address + pages * PAGE_BYTES).step_by(PAGE_BYTES as usize);
    for page in range.clone() {
        if let Some(table) = last_table(space, page) {
            table.set(index(page, PAGE_LEVEL), Descriptor::None);
        }
    }
    let space = Space::from_bits(space);
    if pages >= MANY_PAGES {
        flush_all(space);
        return;
    }
    written();
    for page in range {
        // SAFETY: forgets translations, which can be made again from the tables.
        unsafe {
            asm!("tlbi vale1is, {}", in(reg) space.flush_page(page),
                options(nostack, preserves_flags));
        }
    }
    flushed();
}

/// Forgets all translations of an address space on every CPU.
fn flush_all(space: Space) {
    written();
    // SAFETY: forgets translations, which can be made again from the tables.
    unsafe {
        asm!("tlbi aside1is, {}", in(reg) space.flush_all(), options(nostack, preserves_flags));
    }
    flushed();
}

/// Waits until every CPU has forgotten, and until accesses by old translations are done.
fn flushed() {
    // SAFETY: barriers.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// Physical address of user memory, if it is RAM mapped with these rights.
pub fn translate(space: u64, address: u64, write: bool) -> Option<u64> {
    let table = last_table(space, address)?;
    match table.get(index(address, PAGE_LEVEL)) {
        Descriptor::Leaf(leaf)
            if leaf.memory == Memory::Normal && (!write || leaf.access == Access::Write) =>
        {
            Some(leaf.address + address % PAGE_BYTES)
        }
        _ => None,
    }
}
