//! The PCI server's protocol.
//!
//! `init` (badge zero) claims devices; the endpoint it gets back carries the device's badge
//! ([`crate::badge`]) and goes to the driver, which can reach that device and no other.

mod types;

pub use types::{
    Bar, BarKind, BarOffset, Claimed, ConfigValue, Description, DmaMemory, Enables, Msi,
    MsiPendingSlots, MsiX, PinWire, Width,
};

use crate::wire::{operation, protocol};
use crate::{DecodeError, Nothing};

protocol! {
    errors {
        /// The words were no request of this protocol.
        Malformed = 1, "request makes no sense";
        /// The caller's badge does not allow this request.
        NotAllowed = 2, "caller may not ask this (NotAllowed)";
        /// No such device, or none that is unclaimed.
        NoSuchDevice = 3, "no such device (NoSuchDevice)";
        /// Somebody has this device.
        AlreadyClaimed = 4, "device is claimed already (AlreadyClaimed)";
        /// The device has no such base address register.
        NoSuchBar = 5, "no such BAR (NoSuchBar)";
        /// The device lacks the capability.
        NotSupported = 6, "device lacks this capability (NotSupported)";
        /// The capability has no such slot.
        BadSlot = 7, "no such slot (BadSlot)";
        /// Offset or width lies outside configuration space or is not aligned.
        BadOffset = 8, "bad configuration offset (BadOffset)";
        /// The policy does not let drivers write there.
        Denied = 9, "configuration write denied by policy (Denied)";
        /// The device's DMA quota is used up.
        QuotaExceeded = 10, "quota for DMA memory is used up (QuotaExceeded)";
        /// Memory or handles ran out.
        NoMemory = 11, "memory or handles exhausted (NoMemory)";
        /// The handle is no message that the server may read.
        NotAMessage = 12, "handle is no readable message (NotAMessage)";
        /// The message's pair does not fit the capability (64-bit address, wide data), or its
        /// slot (not consecutive); or the slot to be unmasked has none.
        BadPair = 13, "pair does not fit the capability (BadPair)";
        /// A field is out of range.
        BadArgument = 14, "argument out of range (BadArgument)";
        /// A slot of the MSI capability is in use: mask all of them before another pair is
        /// put there.
        SlotsInUse = 15, "slots of the MSI capability are in use: mask them first (SlotsInUse)";
        /// A device uses a power of two of messages, and not all of the block have been put
        /// into their slots yet.
        IncompleteBlock = 16, "messages of the block are missing (IncompleteBlock)";
        /// The device has no interrupt pin, or one that can not be switched off.
        NoPin = 17, "device has no interrupt pin that can be used (NoPin)";
        /// Neither firmware nor the manifest says which line the device's pin leads to.
        NoWire = 18, "nobody says which line the device's interrupt pin leads to (NoWire)";
        /// A device has either messages or its pin: switch the other off first.
        Exclusive = 19, "messages and the interrupt pin exclude each other (Exclusive)";
        /// The interrupt server does not take this line.
        NoLine = 20, "the interrupt server can not give out the pin's line (NoLine)";
    }
    requests {
        /// Take a device (init only).
        Claim,
        /// What the device is.
        Describe,
        /// A base address register's range.
        GetBar,
        /// Read configuration space.
        ConfigRead,
        /// Write configuration space, as far as policy allows.
        ConfigWrite,
        /// Put a message's pair into the MSI capability.
        MsiWrite,
        /// Mask an MSI slot.
        MsiMask,
        /// Unmask an MSI slot.
        MsiUnmask,
        /// Memory the device can reach.
        Dma,
        /// Switch the device's decoders and bus mastering.
        Enable,
        /// Switch the MSI-X table on or off, as a whole.
        MsiXSet,
        /// Which line the device's interrupt pin leads to.
        PinLine,
        /// Switch the device's interrupt pin.
        PinSet,
        /// Which masked MSI slots have an event.
        MsiPending,
    }
}

/// Takes the `nth` unclaimed device with these ids. The reply brings two endpoints: this
/// server and the interrupt server, both with the device's badge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Which of several, from zero.
    pub nth: u32,
    /// Bytes of DMA memory that the driver may ask for.
    pub dma_quota: u64,
}

operation! { Claim = 1, handles 0 => Claimed;
    put(request, words) {
        words.put(u64::from(request.vendor) | u64::from(request.device) << 16);
        words.put(u64::from(request.nth));
        words.put(request.dma_quota);
    }
    get(reader) {
        let mut bits = reader.bits()?;
        let (vendor, device) = (bits.half(), bits.half());
        bits.end()?;
        Ok(Claim { vendor, device, nth: reader.small()?, dma_quota: reader.word()? })
    }
}

/// What the caller's device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Describe;

operation! { Describe = 2, handles 0 => Description; }

/// The physical range behind a base address register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GetBar {
    /// Number of the register, 0 to 5.
    pub index: u8,
}

operation! { GetBar = 3, handles 0 => Bar;
    put(request, words) { words.put(u64::from(request.index)); }
    get(reader) {
        let index = reader.small()?;
        if index > 5 { return Err(DecodeError::BadValue); }
        Ok(GetBar { index })
    }
}

/// Reads configuration space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigRead {
    /// Byte offset.
    pub offset: u16,
    /// Width.
    pub width: Width,
}

operation! { ConfigRead = 4, handles 0 => ConfigValue;
    put(request, words) {
        words.put(u64::from(request.offset));
        words.put(request.width as u64);
    }
    get(reader) { Ok(ConfigRead { offset: reader.small()?, width: Width::get(reader)? }) }
}

/// Writes configuration space where the policy lets drivers write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigWrite {
    /// Byte offset.
    pub offset: u16,
    /// Width.
    pub width: Width,
    /// Value; bits above the width are refused.
    pub value: u32,
}

operation! { ConfigWrite = 5, handles 0 => Nothing;
    put(request, words) {
        words.put(u64::from(request.offset));
        words.put(request.width as u64);
        words.put(u64::from(request.value));
    }
    get(reader) {
        let (offset, width) = (reader.small()?, Width::get(reader)?);
        let value = reader.small()?;
        if value & !width.mask() != 0 { return Err(DecodeError::BadValue); }
        Ok(ConfigWrite { offset, width, value })
    }
}

/// Writes the pair of the message that comes along (a handle with `READ`) into a slot of
/// the MSI capability. The server reads the pair from the message itself, so a driver can
/// not make one up.
///
/// Slot 0 begins a block; each slot after it takes the pair that follows on the one before. The
/// device gets the block when its first slot is unmasked, as a whole, and then its slots must be
/// a power of two. While one is unmasked none can be written (`SlotsInUse`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiWrite {
    /// Slot, from zero.
    pub slot: u8,
}

operation! { MsiWrite = 6, handles 1 => Nothing;
    put(request, words) { words.put(u64::from(request.slot)); }
    get(reader) { Ok(MsiWrite { slot: reader.small()? }) }
}

/// Masks a slot, with the per-vector mask where there is one. Elsewhere the device goes on
/// sending its message until the last unmasked slot is masked, which turns messages off as a
/// whole: it is the remapper that can stop a single one (`block` of the interrupt server).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiMask {
    /// Slot, from zero.
    pub slot: u8,
}

operation! { MsiMask = 7, handles 0 => Nothing;
    put(request, words) { words.put(u64::from(request.slot)); }
    get(reader) { Ok(MsiMask { slot: reader.small()? }) }
}

/// The reverse of [`MsiMask`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiUnmask {
    /// Slot, from zero.
    pub slot: u8,
}

operation! { MsiUnmask = 8, handles 0 => Nothing;
    put(request, words) { words.put(u64::from(request.slot)); }
    get(reader) { Ok(MsiUnmask { slot: reader.small()? }) }
}

/// Memory that the device can reach, zeroed and contiguous, from the device's quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dma {
    /// Bytes; rounded up to a power of two pages.
    pub size_bytes: u64,
}

operation! { Dma = 9, handles 0 => DmaMemory;
    put(request, words) { words.put(request.size_bytes); }
    get(reader) { Ok(Dma { size_bytes: reader.word()? }) }
}

/// Switches the device's decoders and bus mastering to exactly this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Enable {
    /// What is on afterwards.
    pub on: Enables,
}

operation! { Enable = 10, handles 0 => Nothing;
    put(request, words) { words.put(u64::from(request.on.bits())); }
    get(reader) { Ok(Enable { on: Enables::get(reader)? }) }
}

/// Switches the MSI-X capability (PCIe Base 6.0 §7.7.2.2). The table itself lies in the
/// device's own memory and is the driver's to write: what a pair made up there can reach
/// is decided by the remapper alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MsiXSet {
    /// The device sends no message from the table.
    Off,
    /// It may, but every slot is masked, whatever its own mask bit says.
    AllMasked,
    /// Each slot's own mask bit decides.
    On,
}

operation! { MsiXSet = 11, handles 0 => Nothing;
    put(request, words) { words.put(*request as u64); }
    get(reader) {
        match reader.word()? {
            0 => Ok(MsiXSet::Off),
            1 => Ok(MsiXSet::AllMasked),
            2 => Ok(MsiXSet::On),
            _ => Err(DecodeError::BadValue),
        }
    }
}

/// Which line the device's interrupt pin leads to. From here on the interrupt server lets the
/// caller open that line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PinLine;

operation! { PinLine = 13, handles 0 => PinWire; }

/// Switches the device's interrupt pin (PCIe Base 6.0 §7.5.1.1.3, Interrupt Disable). Others
/// share the line: the pin is to be on only while somebody who answers has the line open.
/// `Exclusive` while the device's messages are on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PinSet {
    /// The device lets go of its pin, and leaves it alone.
    Off,
    /// It asserts its pin when it wants something. After [`PinLine`] only.
    On,
}

operation! { PinSet = 14, handles 0 => Nothing;
    put(request, words) { words.put(*request as u64); }
    get(reader) {
        match reader.word()? {
            0 => Ok(PinSet::Off),
            1 => Ok(PinSet::On),
            _ => Err(DecodeError::BadValue),
        }
    }
}

/// Which slots of the MSI capability are masked and have an event: the device sends it when
/// the slot is unmasked. `NotSupported` where slots have no mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiPending;

operation! { MsiPending = 12, handles 0 => MsiPendingSlots; }
