//! What A64 can do, below any language, and what only machines with a GIC have.
//!
//! Fault codes are exception classes, ESR_EL1.EC (Arm ARM DDI 0487, ESR_EL1).

use core::arch::asm;

use crate::harness::Test;

mod attacks;
mod private;
mod private_lines;
mod wire;

pub use attacks::ATTACKS;

/// Tests of what other architectures do not have.
pub const KERNEL_TESTS: &[Test] = wire::TESTS;
/// The same of the servers.
pub const SERVER_TESTS: &[Test] = private_lines::TESTS;

/// Code of a load or store that is not allowed: a data abort.
pub const DATA_FAULT: u64 = 0x24;
/// Code of an instruction that must not be fetched: an instruction abort.
pub const FETCH_FAULT: u64 = 0x20;

/// An SPI behind all those that QEMU's `virt` has given to devices.
pub const UNUSED_LINE: u32 = 200;

/// Vectors are INTIDs.
pub const VECTORS_ARE_SHARED: bool = true;
/// The kernel knows INTIDs of 16 bits.
pub const LAST_VECTOR: u64 = 0xffff;
/// SGIs, the PPI of the kernel's timer, and what lies between SPIs and LPIs (Arm IHI 0069H,
/// §2.2).
pub const NO_VECTORS: &[u64] = &[1, 15, 27, 1020, 1023, 1024, 4095, 8191];

/// The first LPI.
const LPI: u64 = 8192;

/// The first LPI, or SPI on a machine without LPIs. Its SPIs are off, whatever has them.
pub fn first_quiet_vector(first: u64, last: u64) -> u64 {
    if last >= LPI { LPI } else { first }
}

/// SPIs can.
pub fn can_be_level(vector: u64) -> bool {
    vector < LPI
}

/// All SPIs and a thousand LPIs.
pub fn vectors(_first: u64, last: u64) -> impl Iterator<Item = u64> {
    (32..1020).chain(LPI..LPI + 1000).take_while(move |vector| *vector <= last)
}

/// Made-up pairs, after the pattern of a good one: GITS_TRANSLATER and an event.
pub fn forged_pairs(address: u64, data: u32) -> impl Iterator<Item = (u64, u32)> {
    // Events that the device does not have, some with a number of more bits than there are.
    let events = [0x4000 | data, 0x7fff, 0xffff, 0x1_0000 | data, 1 << 31, u32::MAX];
    let events = events.map(|event| (address, event));
    // Around the register, at 0x40 of its frame, there is nothing (Arm IHI 0069H, §12.18).
    let beside = [address - 0x40, address - 4, address + 4, address + 0x40].map(|at| (at, data));
    // SPIs by message: GICD_SETSPI_NSR and GICD_SETSPI_SR, which a distributor with
    // GICD_TYPER.MBIS has; LPIs without an ITS: GICR_SETLPIR of the first redistributor.
    let spis = [0x40, 0x50]
        .into_iter()
        .flat_map(|register| [40, 200, 1019].map(|intid| (DISTRIBUTOR + register, intid)));
    let lpis = [8192, 8193, 9000].map(|lpi| (DISTRIBUTOR + 0xa_0040, lpi));
    events.into_iter().chain(beside).chain(spis).chain(lpis)
}

/// The distributor's address on the machines that have PCI here (and nobody's in user space).
const DISTRIBUTOR: u64 = 0x0800_0000;

/// The virtual counter, which the kernel's clock is made of. `isb` keeps the reading from
/// being taken early (Arm ARM DDI 0487 §D12.2.2).
pub fn counter() -> u64 {
    let ticks;
    // SAFETY: reads a counter; user mode may.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack)) };
    ticks
}

/// Reads eight bytes from anywhere.
pub fn load(address: u64) -> u64 {
    let value;
    // SAFETY: reads memory only. A bad address is the point: the CPU faults and the
    // kernel ends this process, which exists for that.
    unsafe { asm!("ldr {}, [{}]", out(reg) value, in(reg) address, options(nostack, readonly)) };
    value
}

/// Writes eight bytes to anywhere.
pub fn store(address: u64, value: u64) {
    // SAFETY: callers pass addresses that must fault, or memory they mapped for this and
    // that no Rust object lives in.
    unsafe { asm!("str {1}, [{0}]", in(reg) address, in(reg) value, options(nostack)) };
}

/// Writes four bytes to a device's register, after everything that was written before: the
/// device may read that.
pub fn store32(address: u64, value: u32) {
    // SAFETY: as for `store`.
    unsafe { asm!("dmb sy", "str {1:w}, [{0}]", in(reg) address, in(reg) value, options(nostack)) };
}

/// Executes whatever is at `address`, with a return address in the link register.
pub fn jump(address: u64) {
    // SAFETY: either the address is not executable, and the process ends, or the caller
    // put a `ret` there.
    unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) };
}

/// Machine code of `ret`.
pub const RETURN: u64 = 0xd65f_03c0;
