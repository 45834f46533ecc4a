//! The distributor: brought up once, then the interrupt server's (Arm IHI 0069H, 12.9).

use tocsin_firmware::arm::Affinity;

use super::frame::Frame;
use super::{DEVICE_PRIORITY, every_byte, wait};

const CONTROL: u64 = 0x0000;
const TYPE: u64 = 0x0004;
const GROUP: u64 = 0x0080;
const CLEAR_ENABLE: u64 = 0x0180;
const CLEAR_PENDING: u64 = 0x0280;
const CLEAR_ACTIVE: u64 = 0x0380;
const PRIORITY: u64 = 0x0400;
const GROUP_MODIFIER: u64 = 0x0d00;
const ROUTE: u64 = 0x6000;
const PERIPHERAL_ID: u64 = 0xffe8;

/// `GICD_CTLR`, as it looks from the non-secure side or where there is one security state.
const ENABLE_GROUP_0: u32 = 1;
const ENABLE_GROUP_1: u32 = 1 << 1;
const AFFINITY_ROUTING: u32 = 1 << 4;
const WRITE_PENDING: u32 = 1 << 31;
/// `GICD_TYPER.ITLinesNumber`: registers of 32 interrupts each, less one.
const LINES: u32 = 0x1f;
/// `GICD_TYPER.LPIS`.
const LPIS: u32 = 1 << 17;
/// `GICD_TYPER.IDbits`: bits of an INTID, less one; at most 24.
const ID_BITS_SHIFT: u32 = 19;
/// INTIDs below are SGIs and PPIs, which are the redistributors' affair.
const FIRST_SPI: u64 = 32;
/// Behind the last SPI.
const SPI_END: u64 = 1020;

/// What the machine has.
#[derive(Clone, Copy)]
pub struct Abilities {
    /// Interrupts that are kept in memory and made by messages.
    pub lpis: bool,
    /// How many INTIDs there are.
    pub intids: u32,
}

/// Brings the distributor up with every SPI off, in group 1, at the devices' priority and on
/// its way to `cpu`.
pub fn init(frame: Frame, cpu: Affinity) -> Result<Abilities, &'static str> {
    // GICD_PIDR2.ArchRev.
    let version = frame.read(PERIPHERAL_ID) >> 4 & 0xf;
    if !(3..=4).contains(&version) {
        return Err("the distributor is not that of a GICv3 or GICv4");
    }
    // Groups off before anything else changes. Affinity routing must never be turned off
    // again once it is on (GICD_CTLR.ARE_NS).
    let routing = frame.read(CONTROL) & AFFINITY_ROUTING;
    frame.write(CONTROL, routing);
    settle(frame)?;
    frame.write(CONTROL, AFFINITY_ROUTING);
    settle(frame)?;
    if frame.read(CONTROL) & AFFINITY_ROUTING == 0 {
        return Err("the GIC's affinity routing can not be turned on: firmware keeps it off");
    }
    let kind = frame.read(TYPE);
    let end = (u64::from(kind & LINES) + 1) * 32;
    for first in (FIRST_SPI..end).step_by(32) {
        let bits = first / 8;
        frame.write(CLEAR_ENABLE + bits, u32::MAX);
        frame.write(GROUP + bits, u32::MAX);
        frame.write(GROUP_MODIFIER + bits, 0);
        frame.write(CLEAR_PENDING + bits, u32::MAX);
        frame.write(CLEAR_ACTIVE + bits, u32::MAX);
    }
    settle(frame)?;
    for first in (FIRST_SPI..end).step_by(4) {
        frame.write(PRIORITY + first, every_byte(DEVICE_PRIORITY));
    }
    for intid in FIRST_SPI..end.min(SPI_END) {
        // `GICD_IROUTER<n>` has the affinity as `MPIDR_EL1` has it; to one CPU.
        frame.write_long(ROUTE + 8 * intid, cpu.mpidr());
    }
    frame.write(CONTROL, AFFINITY_ROUTING | ENABLE_GROUP_1);
    settle(frame)?;
    let control = frame.read(CONTROL);
    if control & ENABLE_GROUP_1 == 0 || control & ENABLE_GROUP_0 != 0 {
        return Err("the distributor does not do what is written to its control register");
    }
    let id_bits = (kind >> ID_BITS_SHIFT & 0x1f) + 1;
    Ok(Abilities { lpis: kind & LPIS != 0, intids: 1 << id_bits.min(24) })
}

/// Waits until what was written counts.
fn settle(frame: Frame) -> Result<(), &'static str> {
    if wait(|| frame.read(CONTROL) & WRITE_PENDING == 0) {
        Ok(())
    } else {
        Err("the distributor does not finish a register write (GICD_CTLR.RWP stays set)")
    }
}
