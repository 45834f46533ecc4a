//! Vectors are INTIDs (Arm IHI 0069H, 2.2): SPIs, which have wires, and LPIs, which have
//! messages. All CPUs share them.

use core::sync::atomic::{AtomicU32, Ordering};

use kernel_core::VectorSpace;
use tocsin_abi::Error;

use super::gic;

const FIRST_SPI: u32 = 32;
/// Behind the last SPI that a GIC can have.
const SPI_END: u32 = 1020;
const FIRST_LPI: u32 = 8192;
/// Behind the last number that a vector can be.
const VECTOR_END: u32 = 1 << 16;
/// Places of SPIs in the vector table; those of LPIs follow.
const SPI_PLACES: u32 = SPI_END - FIRST_SPI;

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

/// The vectors that devices can have. Between SPIs and LPIs there are numbers that are neither.
#[must_use]
pub fn vector_space() -> VectorSpace {
    let last = match LPI_END.load(Ordering::Relaxed) {
        FIRST_LPI => SPI_END,
        end => end,
    };
    VectorSpace { first: FIRST_SPI as u16, last: (last - 1) as u16, is_shared: true }
}

/// Size of the vector table.
#[must_use]
pub fn vector_places() -> usize {
    (SPI_PLACES + LPI_END.load(Ordering::Relaxed) - FIRST_LPI) as usize
}

/// Where a vector is in the table, on any CPU.
#[inline(always)]
#[must_use]
pub const fn vector_place(_cpu: usize, vector: u16) -> usize {
    let intid = vector as u32;
    if is_lpi(intid) {
        (intid - FIRST_LPI + SPI_PLACES) as usize
    } else if is_spi(intid) {
        (intid - FIRST_SPI) as usize
    } else {
        usize::MAX
    }
}

/// Whether a vector can be level triggered: an SPI can.
///
/// # Errors
/// `BadArgument` for an LPI.
pub const fn check_level(vector: u16) -> Result<(), Error> {
    if is_spi(vector as u32) { Ok(()) } else { Err(Error::BadArgument) }
}

/// Makes an SPI inactive, so that it can be raised again. Any CPU can, whichever took it.
pub fn complete(vector: u16) {
    let intid = u32::from(vector);
    if is_spi(intid) {
        gic::deactivate(intid);
    }
}
