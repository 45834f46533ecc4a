//! Owners of shared lines that do not answer, and who takes their devices off the line.
//!
//! The interrupt server waits for an owner no longer than its patience, and lets the line go
//! without it then; but the owner's device still asserts it, and only `pci` can stop that. So
//! `pci` has a message ([`WatchLines`]) that the interrupt server signals, asks who it is
//! ([`NextLate`]), and switches that device's pin off before it asks again.

/// To the interrupt server, from [`SYSTEM_BADGE`](crate::SYSTEM_BADGE) only. The reply brings
/// the message that is signalled when an owner is late, to be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatchLines;

impl WatchLines {
    /// Its label.
    pub const LABEL: u32 = 0x108;
}

/// To the interrupt server, from [`SYSTEM_BADGE`](crate::SYSTEM_BADGE) only: the next device
/// whose driver did not answer. Its owner is off the line from here on, and has to open it anew.
/// The reply is [`Late`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextLate;

impl NextLate {
    /// Its label.
    pub const LABEL: u32 = 0x109;
}

/// Reply to [`NextLate`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Late {
    /// The device. `None`: there is no other.
    pub requester: Option<u16>,
}

/// Tells requester id zero from none.
const SOME: u64 = 1 << 16;

impl Late {
    /// As IPC words.
    #[must_use]
    pub fn words(self) -> [u64; 1] {
        [self.requester.map_or(0, |requester| SOME | u64::from(requester))]
    }

    /// From IPC words; `None` unless they are exactly such a reply.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [word] = *words else { return None };
        match word {
            0 => Some(Self { requester: None }),
            _ if word >> 16 == 1 => Some(Self { requester: Some(word as u16) }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_round_trip_and_others_are_refused() {
        for (requester, word) in [(None, 0), (Some(0), 0x1_0000), (Some(0xffff), 0x1_ffff)] {
            assert_eq!(Late { requester }.words(), [word]);
            assert_eq!(Late::decode(&[word]), Some(Late { requester }));
        }
        for words in [&[][..], &[1], &[0xffff], &[0x2_0000], &[0x1_0000_0000], &[0, 0]] {
            assert_eq!(Late::decode(words), None, "{words:x?}");
        }
    }
}
