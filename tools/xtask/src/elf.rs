//! Built programs without what is not loaded: smaller ELF files, and flat images.
//!
//! No objcopy: the host's knows its own architecture only, and little is wanted of it.

use anyhow::{Context, Result, anyhow, bail, ensure};
use xmas_elf::ElfFile;
use xmas_elf::header::HeaderPt2;
use xmas_elf::program::{ProgramHeader, Type};

/// Where the Linux `Image` header has its magic number, and that number (Linux,
/// Documentation/arch/arm64/booting.rst, "4. Call the kernel image").
const IMAGE_MAGIC: (usize, &[u8]) = (0x38, b"ARM\x64");
/// A stub with a hole as large as this was linked wrongly.
const LARGEST_IMAGE: u64 = 64 << 20;

/// `file` up to the end of its last segment, without section headers: linkers put the sections
/// that are not loaded (debug information, symbols) behind all segments.
pub fn strip(file: &[u8]) -> Result<Vec<u8>> {
    let segments = segments(file)?;
    let end = segments.iter().map(|segment| segment.offset() + segment.file_size()).max();
    let end = end.context("the program has no segments")?;
    let mut kept = piece(file, 0, end)?.to_vec();
    // ELF-64 Object File Format 1.5, figure 2: e_shoff, then e_shnum and e_shstrndx.
    for field in [0x28..0x30, 0x3c..0x40] {
        kept.get_mut(field).context("the program is shorter than its header")?.fill(0);
    }
    Ok(kept)
}

/// The segments of `file` as they lie in memory, from the lowest address to the last byte that
/// is in the file: a Linux `Image`, which must have its header.
pub fn flatten(file: &[u8]) -> Result<Vec<u8>> {
    let segments = segments(file)?;
    let loaded = || segments.iter().filter(|segment| segment.get_type() == Ok(Type::Load));
    let base = loaded().map(ProgramHeader::physical_addr).min();
    let base = base.context("the program has no segments")?;
    let mut image = Vec::new();
    for segment in loaded().filter(|segment| segment.file_size() > 0) {
        let start = segment.physical_addr() - base;
        ensure!(start + segment.file_size() <= LARGEST_IMAGE, "its segments are too far apart");
        let bytes = piece(file, segment.offset(), segment.offset() + segment.file_size())?;
        let (start, end) = (start as usize, start as usize + bytes.len());
        image.resize(image.len().max(end), 0);
        image[start..end].copy_from_slice(bytes);
    }
    let (at, magic) = IMAGE_MAGIC;
    if image.get(at..at + magic.len()) != Some(magic) {
        bail!("it does not start with the header of a Linux Image");
    }
    Ok(image)
}

/// The segments of a 64-bit program.
fn segments(file: &[u8]) -> Result<Vec<ProgramHeader<'_>>> {
    let elf = ElfFile::new(file).map_err(|error| anyhow!("it is no ELF file: {error}"))?;
    ensure!(matches!(elf.header.pt2, HeaderPt2::Header64(_)), "it is no 64-bit ELF file");
    Ok(elf.program_iter().collect())
}

fn piece(file: &[u8], start: u64, end: u64) -> Result<&[u8]> {
    file.get(start as usize..end as usize).context("a segment reaches past the end of the file")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one segment per `(offset, physical address, bytes)`, and a tail that no segment
    /// covers.
    fn file(segments: &[(usize, u64, &[u8])]) -> Vec<u8> {
        let mut file = vec![0; 0x400];
        file[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        // ET_EXEC, EM_AARCH64, EV_CURRENT; e_phoff, e_shoff; the five sizes and counts.
        put(0x10, &[2, 0, 183, 0, 1, 0, 0, 0]);
        put(0x20, &0x40_u64.to_le_bytes());
        put(0x28, &0x300_u64.to_le_bytes());
        put(0x34, &[64, 0, 56, 0, segments.len() as u8, 0, 64, 0, 3, 0, 2, 0]);
        for (index, &(offset, address, bytes)) in segments.iter().enumerate() {
            let header = 0x40 + index * 56;
            put(header, &[1, 0, 0, 0, 5, 0, 0, 0]);
            let size = bytes.len() as u64;
            let fields = [offset as u64, address, address, size, size + 0x10, 8];
            for (field, value) in fields.into_iter().enumerate() {
                put(header + 8 + field * 8, &value.to_le_bytes());
            }
            put(offset, bytes);
        }
        file
    }

    fn image_header() -> Vec<u8> {
        let (at, magic) = IMAGE_MAGIC;
        let mut header = vec![0x11; at];
        header.extend(magic);
        header.resize(64, 0);
        header
    }

    #[test]
    fn what_no_segment_holds_is_dropped() {
        let whole = file(&[(0x200, 0x1000, b"text"), (0x280, 0x2000, b"data")]);
        let kept = strip(&whole).expect("a good file");
        assert_eq!(kept.len(), 0x284);
        assert_eq!(&kept[0x280..], b"data");
        assert_eq!((&kept[0x28..0x30], &kept[0x3c..0x40]), (&[0; 8][..], &[0; 4][..]));
        assert_eq!(segments(&kept).expect("still a program").len(), 2);
        // What is kept is unchanged otherwise, and stripping again changes nothing.
        assert_eq!(kept[0x40..], whole[0x40..0x284]);
        assert_eq!(strip(&kept).expect("a good file"), kept);
    }

    #[test]
    fn segments_lie_at_their_distance_in_the_image() {
        let header = image_header();
        // Not in the order of their addresses.
        let file = file(&[(0x280, 0x8100, b"data"), (0x200, 0x8000, &header)]);
        let image = flatten(&file).expect("a good file");
        assert_eq!(image.len(), 0x104);
        assert_eq!((&image[..64], &image[0x100..]), (&header[..], &b"data"[..]));
    }

    #[test]
    fn bad_programs_are_refused() {
        assert!(strip(b"MZ").is_err() && flatten(b"MZ").is_err());
        let good = file(&[(0x200, 0x1000, b"text")]);
        assert!(strip(&good[..0x202]).is_err(), "cut short");
        assert!(flatten(&good).is_err(), "no Image header");
        let header = image_header();
        let far = file(&[(0x200, 0, &header), (0x280, LARGEST_IMAGE, b"x")]);
        assert!(flatten(&far).is_err(), "a hole");
    }
}
