//! Page tables, four levels of 512 entries (Intel SDM vol. 3, 4.5).
//!
//! The upper half is the kernel's: its image, and a direct map of physical memory. It is
//! made once at boot, the same in every address space, and never changes after.

use core::sync::atomic::{AtomicU64, Ordering};

use tocsin_abi::limits::PAGE_BYTES;
use tocsin_abi::{Error, Rights};
use x86_64::PhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::{PageTableFlags as Flags, PhysFrame};

use super::percpu;
use crate::mm::{PageKind, alloc_frame, direct, free_frame};

const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;
const ENTRIES: usize = 512;
const LARGE: u64 = 2 << 20;
/// Software bit: a device's page. The kernel does not copy to or from it.
const DEVICE: Flags = Flags::BIT_9;

static KERNEL_ROOT: AtomicU64 = AtomicU64::new(0);

/// One table. Entries are read and written whole; the walker of another CPU may look at
/// the same time.
#[derive(Clone, Copy)]
struct Table(*mut u64);

impl Table {
    fn at(physical: u64) -> Table {
        Table(direct(physical).cast())
    }

    fn get(self, index: usize) -> u64 {
        // SAFETY: a table is a whole frame under the direct map, and the index is masked.
        unsafe { self.0.wrapping_add(index & (ENTRIES - 1)).read_volatile() }
    }

    fn set(self, index: usize, value: u64) {
        // SAFETY: as in `get`; only whoever has the kernel to itself changes tables.
        unsafe { self.0.wrapping_add(index & (ENTRIES - 1)).write_volatile(value) };
    }

    /// The table below entry `index`, made when there is none. `None`: no frame.
    fn below(self, index: usize, flags: Flags) -> Option<Table> {
        let entry = self.get(index);
        if entry & Flags::PRESENT.bits() != 0 {
            return Some(Table::at(entry & ADDRESS_MASK));
        }
        let frame = alloc_frame()?;
        self.set(index, frame | flags.bits());
        Some(Table::at(frame))
    }

    /// The table below entry `index`.
    fn existing(self, index: usize) -> Option<Table> {
        let entry = self.get(index);
        let present = entry & Flags::PRESENT.bits() != 0;
        present.then(|| Table::at(entry & ADDRESS_MASK))
    }
}

fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize & (ENTRIES - 1)
}

const TABLE_FLAGS: Flags = Flags::PRESENT.union(Flags::WRITABLE).union(Flags::USER_ACCESSIBLE);
const KERNEL_TABLE_FLAGS: Flags = Flags::PRESENT.union(Flags::WRITABLE);

/// Loads a root table.
#[inline(always)]
pub fn load(root: u64) {
    let frame = PhysFrame::containing_address(PhysAddr::new_truncate(root));
    // SAFETY: every root has the kernel's upper half, so the code that runs stays mapped.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}

/// The kernel's own address space.
#[inline(always)]
pub fn kernel_root() -> u64 {
    KERNEL_ROOT.load(Ordering::Relaxed)
}

/// Begins the kernel's tables. `None`: no frame.
pub fn create_kernel_root() -> Option<()> {
    let root = alloc_frame()?;
    KERNEL_ROOT.store(root, Ordering::Relaxed);
    Some(())
}

fn kernel_flags(kind: PageKind) -> Flags {
    let data = Flags::PRESENT | Flags::WRITABLE | Flags::NO_EXECUTE;
    match kind {
        PageKind::Code => Flags::PRESENT,
        PageKind::Constants => Flags::PRESENT | Flags::NO_EXECUTE,
        PageKind::Data => data,
        PageKind::Device => data | Flags::NO_CACHE | Flags::WRITE_THROUGH,
    }
}

/// Maps a range into the kernel's tables, with large pages where it fits. Boot only.
pub fn map_kernel(mut virt: u64, mut phys: u64, bytes: u64, kind: PageKind) -> Option<()> {
    let flags = kernel_flags(kind);
    let end = virt + bytes;
    while virt < end {
        let top = Table::at(kernel_root()).below(index(virt, 3), KERNEL_TABLE_FLAGS)?;
        let middle = top.below(index(virt, 2), KERNEL_TABLE_FLAGS)?;
        let fits = virt.is_multiple_of(LARGE) && phys.is_multiple_of(LARGE) && end - virt >= LARGE;
        let step = if fits {
            middle.set(index(virt, 1), phys | (flags | Flags::HUGE_PAGE).bits());
            LARGE
        } else {
            let last = middle.below(index(virt, 1), KERNEL_TABLE_FLAGS)?;
            last.set(index(virt, 0), phys | flags.bits());
            PAGE_BYTES
        };
        virt += step;
        phys += step;
    }
    Some(())
}

/// Tables in three frames below 1 MiB for CPUs that start: the kernel's upper half, and
/// the first 2 MiB at their own addresses.
pub fn start_up_root(frames: u64) -> u64 {
    let (root, upper, lower) = (frames, frames + 4096, frames + 8192);
    for index in 0..ENTRIES {
        Table::at(root).set(index, Table::at(kernel_root()).get(index));
        Table::at(upper).set(index, 0);
        Table::at(lower).set(index, 0);
    }
    Table::at(root).set(0, upper | KERNEL_TABLE_FLAGS.bits());
    Table::at(upper).set(0, lower | KERNEL_TABLE_FLAGS.bits());
    Table::at(lower).set(0, (KERNEL_TABLE_FLAGS | Flags::HUGE_PAGE).bits());
    root
}

/// A new address space. `None`: no frame.
pub fn create() -> Option<u64> {
    let root = alloc_frame()?;
    for index in ENTRIES / 2..ENTRIES {
        Table::at(root).set(index, Table::at(kernel_root()).get(index));
    }
    Some(root)
}

/// Frees up to `limit` tables of an address space that maps nothing any more. Says
/// whether that was all, the root included.
pub fn shrink(root: u64, mut limit: u64) -> bool {
    /// Frees what is below a table; stops when the limit is used up.
    fn shrink_below(table: Table, level: u32, entries: usize, limit: &mut u64) -> bool {
        for index in 0..entries {
            let Some(below) = table.existing(index) else { continue };
            if level > 1 && !shrink_below(below, level - 1, ENTRIES, limit) {
                return false;
            }
            if *limit == 0 {
                return false;
            }
            *limit -= 1;
            free_frame(table.get(index) & ADDRESS_MASK);
            table.set(index, 0);
        }
        true
    }
    if percpu::loaded_space() == root {
        percpu::leave_space();
    }
    let all = shrink_below(Table::at(root), 3, ENTRIES / 2, &mut limit);
    if all {
        free_frame(root);
    }
    all
}

/// Tables that mapping the range would take.
///
/// # Errors
/// `AlreadyMapped`.
pub fn plan(root: u64, address: u64, pages: u64) -> Result<u64, Error> {
    let mut missing = 0;
    let mut page = address;
    let end = address + pages * PAGE_BYTES;
    while page < end {
        let mut table = Some(Table::at(root));
        for level in [3, 2, 1] {
            table = table.and_then(|table| table.existing(index(page, level)));
            let span = PAGE_BYTES << (9 * level);
            let first = page == address || page.is_multiple_of(span);
            if table.is_none() && first {
                missing += 1;
            }
        }
        let entry = table.map_or(0, |table| table.get(index(page, 0)));
        if entry & Flags::PRESENT.bits() != 0 {
            return Err(Error::AlreadyMapped);
        }
        page += PAGE_BYTES;
    }
    Ok(missing)
}

/// Maps a range that `plan` has accepted.
///
/// # Panics
/// When a frame that was counted is not there: a bug in the kernel.
pub fn map(root: u64, address: u64, physical: u64, pages: u64, rights: Rights, device: bool) {
    let mut flags = Flags::PRESENT | Flags::USER_ACCESSIBLE;
    flags.set(Flags::WRITABLE, rights.contains(Rights::WRITE));
    flags.set(Flags::NO_EXECUTE, !rights.contains(Rights::EXECUTE));
    if device {
        flags |= Flags::NO_CACHE | Flags::WRITE_THROUGH | DEVICE;
    }
    for page in 0..pages {
        let virt = address + page * PAGE_BYTES;
        let mut table = Table::at(root);
        for level in [3, 2, 1] {
            table = table.below(index(virt, level), TABLE_FLAGS).expect("frames were counted");
        }
        table.set(index(virt, 0), (physical + page * PAGE_BYTES) | flags.bits());
    }
}

/// Unmaps a range here; other CPUs have left the address space.
pub fn unmap(root: u64, address: u64, pages: u64) {
    for page in 0..pages {
        let virt = address + page * PAGE_BYTES;
        let mut table = Some(Table::at(root));
        for level in [3, 2, 1] {
            table = table.and_then(|table| table.existing(index(virt, level)));
        }
        if let Some(table) = table {
            table.set(index(virt, 0), 0);
        }
    }
    if percpu::loaded_space() == root {
        load(root);
    }
}

/// Physical address of user memory, if it is RAM mapped with these rights.
pub fn translate(root: u64, address: u64, write: bool) -> Option<u64> {
    let mut table = Table::at(root);
    for level in [3, 2, 1] {
        table = table.existing(index(address, level))?;
    }
    let entry = table.get(index(address, 0));
    let flags = Flags::from_bits_truncate(entry);
    let mut needed = Flags::PRESENT | Flags::USER_ACCESSIBLE;
    needed.set(Flags::WRITABLE, write);
    if !flags.contains(needed) || flags.contains(DEVICE) {
        return None;
    }
    Some((entry & ADDRESS_MASK) + address % PAGE_BYTES)
}
