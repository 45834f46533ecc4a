//! Which parts of physical memory the direct map covers on a PC, and how many page tables that
//! takes.

use crate::FOUR_GIB;
use crate::memory::{Kind, Memory};

/// The direct map is made of whole gibibytes: one page directory of 2 MiB pages each.
pub const GIB: u64 = 1 << 30;

const TWO_MIB: u64 = 2 << 20;

/// The gibibytes of physical memory that the direct map covers, as numbers in rising order: the
/// first four, and above them all that the map does not call reserved or broken (Limine protocol,
/// "Entry memory layout").
pub fn direct_map(memory: &Memory) -> impl Iterator<Item = u64> + '_ {
    let mut next = FOUR_GIB / GIB;
    let above = memory
        .regions()
        .iter()
        .filter(|region| !matches!(region.kind, Kind::Reserved | Kind::Bad))
        .flat_map(move |region| {
            let first = (region.base / GIB).max(next);
            let end = region.end.div_ceil(GIB);
            next = next.max(end);
            first..end
        });
    (0..FOUR_GIB / GIB).chain(above)
}

/// An upper bound of the page-table frames that the kernel's first address space needs: the direct
/// map, the kernel's image in 4 KiB pages, and the stub at its own address.
pub fn table_frames(memory: &Memory, image: u64, stub: u64) -> u64 {
    // A run of 4 KiB pages: a third-level table, up to two second-level ones, and one table for
    // each 2 MiB that it touches.
    let run = |size: u64| 1 + 2 + size.div_ceil(TWO_MIB) + 1;
    let mut directories = 0;
    let mut thirds = 0;
    let mut last_third = None;
    for gib in direct_map(memory) {
        directories += 1;
        if last_third != Some(gib / 512) {
            last_third = Some(gib / 512);
            thirds += 1;
        }
    }
    1 + directories + thirds + run(image) + run(stub)
}
