//! The LPI configuration table, §5.1.1 and §6.1.2: one byte for each LPI, for all CPUs.

use super::{Lpi, Malformed};
use crate::vtd::DmaRegion;

/// A priority as LPIs have it: 0 is the highest, the low two bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Priority(u8);

impl Priority {
    /// The lowest there is.
    pub const LOWEST: Self = Self(0xfc);

    /// `None` when one of the two low bits is set: a property has no room for them.
    pub const fn new(value: u8) -> Option<Self> {
        if value & 3 != 0 { None } else { Some(Self(value)) }
    }

    /// As in GICD_IPRIORITYR.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// An LPI's byte: 7:2 priority, 1 reserved and one, 0 Enable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LpiProperty {
    /// Its priority.
    pub priority: Priority,
    /// Whether it reaches its CPU. While it does not, it stays pending.
    pub enabled: bool,
}

impl LpiProperty {
    const ONE: u8 = 1 << 1;

    /// The byte.
    pub const fn encode(self) -> u8 {
        self.priority.0 | Self::ONE | self.enabled as u8
    }

    /// From memory.
    pub const fn decode(byte: u8) -> Result<Self, Malformed> {
        if byte & Self::ONE == 0 {
            return Err(Malformed { field: "reserved (1)" });
        }
        Ok(Self { priority: Priority(byte & !3), enabled: byte & 1 == 1 })
    }
}

/// Why memory is no configuration table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LpiTableError {
    /// Not aligned to 4096, or above 2^52.
    Address,
    /// INTIDs of fewer than 14 or more than 24 bits: there are no LPIs, or not so many.
    IdBits,
    /// Less than 2^id_bits - 8192 bytes.
    Size,
}

/// The table in memory. This server is the only one that writes it.
pub struct LpiTable<M> {
    memory: M,
    id_bits: u8,
    pub(super) coherent: bool,
}

impl<M: DmaRegion> LpiTable<M> {
    /// Bytes for INTIDs of `id_bits` bits.
    pub const fn bytes(id_bits: u8) -> usize {
        if id_bits > 24 { usize::MAX } else { (1_usize << id_bits).saturating_sub(8192) }
    }

    /// Takes the memory and disables every LPI in it, before any redistributor sees it.
    pub fn new(memory: M, id_bits: u8, priority: Priority) -> Result<Self, LpiTableError> {
        if !(14..=24).contains(&id_bits) {
            return Err(LpiTableError::IdBits);
        }
        if !memory.bus_address().is_multiple_of(4096) || memory.bus_address() >> 52 != 0 {
            return Err(LpiTableError::Address);
        }
        if memory.size_bytes() < Self::bytes(id_bits) {
            return Err(LpiTableError::Size);
        }
        let mut table = Self { memory, id_bits, coherent: true };
        let off = LpiProperty { priority, enabled: false }.encode();
        for offset in (0..Self::bytes(id_bits)).step_by(8) {
            table.memory.write64(offset, u64::from_ne_bytes([off; 8]));
            // Who snoops is not known yet.
            table.memory.write_back(offset);
        }
        Ok(table)
    }

    /// Bits of an INTID.
    pub const fn id_bits(&self) -> u8 {
        self.id_bits
    }

    /// How many LPIs it has bytes for.
    pub const fn lpis(&self) -> u32 {
        (1 << self.id_bits) - Lpi::FIRST
    }

    /// Where redistributors find it.
    pub fn address(&self) -> u64 {
        self.memory.bus_address()
    }

    /// Writes a property. Redistributors may use the old one until INV and SYNC.
    pub(crate) fn write(&mut self, lpi: Lpi, property: LpiProperty) {
        let (word, shift) = place(lpi);
        let old = self.memory.read64(word);
        let new = old & !(0xff << shift) | (property.encode() as u64) << shift;
        self.memory.write64(word, new);
        if !self.coherent {
            self.memory.write_back(word);
        }
    }

    /// The property as last written.
    pub fn read(&self, lpi: Lpi) -> Result<LpiProperty, Malformed> {
        let (word, shift) = place(lpi);
        LpiProperty::decode((self.memory.read64(word) >> shift) as u8)
    }
}

/// The 64-bit word and the shift in it, little endian.
const fn place(lpi: Lpi) -> (usize, u32) {
    (lpi.offset() & !7, 8 * (lpi.offset() as u32 & 7))
}
