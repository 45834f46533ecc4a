//! Makers of well-formed input, for the tests to damage.
#![allow(dead_code, reason = "each test binary uses a part of these helpers")]

pub mod tree;

/// One entry of a "newc" archive.
pub fn cpio_entry(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let mut entry = b"070701".to_vec();
    let fields = [7, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    for field in fields {
        entry.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    entry.extend_from_slice(name.as_bytes());
    entry.push(0);
    entry.resize(entry.len().next_multiple_of(4), 0);
    entry.extend_from_slice(data);
    entry.resize(entry.len().next_multiple_of(4), 0);
    entry
}

/// Mode of a regular file.
pub const FILE: u32 = 0o100_644;

/// An archive with a trailer.
pub fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive: Vec<u8> =
        files.iter().flat_map(|(name, data)| cpio_entry(name, FILE, data)).collect();
    archive.extend(cpio_entry("TRAILER!!!", 0, b""));
    archive
}

/// A program header of a kernel file.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Segment type.
    pub kind: u32,
    /// R = 4, W = 2, X = 1.
    pub flags: u32,
    /// Virtual address.
    pub start: u64,
    /// Size in memory.
    pub size: u64,
    /// Bytes in the file, each of them `fill`.
    pub file_size: u64,
    /// See `file_size`.
    pub fill: u8,
}

/// Lowest address of a kernel.
pub const BASE: u64 = 0xffff_ffff_8000_0000;

/// Code, constants, data with a bss.
pub const LOADS: [Load; 3] = [
    Load { kind: 1, flags: 5, start: BASE, size: 0x1800, file_size: 0x1800, fill: 1 },
    Load { kind: 1, flags: 4, start: BASE + 0x2000, size: 0x10, file_size: 0x10, fill: 2 },
    Load { kind: 1, flags: 6, start: BASE + 0x3008, size: 0x2000, file_size: 0x18, fill: 3 },
];

/// An ELF64 executable for x86_64 with these segments.
pub fn elf(entry: u64, loads: &[Load]) -> Vec<u8> {
    elf_for(62, entry, loads)
}

/// One for the machine of this number; the layout is the ELF specification's.
pub fn elf_for(machine: u16, entry: u64, loads: &[Load]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for word in [entry, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, loads.len() as u16, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    assert_eq!(file.len(), 64);
    let mut offset = 64 + 56 * loads.len() as u64;
    for load in loads {
        file.extend(load.kind.to_le_bytes());
        file.extend(load.flags.to_le_bytes());
        for word in [offset, load.start, load.start, load.file_size, load.size, 0x1000] {
            file.extend(word.to_le_bytes());
        }
        offset += load.file_size;
    }
    for load in loads {
        file.extend(std::iter::repeat_n(load.fill, load.file_size as usize));
    }
    file
}
