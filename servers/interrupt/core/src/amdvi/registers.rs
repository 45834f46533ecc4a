//! The registers that interrupt remapping uses, §3.4.

use super::{bits, reject};
use crate::vtd::Malformed;

/// Byte offsets in the unit's register page. All have 64 bits.
pub mod offset {
    /// Device Table Base Address.
    pub const DEVICE_TABLE: u16 = 0x0000;
    /// Command Buffer Base Address.
    pub const COMMAND_BASE: u16 = 0x0008;
    /// Event Log Base Address.
    pub const EVENT_BASE: u16 = 0x0010;
    /// IOMMU Control.
    pub const CONTROL: u16 = 0x0018;
    /// IOMMU Extended Feature.
    pub const FEATURES: u16 = 0x0030;
    /// IOMMU Extended Feature 2.
    pub const FEATURES_2: u16 = 0x01a0;
    /// Command Buffer Head Pointer: the unit's.
    pub const COMMAND_HEAD: u16 = 0x2000;
    /// Command Buffer Tail Pointer: software's.
    pub const COMMAND_TAIL: u16 = 0x2008;
    /// Event Log Head Pointer: software's.
    pub const EVENT_HEAD: u16 = 0x2010;
    /// Event Log Tail Pointer: the unit's.
    pub const EVENT_TAIL: u16 = 0x2018;
    /// IOMMU Status.
    pub const STATUS: u16 = 0x2020;
}

/// IOMMU Control, MMIO 0018h: the bits that this server writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Control(u64);

impl Control {
    /// IommuEn.
    pub const ENABLED: u64 = 1;
    /// EventLogEn.
    pub const EVENT_LOG: u64 = 1 << 2;
    /// Coherent: reads of the device table snoop.
    pub const COHERENT: u64 = 1 << 10;
    /// CmdBufEn.
    pub const COMMANDS: u64 = 1 << 12;
    /// GAEn: interrupt table entries have 128 bits.
    pub const WIDE_ENTRIES: u64 = 1 << 17;
    /// NumIntRemapMode (44:43) = 01: tables of up to 2048 entries.
    pub const LARGE_TABLES: u64 = 1 << 43;
    /// XTEn: destinations have 32 bits.
    pub const X2APIC: u64 = 1 << 50;
    /// Interrupts of the unit itself, and all that works through them: EventIntEn,
    /// ComWaitIntEn, PPRLogEn, PPRIntEn, PPREn, GALogEn, GAIntEn.
    const OTHERS: u64 = 0x3000_e018;

    /// From the register. Every value is legal.
    pub const fn decode(value: u64) -> Self {
        Self(value)
    }

    /// The register's value.
    pub const fn encode(self) -> u64 {
        self.0
    }

    /// Whether any of these bits is set.
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits != 0
    }

    /// With these bits.
    pub const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits)
    }

    /// Without these bits.
    pub const fn without(self, bits: u64) -> Self {
        Self(self.0 & !bits)
    }

    /// What firmware chose for the bus (HtTunEn, PassPW, Isoc, time-outs), and nothing of
    /// what this server decides.
    pub const fn idle(self) -> Self {
        let modes = Self::WIDE_ENTRIES | 0b11 << 43 | Self::X2APIC;
        self.without(Self::ENABLED | Self::EVENT_LOG | Self::COMMANDS | Self::OTHERS | modes)
    }
}

/// IOMMU Status, MMIO 2020h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(u64);

impl Status {
    /// EventOverflow, write 1 to clear: the log was full, and logging has stopped.
    pub const OVERFLOW: u64 = 1;
    /// EventLogInt, write 1 to clear.
    pub const EVENT: u64 = 1 << 1;
    /// EventLogRun.
    pub const LOG_RUNS: u64 = 1 << 3;
    /// CmdBufRun: clear also when the unit stands still at a command.
    pub const COMMANDS_RUN: u64 = 1 << 4;

    /// From the register. Every value is legal.
    pub const fn decode(value: u64) -> Self {
        Self(value)
    }

    /// Whether any of these bits is set.
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits != 0
    }
}

/// IOMMU Extended Feature registers, MMIO 0030h and 01A0h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features {
    first: u64,
    second: u64,
}

impl Features {
    /// From the registers. Every value is legal; units without them read as zero.
    pub const fn decode(first: u64, second: u64) -> Self {
        Self { first, second }
    }

    /// XTSup (2): 32-bit APIC ids.
    pub const fn x2apic(self) -> bool {
        bits(self.first, 2, 1) == 1
    }

    /// IASup (6): INVALIDATE_IOMMU_ALL.
    pub const fn invalidate_all(self) -> bool {
        bits(self.first, 6, 1) == 1
    }

    /// GASup (7): 128-bit entries.
    pub const fn wide_entries(self) -> bool {
        bits(self.first, 7, 1) == 1
    }

    /// NumIntRemapSup (9:8 of the second) = 01: tables of 2048 entries. Else 512.
    pub const fn large_tables(self) -> bool {
        bits(self.second, 8, 2) == 1
    }
}

/// Device Table Base Address, MMIO 0000h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceTableBase {
    /// A multiple of 4096, below 2^52.
    pub address: u64,
    /// Size in pages of 4096 bytes, 1 to 512.
    pub pages: u16,
}

impl DeviceTableBase {
    /// The register's value.
    pub const fn encode(self) -> u64 {
        self.address & 0x000f_ffff_ffff_f000 | (self.pages as u64 - 1) & 0x1ff
    }

    /// Strictly.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, 0xfff0_0000_0000_0e00, "reserved (63:52, 11:9)")?;
        Ok(Self { address: value & !0xfff, pages: bits(value, 0, 9) as u16 + 1 })
    }
}

/// Command Buffer or Event Log Base Address, MMIO 0008h and 0010h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferBase {
    /// A multiple of 4096, below 2^52.
    pub address: u64,
    /// Log2 of its entries of 16 bytes, 8 to 15.
    pub entries_log2: u8,
}

impl BufferBase {
    /// The register's value.
    pub const fn encode(self) -> u64 {
        self.address & 0x000f_ffff_ffff_f000 | (self.entries_log2 as u64 & 0xf) << 56
    }

    /// Strictly.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, 0xf0f0_0000_0000_0fff, "reserved (63:60, 55:52, 11:0)")?;
        let entries_log2 = bits(value, 56, 4) as u8;
        if entries_log2 < 8 {
            return Err(Malformed { field: "ComLen or EventLen" });
        }
        Ok(Self { address: value & 0x000f_ffff_ffff_f000, entries_log2 })
    }
}
