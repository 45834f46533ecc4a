//! Words of a message, and what a request, a reply and an error code have in common.

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

/// Declares a protocol: its error codes, and the `Request` enum with its decode.
macro_rules! protocol {
    (
        errors { $($(#[$doc:meta])* $error:ident = $code:literal, $text:literal;)* }
        requests { $($(#[$rdoc:meta])* $request:ident,)* }
    ) => {
        /// Why the server said no. Nothing was changed.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u32)]
        pub enum Error { $($(#[$doc])* $error = $code,)* }

        impl Error {
            /// Every error.
            pub const ALL: &'static [Error] = &[$(Error::$error,)*];

            /// One line for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Error::$error => $text,)* }
            }
        }

        impl core::fmt::Display for Error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.text())
            }
        }

        impl From<$crate::DecodeError> for Error {
            fn from(_: $crate::DecodeError) -> Error {
                Error::Malformed
            }
        }

        impl $crate::ErrorCode for Error {
            #[inline]
            fn code(self) -> u32 {
                self as u32
            }

            fn from_code(code: u32) -> Option<Error> {
                match code { $($code => Some(Error::$error),)* _ => None }
            }
        }

        /// Any request of this protocol, as the server sees it.
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[allow(clippy::large_enum_variant, reason = "lives on the server's stack for one request")]
        pub enum Request { $($(#[$rdoc])* $request($request),)* }

        impl Request {
            /// Reads a request.
            ///
            /// # Errors
            /// When no request of the protocol looks like this.
            #[inline]
            pub fn decode(label: u32, words: &[u64], handles: usize)
                -> Result<Request, $crate::DecodeError>
            {
                $(if label == <$request as $crate::Operation>::LABEL {
                    return <$request as $crate::Operation>::decode(words, handles).map(Request::$request);
                })*
                Err($crate::DecodeError::UnknownLabel)
            }

            /// The request as a message.
            #[must_use]
            pub fn frame(&self) -> $crate::Frame {
                match self { $(Request::$request(request) => $crate::Operation::frame(request),)* }
            }

            /// Handles that go along.
            #[must_use]
            pub fn handles(&self) -> usize {
                match self { $(Request::$request(_) => <$request as $crate::Operation>::HANDLES,)* }
            }

            /// Reads a reply to the request with this label (any label), for tools and tests.
            ///
            /// # Errors
            /// The server's refusal, or that the reply makes no sense.
            pub fn check_reply(request: u32, label: u32, words: &[u64], handles: usize)
                -> Result<(), $crate::Refusal<Error>>
            {
                $(if request == <$request as $crate::Operation>::LABEL {
                    return <$request as $crate::Operation>::decode_reply(label, words, handles).map(|_| ());
                })*
                Err($crate::Refusal::Malformed($crate::DecodeError::UnknownLabel))
            }
        }
    };
}

/// Declares one request: label, handles, reply, and how its words are put and got.
macro_rules! operation {
    ($name:ident = $label:literal, handles $handles:literal => $reply:ty;
     put($self_:ident, $words:ident) $put:block get($reader:ident) $get:block) => {
        impl $crate::Operation for $name {
            const LABEL: u32 = $label;
            const HANDLES: usize = $handles;
            type Reply = $reply;
            type Error = Error;

            #[inline]
            fn put(&self, $words: &mut $crate::Words) {
                let $self_ = self;
                $put
            }

            #[inline]
            fn get($reader: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                $get
            }
        }
    };
    // A request without words.
    ($name:ident = $label:literal, handles $handles:literal => $reply:ty;) => {
        operation! { $name = $label, handles $handles => $reply;
        put(_request, _words) {} get(_reader) { Ok($name) } }
    };
}

pub(crate) use {operation, protocol};
