//! The registers that interrupt remapping uses, §11.4 (§10.4 before revision 4).

use super::{Malformed, bits, reject};

/// Byte offsets in the unit's register page, §11.4 table.
pub mod offset {
    /// VER_REG, 32 bits: architecture version.
    pub const VERSION: u16 = 0x00;
    /// CAP_REG, 64 bits.
    pub const CAPABILITY: u16 = 0x08;
    /// ECAP_REG, 64 bits.
    pub const EXTENDED_CAPABILITY: u16 = 0x10;
    /// GCMD_REG, 32 bits, write only.
    pub const GLOBAL_COMMAND: u16 = 0x18;
    /// GSTS_REG, 32 bits, read only.
    pub const GLOBAL_STATUS: u16 = 0x1c;
    /// FSTS_REG, 32 bits.
    pub const FAULT_STATUS: u16 = 0x34;
    /// FECTL_REG, 32 bits.
    pub const FAULT_CONTROL: u16 = 0x38;
    /// FEDATA_REG, 32 bits.
    pub const FAULT_DATA: u16 = 0x3c;
    /// FEADDR_REG, 32 bits.
    pub const FAULT_ADDRESS: u16 = 0x40;
    /// FEUADDR_REG, 32 bits.
    pub const FAULT_UPPER_ADDRESS: u16 = 0x44;
    /// IQH_REG, 64 bits, read only.
    pub const QUEUE_HEAD: u16 = 0x80;
    /// IQT_REG, 64 bits.
    pub const QUEUE_TAIL: u16 = 0x88;
    /// IQA_REG, 64 bits.
    pub const QUEUE_ADDRESS: u16 = 0x90;
    /// IRTA_REG, 64 bits.
    pub const TABLE_ADDRESS: u16 = 0xb8;
}

/// FECTL_REG.IM: the fault event is masked.
pub(crate) const FAULT_CONTROL_MASK: u32 = 1 << 31;

/// CAP_REG, §11.4.2: what concerns interrupts and faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability(u64);

impl Capability {
    /// From the register. Every value is legal.
    pub const fn decode(value: u64) -> Self {
        Self(value)
    }

    /// RWBF (4): the write buffer must be flushed before an entry made present is seen. An
    /// invalidation does that as well (§6.8).
    pub const fn write_buffer_flush(self) -> bool {
        bits(self.0, 4, 1) == 1
    }

    /// CM (7): entries that are not present may be cached, so making one present needs an
    /// invalidation too (§6.1).
    pub const fn caching_mode(self) -> bool {
        bits(self.0, 7, 1) == 1
    }

    /// FRO (33:24): where the fault records begin, in bytes.
    pub const fn fault_record_offset(self) -> u16 {
        bits(self.0, 24, 10) as u16 * 16
    }

    /// NFR (47:40) + 1: how many fault records there are, 1..=256.
    pub const fn fault_records(self) -> u16 {
        bits(self.0, 40, 8) as u16 + 1
    }
}

/// ECAP_REG, §11.4.3: what concerns interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtendedCapability(u64);

impl ExtendedCapability {
    /// From the register. Every value is legal.
    pub const fn decode(value: u64) -> Self {
        Self(value)
    }

    /// C (0): the unit's reads of the table snoop the processor's caches.
    pub const fn coherent(self) -> bool {
        bits(self.0, 0, 1) == 1
    }

    /// QI (1): queued invalidation.
    pub const fn queued_invalidation(self) -> bool {
        bits(self.0, 1, 1) == 1
    }

    /// IR (3): interrupt remapping.
    pub const fn interrupt_remapping(self) -> bool {
        bits(self.0, 3, 1) == 1
    }

    /// EIM (4): 32-bit APIC ids.
    pub const fn extended_mode(self) -> bool {
        bits(self.0, 4, 1) == 1
    }

    /// MHMV (23:20): the largest mask of an index-selective invalidation.
    pub const fn maximum_handle_mask(self) -> u8 {
        bits(self.0, 20, 4) as u8
    }
}

/// GSTS_REG, §11.4.5, and the same bits as commands in GCMD_REG, §11.4.4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GlobalStatus(u32);

impl GlobalStatus {
    /// TES / TE: DMA translation.
    pub const TRANSLATION: u32 = 1 << 31;
    /// QIES / QIE: queued invalidation.
    pub const QUEUED_INVALIDATION: u32 = 1 << 26;
    /// IRES / IRE: interrupt remapping.
    pub const INTERRUPT_REMAPPING: u32 = 1 << 25;
    /// IRTPS / SIRTP: the table's address has been taken.
    pub const TABLE_POINTER: u32 = 1 << 24;
    /// CFIS / CFI: compatibility format passes unremapped.
    pub const COMPATIBILITY: u32 = 1 << 23;
    /// The bits of the status that are states, not acknowledgements of one-time commands.
    /// A command carries them along, because it replaces all of them at once: §11.4.4 gives
    /// this mask and the rule to change one bit at a time.
    const STATES: u32 = 0x96ff_ffff;

    /// From the register. Every value is legal.
    pub const fn decode(value: u32) -> Self {
        Self(value)
    }

    /// Whether a bit is set.
    pub const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// The command that sets one more bit.
    pub const fn command_set(self, bit: u32) -> u32 {
        self.0 & Self::STATES | bit
    }

    /// The command that clears one bit.
    pub const fn command_clear(self, bit: u32) -> u32 {
        self.0 & Self::STATES & !bit
    }
}

/// FSTS_REG, §11.4.9.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultStatus(u32);

impl FaultStatus {
    /// PFO (0): faults were lost; write 1 to clear.
    pub const OVERFLOW: u32 = 1;
    /// PPF (1): some fault record is valid; read only.
    pub const PENDING: u32 = 1 << 1;
    /// IQE (4): a descriptor was refused and the queue stands still; write 1 to clear.
    pub const QUEUE_ERROR: u32 = 1 << 4;
    /// ICE (5): an invalid completion from a device; write 1 to clear.
    pub const COMPLETION_ERROR: u32 = 1 << 5;
    /// ITE (6): a device did not answer an invalidation; write 1 to clear.
    pub const TIMEOUT_ERROR: u32 = 1 << 6;
    /// The three that stop the queue.
    pub const QUEUE_ERRORS: u32 = Self::QUEUE_ERROR | Self::COMPLETION_ERROR | Self::TIMEOUT_ERROR;

    /// From the register. Every value is legal.
    pub const fn decode(value: u32) -> Self {
        Self(value)
    }

    /// Which of `mask`'s bits are set.
    pub const fn of(self, mask: u32) -> u32 {
        self.0 & mask
    }

    /// FRI (15:8): the record that the first pending fault went to.
    pub const fn first_record(self) -> u16 {
        bits(self.0 as u64, 8, 8) as u16
    }
}

/// IRTA_REG, §11.4: 63:12 address, 11 EIME, 3:0 S with 2^(S+1) entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableAddress {
    /// Bus address, a multiple of 4096.
    pub address: u64,
    /// EIME: 32-bit APIC ids in the entries.
    pub extended: bool,
    /// The table has 2^entries_log2 entries, 1..=16.
    pub entries_log2: u8,
}

impl TableAddress {
    /// The register's value.
    pub const fn encode(self) -> u64 {
        self.address & !0xfff | (self.extended as u64) << 11 | (self.entries_log2 as u64 - 1) & 15
    }

    /// From the register.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, 0x7f0, "reserved (10:4)")?;
        Ok(Self {
            address: value & !0xfff,
            extended: bits(value, 11, 1) == 1,
            entries_log2: bits(value, 0, 4) as u8 + 1,
        })
    }
}

/// IQA_REG, §11.4: 63:12 address, 11 DW (256-bit descriptors), 2:0 QS with 2^QS pages
/// of 256 descriptors of 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueAddress {
    /// Bus address, a multiple of 4096.
    pub address: u64,
    /// The queue has 2^pages_log2 pages, 0..=7.
    pub pages_log2: u8,
}

impl QueueAddress {
    /// The register's value, with 128-bit descriptors.
    pub const fn encode(self) -> u64 {
        self.address & !0xfff | self.pages_log2 as u64 & 7
    }

    /// From the register. 256-bit descriptors are not used here and refused.
    pub fn decode(value: u64) -> Result<Self, Malformed> {
        reject(value, 0x800, "DW")?;
        reject(value, 0x7f8, "reserved (10:3)")?;
        Ok(Self { address: value & !0xfff, pages_log2: bits(value, 0, 3) as u8 })
    }
}
