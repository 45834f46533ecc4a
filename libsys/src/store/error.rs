//! What is wrong with a store, or with one operation on it.

use crate::ipc::AskError;
use core::fmt;
use tocsin_proto::pci;

/// A rule that a store breaks, or why an operation on it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreError {
    // Rules, checked when a store is made.
    /// The template has no `write`: a pair could not get into the device.
    NoWrite,
    /// The template or layout has no mask: a slot could not be silenced at its source.
    NoMask,
    /// The template has no `unmask`: a slot could never be used.
    NoUnmask,
    /// The template has a `set_affinity`: affinity belongs to the remapper.
    HasAffinity,
    /// Only one of `lock` and `commit`: a bracket has two ends.
    HalfBracket,
    /// A store in hardware that does not say how many slots it has.
    NoCapacity,
    /// Queue memory with a fixed number of slots: its slots are the queues.
    FixedQueue,
    /// A field or slot is not 32-bit aligned.
    Misaligned,
    /// Two fields of a slot, or two slots, share bytes.
    Overlap,
    /// The last slot ends outside of the memory.
    OutOfRange,
    /// The mask field does not tell masked from unmasked, or has values outside its bits.
    BadMask,

    // Operations.
    /// The store has no such slot.
    BadSlot,
    /// Somebody has the slot.
    SlotTaken,
    /// Every slot is taken.
    NoSlots,
    /// A block of more messages than the store has slots.
    TooManySlots,
    /// An operation on queue memory outside of `lock` and `commit`.
    NotLocked,
    /// The address does not fit the slot's 32 bits.
    AddressTooWide,
    /// The device still shows the slot unmasked after masking it.
    NotMasked,
    /// A register shows another value than was written into it: the pair does not fit there.
    NotWritten,
    /// The store is in the middle of another operation.
    Busy,
    /// A custom operation failed with this code of its own.
    Device(u32),
    /// The PCI server did not do it.
    Pci(AskError<pci::Error>),
}

impl From<AskError<pci::Error>> for StoreError {
    fn from(error: AskError<pci::Error>) -> Self {
        StoreError::Pci(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreError::NoWrite => "store lacks `write` (NoWrite)",
            StoreError::NoMask => "store lacks `mask` (NoMask)",
            StoreError::NoUnmask => "store lacks `unmask` (NoUnmask)",
            StoreError::HasAffinity => "store must not set affinity (HasAffinity)",
            StoreError::HalfBracket => "`lock` and `commit` go together (HalfBracket)",
            StoreError::NoCapacity => "hardware store without a number of slots (NoCapacity)",
            StoreError::FixedQueue => "queue memory with a number of slots (FixedQueue)",
            StoreError::Misaligned => "slot or field is not 32-bit aligned (Misaligned)",
            StoreError::Overlap => "slots or fields overlap (Overlap)",
            StoreError::OutOfRange => "slots reach outside of the memory (OutOfRange)",
            StoreError::BadMask => "mask field does not tell masked from unmasked (BadMask)",
            StoreError::BadSlot => "no such slot (BadSlot)",
            StoreError::SlotTaken => "slot is taken (SlotTaken)",
            StoreError::NoSlots => "no slot is free (NoSlots)",
            StoreError::TooManySlots => "store has fewer slots (TooManySlots)",
            StoreError::NotLocked => "operation outside of lock and commit (NotLocked)",
            StoreError::AddressTooWide => "address has more than 32 bits (AddressTooWide)",
            StoreError::NotMasked => "device did not mask the slot (NotMasked)",
            StoreError::NotWritten => "register does not keep the pair (NotWritten)",
            StoreError::Busy => "store is in another operation (Busy)",
            StoreError::Device(code) => return write!(f, "device operation failed ({code})"),
            StoreError::Pci(error) => return error.fmt(f),
        })
    }
}
