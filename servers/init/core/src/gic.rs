//! The parts of an Arm machine's interrupt controller that are handed out, and all that no
//! PCI window may have. Arm GIC architecture specification, IHI 0069H, chapter 12.

use tocsin_firmware::arm::{Affinity, Platform};

use crate::windows::Range;

/// Bytes of a frame of registers (§12.10, §12.18).
pub const FRAME_BYTES: u64 = 0x1_0000;
/// Offset of GICR_TYPER in a redistributor's first frame, RD_base (§12.11).
pub const TYPER: u64 = 0x8;
/// GICR_TYPER: the redistributor has frames for virtual LPIs (VLPIS, bit 1), and it is the
/// last of its region (bit 4).
const VIRTUAL_LPIS: u64 = 1 << 1;
const LAST: u64 = 1 << 4;

/// Physical address of a CPU's redistributor. `typer` reads the GICR_TYPER of the
/// redistributor at an address; where it can not, the rest of that region is unknown.
pub fn redistributor(
    platform: &Platform,
    cpu: Affinity,
    mut typer: impl FnMut(u64) -> Option<u64>,
) -> Option<u64> {
    for region in &platform.gic.redistributors {
        let end = region.range.base.saturating_add(region.range.size);
        let mut at = region.range.base;
        // Two frames are the least that a redistributor has.
        while end.saturating_sub(at) >= 2 * FRAME_BYTES {
            let Some(value) = typer(at) else { break };
            if (value >> 32) as u32 == cpu.bits() {
                return Some(at);
            }
            if value & LAST != 0 {
                break;
            }
            let frames = if value & VIRTUAL_LPIS != 0 { 4 } else { 2 };
            at = at.saturating_add(region.stride.unwrap_or(frames * FRAME_BYTES));
        }
    }
    // Where firmware names them one by one it names no regions.
    platform.cpus.iter().find(|known| known.affinity == cpu).and_then(|known| known.redistributor)
}

/// Everything of the platform that is not for PCI devices.
pub fn taken(platform: &Platform) -> impl Iterator<Item = Range> {
    let gic = &platform.gic;
    let of = |range: tocsin_firmware::arm::Range| Range::new(range.base, range.size);
    let each = platform.cpus.iter().filter_map(|cpu| cpu.redistributor);
    [of(gic.distributor)]
        .into_iter()
        .chain(gic.redistributors.iter().map(move |region| of(region.range)))
        .chain(each.map(|base| Range::new(base, 2 * FRAME_BYTES)))
        .chain(gic.its.iter().map(move |its| of(its.range)))
        .chain(gic.mbi.alias.map(|base| Range::new(base, FRAME_BYTES)))
        .chain(platform.console.iter().map(move |console| of(console.range)))
}
