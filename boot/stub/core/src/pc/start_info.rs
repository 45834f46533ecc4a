//! What a virtual machine monitor passes to a PVH kernel.
//!
//! Layouts: Xen's `public/arch-x86/hvm/start_info.h`. All numbers are little-endian. Addresses are
//! physical, and an address of zero means "not present".

use crate::memory::{Claim, Kind};

/// "xEn3" with bit 7 of the "E" set.
pub const MAGIC: u32 = 0x336e_c578;

/// Bytes of a version 1 `hvm_start_info`.
pub const SIZE: usize = 56;

/// The `hvm_start_info` structure, version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartInfo {
    /// Number of modules; the first is QEMU's `-initrd`.
    pub modules: u32,
    /// Array of [`Module`].
    pub module_list: u64,
    /// NUL-terminated command line, or zero.
    pub command_line: u64,
    /// ACPI root pointer, or zero.
    pub rsdp: u64,
    /// Array of [`MapEntry`].
    pub memory_map: u64,
    /// Number of entries in the memory map.
    pub memory_map_entries: u32,
}

/// Why the bytes are not a usable start info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartInfoError {
    /// The magic is missing: not entered through PVH.
    BadMagic,
    /// Version 0, which has no memory map.
    NoMemoryMapVersion,
}

impl StartInfo {
    /// Decodes the structure at the address that was in `ebx` at entry.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, StartInfoError> {
        if u32_at(bytes, 0) != MAGIC {
            return Err(StartInfoError::BadMagic);
        }
        if u32_at(bytes, 4) < 1 {
            return Err(StartInfoError::NoMemoryMapVersion);
        }
        Ok(Self {
            modules: u32_at(bytes, 12),
            module_list: u64_at(bytes, 16),
            command_line: u64_at(bytes, 24),
            rsdp: u64_at(bytes, 32),
            memory_map: u64_at(bytes, 40),
            memory_map_entries: u32_at(bytes, 48),
        })
    }
}

/// One module: `hvm_modlist_entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Where it lies.
    pub base: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl Module {
    /// Bytes of an entry in the list.
    pub const SIZE: usize = 32;

    /// Decodes one entry; a module's own command line is not used by QEMU.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        Self { base: u64_at(bytes, 0), size: u64_at(bytes, 8) }
    }
}

/// One line of the memory map: `hvm_memmap_table_entry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapEntry {
    /// Start, with no promise of alignment.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// E820 type, ACPI specification 6.5, table 15.2.
    pub kind: u32,
}

impl MapEntry {
    /// Bytes of an entry in the map.
    pub const SIZE: usize = 24;

    /// Decodes one entry.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        Self { base: u64_at(bytes, 0), size: u64_at(bytes, 8), kind: u32_at(bytes, 16) }
    }

    /// What it says, in the words of the memory map.
    pub const fn claim(self) -> Claim {
        Claim { base: self.base, size: self.size, kind: Kind::from_e820(self.kind) }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
