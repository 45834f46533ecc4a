//! How addresses are translated: the values of the registers that say so, the same on every CPU
//! (DDI 0487, D8.2 and D19.2).

use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, ID_AA64MMFR2_EL1, Readable};
use kernel_core::stage1::Memory;

/// Place in `MAIR_EL1` of ordinary memory.
pub const NORMAL: u64 = Memory::Normal as u64;
/// Place in `MAIR_EL1` of device registers: `Device-nGnRE`.
pub const DEVICE: u64 = Memory::Device as u64;

/// Normal memory, write-back, allocating on reads and writes.
pub const NORMAL_BYTE: u8 = 0xff;
/// Not gathered, not reordered, acknowledged early.
pub const DEVICE_BYTE: u8 = 0x04;

/// `MAIR_EL1`.
pub const MAIR: u64 = (NORMAL_BYTE as u64) << (8 * NORMAL) | (DEVICE_BYTE as u64) << (8 * DEVICE);

/// `TCR_EL1`, the half that is about `TTBR0_EL1`: 48 bits, pages of 4 KiB, tables read through
/// the caches, inner shareable.
pub const LOWER: u64 = 16 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12;
/// The half about `TTBR1_EL1`, the same.
const UPPER: u64 = 16 << 16 | 0b01 << 24 | 0b01 << 26 | 0b11 << 28 | 0b10 << 30;
const ASID_16_BITS: u64 = 1 << 36;
/// `E0PD1`: what user mode tries in the kernel's half faults without a look at the tables, always
/// in the same time.
const USER_NO_UPPER: u64 = 1 << 56;
/// 48 bits of physical address: the most that these tables can express.
const MOST_PHYSICAL: u64 = 0b101;

/// `SCTLR_EL1`, by name; what is not named stays zero.
mod sctlr {
    pub const MMU: u64 = 1;
    pub const DATA_CACHE: u64 = 1 << 2;
    pub const STACK_ALIGNMENT: u64 = 1 << 3;
    pub const USER_STACK_ALIGNMENT: u64 = 1 << 4;
    /// Exception entry and return synchronize; a one where there is no choice.
    pub const SYNCHRONIZING: u64 = 1 << 11 | 1 << 22;
    pub const INSTRUCTION_CACHE: u64 = 1 << 12;
    /// A one where there is no choice: AArch32 in EL0, load and store multiple.
    pub const RESERVED: u64 = 1 << 7 | 1 << 8 | 1 << 20 | 1 << 28 | 1 << 29;
    /// What can be written can not be executed, whatever the tables say.
    pub const WRITE_OR_EXECUTE: u64 = 1 << 19;
    /// User mode may wait for events, as loops that spin do. It may not wait for interrupts:
    /// the kernel knows better what to run meanwhile.
    pub const USER_EVENTS: u64 = 1 << 18;
    /// User mode may zero by cache lines, read how long they are, and write them back: servers
    /// own memory that devices read past the caches.
    pub const USER_CACHES: u64 = 1 << 14 | 1 << 15 | 1 << 26;
}

/// `SCTLR_EL1` with everything on. `SPAN`, which is zero, has every entry forbid the kernel to
/// touch user pages through their mapping, where the CPU has PAN.
pub const ON: u64 = sctlr::MMU
    | sctlr::DATA_CACHE
    | sctlr::STACK_ALIGNMENT
    | sctlr::USER_STACK_ALIGNMENT
    | sctlr::SYNCHRONIZING
    | sctlr::INSTRUCTION_CACHE
    | sctlr::RESERVED
    | sctlr::WRITE_OR_EXECUTE
    | sctlr::USER_EVENTS
    | sctlr::USER_CACHES;
/// `SCTLR_EL1` before there are tables.
pub const OFF: u64 = sctlr::SYNCHRONIZING | sctlr::RESERVED;

/// How many bits an ASID has.
pub fn asid_bits() -> u32 {
    if ID_AA64MMFR0_EL1.get() >> 4 & 0xf == 0 { 8 } else { 16 }
}

/// `TCR_EL1`.
pub fn tcr() -> u64 {
    let physical = (ID_AA64MMFR0_EL1.get() & 0xf).min(MOST_PHYSICAL) << 32;
    let asids = if asid_bits() == 16 { ASID_16_BITS } else { 0 };
    let no_upper = if ID_AA64MMFR2_EL1.get() >> 60 != 0 { USER_NO_UPPER } else { 0 };
    LOWER | UPPER | physical | asids | no_upper
}
