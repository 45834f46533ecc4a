//! How a protocol and its requests are declared.

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
