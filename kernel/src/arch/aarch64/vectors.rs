//! Vectors are INTIDs (Arm IHI 0069H, 2.2): SPIs, which have wires, and LPIs, which have
//! messages. All CPUs share them. Of PPIs, which have wires as well, every CPU has its own.

use core::sync::atomic::{AtomicU32, Ordering};

use kernel_core::VectorSpace;
use tocsin_abi::limits::MAX_CPUS;
use tocsin_abi::{Error, Trigger};

use super::gic;

const FIRST_PPI: u32 = 16;
/// Each CPU's.
const PPIS: u32 = FIRST_SPI - FIRST_PPI;
const FIRST_SPI: u32 = 32;
/// Behind the last SPI that a GIC can have.
const SPI_END: u32 = 1020;
const FIRST_LPI: u32 = 8192;
/// Behind the last number that a vector can be.
const VECTOR_END: u32 = 1 << 16;
/// Places of SPIs in the vector table; those of LPIs follow.
const SPI_PLACES: u32 = SPI_END - FIRST_SPI;
/// Places of all CPUs' PPIs, before them.
const PPI_PLACES: u32 = PPIS * MAX_CPUS as u32;

/// Behind the last LPI that this machine has.
static LPI_END: AtomicU32 = AtomicU32::new(FIRST_LPI);

/// Notes how many INTIDs there are, where there are LPIs.
pub fn init(intids: u32) {
    LPI_END.store(intids.clamp(FIRST_LPI, VECTOR_END), Ordering::Relaxed);
}

/// Whether it is an LPI that a vector can be.
#[inline(always)]
pub const fn is_lpi(intid: u32) -> bool {
    intid.wrapping_sub(FIRST_LPI) < VECTOR_END - FIRST_LPI
}

/// Whether it is an SPI.
pub const fn is_spi(intid: u32) -> bool {
    intid >= FIRST_SPI && intid < SPI_END
}

/// Whether it is a PPI.
pub const fn is_ppi(intid: u32) -> bool {
    intid >= FIRST_PPI && intid < FIRST_SPI
}

/// The vectors that devices can have. Between SPIs and LPIs there are numbers that are neither.
#[must_use]
pub fn vector_space() -> VectorSpace {
    let last = match LPI_END.load(Ordering::Relaxed) {
        FIRST_LPI => SPI_END,
        end => end,
    };
    VectorSpace {
        first: FIRST_SPI as u16,
        last: (last - 1) as u16,
        is_shared: true,
        private: (FIRST_PPI as u16, FIRST_SPI as u16),
        own: gic::timer() as u16,
    }
}

/// Size of the vector table.
#[must_use]
pub fn vector_places() -> usize {
    (PPI_PLACES + SPI_PLACES + LPI_END.load(Ordering::Relaxed) - FIRST_LPI) as usize
}

/// Where a vector is in the table, on any CPU.
#[inline(always)]
#[must_use]
pub const fn vector_place(cpu: usize, vector: u16) -> usize {
    let intid = vector as u32;
    if is_lpi(intid) {
        (intid - FIRST_LPI + PPI_PLACES + SPI_PLACES) as usize
    } else if is_spi(intid) {
        (intid - FIRST_SPI + PPI_PLACES) as usize
    } else if is_ppi(intid) && cpu < MAX_CPUS {
        (intid - FIRST_PPI) as usize + PPIS as usize * cpu
    } else {
        usize::MAX
    }
}

/// Whether a vector can be level triggered: an SPI or a PPI can.
///
/// # Errors
/// `BadArgument` for an LPI.
pub const fn check_level(vector: u16) -> Result<(), Error> {
    let is_wire = is_spi(vector as u32) || is_ppi(vector as u32);
    if is_wire { Ok(()) } else { Err(Error::BadArgument) }
}

/// Makes an SPI inactive, so that it can be raised again: any CPU can, whichever took it. A PPI
/// is inactive by its own CPU's redistributor, which any CPU can reach.
pub fn complete(cpu: usize, vector: u16) {
    let intid = u32::from(vector);
    if is_spi(intid) {
        gic::deactivate(intid);
    } else if is_ppi(intid) {
        gic::deactivate_private(cpu, intid);
    }
}

/// Turns a CPU's PPI on, edge or level, or off.
pub fn set_private(cpu: usize, vector: u16, comes: Option<Trigger>) {
    let intid = u32::from(vector);
    if is_ppi(intid) && intid != gic::timer() {
        gic::set_private(cpu, intid, comes);
    }
}
