//! One record per client that has ever asked for a message. A client is its device, or its
//! number among the platform's servers, so a restarted driver finds its record again.

use super::Kind;
use super::table::NONE;
use crate::its::DeviceId;
use crate::{ClientId, RequesterId, Sender, SenderDevice, Source};
use alloc::vec::Vec;

/// What a client may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientPolicy {
    /// Messages at a time, those in quarantine included.
    pub quota: u32,
    /// Whose writes count as this device's. `None`: exactly its requester id; a client without
    /// one has no messages that are remapped.
    pub source: Option<Source>,
    /// The requester id that its DMA writes count as, where that is known to be another: a
    /// quirk of the machine, written in its manifest. Messages in an interrupt message store
    /// are such writes. Other devices' may count as the same id's, and then nothing keeps
    /// these devices' messages apart.
    pub dma_source: Option<RequesterId>,
    /// Its device's own registers send past the remapper, by a quirk of the machine, written
    /// in its manifest: such messages name CPU and vector themselves, and nobody checks who
    /// writes them.
    pub past_remapper: bool,
    /// What an ITS knows the device by.
    pub devices: ClientDevices,
}

/// DeviceIDs (GICv3) of one device.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ClientDevices {
    /// What its interrupt messages arrive with, from `msi-map` or the IORT. `None`: nobody
    /// has said so, and it is not guessed.
    pub own: Option<DeviceId>,
    /// What its DMA writes arrive with, where that is known to be something else: a quirk of
    /// the machine, written in its manifest. Messages in an interrupt message store are such
    /// writes. Other devices' may arrive with the same id, and then nothing keeps these
    /// devices' messages apart.
    pub dma: Option<DeviceId>,
}

impl ClientDevices {
    fn of(self, kind: Kind) -> Option<SenderDevice> {
        match self.dma {
            Some(id) if kind.is_ims() => Some(SenderDevice { id, shared: true }),
            _ => self.own.map(|id| SenderDevice { id, shared: false }),
        }
    }
}

/// A client's record.
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) policy: ClientPolicy,
    /// Records that it holds, those in quarantine included.
    pub(super) held: u32,
    /// First of its records; they are chained through the message table.
    pub(super) first: u32,
    /// Made known by `register`, rather than by its first `alloc`.
    pub(super) registered: bool,
    /// Faults counted against the device.
    pub(super) faults: u32,
    /// Writes of its own messages that were blocked because these were not active.
    pub(super) own_faults: u32,
    /// The subsystem that it belongs to, if any.
    pub(super) subsystem: Option<u16>,
}

impl Client {
    /// Who writes a message of this kind.
    #[inline]
    pub(super) fn sender(&self, kind: Kind) -> Sender {
        let ClientPolicy { quota, source, dma_source, devices, .. } = self.policy;
        let source = match dma_source {
            Some(id) if kind.is_ims() => Some(Source::Function(id)),
            _ => source,
        };
        Sender { requester: self.id.requester(), source, device: devices.of(kind), quota }
    }
}

/// The records, and a page per bus that leads from a requester id to its record;
/// platform clients have pages of the same size behind those.
pub(super) struct Clients {
    records: Vec<Client>,
    limit: u16,
    default_policy: ClientPolicy,
    /// By number without the last 8 bits: the bus of a device; each page, once there, has 256 places.
    pages: Vec<Vec<u16>>,
}

const NOBODY: u16 = u16::MAX;

const fn page_of(id: ClientId) -> usize {
    id.bits() as usize >> 8
}

impl Clients {
    pub(super) const fn new(limit: u16, default_policy: ClientPolicy) -> Self {
        Self { records: Vec::new(), limit, default_policy, pages: Vec::new() }
    }

    /// The client's index, if it is known.
    pub(super) fn find(&self, id: ClientId) -> Option<u16> {
        let page = self.pages.get(page_of(id))?;
        let index = *page.get(id.bits() as usize & 0xff)?;
        (index != NOBODY).then_some(index)
    }

    /// The client's index; makes a record when there is none. `None` when memory or records
    /// are used up; then nothing is changed that anyone could see.
    pub(super) fn find_or_add(&mut self, id: ClientId) -> Option<u16> {
        if let Some(index) = self.find(id) {
            return Some(index);
        }
        let index = self.records.len() as u16;
        if index >= self.limit {
            return None;
        }
        let page = page_of(id);
        if self.pages.len() <= page {
            self.pages.try_reserve(page + 1 - self.pages.len()).ok()?;
            self.pages.resize_with(page + 1, Vec::new);
        }
        let page = &mut self.pages[page];
        if page.is_empty() {
            page.try_reserve_exact(256).ok()?;
            page.resize(256, NOBODY);
        }
        self.records.try_reserve(1).ok()?;
        page[id.bits() as usize & 0xff] = index;
        self.records.push(Client {
            id,
            policy: self.default_policy,
            held: 0,
            first: NONE,
            registered: false,
            faults: 0,
            own_faults: 0,
            subsystem: None,
        });
        Some(index)
    }

    pub(super) fn get(&self, index: u16) -> &Client {
        &self.records[index as usize]
    }

    pub(super) fn get_mut(&mut self, index: u16) -> &mut Client {
        &mut self.records[index as usize]
    }

    /// How many records there are.
    pub(super) const fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn at(&self, position: usize) -> Option<&Client> {
        self.records.get(position)
    }
}
