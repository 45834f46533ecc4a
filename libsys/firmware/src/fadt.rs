//! FADT: of the fixed description table, what an Arm machine says about its firmware (ACPI §5.2.9).

use crate::{
    Error, Signature, Table,
    arm::Conduit,
    bytes::{u16_at, u32_at},
};

/// Bytes up to the end of `ARM_BOOT_ARCH`.
pub(crate) const PREFIX: usize = 131;

/// The fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fadt {
    /// All feature flags (§5.2.9, feature flags).
    pub flags: u32,
    /// How to reach PSCI; `None` where firmware does not have it (§5.2.9.4).
    pub conduit: Option<Conduit>,
}

impl Fadt {
    /// Checks the table and reads the fields.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::decode(Table::parse_as(bytes, Signature::FADT)?.bytes())
    }

    /// From the first bytes of a checked table.
    pub(crate) fn decode(table: &[u8]) -> Result<Self, Error> {
        let flags = u32_at(table, 112, "FADT")?;
        // The field came with ACPI 5.1; an older and shorter table is a PC's.
        let boot = u16_at(table, 129, "FADT").unwrap_or(0);
        // Bit 0: PSCI is there; bit 1: it is reached by HVC, not by SMC (§5.2.9.4).
        let conduit = match boot & 3 {
            1 => Some(Conduit::Smc),
            3 => Some(Conduit::Hvc),
            _ => None,
        };
        Ok(Self { flags, conduit })
    }

    /// The machine has none of the fixed hardware of a PC (§5.2.9, HW_REDUCED_ACPI).
    pub fn is_hardware_reduced(&self) -> bool {
        self.flags & 1 << 20 != 0
    }
}
