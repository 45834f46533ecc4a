//! Which parts of a program's ELF file go where: the checks of a program loader, without
//! the loading.
//!
//! `init` starts the servers with this, `testd` starts its victims. A file that comes
//! from a boot module has a checksum, but a loader that believes an offset because a
//! checksum was right is one bug away from being fooled, so everything is checked here.

use crate::arch::ELF_MACHINE;
use alloc::vec::Vec;
use tocsin_abi::Rights;
use tocsin_abi::limits::{PAGE_BYTES, USER_END, USER_START};
use xmas_elf::ElfFile;
use xmas_elf::header::{Class, Data, Type as FileType};
use xmas_elf::program::Type as SegmentType;

/// Bytes of an ELF64 file header.
const HEADER_BYTES: usize = 64;
/// Bytes of an ELF64 program header.
const PROGRAM_HEADER_BYTES: u16 = 56;
/// Program headers that a program may have; ours have three or four.
const MAX_PROGRAM_HEADERS: u16 = 16;

/// Why a file is not a program that can be loaded here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElfError {
    /// Shorter than its own headers say, or not an ELF file at all.
    NotElf,
    /// Not a static little-endian 64-bit program for this machine.
    WrongMachine,
    /// A segment lies outside the file, outside user space or over another one.
    BadSegment,
    /// A segment is writable and executable.
    WriteExecute,
    /// The entry point is not inside an executable segment.
    BadEntry,
}

/// One part of the file and the pages it becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// First address, page aligned.
    pub address: u64,
    /// Bytes of memory, a multiple of the page size.
    pub size_bytes: u64,
    /// Where in those pages the file's bytes begin (the first address may be unaligned).
    pub skip_bytes: u64,
    /// Where the bytes are in the file.
    pub file_offset: u64,
    /// How many there are; the rest of the memory is zero.
    pub file_bytes: u64,
    /// `READ`, with `WRITE` or `EXECUTE` or neither.
    pub protection: Rights,
}

/// A checked program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// Address of the first instruction.
    pub entry: u64,
    /// Its segments in the order of the file.
    pub segments: Vec<Segment>,
}

impl Image {
    /// Checks `file`, whose first byte must be aligned to 8 (a mapped module is).
    ///
    /// # Errors
    /// The first rule that the file breaks.
    pub fn parse(file: &[u8]) -> Result<Image, ElfError> {
        let header_count = check_headers(file)?;
        let elf = ElfFile::new(file).map_err(|_| ElfError::NotElf)?;
        let is_program =
            matches!(elf.header.pt2.type_().as_type(), FileType::Executable) && header_count > 0;
        let is_ours = elf.header.pt1.class() == Class::SixtyFour
            && elf.header.pt1.data() == Data::LittleEndian
            && u16::from_le_bytes([file[18], file[19]]) == ELF_MACHINE;
        if !is_program || !is_ours {
            return Err(ElfError::WrongMachine);
        }
        let mut segments: Vec<Segment> = Vec::new();
        for header in elf.program_iter() {
            match header.get_type() {
                Ok(SegmentType::Load) if header.mem_size() > 0 => {
                    let segment = segment(&header, file.len() as u64)?;
                    if segments.iter().any(|other| overlap(other, &segment)) {
                        return Err(ElfError::BadSegment);
                    }
                    segments.push(segment);
                }
                // A static program has no interpreter and nothing to relocate.
                Ok(SegmentType::Interp | SegmentType::Dynamic) => {
                    return Err(ElfError::WrongMachine);
                }
                _ => {}
            }
        }
        let entry = elf.header.pt2.entry_point();
        let entry_runs = segments.iter().any(|s| {
            s.protection.contains(Rights::EXECUTE)
                && entry >= s.address
                && entry - s.address < s.size_bytes
        });
        if entry_runs { Ok(Image { entry, segments }) } else { Err(ElfError::BadEntry) }
    }
}

/// Checks what `xmas-elf` would index without asking, and counts the program headers.
fn check_headers(file: &[u8]) -> Result<u16, ElfError> {
    let header = file.get(..HEADER_BYTES).ok_or(ElfError::NotElf)?;
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if header[..4] != *b"\x7fELF" || header[4] != 2 || header[5] != 1 {
        return Err(ElfError::NotElf);
    }
    // ELF64 header: e_phoff at 32, e_phentsize at 54, e_phnum at 56.
    let mut offset = [0; 8];
    offset.copy_from_slice(&header[32..40]);
    let offset = u64::from_le_bytes(offset);
    let (entry_bytes, count) = (half(54), half(56));
    let table_bytes = u64::from(count) * u64::from(entry_bytes);
    let end = offset.checked_add(table_bytes).ok_or(ElfError::NotElf)?;
    let fits = count <= MAX_PROGRAM_HEADERS
        && entry_bytes == PROGRAM_HEADER_BYTES
        && offset >= HEADER_BYTES as u64
        && offset.is_multiple_of(8)
        && end <= file.len() as u64;
    if fits { Ok(count) } else { Err(ElfError::NotElf) }
}

/// The pages of one program header.
fn segment(
    header: &xmas_elf::program::ProgramHeader<'_>,
    file_len: u64,
) -> Result<Segment, ElfError> {
    let flags = header.flags();
    if flags.is_write() && flags.is_execute() {
        return Err(ElfError::WriteExecute);
    }
    let (start, size) = (header.virtual_addr(), header.mem_size());
    let end = start.checked_add(size).ok_or(ElfError::BadSegment)?;
    let file_end = header.offset().checked_add(header.file_size()).ok_or(ElfError::BadSegment)?;
    if start < USER_START || end > USER_END || file_end > file_len || header.file_size() > size {
        return Err(ElfError::BadSegment);
    }
    let address = start / PAGE_BYTES * PAGE_BYTES;
    let mut protection = Rights::READ;
    protection.set(Rights::WRITE, flags.is_write());
    protection.set(Rights::EXECUTE, flags.is_execute());
    Ok(Segment {
        address,
        size_bytes: (end - address).next_multiple_of(PAGE_BYTES),
        skip_bytes: start - address,
        file_offset: header.offset(),
        file_bytes: header.file_size(),
        protection,
    })
}

/// True when two segments share a page.
fn overlap(a: &Segment, b: &Segment) -> bool {
    a.address < b.address + b.size_bytes && b.address < a.address + a.size_bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// One program header: type, flags, offset, address, bytes in the file, in memory.
    type Header = (u32, u32, u64, u64, u64, u64);

    const TEXT: Header = (1, 5, 0x1000, 0x40_0000, 0x10, 0x10);
    const DATA: Header = (1, 6, 0x1010, 0x40_1000, 0x10, 0x2001);

    /// An aligned file, made by hand from the ELF-64 object file format, version 1.5.
    fn file(entry: u64, headers: &[Header]) -> Vec<u64> {
        let mut bytes = vec![0u8; 0x2000];
        bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        bytes[16] = 2; // ET_EXEC
        bytes[18..20].copy_from_slice(&ELF_MACHINE.to_le_bytes());
        bytes[20] = 1; // version
        bytes[24..32].copy_from_slice(&entry.to_le_bytes());
        bytes[32] = 64; // e_phoff
        bytes[52] = 64; // e_ehsize
        bytes[54] = 56; // e_phentsize
        bytes[56] = headers.len() as u8;
        for (n, h) in headers.iter().enumerate() {
            let at = 64 + 56 * n;
            bytes[at..at + 4].copy_from_slice(&h.0.to_le_bytes());
            bytes[at + 4..at + 8].copy_from_slice(&h.1.to_le_bytes());
            for (field, value) in [h.2, h.3, h.3, h.4, h.5, 0x1000].into_iter().enumerate() {
                let at = at + 8 + 8 * field;
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        let words = bytes.chunks_exact(8);
        words.map(|w| u64::from_le_bytes(w.try_into().expect("eight bytes"))).collect()
    }

    fn parse(entry: u64, headers: &[Header]) -> Result<Image, ElfError> {
        let words = file(entry, headers);
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        with_aligned(&bytes, Image::parse)
    }

    /// Runs `f` on a copy of `bytes` whose first byte is aligned to 8.
    fn with_aligned<T>(bytes: &[u8], f: impl Fn(&[u8]) -> T) -> T {
        let mut room = vec![0u8; bytes.len() + 8];
        let skip = room.as_ptr().align_offset(8);
        room[skip..skip + bytes.len()].copy_from_slice(bytes);
        f(&room[skip..skip + bytes.len()])
    }

    #[test]
    fn a_program_becomes_its_pages() {
        let image = parse(0x40_0004, &[TEXT, DATA]).expect("a good program");
        assert_eq!(image.entry, 0x40_0004);
        assert_eq!(image.segments[0].protection, Rights::READ | Rights::EXECUTE);
        let data = image.segments[1];
        assert_eq!((data.address, data.size_bytes), (0x40_1000, 0x3000));
        assert_eq!((data.file_offset, data.file_bytes, data.skip_bytes), (0x1010, 0x10, 0));
        assert_eq!(data.protection, Rights::READ | Rights::WRITE);
    }

    #[test]
    fn each_rule_is_enforced() {
        let entry = 0x40_0000;
        let refused = |headers: &[Header]| parse(entry, headers).expect_err("must be refused");
        assert_eq!(refused(&[(1, 7, 0x1000, entry, 1, 1)]), ElfError::WriteExecute);
        assert_eq!(refused(&[TEXT, (1, 6, 0x1000, entry, 1, 1)]), ElfError::BadSegment);
        assert_eq!(refused(&[(1, 5, 0x1ff0, entry, 0x11, 0x11)]), ElfError::BadSegment);
        assert_eq!(refused(&[(1, 5, 0x1000, entry, 2, 1)]), ElfError::BadSegment);
        assert_eq!(refused(&[(1, 5, 0x1000, 0x1000, 1, 1)]), ElfError::BadSegment);
        assert_eq!(refused(&[(1, 5, 0x1000, USER_END, 1, 1)]), ElfError::BadSegment);
        assert_eq!(refused(&[(1, 5, 0x1000, u64::MAX, 1, 2)]), ElfError::BadSegment);
        assert_eq!(refused(&[TEXT, (3, 4, 0x1000, 0x50_0000, 1, 1)]), ElfError::WrongMachine);
        assert_eq!(refused(&[DATA]), ElfError::BadEntry);
        assert_eq!(refused(&[]), ElfError::WrongMachine);
        assert_eq!(parse(0x40_1000, &[TEXT, DATA]), Err(ElfError::BadEntry));
    }

    #[test]
    fn a_program_for_another_machine_is_refused() {
        let mut bytes: Vec<u8> =
            file(0x40_0000, &[TEXT]).iter().flat_map(|w| w.to_le_bytes()).collect();
        assert!(with_aligned(&bytes, Image::parse).is_ok());
        bytes[18] ^= 1;
        assert_eq!(with_aligned(&bytes, Image::parse), Err(ElfError::WrongMachine));
    }

    #[test]
    fn cut_and_scrambled_files_never_panic() {
        let words = file(0x40_0000, &[TEXT, DATA]);
        let good: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        for len in (0..200).chain([0xfff, 0x1000, 0x101f]) {
            assert!(with_aligned(&good[..len], Image::parse).is_err(), "{len}");
        }
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut bad = good.clone();
            bad[(seed >> 33) as usize % 176] = (seed >> 56) as u8;
            let _ = with_aligned(&bad, Image::parse);
        }
    }
}
