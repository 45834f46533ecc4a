//! Kinds of message store: where a device keeps its pairs.

use crate::DecodeError;

/// Where a message's pair is kept (DESIGN §1, "store"). The kind decides what the
/// interrupt server may grant: everything but PCI's own kinds needs a remapper that
/// checks who sent a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum StoreKind {
    /// The PCI MSI capability.
    PciMsi = 1,
    /// The PCI MSI-X table.
    MsiX = 2,
    /// An array in device memory (IMS).
    DeviceArray = 3,
    /// System memory shared with the device (IMS).
    QueueMemory = 4,
    /// A device's own registers (HPET, DMAR fault event).
    Registers = 5,
    /// An IOAPIC's redirection entry, which the interrupt server writes. No client can ask for
    /// such a message: it asks for the wire.
    Wire = 6,
}

impl StoreKind {
    /// Every kind.
    pub const ALL: [StoreKind; 6] = [
        StoreKind::PciMsi,
        StoreKind::MsiX,
        StoreKind::DeviceArray,
        StoreKind::QueueMemory,
        StoreKind::Registers,
        StoreKind::Wire,
    ];

    /// The kind with this number.
    ///
    /// # Errors
    /// `BadValue` for a number that no kind has.
    pub const fn from_code(code: u64) -> Result<StoreKind, DecodeError> {
        Ok(match code {
            1 => StoreKind::PciMsi,
            2 => StoreKind::MsiX,
            3 => StoreKind::DeviceArray,
            4 => StoreKind::QueueMemory,
            5 => StoreKind::Registers,
            6 => StoreKind::Wire,
            _ => return Err(DecodeError::BadValue),
        })
    }

    /// True for interrupt message stores: kinds that need source-id checks (DESIGN §4, invariant 8).
    #[must_use]
    pub const fn is_ims(self) -> bool {
        matches!(self, StoreKind::DeviceArray | StoreKind::QueueMemory)
    }

    /// Name for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StoreKind::PciMsi => "PciMsi",
            StoreKind::MsiX => "MsiX",
            StoreKind::DeviceArray => "DeviceArray",
            StoreKind::QueueMemory => "QueueMemory",
            StoreKind::Registers => "Registers",
            StoreKind::Wire => "Wire",
        }
    }
}

impl core::fmt::Display for StoreKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip_and_the_rest_is_refused() {
        for kind in StoreKind::ALL {
            assert_eq!(StoreKind::from_code(kind as u64), Ok(kind));
        }
        assert_eq!(StoreKind::from_code(0), Err(DecodeError::BadValue));
        assert_eq!(StoreKind::from_code(7), Err(DecodeError::BadValue));
        assert_eq!(StoreKind::from_code(0x101), Err(DecodeError::BadValue));
    }
}
