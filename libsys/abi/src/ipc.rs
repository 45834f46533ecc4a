//! One IPC message: a tag, four words in registers, the rest in the thread's IPC buffer.

use crate::Handle;
use crate::limits::{IPC_HANDLES, IPC_WORDS};

/// First word of every message: what it is about and how much of it there is.
///
/// Bits 0 to 31 are the label (the protocol's operation or result), 32 to 39 the number
/// of words, 40 to 43 the number of handles. The rest is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Tag(pub u64);

impl Tag {
    /// A tag for `words` words and `handles` handles.
    #[must_use]
    pub const fn new(label: u32, words: usize, handles: usize) -> Tag {
        Tag(label as u64 | (words as u64 & 0xff) << 32 | (handles as u64 & 0xf) << 40)
    }

    /// The protocol's operation or result.
    #[must_use]
    pub const fn label(self) -> u32 {
        self.0 as u32
    }

    /// Number of words, those in registers included.
    #[must_use]
    pub const fn words(self) -> usize {
        (self.0 >> 32 & 0xff) as usize
    }

    /// Number of handles.
    #[must_use]
    pub const fn handles(self) -> usize {
        (self.0 >> 40 & 0xf) as usize
    }

    /// True when the counts are within their limits and no reserved bit is set.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 >> 44 == 0 && self.words() <= IPC_WORDS && self.handles() <= IPC_HANDLES
    }
}

/// The page through which a thread's longer messages travel. The kernel made it with
/// the thread and reads it through its own mapping, so it needs no pointer check.
#[repr(C, align(4096))]
pub struct IpcBuffer {
    /// Word `n` of the message; the first four are unused (they are in registers).
    pub words: [u64; IPC_WORDS],
    /// Handles to send, or received.
    pub handles: [Handle; IPC_HANDLES],
    /// Rights that each sent handle keeps on the other side (bits of `Rights`).
    pub rights: [u16; IPC_HANDLES],
}

/// `ipc_receive` result: a message came in.
pub const RECEIVED_MESSAGE: u64 = 0;
/// `ipc_receive` result: a packet came in on the endpoint's bound port.
pub const RECEIVED_PACKET: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_fields_do_not_overlap() {
        let tag = Tag::new(0xdead_beef, 64, 8);
        assert_eq!((tag.label(), tag.words(), tag.handles()), (0xdead_beef, 64, 8));
        assert!(tag.is_valid());
        assert!(!Tag::new(0, 65, 0).is_valid());
        assert!(!Tag::new(0, 0, 9).is_valid());
        assert!(!Tag(1 << 44).is_valid());
    }

    #[test]
    fn the_buffer_is_one_page() {
        assert_eq!(core::mem::size_of::<IpcBuffer>(), 4096);
    }
}
