//! A piece of text in one IPC message: length in the first word, bytes in the others.

use crate::DecodeError;
use crate::wire::{Reader, Words};
use tocsin_abi::limits::IPC_WORDS;

/// Bytes of text that fit into one message.
pub const TEXT_BYTES: usize = (IPC_WORDS - 1) * 8;

/// At most [`TEXT_BYTES`] of UTF-8.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Text(heapless::String<TEXT_BYTES>);

impl Text {
    /// The longest start of `text` that fits, and the rest.
    #[must_use]
    pub fn split(text: &str) -> (Text, &str) {
        let mut end = text.len().min(TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut first = heapless::String::new();
        // Can not fail: `end` is within the capacity.
        let fits = first.push_str(&text[..end]);
        debug_assert!(fits.is_ok());
        (Text(first), &text[end..])
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn put(&self, words: &mut Words) {
        words.put(self.0.len() as u64);
        for chunk in self.0.as_bytes().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            words.put(u64::from_le_bytes(bytes));
        }
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Result<Text, DecodeError> {
        let len = usize::try_from(reader.word()?).map_err(|_| DecodeError::BadValue)?;
        if len > TEXT_BYTES {
            return Err(DecodeError::BadValue);
        }
        let mut bytes: heapless::Vec<u8, TEXT_BYTES> = heapless::Vec::new();
        for start in (0..len).step_by(8) {
            let chunk = reader.word()?.to_le_bytes();
            let used = (len - start).min(8);
            if chunk[used..].iter().any(|&byte| byte != 0) {
                return Err(DecodeError::BadValue);
            }
            bytes.extend_from_slice(&chunk[..used]).map_err(|_| DecodeError::BadValue)?;
        }
        heapless::String::from_utf8(bytes).map(Text).map_err(|_| DecodeError::BadValue)
    }
}

/// A program's name in the manifest: UTF-8, padded with zero bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProgramName([u8; ProgramName::BYTES]);

impl ProgramName {
    /// Bytes of a name at most: more than a manifest allows.
    pub const BYTES: usize = 32;
    /// Words that it takes.
    pub const WORDS: usize = ProgramName::BYTES / 8;

    /// The program with this name; `None` when it is too long, or holds a zero byte.
    #[must_use]
    pub fn new(name: &str) -> Option<ProgramName> {
        let mut padded = [0; ProgramName::BYTES];
        padded.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        (!name.as_bytes().contains(&0)).then_some(ProgramName(padded))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(ProgramName::BYTES);
        // Nobody makes one of anything else than UTF-8.
        core::str::from_utf8(&self.0[..end]).unwrap_or_default()
    }

    /// As IPC words.
    #[must_use]
    pub fn words(&self) -> [u64; ProgramName::WORDS] {
        let mut words = [0; ProgramName::WORDS];
        for (word, bytes) in words.iter_mut().zip(self.0.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
    }

    /// From IPC words; `None` unless they are a name in its only form.
    #[must_use]
    pub fn from_words(words: [u64; ProgramName::WORDS]) -> Option<ProgramName> {
        let mut bytes = [0; ProgramName::BYTES];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(ProgramName::BYTES);
        let padded = bytes[end..].iter().all(|byte| *byte == 0);
        (padded && core::str::from_utf8(&bytes).is_ok()).then_some(ProgramName(bytes))
    }

    pub(crate) fn put(&self, words: &mut Words) {
        self.words().into_iter().for_each(|word| words.put(word));
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Result<ProgramName, DecodeError> {
        let mut words = [0; ProgramName::WORDS];
        for word in &mut words {
            *word = reader.word()?;
        }
        ProgramName::from_words(words).ok_or(DecodeError::BadValue)
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.push_str(text).map_err(|_| core::fmt::Error)
    }
}
