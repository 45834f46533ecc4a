//! What the interrupt server answers.

use super::ALLOC_MAX;
use crate::wire::{Reader, get_entry, no_handles, put_entry};
use crate::{DecodeError, Reply, StoreKind, Words};

/// The interrupt server's name for a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct MessageId(pub u64);

/// Whether the pairs of one request must have consecutive data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Contiguity {
    /// Any pairs.
    Any = 0,
    /// One address, data values that count up (PCI MSI with several messages).
    Consecutive = 1,
}

/// One reserved message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageIds {
    /// Its id at the server.
    pub id: MessageId,
    /// Where the device writes.
    pub address: u64,
    /// What it writes.
    pub data: u32,
}

impl Reply for MessageIds {
    #[inline]
    fn put(&self, words: &mut Words) {
        words.put(self.id.0);
        words.put(self.address);
        words.put(u64::from(self.data));
    }

    #[inline]
    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        if handles != 1 {
            return Err(DecodeError::WrongHandles);
        }
        let id = MessageId(reader.word()?);
        Ok(MessageIds { id, address: reader.word()?, data: reader.small()? })
    }
}

/// Reply to `Alloc`: one item per message, and as many handles in the same order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Allocated {
    /// The messages.
    pub messages: heapless::Vec<MessageIds, { ALLOC_MAX as usize }>,
}

impl Reply for Allocated {
    #[inline]
    fn put(&self, words: &mut Words) {
        for message in &self.messages {
            message.put(words);
        }
    }

    #[inline]
    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        let mut messages = heapless::Vec::new();
        while reader.left() != 0 {
            let message = MessageIds::get(reader, 1)?;
            messages.push(message).map_err(|_| DecodeError::WrongLength)?;
        }
        if handles != messages.len() {
            return Err(DecodeError::WrongHandles);
        }
        Ok(Allocated { messages })
    }
}

/// Where a message's events go now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Activated {
    /// Vector on that CPU; on aarch64 the INTID.
    pub vector: u16,
    /// CPU.
    pub cpu: u8,
    /// Remapper entry, as in [`MessageRow::entry`]; `None` on a machine without remapper.
    pub entry: Option<u32>,
}

impl Reply for Activated {
    #[inline]
    fn put(&self, words: &mut Words) {
        words.put(u64::from(self.vector) | u64::from(self.cpu) << 16);
        put_entry(words, self.entry);
    }

    #[inline]
    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        let mut bits = reader.bits()?;
        let (vector, cpu) = (bits.half(), bits.byte());
        bits.end()?;
        Ok(Activated { vector, cpu, entry: get_entry(reader)? })
    }
}

/// Life of a message as the server sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RowState {
    /// Has an entry and a pair, no vector.
    Reserved = 0,
    /// Has a vector.
    Active = 1,
    /// Has a vector; its entry is off.
    Blocked = 2,
    /// Freed; its numbers wait for the hardware to forget them.
    Quarantined = 3,
}

/// One message for the inspector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageRow {
    /// Cursor for the row after this.
    pub next: u64,
    /// Its id.
    pub id: MessageId,
    /// The client: a requester id, or a platform client ([`crate::badge::client_of`]).
    pub owner: u32,
    /// Where the pair is kept.
    pub kind: StoreKind,
    /// State.
    pub state: RowState,
    /// Vector, on aarch64 the INTID; zero without one.
    pub vector: u16,
    /// CPU of the vector.
    pub cpu: u8,
    /// Remapper entry, by the number that the device's pair holds: VT-d's index into the one
    /// table that all devices share, or an ITS's EventID, of which each device has its own from
    /// 0. `None` on a machine without remapper.
    pub entry: Option<u32>,
    /// The DeviceID that the pair has to be written with, where entries are each device's
    /// own (ITS). Messages of one client may differ in it: an IMS write is DMA, and may carry
    /// another id than an MSI-X message.
    pub device: Option<u32>,
}

/// Reply to `Describe`: a row, or no words after the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Description(pub Option<MessageRow>);

impl Reply for Description {
    fn put(&self, words: &mut Words) {
        let Some(row) = self.0 else { return };
        words.put(row.next);
        words.put(row.id.0);
        words.put(
            u64::from(row.vector)
                | (row.kind as u64) << 16
                | (row.state as u64) << 24
                | u64::from(row.cpu) << 32,
        );
        words.put(u64::from(row.owner));
        put_entry(words, row.entry);
        put_entry(words, row.device);
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        if reader.left() == 0 {
            return Ok(Description(None));
        }
        let (next, id) = (reader.word()?, MessageId(reader.word()?));
        let mut bits = reader.bits()?;
        let vector = bits.half();
        let kind = StoreKind::from_code(u64::from(bits.byte()))?;
        let state = match bits.byte() {
            0 => RowState::Reserved,
            1 => RowState::Active,
            2 => RowState::Blocked,
            3 => RowState::Quarantined,
            _ => return Err(DecodeError::BadValue),
        };
        let cpu = bits.byte();
        bits.end()?;
        let owner = reader.small()?;
        let (entry, device) = (get_entry(reader)?, get_entry(reader)?);
        let row = MessageRow { next, id, owner, kind, state, vector, cpu, entry, device };
        Ok(Description(Some(row)))
    }
}

/// Which back end the server runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RemapperKind {
    /// None: MSI and MSI-X only, or (aarch64) no message at all.
    None = 0,
    /// VT-d interrupt remapping.
    VtD = 1,
    /// A GICv3 interrupt translation service: vectors are LPIs, which belong to the messages
    /// and not to a CPU.
    Its = 2,
    /// An AMD IOMMU: each device has entries of its own.
    AmdVi = 3,
}

/// A level of the hierarchy as numbers: how many there are and how many are free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DomainRow {
    /// All.
    pub total: u32,
    /// Free now.
    pub free: u32,
}

impl DomainRow {
    const fn word(self) -> u64 {
        self.total as u64 | (self.free as u64) << 32
    }

    fn get(reader: &mut Reader<'_>) -> Result<DomainRow, DecodeError> {
        let mut bits = reader.bits()?;
        let (total, free) = (bits.long(), bits.long());
        if free > total {
            return Err(DecodeError::BadValue);
        }
        Ok(DomainRow { total, free })
    }
}

/// Reply to `Info`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Information {
    /// The back end.
    pub remapper: RemapperKind,
    /// True when the remapper checks who sent a message; IMS needs it.
    pub isolated: bool,
    /// Remapper entries. With an ITS as many as LPIs: that is what its devices share.
    pub entries: DomainRow,
    /// Vectors of all CPUs, or LPIs of the machine.
    pub vectors: DomainRow,
}

impl Reply for Information {
    fn put(&self, words: &mut Words) {
        words.put(self.remapper as u64 | u64::from(self.isolated) << 8);
        words.put(self.entries.word());
        words.put(self.vectors.word());
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        let mut bits = reader.bits()?;
        let remapper = match bits.byte() {
            0 => RemapperKind::None,
            1 => RemapperKind::VtD,
            2 => RemapperKind::Its,
            3 => RemapperKind::AmdVi,
            _ => return Err(DecodeError::BadValue),
        };
        let isolated = bits.flag();
        bits.end()?;
        let entries = DomainRow::get(reader)?;
        Ok(Information { remapper, isolated, entries, vectors: DomainRow::get(reader)? })
    }
}

/// Reply to `Faults`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultCount {
    /// Writes of the caller's device that the remapper stopped and recorded.
    pub faults: u64,
}

impl Reply for FaultCount {
    fn put(&self, words: &mut Words) {
        words.put(self.faults);
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        Ok(FaultCount { faults: reader.word()? })
    }
}
