//! Subsystems: what `init` tells an interrupt server of another one that calls it.

use crate::client_from;

/// To an interrupt server, from [`crate::SYSTEM_BADGE`] only: whoever calls with this number
/// (`tocsin_proto::badge::of_subsystem`) may hold so many messages, for all devices of its set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetSubsystem {
    /// The subsystem.
    pub subsystem: u16,
    /// Messages at most.
    pub messages: u32,
}

/// To the same: this device belongs to the subsystem, until its client is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Join {
    /// The subsystem.
    pub subsystem: u16,
    /// The client: a requester id, or a platform client (`tocsin_proto::badge::client_of`).
    pub client: u32,
}

/// To the same: the subsystem is no more. What its devices hold ends, its endpoints die, and
/// its devices are nobody's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubsystemGone {
    /// The subsystem.
    pub subsystem: u16,
}

impl SetSubsystem {
    /// Its label.
    pub const LABEL: u32 = 0x120;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        [self.subsystem as u64, self.messages as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [subsystem, messages] = *words else { return None };
        Some(Self { subsystem: subsystem.try_into().ok()?, messages: messages.try_into().ok()? })
    }
}

impl Join {
    /// Its label.
    pub const LABEL: u32 = 0x121;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        [self.subsystem as u64, self.client as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [subsystem, client] = *words else { return None };
        Some(Self { subsystem: subsystem.try_into().ok()?, client: client_from(client)? })
    }
}

impl SubsystemGone {
    /// Its label.
    pub const LABEL: u32 = 0x122;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 1] {
        [self.subsystem as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [subsystem] = *words else { return None };
        Some(Self { subsystem: subsystem.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refusals() {
        let set = SetSubsystem { subsystem: 3, messages: 64 };
        assert_eq!((set.words(), SetSubsystem::decode(&set.words())), ([3, 64], Some(set)));
        let join = Join { subsystem: u16::MAX, client: 0x1_0010 };
        assert_eq!(join.words(), [0xffff, 0x1_0010]);
        assert_eq!(Join::decode(&join.words()), Some(join));
        let gone = SubsystemGone { subsystem: 3 };
        assert_eq!(SubsystemGone::decode(&gone.words()), Some(gone));
        for words in [&[][..], &[1], &[1, 2, 3], &[1 << 16, 0], &[0, 1 << 32]] {
            assert_eq!(SetSubsystem::decode(words), None, "{words:x?}");
            assert_eq!(Join::decode(words), None, "{words:x?}");
        }
        assert_eq!(Join::decode(&[0, 1 << 17]), None);
        assert_eq!(SubsystemGone::decode(&[1 << 16]), None);
    }
}
