//! A set of bus numbers.

/// Which of 256 buses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BusSet([u64; 4]);

impl BusSet {
    pub(crate) fn contains(&self, bus: u8) -> bool {
        self.0[usize::from(bus >> 6)] >> (bus & 63) & 1 != 0
    }

    /// Says whether the bus was new.
    pub(crate) fn insert(&mut self, bus: u8) -> bool {
        let new = !self.contains(bus);
        self.0[usize::from(bus >> 6)] |= 1 << (bus & 63);
        new
    }

    pub(crate) fn remove_range(&mut self, first: u8, last: u8) {
        for bus in first..=last {
            self.0[usize::from(bus >> 6)] &= !(1 << (bus & 63));
        }
    }

    pub(crate) fn insert_range(&mut self, first: u8, last: u8) {
        for bus in first..=last {
            self.insert(bus);
        }
    }

    /// The first run of buses from `first` to `last` that are not in the set, as (first, last).
    pub(crate) fn first_gap(&self, first: u8, last: u8) -> Option<(u8, u8)> {
        let start = (first..=last).find(|bus| !self.contains(*bus))?;
        let end = (start..=last).take_while(|bus| !self.contains(*bus)).last()?;
        Some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps() {
        let mut set = BusSet::default();
        assert_eq!(set.first_gap(0, 255), Some((0, 255)));
        assert_eq!(set.first_gap(5, 4), None);
        set.insert_range(0, 63);
        assert!(!set.insert(63) && set.insert(66));
        assert_eq!(set.first_gap(0, 255), Some((64, 65)));
        assert_eq!(set.first_gap(66, 255), Some((67, 255)));
        assert_eq!(set.first_gap(1, 63), None);
        set.insert_range(64, 255);
        assert_eq!(set.first_gap(0, 255), None);
        set.remove_range(127, 128);
        assert_eq!(set.first_gap(0, 255), Some((127, 128)));
    }
}
