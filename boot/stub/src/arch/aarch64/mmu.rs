//! The MMU: on for the stub, then with the kernel's first address space.

use super::{DIRECT_MAP, cache, console, input};
use crate::handoff::Handoff;
use crate::physical;
use boot_stub_core::PAGE;
use boot_stub_core::arm::registers::{self, MAIR, SCTLR_ON};
use boot_stub_core::arm::tables::{self, Root, Tables, Use};
use boot_stub_core::elf::{Access, Kernel};
use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::{Kind, Memory};
use core::arch::asm;
use core::ops::Range;

unsafe extern "C" {
    // In `runtime.s`.
    fn mmu_on(mair: u64, tcr: u64, lower: u64, sctlr: u64);
    fn handoff(lower: u64, upper: u64, tcr: u64, direct_map: u64, stack: u64, entry: u64) -> !;
}

/// `TCR_EL1` for this processor.
fn tcr() -> Result<u64, Fatal> {
    let features: u64;
    // SAFETY: reads an identification register.
    unsafe { asm!("mrs {}, id_aa64mmfr0_el1", out(reg) features, options(nomem, nostack)) };
    registers::tcr(features).ok_or(Fatal::NoSmallPages)
}

/// Turns the MMU and the caches on, with all of `mapped` and the console at their own addresses. The
/// tables come out of `memory`. Before, everything was read and written past the caches.
pub fn turn_on(memory: &mut Memory, mapped: &Memory) -> Result<(), Fatal> {
    let frames = 1
        + tables::mapped(mapped).map(|range| tables::aligned_frames(&range)).sum::<u64>()
        + console_frames();
    let base = input::take(memory, frames * PAGE)?;
    // SAFETY: just allocated, and nothing else refers to it.
    let words = unsafe { physical::words_mut(base, frames * PAGE) };
    let mut tables = Tables::new(words, base);
    let root = tables.root()?;
    tables::map_memory(&mut tables, root, mapped, 0)?;
    map_console(&mut tables, root)?;
    let (root, tcr) = (tables.address(root), tcr()? | registers::TCR_NO_UPPER_HALF);

    cache::clean(base, base + frames * PAGE);
    let stub = physical::stub();
    cache::clean(stub.start, stub.end);
    // SAFETY: the tables map the stub, its stack and the device tree's copy where they are, and the
    // caches hold nothing of what was written past them.
    unsafe { mmu_on(MAIR, tcr, root, SCTLR_ON) };
    Ok(())
}

/// The kernel's first address space: the roots of the lower and of the upper half.
pub struct AddressSpace {
    lower: u64,
    upper: u64,
    tcr: u64,
}

impl AddressSpace {
    /// An upper bound of the table frames that [`AddressSpace::build`] takes.
    pub fn frames(memory: &Memory, kernel: &Kernel) -> u64 {
        let direct = tables::mapped(memory).map(|range| tables::aligned_frames(&range));
        2 + direct.sum::<u64>()
            + tables::page_frames(&kernel.image())
            + tables::page_frames(&physical::stub())
            + console_frames()
    }

    /// Builds it, in the block of frames `base..base + length`, with the kernel's image at
    /// `physical`. The lower half has the stub at its own address, so that an exception in the early
    /// kernel can still be told, and nothing else.
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
        let words = unsafe { physical::words_mut(base, length) };
        let mut tables = Tables::new(words, base);
        let (lower, upper) = (tables.root()?, tables.root()?);
        tables::map_memory(&mut tables, upper, memory, DIRECT_MAP)?;
        tables::map_kernel(&mut tables, upper, kernel, physical)?;
        // Not the page before the code: it is not needed any more, and may be at address zero.
        let (text, end) = (physical::stub_text(), physical::stub().end);
        let data = text.end..end;
        tables.map(lower, text.start, text, Use::Segment(Access::ReadExecute))?;
        tables.map(lower, data.start, data, Use::Segment(Access::ReadWrite))?;
        map_console(&mut tables, lower)?;
        Ok(Self { lower: tables.address(lower), upper: tables.address(upper), tcr: tcr()? })
    }
}

fn console_frames() -> u64 {
    console::page().map_or(0, |page| tables::aligned_frames(&page))
}

fn map_console(tables: &mut Tables<'_>, root: Root) -> Result<(), Fatal> {
    let Some(Range { start, end }) = console::page() else { return Ok(()) };
    tables.map(root, start, start..end, Use::Device)
}

/// Enters the kernel. It starts its other processors with their MMU and caches off, and they must
/// read the image: all that the stub has written goes to memory.
pub fn enter(Handoff { space, stack_top, entry }: Handoff, memory: &Memory) -> ! {
    let ours = |kind| matches!(kind, Kind::ExecutableAndModules | Kind::BootloaderReclaimable);
    for region in memory.regions().iter().filter(|region| ours(region.kind)) {
        cache::clean(region.base, region.end);
    }
    let AddressSpace { lower, upper, tcr } = space;
    // SAFETY: the tables map the stub where it is, and the stack and the kernel where they are said
    // to be; nothing of the stub is used afterwards.
    unsafe { handoff(lower, upper, tcr, DIRECT_MAP, stack_top, entry) }
}
