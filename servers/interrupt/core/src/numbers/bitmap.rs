//! A set of up to 65,536 free numbers that finds a member in three steps.

use alloc::vec::Vec;

/// Words at the lowest level for the largest set.
const WORDS: usize = 1024;

/// Three levels of 64-bit words: a bit above says "some bit below". The lowest free number
/// is three count-trailing-zeros away however full the set is.
pub struct Bitmap {
    bottom: Vec<u64>,
    middle: [u64; WORDS / 64],
    top: u16,
    members: u32,
    size: u32,
}

impl Bitmap {
    /// The set of 0..size, all members. `None` above 65,536, or when memory is short.
    pub fn full(size: u32) -> Option<Self> {
        if size > 64 * WORDS as u32 {
            return None;
        }
        let mut bottom = Vec::new();
        bottom.try_reserve_exact(size.div_ceil(64) as usize).ok()?;
        bottom.resize(size.div_ceil(64) as usize, 0);
        let mut set = Self { bottom, middle: [0; WORDS / 64], top: 0, members: 0, size };
        for (index, word) in set.bottom.iter_mut().enumerate() {
            let rest = size - 64 * index as u32;
            *word = if rest >= 64 { u64::MAX } else { (1 << rest) - 1 };
            set.middle[index / 64] |= 1 << (index % 64);
            set.top |= 1 << (index / 64);
        }
        set.members = size;
        Some(set)
    }

    /// How many members there are.
    pub const fn len(&self) -> u32 {
        self.members
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// Whether `number` is a member.
    pub fn contains(&self, number: u32) -> bool {
        number < self.size && self.bottom[number as usize / 64] >> (number % 64) & 1 == 1
    }

    /// Takes the lowest member out.
    pub fn take_lowest(&mut self) -> Option<u32> {
        if self.top == 0 {
            return None;
        }
        let upper = self.top.trailing_zeros();
        let word = 64 * upper + self.middle[upper as usize].trailing_zeros();
        let bit = self.bottom[word as usize].trailing_zeros();
        self.remove(word, 1 << bit);
        Some(64 * word + bit)
    }

    /// Takes an aligned run of `2^order` members out, the highest one, so that single
    /// numbers from below and runs from above keep out of each other's way. `order` ≤ 6.
    /// Looks at no more than 1,024 words; not meant for a hot path.
    pub fn take_run(&mut self, order: u8) -> Option<u32> {
        if order > 6 || self.members < 1 << order {
            return None;
        }
        for word in (0..self.bottom.len()).rev() {
            let starts = run_starts(self.bottom[word], order);
            if starts != 0 {
                let bit = 63 - starts.leading_zeros();
                let run = if order == 6 { u64::MAX } else { ((1 << (1 << order)) - 1) << bit };
                self.remove(word as u32, run);
                return Some(64 * word as u32 + bit);
            }
        }
        None
    }

    /// Puts a number back. `false`, and nothing changed, when it is a member already or out
    /// of range.
    pub fn insert(&mut self, number: u32) -> bool {
        if number >= self.size || self.contains(number) {
            return false;
        }
        let word = number / 64;
        self.bottom[word as usize] |= 1 << (number % 64);
        self.middle[word as usize / 64] |= 1 << (word % 64);
        self.top |= 1 << (word / 64);
        self.members += 1;
        true
    }

    fn remove(&mut self, word: u32, bits: u64) {
        let bottom = &mut self.bottom[word as usize];
        *bottom &= !bits;
        self.members -= bits.count_ones();
        if *bottom == 0 {
            let middle = &mut self.middle[word as usize / 64];
            *middle &= !(1 << (word % 64));
            if *middle == 0 {
                self.top &= !(1 << (word / 64));
            }
        }
    }
}

/// The bits at which an aligned run of `2^order` set bits starts.
const fn run_starts(word: u64, order: u8) -> u64 {
    const ALIGNED: [u64; 7] = [
        u64::MAX,
        0x5555_5555_5555_5555,
        0x1111_1111_1111_1111,
        0x0101_0101_0101_0101,
        0x0001_0001_0001_0001,
        0x0000_0001_0000_0001,
        1,
    ];
    let mut starts = word;
    let mut step = 0;
    while step < order {
        starts &= starts >> (1 << step);
        step += 1;
    }
    starts & ALIGNED[order as usize]
}
