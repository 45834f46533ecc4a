//! The kernel's ELF file: which bytes go where, with which access.
//!
//! `xmas-elf` reads the headers. It asserts that what it reads is in the file and aligned, so this
//! module checks those two before it asks: no file may make the stub panic. Only the headers go
//! through it, from an aligned copy, since a file inside an archive is aligned to four bytes only.

use crate::{PAGE, page_down, page_up};
use core::fmt;
use core::ops::Range;
use heapless::Vec;
use xmas_elf::ElfFile;
use xmas_elf::header::{Class, Data, Machine as ElfMachine, Type as FileType};
use xmas_elf::program::{ProgramHeader, Type};

/// The Limine protocol loads executables at this address or above it, and nowhere else.
pub const KERNEL_SPACE: u64 = 0xffff_ffff_8000_0000;

/// The most loadable segments that a kernel may have.
pub const MAX_SEGMENTS: usize = 16;

/// The headers must lie in this many bytes at the start of the file, as linkers put them.
const HEADERS: usize = 4096;

/// Size of an ELF64 program header.
const PROGRAM_HEADER: usize = 56;

/// The machine that a kernel is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// A PC.
    X86_64,
    /// A 64-bit Arm machine.
    Aarch64,
}

impl Machine {
    const fn number(self) -> ElfMachine {
        match self {
            Self::X86_64 => ElfMachine::X86_64,
            Self::Aarch64 => ElfMachine::AArch64,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

/// What a kernel may do with a segment. Writable and executable at once is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and execute.
    ReadExecute,
    /// Read and write.
    ReadWrite,
}

/// A loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first virtual address.
    pub start: u64,
    /// The virtual address after its last byte.
    pub end: u64,
    /// Where its bytes are in the file.
    pub offset: usize,
    /// How many there are; the rest of the segment is zero.
    pub file_size: usize,
    /// How to map it.
    pub access: Access,
}

impl Segment {
    /// The pages that it touches.
    pub const fn pages(&self) -> Range<u64> {
        // `end` was checked to be at most a page short of the end of the address space.
        page_down(self.start)..page_down(self.end + (PAGE - 1))
    }
}

/// Why a file is not a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// No ELF header.
    NotElf,
    /// Not a little-endian 64-bit file for this machine.
    WrongMachine(Machine),
    /// Position independent or relocatable; the kernel is linked at a fixed address.
    NotExecutable,
    /// The program headers are missing, damaged, or not at the start of the file.
    BadProgramHeaders,
    /// More than [`MAX_SEGMENTS`] segments.
    TooManySegments,
    /// A segment reaches past the end of the file, or has more bytes than room for them.
    SegmentCut,
    /// A segment lies outside the top 2 GiB.
    SegmentOutOfRange,
    /// A segment is writable and executable, or not readable.
    BadAccess,
    /// Two segments share a page.
    SegmentsOverlap,
    /// The entry point is not in an executable segment.
    BadEntry,
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotElf => "it is not an ELF file",
            Self::WrongMachine(machine) => {
                return write!(f, "it is not a 64-bit ELF file for {machine}");
            }
            Self::NotExecutable => "it is not linked at a fixed address (link with --no-pie)",
            Self::BadProgramHeaders => "its program headers are missing or damaged",
            Self::TooManySegments => "it has more than 16 loadable segments",
            Self::SegmentCut => "a segment reaches past the end of the file (truncated?)",
            Self::SegmentOutOfRange => {
                "a segment lies outside 0xffffffff80000000 and up (link with boot/kernel.ld)"
            }
            Self::BadAccess => "a segment is writable and executable, or unreadable",
            Self::SegmentsOverlap => "two segments share a page (link with boot/kernel.ld)",
            Self::BadEntry => "its entry point is not in an executable segment",
        })
    }
}

/// A checked kernel file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The loadable segments, sorted by address.
    pub segments: Vec<Segment, MAX_SEGMENTS>,
    /// Where it starts.
    pub entry: u64,
}

/// The copy of the file's start that `xmas-elf` reads, aligned for its structures.
#[repr(C, align(8))]
struct Headers([u8; HEADERS]);

impl Kernel {
    /// Checks a file and lists its segments.
    pub fn parse(file: &[u8], machine: Machine) -> Result<Self, ElfError> {
        let mut headers = Headers([0; HEADERS]);
        let length = file.len().min(HEADERS);
        headers.0[..length].copy_from_slice(&file[..length]);
        let elf = ElfFile::new(&headers.0[..length]).map_err(|_| ElfError::NotElf)?;

        let (pt1, pt2) = (elf.header.pt1, elf.header.pt2);
        if pt1.class() != Class::SixtyFour
            || pt1.data() != Data::LittleEndian
            || pt2.machine().as_machine() != machine.number()
        {
            return Err(ElfError::WrongMachine(machine));
        }
        if pt2.type_().as_type() != FileType::Executable {
            return Err(ElfError::NotExecutable);
        }
        check_table(&pt2, length)?;

        let mut segments = Vec::new();
        for index in 0..pt2.ph_count() {
            let header = elf.program_header(index).map_err(|_| ElfError::BadProgramHeaders)?;
            let kind = header.get_type().map_err(|_| ElfError::BadProgramHeaders)?;
            match kind {
                Type::Load if header.mem_size() > 0 => {
                    let segment = check_segment(&header, file.len())?;
                    segments.push(segment).map_err(|_| ElfError::TooManySegments)?;
                }
                Type::Interp | Type::Dynamic => return Err(ElfError::NotExecutable),
                _ => {}
            }
        }
        segments.sort_unstable_by_key(|segment| segment.start);
        if segments.is_empty() {
            return Err(ElfError::BadProgramHeaders);
        }
        if segments.windows(2).any(|pair| pair[0].pages().end > pair[1].pages().start) {
            return Err(ElfError::SegmentsOverlap);
        }
        let kernel = Self { segments, entry: pt2.entry_point() };
        kernel.check_entry(kernel.entry)?;
        Ok(kernel)
    }

    /// The pages of the image, from the first segment to the last, gaps included: the protocol
    /// promises the kernel that it lies in one piece of physical memory.
    pub fn image(&self) -> Range<u64> {
        match (self.segments.first(), self.segments.last()) {
            (Some(first), Some(last)) => first.pages().start..last.pages().end,
            _ => 0..0,
        }
    }

    /// Size of [`Kernel::image`] in bytes.
    pub fn image_size(&self) -> u64 {
        let image = self.image();
        image.end - image.start
    }

    /// Lays the segments of `file`, the one that was parsed, out in `image`, which has
    /// [`Kernel::image_size`] bytes; everything else becomes zero.
    pub fn load(&self, file: &[u8], image: &mut [u8]) -> Result<(), ElfError> {
        image.fill(0);
        let base = self.image().start;
        for segment in &self.segments {
            let from = file
                .get(segment.offset..segment.offset + segment.file_size)
                .ok_or(ElfError::SegmentCut)?;
            let start = (segment.start - base) as usize;
            image
                .get_mut(start..start + segment.file_size)
                .ok_or(ElfError::SegmentCut)?
                .copy_from_slice(from);
        }
        Ok(())
    }

    /// Checks that the kernel can be entered at `address`.
    pub fn check_entry(&self, address: u64) -> Result<(), ElfError> {
        let inside = |segment: &Segment| {
            segment.access == Access::ReadExecute && (segment.start..segment.end).contains(&address)
        };
        if self.segments.iter().any(inside) { Ok(()) } else { Err(ElfError::BadEntry) }
    }
}

/// Checks what `xmas-elf` asserts when it reads a program header: size, place and alignment.
fn check_table(pt2: &xmas_elf::header::HeaderPt2<'_>, length: usize) -> Result<(), ElfError> {
    let size = usize::from(pt2.ph_count()) * PROGRAM_HEADER;
    let fits = usize::try_from(pt2.ph_offset())
        .ok()
        .and_then(|offset| offset.checked_add(size))
        .is_some_and(|end| end <= length);
    let read =
        usize::from(pt2.ph_entry_size()) == PROGRAM_HEADER && pt2.ph_offset().is_multiple_of(8);
    if fits && read { Ok(()) } else { Err(ElfError::BadProgramHeaders) }
}

fn check_segment(header: &ProgramHeader<'_>, file: usize) -> Result<Segment, ElfError> {
    let offset = usize::try_from(header.offset()).map_err(|_| ElfError::SegmentCut)?;
    let file_size = usize::try_from(header.file_size()).map_err(|_| ElfError::SegmentCut)?;
    let file_end = offset.checked_add(file_size).ok_or(ElfError::SegmentCut)?;
    if file_end > file || header.file_size() > header.mem_size() {
        return Err(ElfError::SegmentCut);
    }
    let start = header.virtual_addr();
    // The last page stays free, so that the rounding of an end never wraps around.
    let end = start
        .checked_add(header.mem_size())
        .filter(|&end| start >= KERNEL_SPACE && page_up(end).is_some())
        .ok_or(ElfError::SegmentOutOfRange)?;
    let flags = header.flags();
    let access = match (flags.is_read(), flags.is_write(), flags.is_execute()) {
        (true, false, false) => Access::Read,
        (true, false, true) => Access::ReadExecute,
        (true, true, false) => Access::ReadWrite,
        _ => return Err(ElfError::BadAccess),
    };
    Ok(Segment { start, end, offset, file_size, access })
}
