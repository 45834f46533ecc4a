//! The interrupt controller: a GICv3 or GICv4 (Arm IHI 0069H).
//!
//! The kernel owns the CPU interfaces, the private interrupts, and the distributor until all
//! is up; LPIs and the settings of SPIs are the interrupt server's.

mod distributor;
mod frame;
mod interface;
mod redistributor;

use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tocsin_abi::Trigger;
use tocsin_abi::limits::MAX_CPUS;
use tocsin_firmware::arm::{Affinity, Platform};

use self::frame::{FRAME_BYTES, Frame};
use self::redistributor::Redistributor;
use super::{clock, vectors};

pub use interface::{acknowledge, deactivate, end};

/// The software-generated interrupt by which CPUs poke each other.
pub const POKE: u32 = 1;

// The lower the number, the higher the priority; the upper four bits exist on every GIC, also
// as the non-secure side sees them (4.8). The poke comes last: a CPU that answers one has taken
// every device's interrupt before it.
/// Of SPIs; the interrupt server gives LPIs the same.
const DEVICE_PRIORITY: u8 = 0xa0;
const TIMER_PRIORITY: u8 = 0xc0;
const POKE_PRIORITY: u8 = 0xe0;
/// Lower than all of them. With two security states a priority is stored halved, in the lower half
/// of all, and the mask is too or is not, as `SCR_EL3.FIQ` says: 0xf0 could be no lower than 0xe0.
const PRIORITY_MASK: u64 = 0xff;

/// How long a redistributor or distributor may take for anything.
const PATIENCE_MS: u64 = 1000;

static AFFINITIES: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];
static REDISTRIBUTORS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static TIMER: AtomicU32 = AtomicU32::new(0);
static LPIS: AtomicBool = AtomicBool::new(false);

fn every_byte(value: u8) -> u32 {
    u32::from_ne_bytes([value; 4])
}

fn wait(done: impl Fn() -> bool) -> bool {
    clock::wait_ms(PATIENCE_MS, done)
}

/// The frames that this module touches, to be mapped, each once: firmware may name a CPU's own
/// beside the region that it lies in.
pub fn frames(platform: &Platform) -> impl Iterator<Item = Range<u64>> {
    let distributor = platform.gic.distributor.base;
    let regions = || platform.gic.redistributors.iter().map(|region| region.range);
    let is_new = move |start: &u64| {
        let end = start + 2 * FRAME_BYTES;
        !regions().any(|region| region.base <= *start && end <= region.base + region.size)
    };
    let own = platform.cpus.iter().filter_map(|cpu| cpu.redistributor).filter(is_new);
    let own = own.map(|start| start..start + 2 * FRAME_BYTES);
    let regions = regions().map(|region| region.base..region.base + region.size);
    core::iter::once(distributor..distributor + FRAME_BYTES).chain(regions).chain(own)
}

/// Brings the distributor up, for the CPU that calls.
pub fn init(platform: &Platform) -> Result<(), &'static str> {
    // SAFETY: the firmware says that it is there, and `frames` that it must stay mapped.
    let frame = unsafe { Frame::new(platform.gic.distributor.base) };
    let abilities = distributor::init(frame, super::own_affinity())?;
    LPIS.store(abilities.lpis, Ordering::Relaxed);
    if abilities.lpis {
        vectors::init(abilities.intids);
    }
    TIMER.store(platform.virtual_timer, Ordering::Relaxed);
    Ok(())
}

/// Notes that CPU `index` is this one, if it has a redistributor.
pub fn assign(platform: &Platform, index: usize, cpu: Affinity) -> Result<(), &'static str> {
    // SAFETY: as for the distributor.
    let redistributor = unsafe { Redistributor::find(platform, cpu) };
    let redistributor = redistributor.ok_or("firmware names no redistributor for it")?;
    REDISTRIBUTORS[index].store(redistributor.address, Ordering::Relaxed);
    AFFINITIES[index].store(cpu.bits(), Ordering::Release);
    Ok(())
}

/// Turns on this CPU's part of it; `assign` has been called.
pub fn enable_this_cpu(index: usize) -> Result<(), &'static str> {
    let address = REDISTRIBUTORS[index].load(Ordering::Relaxed);
    // SAFETY: `assign` has found it there.
    let redistributor = unsafe { Redistributor::new(address) };
    redistributor.init(timer())?;
    interface::enable()
}

/// The redistributor of CPU `index`, if that CPU has been found.
fn redistributor(index: usize) -> Option<Redistributor> {
    let address = REDISTRIBUTORS.get(index)?.load(Ordering::Relaxed);
    if address == 0 {
        return None;
    }
    // SAFETY: not zero, so `assign` has found it there.
    Some(unsafe { Redistributor::new(address) })
}

/// Makes a private interrupt of CPU `index` inactive, from any CPU.
pub fn deactivate_private(index: usize, intid: u32) {
    if let Some(redistributor) = redistributor(index) {
        redistributor.deactivate(intid);
    }
}

/// Turns a private interrupt of CPU `index` on, edge or level, or off.
pub fn set_private(index: usize, intid: u32, comes: Option<Trigger>) {
    let Some(redistributor) = redistributor(index) else { return };
    match comes {
        Some(trigger) => redistributor.enable(intid, trigger),
        None => redistributor.disable(intid),
    }
}

/// INTID of the CPU's own timer.
#[inline(always)]
pub fn timer() -> u32 {
    TIMER.load(Ordering::Relaxed)
}

/// Whether an INTID says that there is no interrupt, or none for us (2.2).
pub const fn is_none(intid: u32) -> bool {
    intid >= 1020 && intid < 1024
}

/// Whether the GIC has LPIs.
pub fn has_lpis() -> bool {
    LPIS.load(Ordering::Relaxed)
}

/// Affinity of CPU `index`.
pub fn affinity(index: usize) -> Affinity {
    Affinity::from_bits(AFFINITIES[index % MAX_CPUS].load(Ordering::Acquire))
}

/// Makes CPU `index` come into the kernel.
pub fn poke(index: usize) {
    interface::send_poke(affinity(index));
}
