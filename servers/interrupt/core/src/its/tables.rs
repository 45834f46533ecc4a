//! Addresses of tables and of the queue: GITS_BASER<n> (§12.19.1), GITS_CBASER (§12.19.2),
//! GICR_PROPBASER (§12.11.32), GICR_PENDBASER (§12.11.31), and level-one entries (§5.2.1).

use super::{Malformed, bits, reject};

/// How a table's memory is accessed. Hardware may take less than was asked for: what it
/// took is read back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryAttributes {
    /// Shareability: 0 non, 1 inner, 2 outer.
    pub shareability: u8,
    /// InnerCache, 0..8.
    pub inner: u8,
    /// OuterCache, 0..8; 0 is "as inner".
    pub outer: u8,
}

impl MemoryAttributes {
    /// Inner shareable, normal, read- and write-allocate, write-back: what CPUs use.
    pub const SHARED: Self = Self { shareability: 1, inner: 7, outer: 0 };
    /// Not shareable, normal, not cacheable: for hardware that does not snoop.
    pub const UNCACHED: Self = Self { shareability: 0, inner: 1, outer: 0 };

    /// Whether its accesses see what is in the CPUs' caches.
    pub const fn coherent(self) -> bool {
        self.shareability != 0
    }

    const fn encode(self, inner: u32, outer: u32) -> u64 {
        (self.shareability as u64 & 3) << 10
            | (self.inner as u64 & 7) << inner
            | (self.outer as u64 & 7) << outer
    }

    fn decode(value: u64, inner: u32, outer: u32) -> Result<Self, Malformed> {
        let shareability = bits(value, 10, 2) as u8;
        if shareability == 3 {
            return Err(Malformed { field: "Shareability" });
        }
        let (inner, outer) = (bits(value, inner, 3) as u8, bits(value, outer, 3) as u8);
        Ok(Self { shareability, inner, outer })
    }
}

/// Page_Size of GITS_BASER<n>.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PageSize {
    /// 4 KiB.
    Size4K,
    /// 16 KiB.
    Size16K,
    /// 64 KiB.
    Size64K,
}

impl PageSize {
    /// In bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Size4K => 0x1000,
            Self::Size16K => 0x4000,
            Self::Size64K => 0x1_0000,
        }
    }
}

/// Type of GITS_BASER<n>: what the table is for. Read only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableKind {
    /// The register is not implemented.
    None,
    /// Devices.
    Devices,
    /// Virtual processors (GICv4).
    VirtualProcessors,
    /// Collections.
    Collections,
}

/// GITS_BASER<n>.
///
/// | bits | field |
/// | --- | --- |
/// | 63 | Valid |
/// | 62 | Indirect: two levels |
/// | 61:59, 55:53 | InnerCache, OuterCache |
/// | 58:56 | Type, read only |
/// | 52:48 | Entry_Size - 1 in bytes, read only |
/// | 47:12 | address 47:12; with 64 KiB pages 15:12 hold address 51:48 |
/// | 11:10 | Shareability |
/// | 9:8 | Page_Size |
/// | 7:0 | Size: pages - 1 |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableBase {
    /// Valid.
    pub valid: bool,
    /// Indirect.
    pub indirect: bool,
    /// How the memory is accessed.
    pub attributes: MemoryAttributes,
    /// Type.
    pub kind: TableKind,
    /// Entry_Size: 1..=32 bytes.
    pub entry_bytes: u8,
    /// Physical address: a multiple of the page size.
    pub address: u64,
    /// Page_Size.
    pub page: PageSize,
    /// How many pages: 1..=256.
    pub pages: u16,
}

impl TableBase {
    /// The register's value.
    pub const fn encode(self) -> u64 {
        let kind = match self.kind {
            TableKind::None => 0,
            TableKind::Devices => 1,
            TableKind::VirtualProcessors => 2,
            TableKind::Collections => 4,
        };
        let (page, address) = match self.page {
            PageSize::Size4K => (0, self.address & 0xffff_ffff_f000),
            PageSize::Size16K => (1, self.address & 0xffff_ffff_c000),
            PageSize::Size64K => {
                (2, self.address & 0xffff_ffff_0000 | bits(self.address, 48, 4) << 12)
            }
        };
        (self.valid as u64) << 63
            | (self.indirect as u64) << 62
            | self.attributes.encode(59, 53)
            | kind << 56
            | (self.entry_bytes.saturating_sub(1) as u64 & 31) << 48
            | address
            | page << 8
            | self.pages.saturating_sub(1) as u64 & 255
    }

    /// From the register.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        let kind = match bits(value, 56, 3) {
            0 => TableKind::None,
            1 => TableKind::Devices,
            2 => TableKind::VirtualProcessors,
            4 => TableKind::Collections,
            _ => return Err(Malformed { field: "Type" }),
        };
        let (page, address) = match bits(value, 8, 2) {
            0 => (PageSize::Size4K, value & 0xffff_ffff_f000),
            1 => {
                reject(value, 0x3000, "Physical_Address (13:12)")?;
                (PageSize::Size16K, value & 0xffff_ffff_c000)
            }
            2 => (PageSize::Size64K, value & 0xffff_ffff_0000 | bits(value, 12, 4) << 48),
            _ => return Err(Malformed { field: "Page_Size" }),
        };
        Ok(Self {
            valid: bits(value, 63, 1) == 1,
            indirect: bits(value, 62, 1) == 1,
            attributes: MemoryAttributes::decode(value, 59, 53)?,
            kind,
            entry_bytes: bits(value, 48, 5) as u8 + 1,
            address,
            page,
            pages: bits(value, 0, 8) as u16 + 1,
        })
    }
}

/// A level-one entry of a two-level table, §5.2.1: 63 Valid, 51:N address of a level-two
/// page, where N follows from the page size; the others are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LevelOneEntry {
    /// The level-two page, a multiple of the page size; `None`: not valid.
    pub page: Option<u64>,
}

impl LevelOneEntry {
    /// Bytes of one entry.
    pub const SIZE: usize = 8;
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

    /// The entry's value.
    pub const fn encode(self) -> u64 {
        match self.page {
            Some(address) => 1 << 63 | address & Self::ADDRESS,
            None => 0,
        }
    }

    /// From memory. An entry that is not valid may hold anything.
    pub fn decode(value: u64, page: PageSize) -> Result<Self, Malformed> {
        if value >> 63 == 0 {
            return Ok(Self { page: None });
        }
        reject(value, 0x7ff0_0000_0000_0000, "reserved (62:52)")?;
        reject(value, page.bytes() as u64 - 1, "Physical_Address (low)")?;
        Ok(Self { page: Some(value & Self::ADDRESS) })
    }
}

/// GITS_CBASER: 63 Valid, 61:59 InnerCache, 55:53 OuterCache, 51:12 address, 11:10
/// Shareability, 7:0 Size (4 KiB pages - 1); the others are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandBase {
    /// Valid.
    pub valid: bool,
    /// How the memory is accessed.
    pub attributes: MemoryAttributes,
    /// Physical address: a multiple of 64 KiB, because hardware may take bits 15:12 as zero.
    pub address: u64,
    /// How many 4 KiB pages: 1..=256.
    pub pages: u16,
}

impl CommandBase {
    const ADDRESS: u64 = 0x000f_ffff_ffff_0000;

    /// The register's value.
    pub const fn encode(self) -> u64 {
        (self.valid as u64) << 63
            | self.attributes.encode(59, 53)
            | self.address & Self::ADDRESS
            | self.pages.saturating_sub(1) as u64 & 255
    }

    /// From the register.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, 0x4710_0000_0000_0300, "reserved (62, 58:56, 52, 9:8)")?;
        reject(value, 0xf000, "Physical_Address (15:12)")?;
        Ok(Self {
            valid: bits(value, 63, 1) == 1,
            attributes: MemoryAttributes::decode(value, 59, 53)?,
            address: value & Self::ADDRESS,
            pages: bits(value, 0, 8) as u16 + 1,
        })
    }
}

/// GICR_PROPBASER: 58:56 OuterCache, 51:12 address, 11:10 Shareability, 9:7 InnerCache,
/// 4:0 IDbits (bits of an INTID - 1); the others are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PropertyBase {
    /// How the memory is accessed.
    pub attributes: MemoryAttributes,
    /// Physical address of the byte of LPI 8192: a multiple of 4096.
    pub address: u64,
    /// INTIDs have so many bits, 1..=32.
    pub id_bits: u8,
}

impl PropertyBase {
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

    /// The register's value.
    pub const fn encode(self) -> u64 {
        self.attributes.encode(7, 56)
            | self.address & Self::ADDRESS
            | self.id_bits.saturating_sub(1) as u64 & 31
    }

    /// From the register.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, 0xf8f0_0000_0000_0060, "reserved (63:59, 55:52, 6:5)")?;
        Ok(Self {
            attributes: MemoryAttributes::decode(value, 7, 56)?,
            address: value & Self::ADDRESS,
            id_bits: bits(value, 0, 5) as u8 + 1,
        })
    }
}

/// GICR_PENDBASER: 62 PTZ (write only), 58:56 OuterCache, 51:16 address, 11:10 Shareability,
/// 9:7 InnerCache; the others are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PendingBase {
    /// PTZ: the table is zero, so it need not be read.
    pub zeroed: bool,
    /// How the memory is accessed.
    pub attributes: MemoryAttributes,
    /// Physical address: a multiple of 64 KiB.
    pub address: u64,
}

impl PendingBase {
    const ADDRESS: u64 = 0x000f_ffff_ffff_0000;

    /// The register's value.
    pub const fn encode(self) -> u64 {
        (self.zeroed as u64) << 62 | self.attributes.encode(7, 56) | self.address & Self::ADDRESS
    }

    /// From the register, or from a write to it.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, 0xb8f0_0000_0000_f07f, "reserved (63, 61:59, 55:52, 15:12, 6:0)")?;
        Ok(Self {
            zeroed: bits(value, 62, 1) == 1,
            attributes: MemoryAttributes::decode(value, 7, 56)?,
            address: value & Self::ADDRESS,
        })
    }
}
