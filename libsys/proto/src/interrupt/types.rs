//! What the interrupt server answers.

use super::ALLOC_MAX;
use crate::wire::{Reader, get_entry, no_handles, put_entry};
use crate::{DecodeError, Reply, Words};

/// The interrupt server's name for a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct MessageId(pub u64);

/// Whether the pairs of one request must have consecutive data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Contiguity {
    /// Any pairs.
    Any = 0,
    /// One address, data values that count up from a multiple of the count, which is a power
    /// of two (PCI MSI with several messages).
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

/// Reply to `Alloc` and `Collect`: one item per message, and as many handles in the same order.
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
    /// A GICv3's redistributors, without an ITS: not isolated, and each message stays on the
    /// CPU that it was reserved for.
    DirectLpi = 4,
    /// A GICv3's distributor, which takes messages as SPIs: not isolated.
    Mbi = 5,
    /// Another interrupt server. Entries are what it gives at most; vectors are its own.
    Parent = 6,
}

impl RemapperKind {
    /// Every kind.
    pub const ALL: [RemapperKind; 7] = [
        RemapperKind::None,
        RemapperKind::VtD,
        RemapperKind::Its,
        RemapperKind::AmdVi,
        RemapperKind::DirectLpi,
        RemapperKind::Mbi,
        RemapperKind::Parent,
    ];

    /// The kind with this number.
    ///
    /// # Errors
    /// `BadValue` for a number that no kind has.
    pub fn from_code(code: u8) -> Result<RemapperKind, DecodeError> {
        let is_it = |kind: &RemapperKind| *kind as u8 == code;
        RemapperKind::ALL.into_iter().find(is_it).ok_or(DecodeError::BadValue)
    }

    /// Name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RemapperKind::None => "none",
            RemapperKind::VtD => "VT-d",
            RemapperKind::Its => "ITS",
            RemapperKind::AmdVi => "AMD-Vi",
            RemapperKind::DirectLpi => "Direct LPI",
            RemapperKind::Mbi => "MBI",
            RemapperKind::Parent => "parent",
        }
    }
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
        let remapper = RemapperKind::from_code(bits.byte())?;
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
    /// Those of them that were writes of its own messages, while these were not active.
    pub own: u64,
}

impl Reply for FaultCount {
    fn put(&self, words: &mut Words) {
        words.put(self.faults);
        words.put(self.own);
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        let (faults, own) = (reader.word()?, reader.word()?);
        if own > faults {
            return Err(DecodeError::BadValue);
        }
        Ok(FaultCount { faults, own })
    }
}

/// Reply to `WatchFaults`: one handle, no words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultWatch;

impl Reply for FaultWatch {
    fn put(&self, _words: &mut Words) {}

    fn get(_reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        if handles == 1 { Ok(FaultWatch) } else { Err(DecodeError::WrongHandles) }
    }
}
