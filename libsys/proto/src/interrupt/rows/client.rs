//! Who holds messages.

use super::{both, halves};
use crate::text::ProgramName;
use crate::wire::{Bits, Reader};
use crate::{DecodeError, Words};

/// What a device is: vendor and device id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceKind {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
}

/// The requester ids that a client's writes arrive with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrives {
    /// Its own; nobody has said anything else.
    Own,
    /// Exactly this one.
    Function(u16),
    /// Any function of the device that has this one.
    Device(u16),
    /// Any on these buses, both included.
    Buses {
        /// Lowest bus number.
        first: u8,
        /// Highest bus number.
        last: u8,
    },
}

/// A client: a device with its driver, or a server with a device of the platform's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientRow {
    /// Requester id, or `badge::PLATFORM_CLIENT` and a number.
    pub client: u32,
    /// The program that drives it, as `init` said; empty if it has not.
    pub owner: ProgramName,
    /// What the device is, as `init` said.
    pub kind: Option<DeviceKind>,
    /// How many messages it may hold.
    pub quota: u32,
    /// How many it holds, those in quarantine included.
    pub held: u32,
    /// Its writes that the remapper stopped and recorded.
    pub faults: u64,
    /// What its writes arrive with.
    pub arrives: Arrives,
    /// The requester id that its DMA counts as, where that is another (a quirk).
    pub dma_arrives: Option<u16>,
    /// The messages in its own registers go past the remapper, and nobody checks who writes them
    /// (a quirk).
    pub past_remapper: bool,
    /// The DeviceID that its messages arrive with (ITS).
    pub device: Option<u32>,
    /// The DeviceID that its DMA arrives with, where that is another (a quirk).
    pub dma_device: Option<u32>,
}

impl ClientRow {
    pub(super) const WORDS: usize = 5 + ProgramName::WORDS;

    pub(super) fn put(&self, header: u64, words: &mut Words) {
        let (arrives, ids) = match self.arrives {
            Arrives::Own => (0, 0),
            Arrives::Function(id) => (1, id),
            Arrives::Device(id) => (3, id),
            Arrives::Buses { first, last } => (2, u16::from_le_bytes([first, last])),
        };
        let flags = arrives
            | u64::from(self.kind.is_some()) << 2
            | u64::from(self.dma_arrives.is_some()) << 3
            | u64::from(self.device.is_some()) << 4
            | u64::from(self.dma_device.is_some()) << 5
            | u64::from(self.past_remapper) << 6;
        words.put(header | flags << 16 | u64::from(self.client) << 32);
        words.put(both(self.quota, self.held));
        words.put(self.faults);
        let kind = self.kind.map_or(0, |it| u64::from(it.vendor) | u64::from(it.device) << 16);
        let dma_arrives = self.dma_arrives.map_or(0, u64::from);
        words.put(kind | u64::from(ids) << 32 | dma_arrives << 48);
        words.put(both(self.device.unwrap_or(0), self.dma_device.unwrap_or(0)));
        self.owner.put(words);
    }

    pub(super) fn get(mut bits: Bits, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut flags = bits.flags();
        let arrives = (flags.flag(), flags.flag());
        let (has_kind, has_dma) = (flags.flag(), flags.flag());
        let (has_device, has_dma_device) = (flags.flag(), flags.flag());
        let past_remapper = flags.flag();
        bits.byte();
        let client = bits.long();
        let (quota, held) = halves(reader)?;
        let faults = reader.word()?;
        let mut ids = reader.bits()?;
        let kind = DeviceKind { vendor: ids.half(), device: ids.half() };
        let (from, dma) = (ids.half(), ids.half());
        let [first, last] = from.to_le_bytes();
        let arrives = match arrives {
            (false, false) => Arrives::Own,
            (true, false) => Arrives::Function(from),
            (true, true) => Arrives::Device(from),
            (false, true) if first <= last => Arrives::Buses { first, last },
            (false, true) => return Err(DecodeError::BadValue),
        };
        let (device, dma_device) = halves(reader)?;
        Ok(ClientRow {
            client,
            owner: ProgramName::get(reader)?,
            kind: Some(kind).filter(|_| has_kind),
            quota,
            held,
            faults,
            arrives,
            dma_arrives: Some(dma).filter(|_| has_dma),
            past_remapper,
            device: Some(device).filter(|_| has_device),
            dma_device: Some(dma_device).filter(|_| has_dma_device),
        })
    }
}
