//! The two requests that only `init` makes, beside the servers' public protocols.
//!
//! `init` alone knows what the manifest says of a driver and when it dies, so it alone
//! tells the interrupt server a client's quota, and the PCI server that a device is free
//! again. The labels lie beyond those of `tocsin-proto`; who may use them is decided by
//! the badge, like everything else.
#![no_std]
#![forbid(unsafe_code)]

/// Badge of `init`'s own handle to the interrupt server. No device has it: a device's
/// badge has bit 32 set and bit 33 clear (`tocsin_proto::badge`).
pub const INIT_BADGE: u64 = 1 << 33;

/// To the interrupt server, from [`INIT_BADGE`] only: how many messages the client with
/// this requester id may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetQuota {
    /// The client's device.
    pub requester: u16,
    /// Messages at most.
    pub messages: u32,
}

/// To the PCI server, from badge zero only: the driver of this device is gone. Its bus
/// mastering ends, its DMA memory is taken back, and it can be claimed again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Release {
    /// The device.
    pub requester: u16,
}

impl SetQuota {
    /// Its label.
    pub const LABEL: u32 = 0x101;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        [self.requester as u64, self.messages as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [requester, messages] = *words else { return None };
        Some(Self { requester: requester.try_into().ok()?, messages: messages.try_into().ok()? })
    }
}

impl Release {
    /// Its label.
    pub const LABEL: u32 = 0x102;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 1] {
        [self.requester as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [requester] = *words else { return None };
        Some(Self { requester: requester.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_round_trip_and_others_are_refused() {
        let quota = SetQuota { requester: 0x00f8, messages: 2049 };
        assert_eq!(quota.words(), [0xf8, 2049]);
        assert_eq!(SetQuota::decode(&quota.words()), Some(quota));
        let release = Release { requester: 0xffff };
        assert_eq!(Release::decode(&release.words()), Some(release));
        for words in [&[][..], &[1], &[1, 2, 3], &[0x1_0000, 1], &[1, 1 << 32]] {
            assert_eq!(SetQuota::decode(words), None, "{words:x?}");
        }
        for words in [&[][..], &[1, 2], &[0x1_0000]] {
            assert_eq!(Release::decode(words), None, "{words:x?}");
        }
    }
}
