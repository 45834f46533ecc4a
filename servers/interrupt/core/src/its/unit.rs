//! One ITS: what it needs, and what it is when it is in service.

/// A 64 KiB frame of registers: the ITS control frame, or a redistributor's RD_base. The
/// accesses have the width that their names say, reach the device in program order, and are
/// not merged.
pub trait ItsRegisters {
    /// Reads 32 bits.
    fn read32(&mut self, offset: u16) -> u32;
    /// Writes 32 bits.
    fn write32(&mut self, offset: u16, value: u32);
    /// Reads 64 bits.
    fn read64(&mut self, offset: u16) -> u64;
    /// Writes 64 bits. All earlier writes to DMA memory are visible to the GIC before it
    /// (on aarch64: DSB).
    fn write64(&mut self, offset: u16, value: u64);
}
