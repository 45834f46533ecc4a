//! The page tables with which the kernel starts: Limine protocol, "Entry memory layout".

use super::DIRECT_MAP;
use crate::physical;
use boot_stub_core::PAGE;
use boot_stub_core::elf::{Access, Kernel};
use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::Memory;
use boot_stub_core::pc::tables::{GIB, direct_map, table_frames};
use core::ops::Range;
use x86_64::structures::paging::mapper::{MapToError, Mapper};
use x86_64::structures::paging::{
    FrameAllocator, OffsetPageTable, Page, PageSize, PageTable, PageTableFlags, PhysFrame,
    Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

/// Frames for page tables: a block that was allocated in one piece.
struct Frames {
    next: u64,
    end: u64,
}

impl Frames {
    /// Uses the pages `base..base + length`.
    ///
    /// # Safety
    /// 1. They were allocated from the memory map and nothing refers to them.
    const unsafe fn new(base: u64, length: u64) -> Self {
        Self { next: base, end: base + length }
    }

    fn take(&mut self) -> Option<u64> {
        let base = self.next;
        if base >= self.end {
            return None;
        }
        self.next += PAGE;
        // SAFETY: the page is part of the block of `new` and handed out once.
        unsafe { physical::bytes_mut(base, PAGE) }.fill(0);
        Some(base)
    }
}

// SAFETY: every frame is handed out once, by the condition of `new`.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    fn allocate_frame(&mut self) -> Option<PhysFrame<Size4KiB>> {
        self.take().map(|base| PhysFrame::containing_address(PhysAddr::new(base)))
    }
}

/// The kernel's first address space while it is built.
pub struct AddressSpace {
    tables: OffsetPageTable<'static>,
    root: u64,
    frames: Frames,
}

impl AddressSpace {
    /// An upper bound of the table frames that [`AddressSpace::build`] takes.
    pub fn frames(memory: &Memory, kernel: &Kernel) -> u64 {
        let stub = physical::stub();
        table_frames(memory, kernel.image_size(), stub.end - stub.start)
    }

    /// Builds it, in the block of frames `base..base + length`, with the kernel's image at
    /// `physical`.
    ///
    /// # Safety
    /// 1. The block was allocated from the memory map and nothing refers to it.
    pub unsafe fn build(
        base: u64,
        length: u64,
        memory: &Memory,
        kernel: &Kernel,
        physical: u64,
    ) -> Result<Self, Fatal> {
        // SAFETY: by condition 1.
        let frames = unsafe { Frames::new(base, length) };
        let mut space = Self::new(frames)?;
        space.map_directly(memory)?;
        space.map_kernel(kernel, physical)?;
        space.map_stub()?;
        Ok(space)
    }

    /// An empty one, with its tables in `frames`.
    fn new(mut frames: Frames) -> Result<Self, Fatal> {
        let root = frames.take().ok_or(OUT_OF_FRAMES)?;
        // SAFETY: a zeroed page that `take` hands out once is an empty page table.
        let table = unsafe { &mut *(root as *mut PageTable) };
        // SAFETY: the boot page tables map all frames of `frames` at their physical addresses.
        let tables = unsafe { OffsetPageTable::new(table, VirtAddr::zero()) };
        Ok(Self { tables, root, frames })
    }

    /// Physical address of the top table, for CR3.
    pub const fn root(&self) -> u64 {
        self.root
    }

    /// Maps physical memory at [`DIRECT_MAP`], readable, writable and executable as the protocol
    /// says; the kernel replaces this by its own tables.
    fn map_directly(&mut self, memory: &Memory) -> Result<(), Fatal> {
        let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
        for gib in direct_map(memory) {
            let physical = gib * GIB..(gib + 1) * GIB;
            self.map::<Size2MiB>(DIRECT_MAP + physical.start, physical, flags)?;
        }
        Ok(())
    }

    /// Maps the kernel's segments, each with its own access, in the image at `physical`.
    fn map_kernel(&mut self, kernel: &Kernel, physical: u64) -> Result<(), Fatal> {
        let base = kernel.image().start;
        for segment in &kernel.segments {
            let pages = segment.pages();
            let frames = physical + (pages.start - base)..physical + (pages.end - base);
            let flags = match segment.access {
                Access::Read => PageTableFlags::NO_EXECUTE,
                Access::ReadExecute => PageTableFlags::empty(),
                Access::ReadWrite => PageTableFlags::NO_EXECUTE | PageTableFlags::WRITABLE,
            };
            self.map::<Size4KiB>(pages.start, frames, flags | PageTableFlags::PRESENT)?;
        }
        Ok(())
    }

    /// Maps the stub at its own address, so that it can switch to these tables. Everything else in
    /// the lower half stays unmapped: a null pointer in the early kernel faults.
    fn map_stub(&mut self) -> Result<(), Fatal> {
        let (stub, text) = (physical::stub(), physical::stub_text());
        let data = PageTableFlags::WRITABLE | PageTableFlags::NO_EXECUTE;
        self.map::<Size4KiB>(text.start, text.clone(), PageTableFlags::PRESENT)?;
        self.map::<Size4KiB>(text.end, text.end..stub.end, data | PageTableFlags::PRESENT)
    }

    fn map<S: PageSize>(
        &mut self,
        virtual_base: u64,
        physical: Range<u64>,
        flags: PageTableFlags,
    ) -> Result<(), Fatal>
    where
        OffsetPageTable<'static>: Mapper<S>,
    {
        let mut address = virtual_base;
        for base in physical.step_by(S::SIZE as usize) {
            let page = Page::<S>::containing_address(VirtAddr::new(address));
            let frame = PhysFrame::containing_address(PhysAddr::new(base));
            // SAFETY: the tables are not loaded yet, so no memory that is in use is remapped.
            let result = unsafe { self.tables.map_to(page, frame, flags, &mut self.frames) };
            match result {
                // Not loaded: there is nothing to flush.
                Ok(flush) => flush.ignore(),
                Err(MapToError::FrameAllocationFailed) => return Err(OUT_OF_FRAMES),
                Err(_) => return Err(Fatal::Internal("two mappings of one page")),
            }
            address = address.wrapping_add(S::SIZE);
        }
        Ok(())
    }
}

const OUT_OF_FRAMES: Fatal = Fatal::Internal("too few page-table frames were planned");
