//! Hardware numbers of GICv3 as types.

use crate::EntryIndex;

/// Who wrote, as the ITS sees it: up to 32 bits that the interconnect adds to a write. It
/// comes from `msi-map` or the IORT, and is never assumed to be the PCI requester id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeviceId(u32);

impl DeviceId {
    /// From the number that firmware describes.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The number.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// What a device writes to GITS_TRANSLATER. Each device's start at 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventId(u32);

impl EventId {
    /// From the number.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The number.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// ICID: which collection of interrupts, and so, by MAPC, which redistributor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CollectionId(u16);

impl CollectionId {
    /// From the number.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The number.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// A locality-specific peripheral interrupt: an INTID of 8192 or more (§2.2.1), below 2^24,
/// the most that a CPU interface implements (ICC_CTLR_EL1.IDbits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lpi(u32);

impl Lpi {
    /// The lowest.
    pub const FIRST: u32 = 8192;

    /// `None` when the INTID is no LPI's.
    pub const fn new(intid: u32) -> Option<Self> {
        if intid < Self::FIRST || intid >= 1 << 24 { None } else { Some(Self(intid)) }
    }

    /// The LPI that is `index` above the lowest.
    pub const fn from_index(index: EntryIndex) -> Self {
        Self(Self::FIRST + index.bits() as u32)
    }

    /// The INTID.
    pub const fn intid(self) -> u32 {
        self.0
    }

    /// How far it lies above the lowest: the place of its property byte.
    pub const fn offset(self) -> usize {
        (self.0 - Self::FIRST) as usize
    }
}

/// RDbase of a command: a redistributor, named as GITS_TYPER.PTA asks. Bits 51:16, in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RdBase(u64);

impl RdBase {
    pub(super) const FIELD: u64 = 0x000f_ffff_ffff_0000;

    /// PTA 0: by GICR_TYPER.Processor_Number.
    pub const fn processor(number: u16) -> Self {
        Self((number as u64) << 16)
    }

    /// PTA 1: by the physical address of its RD_base frame. `None` when that is not a
    /// multiple of 64 KiB below 2^52.
    pub const fn address(address: u64) -> Option<Self> {
        if address & !Self::FIELD != 0 { None } else { Some(Self(address)) }
    }

    pub(super) const fn from_field(word: u64) -> Self {
        Self(word & Self::FIELD)
    }

    /// The bits as they lie in a command.
    pub const fn field(self) -> u64 {
        self.0
    }
}
