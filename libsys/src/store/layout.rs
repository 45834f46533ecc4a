//! How a slot looks in memory, checked before anything is written there.

use super::{Pair, StoreError};
use crate::map::Access;

/// Bytes of a field: all fields are 32-bit words.
const FIELD_BYTES: u64 = 4;

/// The part of a word that masks a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaskField {
    /// Offset of the word in the slot.
    pub offset: u64,
    /// The bits that matter; the others keep their values.
    pub bits: u32,
    /// Those bits in a masked slot.
    pub masked: u32,
    /// Those bits in an unmasked slot.
    pub unmasked: u32,
}

impl MaskField {
    /// A bit that is set while the slot is masked.
    #[must_use]
    pub const fn bit_masks(offset: u64, bit: u32) -> MaskField {
        MaskField { offset, bits: bit, masked: bit, unmasked: 0 }
    }

    /// A bit that is set while the slot is enabled.
    #[must_use]
    pub const fn bit_enables(offset: u64, bit: u32) -> MaskField {
        MaskField { offset, bits: bit, masked: 0, unmasked: bit }
    }

    /// A whole word that is replaced, such as an instruction.
    #[must_use]
    pub const fn word(offset: u64, masked: u32, unmasked: u32) -> MaskField {
        MaskField { offset, bits: u32::MAX, masked, unmasked }
    }
}

/// Slots of equal size, one after the other: slot `n` begins at `base + n * stride`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryLayout {
    /// Offset of slot 0 in the memory.
    pub base: u64,
    /// Bytes from one slot to the next.
    pub stride: u64,
    /// Number of slots.
    pub slots: u32,
    /// Offset in the slot of the address's low 32 bits.
    pub address: u64,
    /// Offset of its high 32 bits, where the device has them.
    pub address_high: Option<u64>,
    /// Offset of the data.
    pub data: u64,
    /// How a slot is masked. Required; an option so that its lack is refused with a reason.
    pub mask: Option<MaskField>,
}

/// A layout that fits its memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    layout: EntryLayout,
    mask: MaskField,
}

impl EntryLayout {
    /// Checks the layout against a memory of `size_bytes`.
    pub(super) fn check(self, size_bytes: u64) -> Result<Checked, StoreError> {
        let mask = self.mask.ok_or(StoreError::NoMask)?;
        let outside = (mask.masked | mask.unmasked) & !mask.bits;
        if mask.masked == mask.unmasked || outside != 0 {
            return Err(StoreError::BadMask);
        }
        if self.slots == 0 {
            return Err(StoreError::NoCapacity);
        }
        let fields = [Some(self.address), self.address_high, Some(self.data), Some(mask.offset)];
        let numbers = fields.iter().flatten().chain([&self.base, &self.stride]);
        if !numbers.clone().all(|number| number.is_multiple_of(FIELD_BYTES)) {
            return Err(StoreError::Misaligned);
        }
        for (n, field) in fields.iter().flatten().enumerate() {
            // A field that ends behind the slot lies in the next one.
            let end = field.checked_add(FIELD_BYTES).ok_or(StoreError::OutOfRange)?;
            if end > self.stride || fields.iter().flatten().skip(n + 1).any(|other| other == field)
            {
                return Err(StoreError::Overlap);
            }
        }
        let bytes = self.stride.checked_mul(self.slots.into());
        let end = bytes.and_then(|bytes| bytes.checked_add(self.base));
        if end.is_none_or(|end| end > size_bytes) {
            return Err(StoreError::OutOfRange);
        }
        Ok(Checked { layout: self, mask })
    }
}

impl Checked {
    pub(super) const fn slots(&self) -> u32 {
        self.layout.slots
    }

    /// Where a slot begins.
    #[inline]
    fn start(&self, slot: u32) -> Result<u64, StoreError> {
        if slot >= self.layout.slots {
            return Err(StoreError::BadSlot);
        }
        Ok(self.layout.base + self.layout.stride * u64::from(slot))
    }

    /// Whether a pair fits the fields.
    #[inline]
    pub(super) fn fits(&self, slot: u32, pair: Pair) -> Result<(), StoreError> {
        self.start(slot)?;
        let wide = pair.address >> 32 != 0 && self.layout.address_high.is_none();
        if wide { Err(StoreError::AddressTooWide) } else { Ok(()) }
    }

    /// Writes a pair and returns the offset of the word written last.
    #[inline]
    pub(super) fn write(
        &self,
        memory: &impl Access,
        slot: u32,
        pair: Pair,
    ) -> Result<u64, StoreError> {
        self.fits(slot, pair)?;
        let start = self.start(slot)?;
        memory.write32(start + self.layout.address, pair.address as u32);
        if let Some(high) = self.layout.address_high {
            memory.write32(start + high, (pair.address >> 32) as u32);
        }
        memory.write32(start + self.layout.data, pair.data);
        Ok(start + self.layout.data)
    }

    /// Masks a slot and returns the offset of the mask word.
    #[inline]
    pub(super) fn mask(&self, memory: &impl Access, slot: u32) -> Result<u64, StoreError> {
        self.set(memory, slot, self.mask.masked)
    }

    /// Unmasks a slot and returns the offset of the mask word.
    #[inline]
    pub(super) fn unmask(&self, memory: &impl Access, slot: u32) -> Result<u64, StoreError> {
        self.set(memory, slot, self.mask.unmasked)
    }

    /// Whether a mask word says "masked".
    #[inline]
    pub(super) const fn is_masked(&self, word: u32) -> bool {
        word & self.mask.bits == self.mask.masked
    }

    #[inline]
    fn set(&self, memory: &impl Access, slot: u32, value: u32) -> Result<u64, StoreError> {
        let at = self.start(slot)? + self.mask.offset;
        // Bits of the word that are not the mask's keep their values; where there are none,
        // there is nothing to read.
        let rest = if self.mask.bits == u32::MAX { 0 } else { memory.read32(at) };
        memory.write32(at, rest & !self.mask.bits | value);
        Ok(at)
    }
}
