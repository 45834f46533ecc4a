//! The capability list (PCIe §7.5.1.1.11, PCI §6.7).

use crate::{
    ConfigExt, ConfigSpace, FunctionAddress,
    header::{
        CAPABILITIES, CARDBUS_CAPABILITIES, HEADER_END, HEADER_TYPE, STATUS, STATUS_CAPABILITIES,
    },
};

/// Capability id of MSI.
pub const CAPABILITY_MSI: u8 = 0x05;
/// Capability id of PCI Express.
pub const CAPABILITY_EXPRESS: u8 = 0x10;
/// Capability id of MSI-X.
pub const CAPABILITY_MSIX: u8 = 0x11;

/// Places where a capability can begin: every fourth byte from 0x40 to 0xfc.
const PLACES: u32 = (0x100 - HEADER_END as u32) / 4;

/// One capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it is.
    pub id: u8,
    /// Where it begins: 0x40 to 0xfc, a multiple of 4.
    pub offset: u16,
}

/// Why a capability list ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityError {
    /// A pointer leads into the header.
    BadPointer {
        /// The pointer.
        pointer: u8,
    },
    /// A pointer leads back to a capability that was seen already.
    Loop {
        /// The pointer.
        pointer: u8,
    },
    /// The function stopped answering (all ones).
    NoAnswer {
        /// Where.
        pointer: u8,
    },
}

/// The capabilities of a function, in the list's order. A broken list gives one `Err`, then ends.
pub fn capabilities<C: ConfigSpace + ?Sized>(
    config: &C,
    function: FunctionAddress,
) -> Capabilities<'_, C> {
    let status = config.read16(function, STATUS);
    let next = if status & STATUS_CAPABILITIES == 0 {
        0
    } else {
        match config.read8(function, HEADER_TYPE) & 0x7f {
            2 => config.read8(function, CARDBUS_CAPABILITIES),
            _ => config.read8(function, CAPABILITIES),
        }
    };
    Capabilities { config, function, next, seen: 0 }
}

/// See [`capabilities`].
pub struct Capabilities<'c, C: ?Sized> {
    config: &'c C,
    function: FunctionAddress,
    next: u8,
    /// One bit for each of the [`PLACES`]: ends every loop after at most 48 steps.
    seen: u64,
}

impl<C: ConfigSpace + ?Sized> Iterator for Capabilities<'_, C> {
    type Item = Result<Capability, CapabilityError>;

    fn next(&mut self) -> Option<Self::Item> {
        // "The bottom two bits are reserved … software must mask them" (PCI §6.7).
        let pointer = self.next & !3;
        self.next = 0;
        if pointer == 0 {
            return None;
        }
        let Some(place) = u16::from(pointer).checked_sub(HEADER_END) else {
            return Some(Err(CapabilityError::BadPointer { pointer }));
        };
        let place = u32::from(place) / 4;
        debug_assert!(place < PLACES);
        if self.seen & (1 << place) != 0 {
            return Some(Err(CapabilityError::Loop { pointer }));
        }
        self.seen |= 1 << place;
        let offset = pointer.into();
        let [id, next] = self.config.read16(self.function, offset).to_le_bytes();
        if (id, next) == (0xff, 0xff) {
            return Some(Err(CapabilityError::NoAnswer { pointer }));
        }
        self.next = next;
        Some(Ok(Capability { id, offset }))
    }
}
