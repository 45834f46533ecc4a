//! All tables in one piece of memory.
//!
//! `init` alone may read physical memory at will. It copies the RSDP and every table that the root table lists into one
//! memory object and hands that, read-only, to the servers whose manifest entry says `firmware`. All numbers are
//! little-endian:
//!
//! | offset | bytes | content |
//! | --- | --- | --- |
//! | 0 | 8 | `TOCSACPI` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | number of directory entries |
//! | 16 | 12 each | signature (4), offset from the start (4), length (4) |
//! | … | | the tables, each at a multiple of 8 |
//!
//! The first entry is the RSDP, under the name `RSDP`. The DSDT and FACS (named by the FADT, not by the root table) are
//! not included: nothing here interprets AML.

use crate::{
    Error, MAX_TABLES, PhysReader, Root, Signature,
    bytes::{array, u32_at},
};

const MAGIC: [u8; 8] = *b"TOCSACPI";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 12;
const ALIGN: usize = 8;

/// Puts tables into a buffer, one after the other.
///
/// The directory's size is fixed at the start; each [`Writer::add`] leaves a valid blob behind.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut [u8],
    capacity: usize,
    count: usize,
    used: usize,
}

impl<'b> Writer<'b> {
    /// An empty blob with room for `capacity` directory entries.
    pub fn new(out: &'b mut [u8], capacity: usize) -> Result<Self, Error> {
        let used = tables_start(capacity);
        if capacity > MAX_TABLES + 1 {
            return Err(Error::TooManyTables { count: capacity });
        }
        if out.len() < used {
            return Err(Error::NoSpace { needed: used, available: out.len() });
        }
        out[..used].fill(0);
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        Ok(Self { out, capacity, count: 0, used })
    }

    /// Reserves `length` bytes and lets `fill` write them; when it fails, nothing has been added.
    pub fn add_with(
        &mut self,
        signature: Signature,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.count == self.capacity {
            return Err(Error::TooManyTables { count: self.count + 1 });
        }
        let available = self.out.len();
        let end = self
            .used
            .checked_add(length)
            .and_then(|end| end.checked_next_multiple_of(ALIGN))
            .filter(|end| *end <= available && u32::try_from(*end).is_ok())
            .ok_or(Error::NoSpace { needed: self.used.saturating_add(length), available })?;
        fill(&mut self.out[self.used..self.used + length])?;
        self.out[self.used + length..end].fill(0);
        let entry = HEADER_BYTES + self.count * ENTRY_BYTES;
        // Both fit: `end` does.
        let (offset, length) = (self.used as u32, length as u32);
        self.out[entry..entry + 4].copy_from_slice(&signature.bytes());
        self.out[entry + 4..entry + 8].copy_from_slice(&offset.to_le_bytes());
        self.out[entry + 8..entry + 12].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
        self.used = end;
        self.out[12..16].copy_from_slice(&(self.count as u32).to_le_bytes());
        Ok(())
    }

    /// Adds a copy of `bytes`.
    pub fn add(&mut self, signature: Signature, bytes: &[u8]) -> Result<(), Error> {
        self.add_with(signature, bytes.len(), |target| {
            target.copy_from_slice(bytes);
            Ok(())
        })
    }

    /// Bytes used so far: what a reader must be given.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether no table has been added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Offset of the first table when the directory has `capacity` entries.
const fn tables_start(capacity: usize) -> usize {
    (HEADER_BYTES + capacity.saturating_mul(ENTRY_BYTES)).next_multiple_of(ALIGN)
}

/// What [`gather`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// Bytes of the blob.
    pub bytes: usize,
    /// Tables in it, without the RSDP.
    pub tables: usize,
    /// Tables that the root table lists but that could not be read or have a wrong length or checksum.
    pub skipped: usize,
}

/// Bytes that [`gather`] needs at most for this machine.
pub fn size(reader: &impl PhysReader, root: &Root) -> usize {
    let (mut entries, mut bytes) = (1, root.rsdp().len().next_multiple_of(ALIGN));
    for table in root.entries(reader).flatten() {
        entries += 1;
        bytes += table.length.next_multiple_of(ALIGN);
    }
    tables_start(entries) + bytes
}

/// Copies the RSDP and all tables that are intact into `out`. A broken table is counted and left out: a machine whose
/// BGRT has a wrong checksum still has interrupts. What a server needs and does not find, it reports itself.
pub fn gather(reader: &impl PhysReader, root: &Root, out: &mut [u8]) -> Result<Gathered, Error> {
    let intact = root.entries(reader).flatten().count();
    let mut writer = Writer::new(out, intact + 1)?;
    writer.add(Signature::RSDP, root.rsdp())?;
    let (mut tables, mut skipped) = (0, 0);
    for entry in root.entries(reader) {
        let Ok(table) = entry else {
            skipped += 1;
            continue;
        };
        let added = writer.add_with(table.signature, table.length, |target| {
            table.copy(reader, target).map(|_| ())
        });
        match added {
            Ok(()) => tables += 1,
            Err(error @ Error::NoSpace { .. }) => return Err(error),
            Err(_) => skipped += 1,
        }
    }
    Ok(Gathered { bytes: writer.len(), tables, skipped })
}

/// A blob, checked: magic, version, and that every directory entry lies within it.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Blob<'a> {
    /// Checks the header and the whole directory. Bytes behind the blob (the rest of a page) are ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let what = "firmware blob";
        if array::<8>(bytes, 0, what)? != MAGIC || u32_at(bytes, 8, what)? != VERSION {
            return Err(Error::NotBlob);
        }
        let count = u32_at(bytes, 12, what)? as usize;
        if count > MAX_TABLES + 1 {
            return Err(Error::TooManyTables { count });
        }
        let blob = Self { bytes, count };
        match (0..count).find(|index| blob.entry(*index).is_none()) {
            Some(index) => Err(Error::BadDirectory { index }),
            None => Ok(blob),
        }
    }

    fn entry(&self, index: usize) -> Option<(Signature, &'a [u8])> {
        let at = HEADER_BYTES + index * ENTRY_BYTES;
        let signature = Signature::new(array(self.bytes, at, "").ok()?);
        let offset = u32_at(self.bytes, at + 4, "").ok()? as usize;
        let length = u32_at(self.bytes, at + 8, "").ok()? as usize;
        let end = offset.checked_add(length)?;
        Some((signature, self.bytes.get(offset..end)?))
    }

    /// All tables in the order of the root table, the RSDP first.
    pub fn tables(&self) -> impl Iterator<Item = (Signature, &'a [u8])> + use<'a> {
        let blob = *self;
        (0..blob.count).filter_map(move |index| blob.entry(index))
    }

    /// The bytes of the `nth` table with this signature; give them to the view (`Madt::parse`, …).
    pub fn find(&self, signature: Signature, nth: usize) -> Result<&'a [u8], Error> {
        self.tables()
            .filter(|(found, _)| *found == signature)
            .nth(nth)
            .map(|(_, bytes)| bytes)
            .ok_or(Error::NotFound { signature, nth })
    }
}
