//! Which physical addresses are RAM, as the loader's memory map says.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Ranges that are kept; neighbours are merged, so real machines need a handful.
const RANGES: usize = 64;

struct Range {
    start: AtomicU64,
    end: AtomicU64,
}

static RAM: [Range; RANGES] =
    [const { Range { start: AtomicU64::new(0), end: AtomicU64::new(0) } }; RANGES];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Notes a range of RAM, in ascending order. Says `false` when there is no room.
#[must_use]
pub fn note_ram(start: u64, end: u64) -> bool {
    let count = COUNT.load(Ordering::Relaxed);
    if count > 0 && RAM[count - 1].end.load(Ordering::Relaxed) == start {
        RAM[count - 1].end.store(end, Ordering::Relaxed);
        return true;
    }
    let Some(range) = RAM.get(count) else { return false };
    range.start.store(start, Ordering::Relaxed);
    range.end.store(end, Ordering::Relaxed);
    COUNT.store(count + 1, Ordering::Release);
    true
}

/// Whether any of `address..address + bytes` is RAM.
pub fn is_ram(address: u64, bytes: u64) -> bool {
    let end = address.saturating_add(bytes);
    RAM[..COUNT.load(Ordering::Acquire)].iter().any(|range| {
        address < range.end.load(Ordering::Relaxed) && end > range.start.load(Ordering::Relaxed)
    })
}

/// The ranges: start and end.
pub fn ranges() -> impl Iterator<Item = (u64, u64)> {
    RAM[..COUNT.load(Ordering::Acquire)]
        .iter()
        .map(|range| (range.start.load(Ordering::Relaxed), range.end.load(Ordering::Relaxed)))
}
