//! IVRS: the AMD IOMMUs and the devices that each has (AMD-Vi §5.2).

use crate::{
    Error, RequesterId, Signature, Table,
    bytes::{u8_at, u16_at, u32_at, u64_at},
    ivhd::DeviceEntries,
};

/// Offset of the first block: header, IVinfo, 8 reserved bytes (§5.2.1).
const BLOCKS: usize = 48;
/// Bytes of a block's registers that are always there: the IOMMU's smallest MMIO region is 16 KiB (§3.4).
const REGISTER_BYTES: u64 = 16 << 10;
/// Bytes of a block of type 10h before its device entries (§5.2.2.1).
const SHORT_HEADER: usize = 24;
/// The same for types 11h and 40h, which hold two feature registers more (§5.2.2.2).
const LONG_HEADER: usize = 40;

/// The I/O virtualization reporting structure.
#[derive(Clone, Copy, Debug)]
pub struct Ivrs<'a> {
    table: Table<'a>,
    info: u32,
}

/// An I/O virtualization hardware definition (§5.2.2): one IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ivhd<'a> {
    /// 10h, 11h or 40h. Firmware may describe one IOMMU by several: see [`Ivrs::units`].
    pub kind: u8,
    /// HtTunEn, PassPW, ResPassPW, Isoc, IotlbSup, and others (§5.2.2, table 93).
    pub flags: u8,
    /// The IOMMU as a PCI function.
    pub device: RequesterId,
    /// Where its capability block begins in configuration space.
    pub capability_offset: u16,
    /// Physical address of its registers, a multiple of 16 KiB.
    pub register_base: u64,
    /// PCI segment group it works for.
    pub segment: u16,
    /// MSI number of its own event, and its unit id.
    pub info: u16,
    /// Type 10h: IOMMU feature reporting. Types 11h and 40h: IOMMU attributes.
    pub features: u32,
    /// Image of the extended feature register (MMIO 0030h), from types 11h and 40h only.
    pub extended_features: Option<u64>,
    entries: &'a [u8],
}

impl<'a> Ivhd<'a> {
    /// Bytes of the registers that this system uses.
    pub const REGISTER_BYTES: u64 = REGISTER_BYTES;

    /// The devices that the IOMMU has.
    pub fn entries(&self) -> DeviceEntries<'a> {
        DeviceEntries::new(self.entries, self.kind)
    }

    /// Whether the IOMMU has this device.
    pub fn covers(&self, device: RequesterId) -> bool {
        self.entries().flatten().any(|entry| entry.devices.contains(device))
    }

    /// The id that this device's requests arrive with: an alias where an entry says so. The last such entry counts, as
    /// it is the one that a table filled in order would hold.
    pub fn arrives_as(&self, device: RequesterId) -> RequesterId {
        let alias = |entry: crate::DeviceEntry| entry.devices.alias_of(device);
        self.entries().flatten().filter_map(alias).last().unwrap_or(device)
    }

    /// The id that the IO APIC with this id (MADT's numbering) sends its messages with.
    pub fn io_apic_source(&self, io_apic_id: u8) -> Option<RequesterId> {
        self.entries().flatten().find_map(|entry| entry.devices.io_apic_source(io_apic_id))
    }
}

/// One block of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// Types 10h, 11h, 40h: an IOMMU.
    Ivhd(Ivhd<'a>),
    /// Any other type (IVMD 20h to 22h, or later), with all of its bytes.
    Other {
        /// The type (§5.2.1, table 88).
        kind: u8,
        /// The block, its four header bytes included.
        bytes: &'a [u8],
    },
}

impl<'a> Ivrs<'a> {
    /// Checks header, length and checksum.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let table = Table::parse_as(bytes, Signature::IVRS)?;
        let bytes = table.bytes();
        if bytes.len() < BLOCKS {
            return Err(Error::Truncated { what: "IVRS", needed: BLOCKS, available: bytes.len() });
        }
        Ok(Self { table, info: u32_at(bytes, 36, "IVRS")? })
    }

    /// Bits of a physical address of this machine (IVinfo, PASize).
    pub fn physical_address_bits(&self) -> u8 {
        (self.info >> 8) as u8 & 0x7f
    }

    /// Firmware used DMA remapping before it handed over (IVinfo, DMA remap support).
    pub fn dma_was_remapped(&self) -> bool {
        self.info & 2 != 0
    }

    /// All blocks. The first broken one is an `Err` and the last item.
    pub fn blocks(&self) -> Blocks<'a> {
        Blocks { rest: self.table.bytes().get(BLOCKS..).unwrap_or_default() }
    }

    /// Each IOMMU once. Where firmware describes one by blocks of several types, by the highest: later types hold all that
    /// the earlier do (§5.2.2).
    pub fn units(&self) -> impl Iterator<Item = Ivhd<'a>> + use<'a> {
        let blocks = self.blocks();
        let all = blocks.clone();
        ivhds(blocks).filter(move |unit| {
            let same = |other: &Ivhd<'_>| {
                (other.segment, other.device) == (unit.segment, unit.device)
                    && other.kind > unit.kind
            };
            !ivhds(all.clone()).any(|other| same(&other))
        })
    }
}

fn ivhds(blocks: Blocks<'_>) -> impl Iterator<Item = Ivhd<'_>> {
    blocks.filter_map(|block| match block {
        Ok(Block::Ivhd(unit)) => Some(unit),
        _ => None,
    })
}

/// See [`Ivrs::blocks`].
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = split(self.rest).and_then(|(block, rest)| {
            self.rest = rest;
            decode(block)
        });
        if result.is_err() {
            self.rest = &[];
        }
        Some(result)
    }
}

/// The first block and what follows it. At least four bytes are taken, so the walk always advances.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let what = "IVRS block";
    let length = u16_at(bytes, 2, what)?;
    if length < 4 {
        return Err(Error::BadLength { what, length: length.into() });
    }
    bytes.split_at_checked(length.into()).ok_or(Error::Truncated {
        what,
        needed: length.into(),
        available: bytes.len(),
    })
}

fn decode(bytes: &[u8]) -> Result<Block<'_>, Error> {
    let kind = u8_at(bytes, 0, "IVRS block")?;
    let header = match kind {
        0x10 => SHORT_HEADER,
        0x11 | 0x40 => LONG_HEADER,
        _ => return Ok(Block::Other { kind, bytes }),
    };
    let what = "IVHD";
    let entries =
        bytes.get(header..).ok_or(Error::BadLength { what, length: bytes.len() as u64 })?;
    let register_base = u64_at(bytes, 8, what)?;
    // A unit at 0 is a table that firmware forgot to fill in; the registers' size is also their alignment (§3.4).
    if register_base == 0
        || !register_base.is_multiple_of(REGISTER_BYTES)
        || register_base.checked_add(REGISTER_BYTES).is_none()
    {
        return Err(Error::BadValue { what: "IVHD register base", value: register_base });
    }
    Ok(Block::Ivhd(Ivhd {
        kind,
        flags: u8_at(bytes, 1, what)?,
        device: RequesterId::from_bits(u16_at(bytes, 4, what)?),
        capability_offset: u16_at(bytes, 6, what)?,
        register_base,
        segment: u16_at(bytes, 16, what)?,
        info: u16_at(bytes, 18, what)?,
        features: u32_at(bytes, 20, what)?,
        extended_features: if header == LONG_HEADER {
            Some(u64_at(bytes, 24, what)?)
        } else {
            None
        },
        entries,
    }))
}
