//! Free addresses.

use alloc::vec::Vec;

use crate::placement::Range;

/// Addresses of one kind that nobody has. Kept as gaps, which are few: what is placed is placed side by side.
#[derive(Clone, Debug)]
pub(super) struct Space {
    /// In order, none empty, none touching the next.
    gaps: Vec<Range>,
}

impl Space {
    /// All addresses but these. Address 0 is nobody's: in a BAR it means that there is none.
    pub(super) fn new(taken: impl Iterator<Item = Range>) -> Self {
        let mut taken: Vec<Range> = taken.collect();
        taken.sort_by_key(|range| range.start);
        let mut gaps = Vec::new();
        let mut start = 1;
        for range in taken {
            if start < range.start {
                gaps.push(Range { start, end: range.start });
            }
            start = start.max(range.end);
        }
        if start < u64::MAX {
            gaps.push(Range { start, end: u64::MAX });
        }
        Self { gaps }
    }

    /// Takes the lowest free range in `allowed`.
    pub(super) fn take(&mut self, allowed: Range, size: u64, align: u64) -> Option<Range> {
        let mut at = self.gaps.partition_point(|gap| gap.end <= allowed.start);
        loop {
            let gap = *self.gaps.get(at)?;
            let start = gap.start.max(allowed.start).checked_next_multiple_of(align)?;
            let range = Range { start, end: start.checked_add(size)? };
            if range.end > allowed.end {
                return None;
            }
            if range.end <= gap.end {
                let left = [
                    Range { start: gap.start, end: range.start },
                    Range { start: range.end, end: gap.end },
                ];
                let left = left.into_iter().filter(|range| range.start < range.end);
                self.gaps.splice(at..=at, left);
                return Some(range);
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_gap_that_fits() {
        let range = |start, end| Range { start, end };
        // One inside another, as of a bridge and what is behind it.
        let taken = [range(0x2000, 0x3000), range(0x1000, 0x1800), range(0x2400, 0x2800)];
        let mut space = Space::new(taken.into_iter());
        let all = range(0, 0x5000);
        assert_eq!(space.take(all, 0x800, 0x800), Some(range(0x800, 0x1000)));
        assert_eq!(space.take(all, 0x1000, 0x1000), Some(range(0x3000, 0x4000)));
        assert_eq!(space.take(all, 0x800, 0x800), Some(range(0x1800, 0x2000)));
        assert_eq!(space.take(all, 0x1000, 0x1000), Some(range(0x4000, 0x5000)));
        assert_eq!(space.take(all, 0x800, 0x800), None);
        assert_eq!(space.take(all, 0x100, 0x100), Some(range(0x100, 0x200)));
        let end = range(u64::MAX - 0xfff, u64::MAX);
        assert_eq!(space.take(end, 0x1000, 0x1000), None);
        assert_eq!(space.take(range(1, u64::MAX), u64::MAX, 1 << 63), None);
    }
}
