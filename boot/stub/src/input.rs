//! What the stub starts from, read, checked and ordered by the architecture.

use boot_stub_core::memory::Memory;
use core::ops::Range;
use heapless::Vec;

/// The longest command line that is passed on; QEMU's option ROM has a buffer of this size.
pub const COMMAND_LINE: usize = 4096;

/// The kernel's command line, without its NUL.
pub type CommandLine = Vec<u8, COMMAND_LINE>;

/// Everything that the stub starts from. What the firmware passes may lie in memory that the stub
/// hands out later, so all of it but the bundle is copied.
pub struct Input {
    /// The memory map; the stub and `borrowed` are marked as in use.
    pub memory: Memory,
    /// Where the firmware has put the bundle, and what else is free once the modules are copied.
    pub borrowed: [Range<u64>; 2],
    /// The bundle.
    pub bundle: &'static [u8],
    /// The kernel's command line.
    pub command_line: CommandLine,
    /// Physical address of the ACPI root pointer.
    pub rsdp: Option<u64>,
    /// Physical address of the stub's copy of the device tree.
    pub device_tree: Option<u64>,
}
