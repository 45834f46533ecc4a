//! The console server's protocol: text for people and for the test scripts.

use crate::wire::{operation, protocol};
use crate::{Nothing, Text};

protocol! {
    errors {
        /// The words were no request of this protocol, or the text is not UTF-8.
        Malformed = 1, "request makes no sense";
    }
    requests {
        /// Text to write.
        Write,
        /// Wait for the last byte to leave.
        Flush,
    }
}

/// Writes text. The server keeps the pieces of one caller's line together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The text.
    pub text: Text,
}

operation! { Write = 1, handles 0 => Nothing;
    put(request, words) { request.text.put(words); }
    get(reader) { Ok(Write { text: Text::get(reader)? }) }
}

/// Answers when everything written before has left the serial port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flush;

operation! { Flush = 2, handles 0 => Nothing; }
