//! The console server's protocol: text for people and for the test scripts, and what people type.

use crate::wire::{Reader, Words, no_handles, operation, protocol};
use crate::{DecodeError, Nothing, Reply, Text};

protocol! {
    errors {
        /// The words were no request of this protocol, or the text is not UTF-8.
        Malformed = 1, "request makes no sense";
        /// Nobody can type here: the machine has no serial port, or its interrupt can not be had.
        NoInput = 2, "nothing can be typed on this machine (NoInput)";
        /// Somebody else has said `Listen` since, or the caller has not.
        NotListening = 3, "somebody else is listening (NotListening)";
    }
    requests {
        /// Text to write.
        Write,
        /// Wait for the last byte to leave.
        Flush,
        /// Have what is typed from now on.
        Listen,
        /// A line that was typed.
        Read,
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

/// From now on what is typed is the caller's, until somebody else says so: like a terminal's
/// program in front. The port that comes along (right `SIGNAL`) gets a packet when there are lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listen;

operation! { Listen = 3, handles 1 => Nothing; }

/// Takes the next line that was typed, and does not wait for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read;

operation! { Read = 4, handles 0 => Typed; }

/// What was typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Typed {
    /// A line without its end; `None`: there is none now.
    pub line: Option<Text>,
}

impl Reply for Typed {
    fn put(&self, words: &mut Words) {
        if let Some(line) = &self.line {
            line.put(words);
        }
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        // A line has one word at least: its length.
        let line = if reader.left() == 0 { None } else { Some(Text::get(reader)?) };
        Ok(Typed { line })
    }
}
