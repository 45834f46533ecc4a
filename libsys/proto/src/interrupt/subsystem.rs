//! What an interrupt server asks the one above it beyond what any driver asks.
//!
//! A *subsystem* is an interrupt server whose remapper is another one, its *parent*. Its badge
//! ([`crate::badge::of_subsystem`]) lets it ask for one endpoint for each device of its set, and
//! on these it is that device's driver to the parent. [`super::Info`] answers it what the
//! subsystem may have: its quota as entries. Anything else is refused there (`NotAClient`).

use super::{Description, Error, MessageId};
use crate::wire::{Reader, operation};
use crate::{DecodeError, Reply, Words};

/// An endpoint to speak for a device of the caller's set; `NotYours` for every other. It dies
/// with the device's membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenDevice {
    /// The device, as [`crate::badge::client_of`] has it.
    pub client: u32,
}

operation! { OpenDevice = 48, handles 0 => Opened;
    put(request, words) { words.put(u64::from(request.client)); }
    get(reader) { Ok(OpenDevice { client: reader.small()? }) }
}

/// Reply to [`OpenDevice`]: the endpoint comes along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened;

impl Reply for Opened {
    fn put(&self, _words: &mut Words) {}

    fn get(_reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        if handles == 1 { Ok(Opened) } else { Err(DecodeError::WrongHandles) }
    }
}

/// One of the caller's messages as it is now: a description with its row alone. What a parent
/// has done by itself (a storm held back, a message whose last handle is gone) is seen so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Which message.
    pub id: MessageId,
}

operation! { Look = 49, handles 0 => Description;
    put(request, words) { words.put(request.id.0); }
    get(reader) { Ok(Look { id: MessageId(reader.word()?) }) }
}
