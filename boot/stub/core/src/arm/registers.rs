//! Values of the system registers with which the kernel starts: Limine protocol, "Machine state at
//! entry, aarch64" and "Caching, aarch64". Fields are those of the Arm ARM, chapter D24.

/// Places in `MAIR_EL1`.
pub mod attribute {
    /// Normal memory, write-back, read and write allocate, not transient: the kernel's and the
    /// direct map's.
    pub const MEMORY: u64 = 0;
    /// Device memory, no gathering, no reordering, no early acknowledgement: the console's.
    pub const DEVICE: u64 = 1;
}

/// `MAIR_EL1`: 0xff is write-back memory, 0x00 is Device-nGnRnE.
pub const MAIR: u64 = 0xff << (8 * attribute::MEMORY);

/// The bits of `SCTLR_EL1` that were reserved as one in the first version of the architecture. All
/// else is zero: little-endian, no alignment checks, MMU and caches off.
pub const SCTLR_OFF: u64 = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11;

/// With MMU (bit 0), data cache (2), instruction cache (12) and the checks of the stack pointer's
/// alignment (3 and 4) on.
pub const SCTLR_ON: u64 = SCTLR_OFF | 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 12;

/// `SCTLR_EL2` before the stub leaves EL2: the bits that are reserved as one, all else off.
pub const SCTLR_EL2_OFF: u64 =
    1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 18 | 1 << 16 | 1 << 11 | 1 << 5 | 1 << 4;

/// `SPSR` to run at EL1 with the stack pointer of EL1 and everything masked: the stub.
pub const SPSR_STUB: u64 = 0x3c5;

/// The same with the stack pointer of EL0, as the protocol wants it: the kernel.
pub const SPSR_KERNEL: u64 = 0x3c4;

/// The bit of `TCR_EL1` that turns the lower half of the address space off.
pub const TCR_NO_LOWER_HALF: u64 = 1 << 7;
/// And the upper half.
pub const TCR_NO_UPPER_HALF: u64 = 1 << 23;

/// `TCR_EL1` for a processor whose `ID_AA64MMFR0_EL1` is `features`: 48 bits of address in either
/// half, 4 KiB pages, tables in inner-shareable write-back memory. `None`: it has no 4 KiB pages.
pub const fn tcr(features: u64) -> Option<u64> {
    const T0SZ: u64 = 16;
    const T1SZ: u64 = 16 << 16;
    // Inner and outer write-back, read and write allocate (1 each), inner shareable (3).
    const WALKS: u64 = 1 | 1 << 2 | 3 << 4;
    // 4 KiB is 0 for the lower half and 2 for the upper one.
    const TG1: u64 = 2 << 30;
    // TGran4, bits 31:28: 15 says that there are none.
    if features >> 28 & 0xf == 0xf {
        return None;
    }
    // Physical addresses of more than 48 bits (5) need another format of tables.
    let range = features & 0xf;
    let range = if range > 5 { 5 } else { range };
    Some(T0SZ | T1SZ | WALKS << 8 | WALKS << 24 | TG1 | range << 32)
}
