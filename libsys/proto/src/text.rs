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

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.push_str(text).map_err(|_| core::fmt::Error)
    }
}
