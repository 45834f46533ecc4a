//! Pieces of one range of memory, of any size and alignment.
//!
//! For what is taken rarely and kept long: the tables of a remapper and of the devices behind
//! it. First fit; the work is in proportion to the number of gaps.

use alloc::vec::Vec;

/// A piece: where it begins, and how long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Offset in the range.
    pub start: usize,
    /// Bytes, never 0.
    pub bytes: usize,
}

impl Extent {
    const fn end(self) -> usize {
        self.start + self.bytes
    }
}

/// Which parts of a range are free: gaps in order, none next to another.
#[derive(Debug)]
pub struct Extents {
    gaps: Vec<Extent>,
    size: usize,
}

impl Extents {
    /// A range of so many bytes, all free.
    pub fn new(bytes: usize) -> Option<Self> {
        let mut gaps = Vec::new();
        if bytes > 0 {
            gaps.try_reserve(8).ok()?;
            gaps.push(Extent { start: 0, bytes });
        }
        Some(Self { gaps, size: bytes })
    }

    /// Takes a piece whose offset is a multiple of `align`, a power of two. Of the lowest gap
    /// that it fits into. `None` when there is none, or no memory to remember the rest.
    pub fn take(&mut self, bytes: usize, align: usize) -> Option<Extent> {
        if bytes == 0 || !align.is_power_of_two() {
            return None;
        }
        let fits = |gap: &Extent| {
            let start = gap.start.checked_next_multiple_of(align)?;
            (start.checked_add(bytes)? <= gap.end()).then_some(Extent { start, bytes })
        };
        let (place, taken) =
            self.gaps.iter().enumerate().find_map(|(place, gap)| Some((place, fits(gap)?)))?;
        // Room for what the two ends may leave, and for one more gap when it comes back.
        self.gaps.try_reserve(2).ok()?;
        let gap = self.gaps.remove(place);
        if taken.end() < gap.end() {
            let rest = Extent { start: taken.end(), bytes: gap.end() - taken.end() };
            self.gaps.insert(place, rest);
        }
        if gap.start < taken.start {
            let rest = Extent { start: gap.start, bytes: taken.start - gap.start };
            self.gaps.insert(place, rest);
        }
        Some(taken)
    }

    /// Gives a piece back. `false`, and nothing changed, when a part of it is free already,
    /// lies outside, or can not be remembered.
    pub fn give_back(&mut self, piece: Extent) -> bool {
        let inside = piece.start.checked_add(piece.bytes).is_some_and(|end| end <= self.size);
        if piece.bytes == 0 || !inside {
            return false;
        }
        let place = self.gaps.partition_point(|gap| gap.start < piece.start);
        let (before, after) = self.gaps.split_at_mut(place);
        let (before, after) = (before.last_mut(), after.first_mut());
        let overlaps = before.as_ref().is_some_and(|gap| gap.end() > piece.start)
            || after.as_ref().is_some_and(|gap| piece.end() > gap.start);
        if overlaps {
            return false;
        }
        let joins_before = before.filter(|gap| gap.end() == piece.start);
        let joins_after = after.filter(|gap| gap.start == piece.end());
        match (joins_before, joins_after) {
            (Some(before), Some(after)) => {
                before.bytes += piece.bytes + after.bytes;
                self.gaps.remove(place);
            }
            (Some(before), None) => before.bytes += piece.bytes,
            (None, Some(after)) => {
                *after = Extent { start: piece.start, bytes: piece.bytes + after.bytes };
            }
            (None, None) => {
                if self.gaps.try_reserve(1).is_err() {
                    return false;
                }
                self.gaps.insert(place, piece);
            }
        }
        true
    }

    /// Free bytes, in pieces that may be smaller.
    pub fn free_bytes(&self) -> usize {
        self.gaps.iter().map(|gap| gap.bytes).sum()
    }
}
