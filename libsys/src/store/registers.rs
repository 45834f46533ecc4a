//! A store in a device's own registers: a pair here, a pair there, each with its own place for
//! address, data and mask. An HPET's comparators and a VT-d unit's fault event are such.

use super::{MaskField, MessageStore, Pair, Prepared, StoreError, StoreKind};
use crate::map::Access;
use alloc::vec::Vec;

/// Bytes of a register: all fields are 32-bit words.
const FIELD_BYTES: u64 = 4;

/// Where the device keeps one pair. Offsets are those in the register page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterSlot {
    /// The address's low 32 bits.
    pub address: u64,
    /// Its high 32 bits. `None`: the device has none, and can not hold a wider address.
    pub address_high: Option<u64>,
    /// The data.
    pub data: u64,
    /// How the slot is masked, and which sense the bit has. Required; an option so that its
    /// lack is refused with a reason. Slots may have their bits in one register.
    pub mask: Option<MaskField>,
}

/// A slot that was found to keep the rules.
#[derive(Clone, Copy, Debug)]
struct Checked {
    slot: RegisterSlot,
    mask: MaskField,
}

impl RegisterSlot {
    fn check(self, size_bytes: u64) -> Result<Checked, StoreError> {
        let mask = self.mask.ok_or(StoreError::NoMask)?;
        let outside = (mask.masked | mask.unmasked) & !mask.bits;
        if mask.masked == mask.unmasked || outside != 0 {
            return Err(StoreError::BadMask);
        }
        for field in self.pair_fields().chain([mask.offset]) {
            if !field.is_multiple_of(FIELD_BYTES) {
                return Err(StoreError::Misaligned);
            }
            if field.checked_add(FIELD_BYTES).is_none_or(|end| end > size_bytes) {
                return Err(StoreError::OutOfRange);
            }
        }
        Ok(Checked { slot: self, mask })
    }

    fn pair_fields(&self) -> impl Iterator<Item = u64> {
        [Some(self.address), self.address_high, Some(self.data)].into_iter().flatten()
    }
}

/// Whether two slots, or a slot and itself, have different registers for different things.
/// Only the mask register may be another slot's as well, with other bits.
fn apart(one: &Checked, other: &Checked, is_same: bool) -> bool {
    let shared = one.slot.pair_fields().flat_map(|field| {
        let equal = move |its: &u64| *its == field;
        other.slot.pair_fields().filter(equal)
    });
    let own_fields = if is_same { one.slot.pair_fields().count() } else { 0 };
    let in_pair = |mask: &MaskField, slot: &RegisterSlot| {
        slot.pair_fields().any(|field| field == mask.offset)
    };
    let same_bits = one.mask.offset == other.mask.offset && one.mask.bits & other.mask.bits != 0;
    shared.count() == own_fields
        && !in_pair(&one.mask, &other.slot)
        && !in_pair(&other.mask, &one.slot)
        && (is_same || !same_bits)
}

/// Slots in a device's registers.
#[derive(Debug)]
pub struct Registers<A> {
    memory: A,
    slots: Vec<Checked>,
}

impl<A: Access> Registers<A> {
    /// The slots that `layout` describes in the register page `memory`, slot 0 first.
    ///
    /// # Errors
    /// The first rule that a slot breaks; then `Overlap` when two things have one place.
    pub fn new(memory: A, layout: &[RegisterSlot]) -> Result<Registers<A>, StoreError> {
        let size = memory.size_bytes();
        let slots: Vec<Checked> =
            layout.iter().map(|slot| slot.check(size)).collect::<Result<_, _>>()?;
        for (place, slot) in slots.iter().enumerate() {
            let others = slots.iter().enumerate().skip(place);
            if !others.clone().all(|(other, its)| apart(slot, its, other == place)) {
                return Err(StoreError::Overlap);
            }
        }
        if slots.is_empty() {
            return Err(StoreError::NoCapacity);
        }
        Ok(Registers { memory, slots })
    }

    fn slot(&self, slot: u32) -> Result<Checked, StoreError> {
        self.slots.get(slot as usize).copied().ok_or(StoreError::BadSlot)
    }

    /// Writes a register and reads it back: the read comes back after the write has arrived
    /// (PCI Express Base 6.0 §2.4.1; a register beside the CPU is no worse).
    fn put(&self, at: u64, value: u32) -> u32 {
        self.memory.write32(at, value);
        self.memory.read32(at)
    }

    /// A register that keeps fewer bits would send the message elsewhere.
    fn put_exactly(&self, at: u64, value: u32) -> Result<(), StoreError> {
        if self.put(at, value) == value { Ok(()) } else { Err(StoreError::NotWritten) }
    }

    fn put_pair(&self, slot: RegisterSlot, pair: Pair) -> Result<(), StoreError> {
        self.put_exactly(slot.address, pair.address as u32)?;
        if let Some(high) = slot.address_high {
            self.put_exactly(high, (pair.address >> 32) as u32)?;
        }
        self.put_exactly(slot.data, pair.data)
    }

    /// Bits of the register that are not the mask's keep their values.
    fn set(&self, mask: MaskField, value: u32) -> u32 {
        let rest = if mask.bits == u32::MAX { 0 } else { self.memory.read32(mask.offset) };
        self.put(mask.offset, rest & !mask.bits | value) & mask.bits
    }
}

impl<A: Access> MessageStore for Registers<A> {
    fn kind(&self) -> StoreKind {
        StoreKind::Registers
    }

    fn capacity(&self) -> Option<u32> {
        u32::try_from(self.slots.len()).ok()
    }

    fn write(&mut self, slot: u32, message: Prepared) -> Result<(), StoreError> {
        let Checked { slot, mask } = self.slot(slot)?;
        if message.pair.address >> 32 != 0 && slot.address_high.is_none() {
            return Err(StoreError::AddressTooWide);
        }
        // Whoever writes has masked the slot; a device that unmasks by itself is not written.
        if self.memory.read32(mask.offset) & mask.bits != mask.masked {
            return Err(StoreError::NotMasked);
        }
        self.put_pair(slot, message.pair)
    }

    fn mask(&mut self, slot: u32) -> Result<(), StoreError> {
        let mask = self.slot(slot)?.mask;
        if self.set(mask, mask.masked) == mask.masked { Ok(()) } else { Err(StoreError::NotMasked) }
    }

    fn unmask(&mut self, slot: u32) -> Result<(), StoreError> {
        let mask = self.slot(slot)?.mask;
        self.set(mask, mask.unmasked);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
