//! Where PCI devices' registers can be: what a device tree says, or else the holes in the
//! physical address space.
//!
//! Under ACPI nobody says which ranges the host bridge decodes without interpreting AML, but
//! they can only lie where there is no RAM. On a PC that is between the top of low RAM and the
//! chip set's own registers at 0xfec00000 (IO APIC, HPET, VT-d, local APIC), and above all RAM
//! beyond 4 GiB; elsewhere below, above and between the banks of RAM. What has another owner
//! (ECAM, interrupt controllers, remapping units, the console) is cut out.

use core::fmt;

/// Where the chip set's own registers begin on x86 (IO APIC).
pub const LOW_WINDOW_END: u64 = 0xfec0_0000;
/// First address that needs more than 32 bits.
const HIGH_START: u64 = 1 << 32;
/// A hole of less between two ranges of RAM is what firmware has kept of a bank for itself.
const LEAST_BETWEEN_BANKS: u64 = 64 << 20;
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
    /// What a device tree says, without RAM and what belongs to somebody else, whatever it
    /// says.
    #[must_use]
    pub fn described(
        windows: impl Iterator<Item = Range>,
        ram: impl Iterator<Item = Range>,
        taken: impl Iterator<Item = Range>,
        limit: u64,
    ) -> Self {
        let mut found = Self::default();
        for range in windows {
            // In whole pages, and those that are the window's alone.
            let end = range.end.min(limit) / 4096 * 4096;
            found.add(Range { start: page_up(range.start), end });
        }
        ram.chain(taken).for_each(|range| found.cut(range));
        found
    }

    /// The holes below, above and between the banks of RAM.
    ///
    /// `ram` is every range of RAM, `taken` what belongs to somebody else; both may come
    /// in any order and overlap. `limit` is the end of the physical address space.
    #[must_use]
    pub fn around_ram(
        ram: impl Iterator<Item = Range> + Clone,
        taken: impl Iterator<Item = Range>,
        limit: u64,
    ) -> Self {
        let mut found = Self::default();
        let (mut top, mut is_bank) = (0, false);
        loop {
            let (start, end) = next_bank(ram.clone(), top).unwrap_or((limit, limit));
            if start - top >= LEAST_BETWEEN_BANKS || !is_bank || start == limit {
                found.add(Range { start: page_up(top), end: start / 4096 * 4096 });
            }
            if start == limit {
                break;
            }
            (top, is_bank) = (end.min(limit), true);
        }
        taken.for_each(|range| found.cut(range));
        found
    }

    /// The holes of a PC, below and above 4 GiB.
    ///
    /// `ram` is every range of RAM, `taken` what belongs to somebody else; both may come
    /// in any order and overlap. `limit` is the end of the physical address space.
    #[must_use]
    pub fn of_a_pc(
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

/// The first range of RAM that reaches past `from`, with those that touch or overlap it.
fn next_bank(ram: impl Iterator<Item = Range> + Clone, from: u64) -> Option<(u64, u64)> {
    let beyond = ram.filter(|range| range.length() > 0 && range.end > from);
    let start = beyond.clone().map(|range| range.start.max(from)).min()?;
    let mut end = start;
    // Each turn reaches further, and there are as many turns as ranges at most.
    while let Some(further) =
        beyond.clone().filter(|range| range.start <= end && range.end > end).map(|r| r.end).max()
    {
        end = further;
    }
    Some((start, end))
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

    fn of_a_pc(ram: &[Range], taken: &[Range]) -> Vec<Range> {
        Windows::of_a_pc(ram.iter().copied(), taken.iter().copied(), LIMIT).ranges().to_vec()
    }

    fn around_ram(ram: &[Range], taken: &[Range]) -> Vec<Range> {
        Windows::around_ram(ram.iter().copied(), taken.iter().copied(), LIMIT).ranges().to_vec()
    }

    fn described(windows: &[Range], ram: &[Range], taken: &[Range]) -> Vec<Range> {
        let (ram, taken) = (ram.iter().copied(), taken.iter().copied());
        Windows::described(windows.iter().copied(), ram, taken, LIMIT).ranges().to_vec()
    }

    #[test]
    fn q35_with_512_mib() {
        let ram = [Range::new(0, 0x9fc00), Range { start: 1 << 20, end: 0x1ffd_f123 }];
        let ecam = Range::new(0xb000_0000, 0x1000_0000);
        let windows = of_a_pc(&ram, &[ecam, Range::new(0xfed9_0000, 4096)]);
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
        let windows = of_a_pc(&ram, &[]);
        let expected = [
            Range { start: 0x8000_0000, end: LOW_WINDOW_END },
            Range { start: (1 << 32) + (1 << 31), end: LIMIT },
        ];
        assert_eq!(windows, expected);
    }

    #[test]
    fn virt_by_its_device_tree() {
        // QEMU's `virt`: `ranges` of its host bridge, RAM from 1 GiB.
        let windows = [Range::new(0x1000_0000, 0x2eff_0000), Range::new(0x80_0000_0000, 1 << 39)];
        let ram = [Range::new(0x4000_0000, 128 << 20)];
        assert_eq!(described(&windows, &ram, &[Range::new(0x900_0000, 0x1000)]), windows);
    }

    #[test]
    fn a_device_tree_gives_no_authority_over_ram_or_other_devices() {
        let window = Range { start: 0x1000_0800, end: 0x5000_0800 };
        let ram = [Range::new(0x4000_0000, 0x800_0000)];
        let expected = [
            Range { start: 0x1000_1000, end: 0x2000_0000 },
            Range { start: 0x2000_1000, end: 0x4000_0000 },
            Range { start: 0x4800_0000, end: 0x5000_0000 },
        ];
        assert_eq!(described(&[window], &ram, &[Range::new(0x2000_0010, 16)]), expected);
        assert_eq!(described(&[Range { start: 2 << 40, end: 3 << 40 }], &[], &[]), []);
    }

    #[test]
    fn virt_under_acpi() {
        // RAM from 1 GiB, of which firmware keeps parts; GIC, UART, configuration space.
        let ram = [
            Range { start: 0x4000_0000, end: 0x4700_0000 },
            Range { start: 0x4720_0000, end: 0x4800_0000 },
        ];
        let taken = [
            Range::new(0x800_0000, 0x1_0000),
            Range::new(0x808_0000, 0x2_0000),
            Range::new(0x80a_0000, 0xf6_0000),
            Range::new(0x900_0000, 0x1000),
            Range::new(0x40_1000_0000, 0x1000_0000),
        ];
        let expected = [
            Range { start: 0, end: 0x800_0000 },
            Range { start: 0x801_0000, end: 0x808_0000 },
            Range { start: 0x900_1000, end: 0x4000_0000 },
            Range { start: 0x4800_0000, end: 0x40_1000_0000 },
            Range { start: 0x40_2000_0000, end: LIMIT },
        ];
        assert_eq!(around_ram(&ram, &taken), expected);
    }

    #[test]
    fn banks_of_ram_have_windows_between_them() {
        let ram = [Range::new(0x8_8000_0000, 1 << 31), Range::new(0x8000_0000, 1 << 30)];
        let expected = [
            Range { start: 0, end: 0x8000_0000 },
            Range { start: 0xc000_0000, end: 0x8_8000_0000 },
            Range { start: 0x9_0000_0000, end: LIMIT },
        ];
        assert_eq!(around_ram(&ram, &[]), expected);
        assert_eq!(around_ram(&[], &[]), [Range { start: 0, end: LIMIT }]);
        assert_eq!(around_ram(&[Range::new(0, LIMIT)], &[]), []);
        // Past the end of what can be addressed.
        assert_eq!(around_ram(&[Range::new(4096, u64::MAX)], &[]), [Range { start: 0, end: 4096 }]);
    }

    fn range() -> impl Strategy<Value = Range> {
        (0u64..1 << 34, 0u64..1 << 31).prop_map(|(start, length)| Range::new(start, length))
    }

    proptest! {
        #[test]
        fn windows_never_touch_ram_or_what_is_taken(
            ram in prop::collection::vec(range(), 0..6),
            taken in prop::collection::vec(range(), 0..6),
            said in prop::collection::vec(range(), 0..3),
        ) {
            let described = described(&said, &ram, &taken);
            for window in &described {
                let inside = |said: &Range| said.start <= window.start && window.end <= said.end;
                prop_assert!(said.iter().any(inside), "{window} is in no window");
            }
            let all = [of_a_pc(&ram, &taken), around_ram(&ram, &taken), described].concat();
            for window in all {
                prop_assert!(window.start < window.end && window.start % 4096 == 0);
                prop_assert!(window.end <= LIMIT && window.end % 4096 == 0);
                for other in ram.iter().chain(&taken) {
                    let apart = other.length() == 0
                        || window.end <= other.start || other.end <= window.start;
                    prop_assert!(apart, "{window} meets {other}");
                }
            }
        }
    }
}
