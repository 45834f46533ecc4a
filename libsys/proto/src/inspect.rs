//! The inspector's protocol: whoever runs a demonstration says when everybody holds what
//! there is to see, and compares what was seen.

use crate::wire::{operation, protocol};
use crate::{DecodeError, Reply, StoreKind, Words};

protocol! {
    errors {
        /// The words were no request of this protocol.
        Malformed = 1, "request makes no sense";
        /// An interrupt server did not answer, or the inspector may not ask it.
        Unreachable = 2, "an interrupt server can not be asked (Unreachable)";
        /// What an interrupt server says of itself contradicts itself.
        Contradiction = 3, "an interrupt server contradicts itself (Contradiction)";
        /// Nothing was looked at yet.
        NoSnapshot = 4, "there is no snapshot (NoSnapshot)";
    }
    requests {
        /// Read everything, and print it.
        Snapshot,
        /// What the last snapshot says of one store.
        Count,
    }
}

/// Reads the domain trees of all interrupt servers that the inspector may ask, and prints
/// them. Answers when they are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot;

operation! { Snapshot = 1, handles 0 => Taken; }

/// What the last snapshot says of one client's messages in stores of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// The client (`badge::client_of`).
    pub client: u32,
    /// The store.
    pub kind: StoreKind,
}

operation! { Count = 2, handles 0 => Counted;
    put(request, words) {
        words.put(request.client.into());
        words.put(request.kind as u64);
    }
    get(reader) {
        Ok(Count { client: reader.small()?, kind: StoreKind::from_code(reader.word()?)? })
    }
}

/// Reply to `Snapshot`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Interrupt servers.
    pub servers: u32,
    /// Messages of all of them.
    pub messages: u64,
    /// Nothing changed while they were read.
    pub is_steady: bool,
}

impl Reply for Taken {
    fn put(&self, words: &mut Words) {
        words.put(self.servers.into());
        words.put(self.messages);
        words.put(self.is_steady.into());
    }

    fn get(reader: &mut crate::wire::Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        crate::wire::no_handles(handles)?;
        let (servers, messages) = (reader.small()?, reader.word()?);
        Ok(Taken { servers, messages, is_steady: reader.flag()? })
    }
}

/// Reply to `Count`; all zero for who holds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Messages, whatever their state.
    pub messages: u64,
    /// Those that are active.
    pub active: u64,
    /// Those that are bound to a port.
    pub bound: u64,
    /// Events that made a packet.
    pub delivered: u64,
    /// Events that were folded into a packet.
    pub coalesced: u64,
}

impl Reply for Counted {
    fn put(&self, words: &mut Words) {
        words.put(self.messages);
        words.put(self.active);
        words.put(self.bound);
        words.put(self.delivered);
        words.put(self.coalesced);
    }

    fn get(reader: &mut crate::wire::Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        crate::wire::no_handles(handles)?;
        let (messages, active, bound) = (reader.word()?, reader.word()?, reader.word()?);
        if active > messages || bound > messages {
            return Err(DecodeError::BadValue);
        }
        Ok(Counted {
            messages,
            active,
            bound,
            delivered: reader.word()?,
            coalesced: reader.word()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;

    #[test]
    fn requests_and_replies_are_the_words_of_the_plan() {
        use crate::Operation;
        let count = Count { client: 0x1_0002, kind: StoreKind::MsiX };
        assert_eq!(&*count.frame().words, &[0x1_0002, 2]);
        assert_eq!(Count::decode(&[0x1_0002, 2], 0), Ok(count));
        assert_eq!(Count::decode(&[1 << 32, 2], 0), Err(DecodeError::BadValue));
        let taken = Taken { servers: 1, messages: 2305, is_steady: true };
        assert_eq!(&*taken.frame().words, &[1, 2305, 1]);
        assert_eq!(Taken::get(&mut Reader::new(&[1, 2305, 1]), 0), Ok(taken));
        assert_eq!(Taken::get(&mut Reader::new(&[1, 2305, 2]), 0), Err(DecodeError::BadValue));
        let counted = Counted { messages: 5, active: 4, bound: 3, delivered: 2, coalesced: 1 };
        assert_eq!(&*counted.frame().words, &[5, 4, 3, 2, 1]);
        assert_eq!(Counted::get(&mut Reader::new(&[5, 4, 3, 2, 1]), 0), Ok(counted));
        for bad in [[3, 4, 3, 2, 1], [3, 3, 4, 2, 1]] {
            assert_eq!(Counted::get(&mut Reader::new(&bad), 0), Err(DecodeError::BadValue));
        }
    }
}
