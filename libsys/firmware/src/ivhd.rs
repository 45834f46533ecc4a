//! Device entries of an IVHD: which devices an IOMMU has, and by which ids they arrive (AMD-Vi §5.2.2.3 and following).

use crate::{
    Error, RequesterId,
    bytes::{u8_at, u16_at},
};

/// Bytes of an ACPI HID entry (F0h) before its unique id (§5.2.2.7).
const ACPI_HEADER: usize = 22;

/// One device entry, or a pair of them that begins and ends a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceEntry {
    /// Which devices.
    pub devices: Devices,
    /// Data setting (§5.2.2.3, table 96): INITPass 0, EIntPass 1, NMIPass 2, SysMgt 5:4, LINT0Pass 6, LINT1Pass 7.
    pub settings: u8,
}

/// Which devices an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// Type 1: all of the segment.
    All,
    /// Types 2 and 46h: this one.
    Select(RequesterId),
    /// Types 3 and 47h up to 4: these, both ends included.
    Range(RequesterId, RequesterId),
    /// Type 42h: this one, whose requests arrive with the second id.
    Alias(RequesterId, RequesterId),
    /// Type 43h up to 4: these, both ends included, whose requests arrive with the third id.
    AliasRange(RequesterId, RequesterId, RequesterId),
    /// Type 48h: no PCI function, but it sends with an id.
    Special {
        /// IO APIC id or HPET number.
        handle: u8,
        /// The id.
        source: RequesterId,
        /// What it is.
        kind: Special,
    },
    /// Type F0h: a device of the ACPI name space, with the id that it sends with.
    Acpi(RequesterId),
    /// A type that is not known here.
    Other(u8),
}

/// What a special device is (§5.2.2.6, table 98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// An IO APIC; the handle is its MADT id.
    IoApic,
    /// A HPET timer block; the handle is its HPET number.
    Hpet,
    /// A kind that is not known here.
    Other(u8),
}

impl Devices {
    /// Whether a PCI function is among them.
    pub fn contains(self, device: RequesterId) -> bool {
        match self {
            Self::All => true,
            Self::Select(id) | Self::Alias(id, _) => id == device,
            Self::Range(first, last) | Self::AliasRange(first, last, _) => {
                (first..=last).contains(&device)
            }
            Self::Special { .. } | Self::Acpi(_) | Self::Other(_) => false,
        }
    }

    /// The id that a device among them arrives with, where it is said to be another.
    pub fn alias_of(self, device: RequesterId) -> Option<RequesterId> {
        match self {
            Self::Alias(_, alias) | Self::AliasRange(_, _, alias) if self.contains(device) => {
                Some(alias)
            }
            _ => None,
        }
    }

    /// The id of the IO APIC with this MADT id, if that is what it is.
    pub fn io_apic_source(self, io_apic_id: u8) -> Option<RequesterId> {
        match self {
            Self::Special { handle, source, kind: Special::IoApic } if handle == io_apic_id => {
                Some(source)
            }
            _ => None,
        }
    }
}

/// The device entries of one IVHD. The first broken one is an `Err` and the last item.
#[derive(Clone, Debug)]
pub struct DeviceEntries<'a> {
    rest: &'a [u8],
    /// Of the IVHD: entries of no fixed length are in type 40h only.
    kind: u8,
}

impl<'a> DeviceEntries<'a> {
    pub(crate) fn new(bytes: &'a [u8], kind: u8) -> Self {
        Self { rest: bytes, kind }
    }

    /// Takes the next entry's bytes. At least four, so the walk always advances.
    fn take(&mut self) -> Result<&'a [u8], Error> {
        let what = "IVHD device entry";
        let bytes = self.rest;
        let length = match u8_at(bytes, 0, what)? {
            // The two upper bits of the type are the length (§5.2.2.3).
            kind @ 0..0xc0 => 4 << (kind >> 6),
            0xf0 if self.kind == 0x40 => ACPI_HEADER + usize::from(u8_at(bytes, 21, what)?),
            kind => {
                return Err(Error::BadValue { what: "IVHD device entry type", value: kind.into() });
            }
        };
        let (entry, rest) = bytes.split_at_checked(length).ok_or(Error::Truncated {
            what,
            needed: length,
            available: bytes.len(),
        })?;
        self.rest = rest;
        Ok(entry)
    }

    /// The last device of a range: the entry after its first must be of type 4.
    fn end_of_range(&mut self, first: RequesterId) -> Result<RequesterId, Error> {
        let entry = self.take()?;
        let kind = u8_at(entry, 0, "IVHD range")?;
        if kind != 4 {
            return Err(Error::BadValue {
                what: "IVHD entry after a range's start",
                value: kind.into(),
            });
        }
        let last = id_at(entry, 1)?;
        if last < first {
            let value = last.bits().into();
            return Err(Error::BadValue { what: "end of an IVHD range", value });
        }
        Ok(last)
    }

    fn decode(&mut self) -> Result<Option<DeviceEntry>, Error> {
        let entry = self.take()?;
        let kind = u8_at(entry, 0, "IVHD device entry")?;
        let first = id_at(entry, 1)?;
        let devices = match kind {
            // Padding, so that longer entries are aligned.
            0 => return Ok(None),
            1 => Devices::All,
            2 | 0x46 => Devices::Select(first),
            3 | 0x47 => Devices::Range(first, self.end_of_range(first)?),
            4 => {
                return Err(Error::BadValue {
                    what: "IVHD end without a start",
                    value: kind.into(),
                });
            }
            0x42 => Devices::Alias(first, id_at(entry, 5)?),
            0x43 => Devices::AliasRange(first, self.end_of_range(first)?, id_at(entry, 5)?),
            0x48 => Devices::Special {
                handle: u8_at(entry, 4, "IVHD special device")?,
                source: id_at(entry, 5)?,
                kind: match u8_at(entry, 7, "IVHD special device")? {
                    1 => Special::IoApic,
                    2 => Special::Hpet,
                    other => Special::Other(other),
                },
            },
            0xf0 => Devices::Acpi(first),
            other => Devices::Other(other),
        };
        Ok(Some(DeviceEntry { devices, settings: u8_at(entry, 3, "IVHD device entry")? }))
    }
}

fn id_at(entry: &[u8], offset: usize) -> Result<RequesterId, Error> {
    u16_at(entry, offset, "IVHD device entry").map(RequesterId::from_bits)
}

impl Iterator for DeviceEntries<'_> {
    type Item = Result<DeviceEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.decode() {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => {
                    self.rest = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
