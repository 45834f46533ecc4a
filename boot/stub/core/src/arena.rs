//! The memory that the answers to the kernel lie in: filled from the front, never freed.

/// The answers do not fit; the size was computed wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaFull;

/// A block of memory and the address at which the kernel sees it.
#[derive(Debug)]
pub struct Arena<'a> {
    words: &'a mut [u64],
    base: u64,
    used: usize,
}

impl<'a> Arena<'a> {
    /// Uses `words`, the first of which the kernel will see at `base`.
    pub const fn new(words: &'a mut [u64], base: u64) -> Self {
        Self { words, base, used: 0 }
    }

    /// Appends words and returns the address of the first.
    pub fn put(&mut self, values: &[u64]) -> Result<u64, ArenaFull> {
        let end = self.used + values.len();
        self.words.get_mut(self.used..end).ok_or(ArenaFull)?.copy_from_slice(values);
        let address = self.base + 8 * self.used as u64;
        self.used = end;
        Ok(address)
    }

    /// Appends a text made of `parts`, ended by NUL, and returns its address.
    pub fn put_text(&mut self, parts: &[&[u8]]) -> Result<u64, ArenaFull> {
        let address = self.base + 8 * self.used as u64;
        let mut word = [0; 8];
        let mut filled = 0;
        for &byte in parts.iter().copied().flatten() {
            word[filled] = byte;
            filled += 1;
            if filled == word.len() {
                self.put(&[u64::from_le_bytes(word)])?;
                (word, filled) = ([0; 8], 0);
            }
        }
        // There is room for at least one NUL in the last word.
        self.put(&[u64::from_le_bytes(word)])?;
        Ok(address)
    }
}
