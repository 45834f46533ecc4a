//! Many numbers in few words: `0-177, 180, 190-255`.

use alloc::vec::Vec;
use core::fmt;

/// Ranges shown of one set; what is behind them is counted.
const SHOWN: usize = 4;

/// A set of numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Of these numbers, in any order; one that comes twice counts once.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = u64>) -> Ranges {
        let mut numbers: Vec<u64> = numbers.into_iter().collect();
        numbers.sort_unstable();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if number <= last.saturating_add(1) => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        Ranges(ranges)
    }

    /// No number at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Exactly one number.
    #[must_use]
    pub fn is_single(&self) -> bool {
        matches!(self.0[..], [(first, last)] if first == last)
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.0.iter().take(SHOWN).enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            match first == last {
                true => write!(f, "{first}")?,
                false => write!(f, "{first}-{last}")?,
            }
        }
        match self.0.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more ranges"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn text(numbers: &[u64]) -> alloc::string::String {
        Ranges::of(numbers.iter().copied()).to_string()
    }

    #[test]
    fn runs_are_joined_and_the_rest_is_counted() {
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[7]), "7");
        assert_eq!(text(&[3, 1, 2, 2, 9]), "1-3, 9");
        assert_eq!(
            text(&[u64::MAX, u64::MAX - 1, 0]),
            "0, 18446744073709551614-18446744073709551615"
        );
        assert_eq!(text(&[0, 2, 4, 6, 8, 10]), "0, 2, 4, 6 and 2 more ranges");
        assert!(Ranges::of([4]).is_single() && !Ranges::of([4, 5]).is_single());
        assert!(Ranges::of([]).is_empty() && !Ranges::of([]).is_single());
    }
}
