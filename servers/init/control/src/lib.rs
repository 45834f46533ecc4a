//! Requests among the system's own servers, beside the protocols that drivers see.
//!
//! `init` alone knows what the manifest says of a driver and when it dies: it tells the
//! interrupt server a client's quota, and the PCI server that a device is free again. The
//! PCI server alone knows the bridges above a device, and what an interrupt translation
//! service calls it: it tells the interrupt server which ids the device's messages arrive
//! with. Who collects the reports of drivers hears from `init` which of them will not come.
//! The labels lie beyond those of `tocsin-proto`;
//! who may use them is decided by the badge, like everything else.
#![no_std]
#![forbid(unsafe_code)]

pub mod late;
pub mod pins;
mod subsystem;

pub use subsystem::{Join, SetSubsystem, SubsystemGone};

use tocsin_proto::ProgramName;
use tocsin_proto::interrupt::{LineId, Wiring};

/// Badge of the handles with which `init` and `pci` speak to other servers themselves. No device has it: a device's badge has bit 32 set and bit 33 clear
/// (`tocsin_proto::badge`).
pub const SYSTEM_BADGE: u64 = 1 << 33;

/// A client's number in a request: 17 bits, as `tocsin_proto::badge::client_of` makes them.
fn client_from(word: u64) -> Option<u32> {
    if word >> 17 == 0 { u32::try_from(word).ok() } else { None }
}

/// To the interrupt server, from [`SYSTEM_BADGE`] only: how many messages the client
/// may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetQuota {
    /// The client: a requester id, or a platform client (`tocsin_proto::badge::client_of`).
    pub client: u32,
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

/// To the interrupt server, from [`SYSTEM_BADGE`] only: which requester ids the messages
/// of this client's device arrive with at the remapper, where they are not its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetSource {
    /// The client: a requester id, or a platform client (`tocsin_proto::badge::client_of`).
    pub client: u32,
    /// What arrives.
    pub source: Source,
}

/// Ids that a bridge puts in place of a device's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Exactly this one.
    Function(u16),
    /// Any on these buses, both included.
    Buses {
        /// Lowest bus number.
        first: u8,
        /// Highest bus number.
        last: u8,
    },
    /// Nothing: the messages in its own registers go past the remapper (a quirk).
    Past,
}

/// To the interrupt server, from [`SYSTEM_BADGE`] only: which DeviceID an ITS sees when this
/// client's device writes, or an AMD IOMMU takes its DMA for. From `pci` for its messages (`msi-map` or the IORT), and for
/// its DMA where the manifest has a quirk about that. Of no meaning where the remapper is
/// no ITS (no AMD IOMMU): it is sent all the same, so that nobody but the interrupt server need know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetDevice {
    /// The client: a requester id, or a platform client (`tocsin_proto::badge::client_of`).
    pub client: u32,
    /// Which of its writes.
    pub writes: Writes,
    /// What they carry.
    pub device: u32,
}

/// What a device writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writes {
    /// MSI and MSI-X, and all else about which nothing is said.
    Messages,
    /// DMA: messages out of an interrupt message store. Other devices' may carry the same id.
    Dma,
    /// The same as an AMD IOMMU sees them: the id is a requester id.
    AmdViDma,
}

/// To the interrupt server, from [`SYSTEM_BADGE`] only: nobody drives this device any more.
/// What its driver held of messages ends, also what a driver that died at the wrong moment
/// never got to know of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientGone {
    /// The client: a requester id, or a platform client (`tocsin_proto::badge::client_of`).
    pub client: u32,
}

/// To the interrupt server, from [`SYSTEM_BADGE`] only: a client may open this line, which its
/// device drives in this way. From `init` for a device of the platform's own, from `pci` for a
/// device's interrupt pin. Said again it replaces what was said before. Refused, with that
/// server's errors, where the line can not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetWire {
    /// The client: a requester id, or a platform client (`tocsin_proto::badge::client_of`).
    pub client: u32,
    /// A global system interrupt on a PC, an INTID on Arm.
    pub line: LineId,
    /// How it is wired.
    pub wiring: Wiring,
}

/// To whoever receives a driver's reports (`device:<endpoint>` in its grants), from
/// [`SYSTEM_BADGE`] only: this driver was not started, because the machine has no device for
/// it. Nobody need wait for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotStarted {
    /// The program's name, padded with zero bytes.
    name: [u8; NotStarted::NAME_BYTES],
}

impl NotStarted {
    /// Its label.
    pub const LABEL: u32 = 0x106;
    /// Bytes of a name at most: what a manifest allows.
    pub const NAME_BYTES: usize = 32;

    /// For the program with this name; `None` when it is too long.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut padded = [0; Self::NAME_BYTES];
        padded.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { name: padded })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(Self::NAME_BYTES);
        // `new` and `decode` make nothing else than UTF-8.
        core::str::from_utf8(&self.name[..end]).unwrap_or_default()
    }

    /// As IPC words.
    #[must_use]
    pub fn words(self) -> [u64; 4] {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(self.name.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let words: [u64; 4] = words.try_into().ok()?;
        let mut name = [0; Self::NAME_BYTES];
        for (bytes, word) in name.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        core::str::from_utf8(&name).is_ok().then_some(Self { name })
    }
}

/// To the interrupt server, from [`SYSTEM_BADGE`] only: which program drives this client's
/// device, and what the device is. For the inspector; nothing is decided by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetOwner {
    /// The client.
    pub client: u32,
    /// Vendor and device id of a PCI device.
    pub kind: Option<(u16, u16)>,
    /// The program's name in the manifest.
    pub name: ProgramName,
}

impl SetOwner {
    /// Its label.
    pub const LABEL: u32 = 0x110;

    /// As IPC words.
    #[must_use]
    pub fn words(self) -> [u64; 2 + ProgramName::WORDS] {
        let mut words = [0; 2 + ProgramName::WORDS];
        words[0] = self.client.into();
        words[1] = self
            .kind
            .map_or(0, |(vendor, device)| u64::from(vendor) | u64::from(device) << 16 | 1 << 32);
        words[2..].copy_from_slice(&self.name.words());
        words
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [client, kind, ref name @ ..] = *words else { return None };
        let kind = match (kind >> 32, kind as u16, (kind >> 16) as u16) {
            (0, 0, 0) => None,
            (1, vendor, device) => Some((vendor, device)),
            _ => return None,
        };
        let name = ProgramName::from_words(name.try_into().ok()?)?;
        Some(Self { client: client_from(client)?, kind, name })
    }
}

impl ClientGone {
    /// Its label.
    pub const LABEL: u32 = 0x104;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 1] {
        [self.client as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [client] = *words else { return None };
        Some(Self { client: client_from(client)? })
    }
}

impl SetWire {
    /// Its label.
    pub const LABEL: u32 = 0x107;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 3] {
        [self.client as u64, self.line.0 as u64, self.wiring.to_bits() as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [client, line, wiring] = *words else { return None };
        let (client, line) = (client_from(client)?, LineId(line.try_into().ok()?));
        Some(Self { client, line, wiring: Wiring::from_bits(wiring.try_into().ok()?)? })
    }
}

impl SetDevice {
    /// Its label.
    pub const LABEL: u32 = 0x105;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 3] {
        let writes = match self.writes {
            Writes::Messages => 0,
            Writes::Dma => 1,
            Writes::AmdViDma => 2,
        };
        [self.client as u64, writes, self.device as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [client, writes, device] = *words else { return None };
        let writes = match writes {
            0 => Writes::Messages,
            1 => Writes::Dma,
            2 => Writes::AmdViDma,
            _ => return None,
        };
        let (client, device) = (client_from(client)?, device.try_into().ok()?);
        Some(Self { client, writes, device })
    }
}

impl SetSource {
    /// Its label.
    pub const LABEL: u32 = 0x103;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 3] {
        let (kind, value) = match self.source {
            Source::Function(id) => (0, id as u64),
            Source::Buses { first, last } => (1, first as u64 | (last as u64) << 8),
            Source::Past => (2, 0),
        };
        [self.client as u64, kind, value]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [client, kind, value] = *words else { return None };
        let value: u16 = value.try_into().ok()?;
        let [first, last] = value.to_le_bytes();
        let source = match kind {
            0 => Source::Function(value),
            1 if first <= last => Source::Buses { first, last },
            2 if value == 0 => Source::Past,
            _ => return None,
        };
        Some(Self { client: client_from(client)?, source })
    }
}

impl SetQuota {
    /// Its label.
    pub const LABEL: u32 = 0x101;

    /// As IPC words.
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        [self.client as u64, self.messages as u64]
    }

    /// From IPC words; `None` unless they are exactly such a request.
    #[must_use]
    pub fn decode(words: &[u64]) -> Option<Self> {
        let [client, messages] = *words else { return None };
        Some(Self { client: client_from(client)?, messages: messages.try_into().ok()? })
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
    use tocsin_proto::interrupt::{Polarity, Trigger};

    use super::*;

    #[test]
    fn requests_round_trip_and_others_are_refused() {
        let quota = SetQuota { client: 0x00f8, messages: 2049 };
        assert_eq!(quota.words(), [0xf8, 2049]);
        assert_eq!(SetQuota::decode(&quota.words()), Some(quota));
        let release = Release { requester: 0xffff };
        assert_eq!(Release::decode(&release.words()), Some(release));
        for source in [Source::Function(0x0100), Source::Buses { first: 1, last: 3 }, Source::Past]
        {
            let set = SetSource { client: 0x0108, source };
            assert_eq!(SetSource::decode(&set.words()), Some(set));
        }
        for words in [
            &[1, 2, 1][..],
            &[1, 3, 0],
            &[1, 1, 0x0103],
            &[1, 0, 1 << 16],
            &[1 << 17, 0, 1],
            &[1, 0],
        ] {
            assert_eq!(SetSource::decode(words), None, "{words:x?}");
        }
        for writes in [Writes::Messages, Writes::Dma, Writes::AmdViDma] {
            let set = SetDevice { client: 0x0010, writes, device: u32::MAX };
            assert_eq!(SetDevice::decode(&set.words()), Some(set));
        }
        assert_eq!(
            SetDevice { client: 0x10, writes: Writes::Dma, device: 0 }.words(),
            [0x10, 1, 0]
        );
        for words in [&[1, 3, 0][..], &[1, 0, 1 << 32], &[1 << 17, 0, 1], &[1, 0], &[1, 0, 1, 1]] {
            assert_eq!(SetDevice::decode(words), None, "{words:x?}");
        }
        let wiring = Wiring { trigger: Trigger::Level, polarity: Polarity::Low };
        let wire = SetWire { client: 0x1_0003, line: LineId(33), wiring };
        assert_eq!(wire.words(), [0x1_0003, 33, 3]);
        assert_eq!(SetWire::decode(&wire.words()), Some(wire));
        for words in [&[1, 33][..], &[1, 33, 4], &[1, 1 << 32, 0], &[1 << 17, 1, 0], &[1, 1, 256]] {
            assert_eq!(SetWire::decode(words), None, "{words:x?}");
        }
        let absent = NotStarted::new("edu").expect("short");
        assert_eq!(absent.words(), [0x0075_6465, 0, 0, 0]);
        let longest = NotStarted::new("a-name-of-exactly-32-bytes-1-2-3").expect("fits");
        for request in [absent, longest] {
            assert_eq!(NotStarted::decode(&request.words()), Some(request));
        }
        assert_eq!((absent.name(), longest.name().len()), ("edu", 32));
        assert_eq!(NotStarted::new("a-name-of-more-than-32-bytes-1-2-3"), None);
        for words in [&[][..], &[1; 3], &[1; 5], &[0xff, 0, 0, 0]] {
            assert_eq!(NotStarted::decode(words), None, "{words:x?}");
        }
        for words in [&[][..], &[1], &[1, 2, 3], &[0x2_0000, 1], &[1, 1 << 32]] {
            assert_eq!(SetQuota::decode(words), None, "{words:x?}");
        }
        for client in [0xffff, 0x1_0000, 0x1_ffff] {
            let name = ProgramName::new("edu").expect("short");
            let owner = SetOwner { client: 0x18, kind: Some((0x1234, 0x11e8)), name };
            assert_eq!(owner.words(), [0x18, 0x1_11e8_1234, 0x0075_6465, 0, 0, 0]);
            let nobody = SetOwner { client: 0x1_0002, kind: None, name };
            for owner in [owner, nobody] {
                assert_eq!(SetOwner::decode(&owner.words()), Some(owner));
            }
            for words in [
                [0x2_0000, 0, 0x0075_6465, 0, 0, 0],
                [1, 1, 0x0075_6465, 0, 0, 0],
                [1, 2 << 32, 0x0075_6465, 0, 0, 0],
                [1, 0, 0xff, 0, 0, 0],
                [1, 0, 0x65, 0x65, 0, 0],
            ] {
                assert_eq!(SetOwner::decode(&words), None, "{words:x?}");
            }
            assert_eq!(SetOwner::decode(&owner.words()[..5]), None);
            let gone = ClientGone { client };
            assert_eq!(ClientGone::decode(&gone.words()), Some(gone));
        }
        assert_eq!(Release::decode(&[0x1_0000]), None);
        for words in [&[][..], &[1, 2], &[0x2_0000]] {
            assert_eq!(Release::decode(words), None, "{words:x?}");
            assert_eq!(ClientGone::decode(words), None, "{words:x?}");
        }
    }
}
