//! Memory-mapped registers of the GIC.

use crate::mm;

/// Bytes of a frame of registers: distributor, `RD_base`, `SGI_base` (GIC 12.8, 12.10).
pub const FRAME_BYTES: u64 = 0x1_0000;

/// One 64 KiB frame of registers. What touching a register does stands with its name.
#[derive(Clone, Copy)]
pub struct Frame(*mut u8);

impl Frame {
    /// The frame at a physical address.
    ///
    /// # Safety
    /// The range must be a GIC's registers, and stay in the direct map, as a device's, for
    /// good.
    pub unsafe fn new(physical: u64) -> Self {
        Self(mm::direct(physical))
    }

    fn at<T>(self, offset: u64) -> *mut T {
        debug_assert!(offset.is_multiple_of(size_of::<T>() as u64));
        self.0.wrapping_add((offset % FRAME_BYTES) as usize).cast()
    }

    /// Reads a register of 32 bits.
    pub fn read(self, offset: u64) -> u32 {
        // SAFETY: within the frame, which `new` was promised to be registers; none of those
        // read here has an effect when read.
        unsafe { self.at::<u32>(offset).read_volatile() }
    }

    /// Reads a register of 64 bits.
    pub fn read_long(self, offset: u64) -> u64 {
        // SAFETY: as in `read`.
        unsafe { self.at::<u64>(offset).read_volatile() }
    }

    /// Writes a register of 32 bits.
    pub fn write(self, offset: u64, value: u32) {
        // SAFETY: within the frame. The kernel owns these registers: no write to them can
        // touch memory (those that lead the GIC to memory belong to the interrupt server).
        unsafe { self.at::<u32>(offset).write_volatile(value) };
    }

    /// Writes a register of 64 bits.
    pub fn write_long(self, offset: u64, value: u64) {
        // SAFETY: as in `write`.
        unsafe { self.at::<u64>(offset).write_volatile(value) };
    }
}
