//! Where PCI devices' registers can be: the holes in the physical address space.
//!
//! Without interpreting AML nobody says which ranges the host bridge decodes, but they
//! can only lie where there is no RAM: between the top of low RAM and the chip set's own
//! registers at 0xfec00000 (IO APIC, HPET, VT-d, local APIC), and above all RAM beyond
//! 4 GiB. What has another owner (ECAM, VT-d registers) is cut out.

use core::fmt;

/// Where the chip set's own registers begin on x86 (IO APIC).
pub const LOW_WINDOW_END: u64 = 0xfec0_0000;
/// First address that needs more than 32 bits.
const HIGH_START: u64 = 1 << 32;
/// Windows that can be found on one machine.
pub const MAX_WINDOWS: usize = 16;

/// A range of physical addresses, `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
}

impl Range {
    /// `length` bytes from `start`, cut off at the end of the address space.
    #[must_use]
    pub const fn new(start: u64, length: u64) -> Self {
        Self { start, end: start.saturating_add(length) }
    }

    /// Bytes in it.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end)
    }
}

/// The windows that were found; never more than [`MAX_WINDOWS`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Windows {
    ranges: [Range; MAX_WINDOWS],
    count: usize,
}

impl Windows {
    /// The holes below and above 4 GiB.
    ///
    /// `ram` is every range of RAM, `taken` what belongs to somebody else; both may come
    /// in any order and overlap. `limit` is the end of the physical address space.
    #[must_use]
    pub fn find(
        ram: impl Iterator<Item = Range> + Clone,
        taken: impl Iterator<Item = Range> + Clone,
        limit: u64,
    ) -> Self {
        // A range that begins low and reaches past 4 GiB leaves no low window.
        let low_top = ram.clone().filter(|range| range.start < HIGH_START).map(|r| r.end).max();
        let top = ram.map(|range| range.end).max().unwrap_or(0);
        let mut windows = Self::default();
        windows.add(Range { start: page_up(low_top.unwrap_or(0)), end: LOW_WINDOW_END });
        windows.add(Range { start: page_up(top).max(HIGH_START), end: limit });
        for range in taken {
            windows.cut(range);
        }
        windows
    }

    /// The windows, none empty.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges[..self.count]
    }

    /// Adds a range unless it is empty. A window too many is left out: that makes less
    /// reachable, never more.
    fn add(&mut self, range: Range) {
        if range.length() > 0 && self.count < MAX_WINDOWS {
            self.ranges[self.count] = range;
            self.count += 1;
        }
    }

    fn cut(&mut self, hole: Range) {
        if hole.length() == 0 {
            return;
        }
        // The hole in whole pages: authority is handed out in pages.
        let hole = Range { start: hole.start / 4096 * 4096, end: page_up(hole.end) };
        let before = *self;
        *self = Self::default();
        for range in before.ranges() {
            self.add(Range { start: range.start, end: range.end.min(hole.start) });
            self.add(Range { start: range.start.max(hole.end), end: range.end });
        }
    }
}

fn page_up(address: u64) -> u64 {
    address.checked_next_multiple_of(4096).unwrap_or(u64::MAX / 4096 * 4096)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    extern crate std;
    use std::vec::Vec;

    const LIMIT: u64 = 1 << 40;

    fn find(ram: &[Range], taken: &[Range]) -> Vec<Range> {
        Windows::find(ram.iter().copied(), taken.iter().copied(), LIMIT).ranges().to_vec()
    }

    #[test]
    fn q35_with_512_mib() {
        let ram = [Range::new(0, 0x9fc00), Range { start: 1 << 20, end: 0x1ffd_f123 }];
        let ecam = Range::new(0xb000_0000, 0x1000_0000);
        let windows = find(&ram, &[ecam, Range::new(0xfed9_0000, 4096)]);
        let expected = [
            Range { start: 0x1ffe_0000, end: 0xb000_0000 },
            Range { start: 0xc000_0000, end: LOW_WINDOW_END },
            Range { start: 1 << 32, end: LIMIT },
        ];
        assert_eq!(windows, expected);
    }

    #[test]
    fn ram_beyond_four_gib_moves_the_high_window() {
        let ram = [Range::new(0, 0x8000_0000), Range::new(1 << 32, 1 << 31)];
        let windows = find(&ram, &[]);
        let expected = [
            Range { start: 0x8000_0000, end: LOW_WINDOW_END },
            Range { start: (1 << 32) + (1 << 31), end: LIMIT },
        ];
        assert_eq!(windows, expected);
    }

    fn range() -> impl Strategy<Value = Range> {
        (0u64..1 << 34, 0u64..1 << 31).prop_map(|(start, length)| Range::new(start, length))
    }

    proptest! {
        #[test]
        fn windows_never_touch_ram_or_what_is_taken(
            ram in prop::collection::vec(range(), 0..6),
            taken in prop::collection::vec(range(), 0..6),
        ) {
            for window in find(&ram, &taken) {
                prop_assert!(window.start < window.end && window.start % 4096 == 0);
                for other in ram.iter().chain(&taken) {
                    let apart = other.length() == 0
                        || window.end <= other.start || other.end <= window.start;
                    prop_assert!(apart, "{window} meets {other}");
                }
            }
        }
    }
}
