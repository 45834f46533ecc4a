//! MCFG: where PCI Express configuration space is mapped (PCI Firmware §4.1.2).

use crate::{
    Error, Signature, Table,
    bytes::{u8_at, u16_at, u64_at},
};

/// Offset of the first entry: header, 8 reserved bytes.
const ENTRIES: usize = 44;
const ENTRY_BYTES: usize = 16;

/// The memory-mapped configuration table.
#[derive(Clone, Copy, Debug)]
pub struct Mcfg<'a>(Table<'a>);

/// The configuration space of a range of buses (ECAM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Physical address of **bus 0** of the segment, also when the range begins later (§4.1.2, Table 4-3).
    pub base: u64,
    /// PCI segment group.
    pub segment: u16,
    /// First bus.
    pub first_bus: u8,
    /// Last bus, included.
    pub last_bus: u8,
}

impl Segment {
    /// Bytes of configuration space for one bus: 32 devices × 8 functions × 4 KiB (PCI Express Base 6.0 §7.2.2).
    pub const BYTES_PER_BUS: u64 = 1 << 20;

    /// Physical address of the first bus of the range.
    pub fn first_address(&self) -> u64 {
        // Cannot overflow: `decode` has checked the end.
        self.base + u64::from(self.first_bus) * Self::BYTES_PER_BUS
    }

    /// Bytes from [`Segment::first_address`] to the end of the last bus.
    pub fn bytes(&self) -> u64 {
        (u64::from(self.last_bus) - u64::from(self.first_bus) + 1) * Self::BYTES_PER_BUS
    }
}

impl<'a> Mcfg<'a> {
    /// Checks header, length and checksum.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let table = Table::parse_as(bytes, Signature::MCFG)?;
        if table.bytes().len() < ENTRIES {
            return Err(Error::Truncated {
                what: "MCFG",
                needed: ENTRIES,
                available: table.bytes().len(),
            });
        }
        Ok(Self(table))
    }

    /// The bus ranges; one with impossible values, and a partial one at the end, is an `Err` item.
    pub fn segments(&self) -> impl Iterator<Item = Result<Segment, Error>> + use<'a> {
        let entries = self.0.bytes().get(ENTRIES..).unwrap_or_default();
        entries.chunks(ENTRY_BYTES).map(decode)
    }
}

fn decode(bytes: &[u8]) -> Result<Segment, Error> {
    let what = "MCFG entry";
    let segment = Segment {
        base: u64_at(bytes, 0, what)?,
        segment: u16_at(bytes, 8, what)?,
        first_bus: u8_at(bytes, 10, what)?,
        last_bus: u8_at(bytes, 11, what)?,
    };
    if segment.last_bus < segment.first_bus {
        return Err(Error::BadValue { what: "MCFG last bus", value: segment.last_bus.into() });
    }
    // ECAM is naturally aligned to a bus's megabyte, and must not wrap around.
    let end = (u64::from(segment.last_bus) + 1) * Segment::BYTES_PER_BUS;
    if !segment.base.is_multiple_of(Segment::BYTES_PER_BUS)
        || segment.base.checked_add(end).is_none()
    {
        return Err(Error::BadValue { what: "MCFG base address", value: segment.base });
    }
    Ok(segment)
}
