//! The ITS control frame's registers that are not table addresses, §12.19.

use super::{Malformed, bits, reject};

/// Byte offsets in the 64 KiB control frame (GITS) and in a redistributor's RD_base (GICR).
pub mod offset {
    /// GITS_CTLR, 32 bits.
    pub const CONTROL: u16 = 0x00;
    /// GITS_TYPER, 64 bits, read only.
    pub const TYPE: u16 = 0x08;
    /// GITS_CBASER, 64 bits. Writing it sets GITS_CREADR to 0.
    pub const COMMAND_BASE: u16 = 0x80;
    /// GITS_CWRITER, 64 bits.
    pub const COMMAND_WRITE: u16 = 0x88;
    /// GITS_CREADR, 64 bits, read only.
    pub const COMMAND_READ: u16 = 0x90;
    /// GITS_BASER0, 64 bits; eight of them.
    pub const TABLE_BASE: u16 = 0x100;
    /// GICR_CTLR, 32 bits.
    pub const REDISTRIBUTOR_CONTROL: u16 = 0x00;
    /// GICR_TYPER, 64 bits, read only.
    pub const REDISTRIBUTOR_TYPE: u16 = 0x08;
    /// GICR_PROPBASER, 64 bits.
    pub const PROPERTY_BASE: u16 = 0x70;
    /// GICR_PENDBASER, 64 bits.
    pub const PENDING_BASE: u16 = 0x78;
}

/// GITS_TRANSLATER's bus address: offset 0x40 of the translation frame, which follows the
/// control frame (§12.18, §12.20). It is what a device writes to.
pub const fn translater(control_frame: u64) -> u64 {
    control_frame + 0x1_0040
}

/// GITS_CTLR, §12.19.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Control {
    /// Enabled (0).
    pub enabled: bool,
    /// ImDe (1), implementation defined: kept as found.
    pub implementation_defined: bool,
    /// ITS_Number (7:4): of use for vPEs only, kept as found.
    pub number: u8,
    /// UMSIirq (8): unmapped MSIs raise an interrupt. Kept as found.
    pub unmapped_interrupt: bool,
    /// Quiescent (31), read only: everything that was under way has reached its end.
    pub quiescent: bool,
}

impl Control {
    /// The register's value.
    pub const fn encode(self) -> u32 {
        self.enabled as u32
            | (self.implementation_defined as u32) << 1
            | (self.number as u32 & 15) << 4
            | (self.unmapped_interrupt as u32) << 8
            | (self.quiescent as u32) << 31
    }

    /// From the register.
    pub fn decode(value: u32) -> Result<Self, Malformed> {
        let value = value as u64;
        reject(value, 0x7fff_fe0c, "reserved (30:9, 3:2)")?;
        Ok(Self {
            enabled: bits(value, 0, 1) == 1,
            implementation_defined: bits(value, 1, 1) == 1,
            number: bits(value, 4, 4) as u8,
            unmapped_interrupt: bits(value, 8, 1) == 1,
            quiescent: bits(value, 31, 1) == 1,
        })
    }
}

/// GITS_TYPER, §12.19.18: what concerns physical interrupts. Fields of later versions are
/// not refused: they only add abilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItsType(u64);

impl ItsType {
    /// From the register. Every value is legal.
    pub const fn decode(value: u64) -> Self {
        Self(value)
    }

    /// The register's value.
    pub const fn encode(self) -> u64 {
        self.0
    }

    /// Physical (0): it knows physical LPIs.
    pub const fn physical(self) -> bool {
        bits(self.0, 0, 1) == 1
    }

    /// Virtual (1): GICv4. Then there may be a vPE table to give it.
    pub const fn virtual_lpis(self) -> bool {
        bits(self.0, 1, 1) == 1
    }

    /// ITT_entry_size (7:4) + 1: bytes of one entry, 1..=16.
    pub const fn event_entry_bytes(self) -> usize {
        bits(self.0, 4, 4) as usize + 1
    }

    /// ID_bits (12:8) + 1: bits of an EventID, 1..=32.
    pub const fn event_bits(self) -> u8 {
        bits(self.0, 8, 5) as u8 + 1
    }

    /// Devbits (17:13) + 1: bits of a DeviceID, 1..=32.
    pub const fn device_bits(self) -> u8 {
        bits(self.0, 13, 5) as u8 + 1
    }

    /// SEIS (18): command and translation errors raise an SError.
    pub const fn reports_errors(self) -> bool {
        bits(self.0, 18, 1) == 1
    }

    /// PTA (19): RDbase is an address, not a processor number.
    pub const fn target_is_address(self) -> bool {
        bits(self.0, 19, 1) == 1
    }

    /// HCC (31:24): collections that it can hold without a table in memory.
    pub const fn hardware_collections(self) -> u16 {
        bits(self.0, 24, 8) as u16
    }

    /// CIDbits (35:32) + 1 where CIL (36) is set, else 16: bits of an ICID.
    pub const fn collection_bits(self) -> u8 {
        if bits(self.0, 36, 1) == 1 { bits(self.0, 32, 4) as u8 + 1 } else { 16 }
    }
}

/// GITS_CREADR, §12.19.4: how far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadPointer {
    /// Offset (19:5) as the number of a 32-byte command.
    pub command: u32,
    /// Stalled (0): it stands still at this command, because of an error in it.
    pub stalled: bool,
}

impl ReadPointer {
    /// The register's value.
    pub const fn encode(self) -> u64 {
        (self.command as u64 & 0x7fff) << 5 | self.stalled as u64
    }

    /// From the register.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, !0xf_ffe1, "reserved (63:20, 4:1)")?;
        Ok(Self { command: bits(value, 5, 15) as u32, stalled: bits(value, 0, 1) == 1 })
    }
}

/// GITS_CWRITER, §12.19.5: up to where commands have been written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WritePointer {
    /// Offset (19:5) as the number of a 32-byte command.
    pub command: u32,
    /// Retry (0), write only: take the command that it stands at once more.
    pub retry: bool,
}

impl WritePointer {
    /// The register's value.
    pub const fn encode(self) -> u64 {
        (self.command as u64 & 0x7fff) << 5 | self.retry as u64
    }

    /// From the register, or from a write to it.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, !0xf_ffe1, "reserved (63:20, 4:1)")?;
        Ok(Self { command: bits(value, 5, 15) as u32, retry: bits(value, 0, 1) == 1 })
    }
}
