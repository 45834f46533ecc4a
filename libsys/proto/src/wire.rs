//! Words of a message, and what a request, a reply and an error code have in common.

mod declare;
mod reader;

pub(crate) use declare::{operation, protocol};
pub use reader::Reader;
pub(crate) use reader::{Bits, get_entry, put_entry};

use tocsin_abi::limits::IPC_WORDS;

/// Why words are no message of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// No operation has this label.
    UnknownLabel,
    /// Too few or too many words.
    WrongLength,
    /// Too few or too many handles.
    WrongHandles,
    /// A field has a value outside its range, or a reserved bit is set.
    BadValue,
}

/// The words of one message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Words(heapless::Vec<u64, IPC_WORDS>);

impl Words {
    /// No words.
    #[inline]
    #[must_use]
    pub const fn new() -> Words {
        Words(heapless::Vec::new())
    }

    /// Adds a word. Every message of every protocol fits by construction (the tests encode
    /// the longest of each), so a word too many is a mistake in this crate.
    #[inline]
    pub(crate) fn put(&mut self, word: u64) {
        let fits = self.0.push(word);
        debug_assert!(fits.is_ok(), "message longer than an IPC message");
    }
}

impl core::ops::Deref for Words {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        &self.0
    }
}

/// A message ready to send: label and words. Handles go beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Operation, or result.
    pub label: u32,
    /// Words.
    pub words: Words,
}

impl Frame {
    /// A message without words.
    #[inline]
    #[must_use]
    pub const fn empty(label: u32) -> Frame {
        Frame { label, words: Words::new() }
    }

    /// A message with any words; those past the limit are left out.
    #[must_use]
    pub fn plain(label: u32, words: &[u64]) -> Frame {
        let mut frame = Frame::empty(label);
        words.iter().take(IPC_WORDS).for_each(|&word| frame.words.put(word));
        frame
    }

    /// The reply that says which error it was.
    #[inline]
    #[must_use]
    pub fn refusal(error: impl ErrorCode) -> Frame {
        Frame::empty(error.code())
    }
}

/// An error that one protocol can answer.
pub trait ErrorCode: Copy + core::fmt::Debug {
    /// The reply's label: never zero.
    fn code(self) -> u32;
    /// The error with this code.
    fn from_code(code: u32) -> Option<Self>;
}

/// What a successful reply holds.
pub trait Reply: Sized {
    /// Appends the words.
    fn put(&self, words: &mut Words);
    /// Reads the words, of which `handles` came along.
    ///
    /// # Errors
    /// When they are no such reply.
    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError>;

    /// The reply as a message.
    #[inline]
    fn frame(&self) -> Frame {
        let mut frame = Frame::empty(0);
        self.put(&mut frame.words);
        frame
    }
}

/// One request of a protocol.
pub trait Operation: Sized {
    /// Its label.
    const LABEL: u32;
    /// Handles that go along.
    const HANDLES: usize;
    /// What success answers.
    type Reply: Reply;
    /// What failure answers.
    type Error: ErrorCode;

    /// Appends the words.
    fn put(&self, words: &mut Words);
    /// Reads the words.
    ///
    /// # Errors
    /// When they are no such request.
    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The request as a message.
    #[inline]
    fn frame(&self) -> Frame {
        let mut frame = Frame::empty(Self::LABEL);
        self.put(&mut frame.words);
        frame
    }

    /// Reads a request whose label is known already.
    ///
    /// # Errors
    /// When the words or the number of handles are not this request's.
    #[inline]
    fn decode(words: &[u64], handles: usize) -> Result<Self, DecodeError> {
        if handles != Self::HANDLES {
            return Err(DecodeError::WrongHandles);
        }
        let mut reader = Reader::new(words);
        let request = Self::get(&mut reader)?;
        reader.finish()?;
        Ok(request)
    }

    /// Reads the reply to this request.
    ///
    /// # Errors
    /// The server's refusal, or that the reply makes no sense.
    #[inline]
    fn decode_reply(
        label: u32,
        words: &[u64],
        handles: usize,
    ) -> Result<Self::Reply, Refusal<Self::Error>> {
        if label != 0 {
            return Err(match Self::Error::from_code(label) {
                Some(error) => Refusal::Refused(error),
                None => Refusal::Malformed(DecodeError::UnknownLabel),
            });
        }
        let mut reader = Reader::new(words);
        let reply = Self::Reply::get(&mut reader, handles).map_err(Refusal::Malformed)?;
        reader.finish().map_err(Refusal::Malformed)?;
        Ok(reply)
    }
}

/// Why a request has no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal<E> {
    /// The server said no.
    Refused(E),
    /// The server's reply is not what the protocol says.
    Malformed(DecodeError),
}

/// A reply that says only that it worked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nothing;

impl Reply for Nothing {
    #[inline]
    fn put(&self, _words: &mut Words) {}

    #[inline]
    fn get(_reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        Ok(Nothing)
    }
}

/// Refuses a reply that brought handles where none belong.
#[inline]
pub(crate) fn no_handles(handles: usize) -> Result<(), DecodeError> {
    if handles == 0 { Ok(()) } else { Err(DecodeError::WrongHandles) }
}
