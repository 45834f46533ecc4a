//! The header of an arm64 `Image`, by which QEMU and U-Boot know where to put it and that it wants a
//! device tree: Linux, Documentation/arch/arm64/booting.rst, "Call the kernel image". The image's
//! size is known to the linker only; the stub's `entry.s` writes the header.

/// Bytes of the header.
pub const SIZE: usize = 64;

/// The magic at byte 56, `ARM\x64`.
pub const MAGIC: u32 = 0x644d_5241;

/// Where the image wants to lie, from an address that is a multiple of 2 MiB.
pub const TEXT_OFFSET: u64 = 0;

/// The image is little-endian (bit 0 clear), has 4 KiB pages (bits 2:1 are 1), and may lie anywhere
/// in memory (bit 3).
pub const FLAGS: u64 = 1 << 1 | 1 << 3;
