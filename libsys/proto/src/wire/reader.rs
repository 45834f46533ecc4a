//! Reading words, and words with several fields.

use super::{DecodeError, Words};

/// Reads words in order.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u64],
}

impl<'a> Reader<'a> {
    /// Starts at the first word.
    #[inline]
    #[must_use]
    pub const fn new(words: &'a [u64]) -> Reader<'a> {
        Reader { rest: words }
    }

    /// Words that were not read yet.
    #[inline]
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next word.
    #[inline]
    pub(crate) fn word(&mut self) -> Result<u64, DecodeError> {
        let (&first, rest) = self.rest.split_first().ok_or(DecodeError::WrongLength)?;
        self.rest = rest;
        Ok(first)
    }

    /// The next word as fields, lowest bits first.
    #[inline]
    pub(crate) fn bits(&mut self) -> Result<Bits, DecodeError> {
        Ok(Bits(self.word()?))
    }

    /// The next word, which must fit the type.
    #[inline]
    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, DecodeError> {
        T::try_from(self.word()?).map_err(|_| DecodeError::BadValue)
    }

    /// The next word as yes or no.
    #[inline]
    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.word()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::BadValue),
        }
    }

    /// The words that were not read yet.
    pub(crate) const fn rest(&self) -> &'a [u64] {
        self.rest
    }

    #[inline]
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::WrongLength) }
    }
}

/// A word with several fields.
pub(crate) struct Bits(u64);

impl Bits {
    #[inline]
    pub(crate) fn byte(&mut self) -> u8 {
        let field = self.0 as u8;
        self.0 >>= 8;
        field
    }

    #[inline]
    pub(crate) fn half(&mut self) -> u16 {
        let field = self.0 as u16;
        self.0 >>= 16;
        field
    }

    #[inline]
    pub(crate) fn long(&mut self) -> u32 {
        let field = self.0 as u32;
        self.0 >>= 32;
        field
    }

    #[inline]
    pub(crate) fn flag(&mut self) -> bool {
        let field = self.0 & 1 == 1;
        self.0 >>= 1;
        field
    }

    /// The next byte as flags.
    pub(crate) fn flags(&mut self) -> Bits {
        Bits(self.byte().into())
    }

    /// Refuses bits that no field took.
    #[inline]
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.0 == 0 { Ok(()) } else { Err(DecodeError::BadValue) }
    }
}

/// Number of a remapper entry as a word: bit 63 says that there is one.
#[inline]
pub(crate) fn put_entry(words: &mut Words, entry: Option<u32>) {
    words.put(entry.map_or(0, |entry| 1 << 63 | u64::from(entry)));
}

#[inline]
pub(crate) fn get_entry(reader: &mut Reader<'_>) -> Result<Option<u32>, DecodeError> {
    let word = reader.word()?;
    if word == 0 {
        return Ok(None);
    }
    if word >> 32 != 1 << 31 {
        return Err(DecodeError::BadValue);
    }
    Ok(Some(word as u32))
}
