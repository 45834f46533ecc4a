//! The kernel file: the three segments of a good one go where they should, everything else is
//! refused with its own reason, and no bytes make the reader panic.

mod common;

use boot_stub_core::elf::{Access, ElfError, Kernel, MAX_SEGMENTS, Machine};
use common::{BASE, LOADS, Load, elf};
use proptest::prelude::*;

fn parse(file: &[u8]) -> Result<Kernel, ElfError> {
    Kernel::parse(file, Machine::X86_64)
}

fn refused(entry: u64, loads: &[Load]) -> ElfError {
    parse(&elf(entry, loads)).unwrap_err()
}

#[test]
fn lays_out_a_good_kernel() {
    let file = elf(BASE + 0x10, &LOADS);
    let kernel = parse(&file).unwrap();
    assert_eq!(kernel.entry, BASE + 0x10);
    assert_eq!(kernel.image(), BASE..BASE + 0x6000);
    let access: Vec<_> = kernel.segments.iter().map(|segment| segment.access).collect();
    assert_eq!(access, [Access::ReadExecute, Access::Read, Access::ReadWrite]);
    let pages = kernel.segments[2].pages();
    assert_eq!(pages, BASE + 0x3000..BASE + 0x6000);

    let mut image = vec![0xee; 0x6000];
    kernel.load(&file, &mut image).unwrap();
    let mut expected = vec![0; 0x6000];
    expected[..0x1800].fill(1);
    expected[0x2000..0x2010].fill(2);
    expected[0x3008..0x3020].fill(3);
    assert_eq!(image, expected);
    assert_eq!(kernel.load(&file, &mut image[..0x3000]), Err(ElfError::SegmentCut));
    assert_eq!(kernel.load(&file[..200], &mut image), Err(ElfError::SegmentCut));
}

#[test]
fn segments_may_come_in_any_order() {
    let mut loads = LOADS;
    loads.reverse();
    let kernel = parse(&elf(BASE, &loads)).unwrap();
    assert!(kernel.segments.is_sorted_by_key(|segment| segment.start));
}

#[test]
fn refuses_other_files() {
    assert_eq!(parse(b""), Err(ElfError::NotElf));
    assert_eq!(parse(&[0; 5000]), Err(ElfError::NotElf));
    let file = elf(BASE, &LOADS);
    let with = |at: usize, byte: u8| {
        let mut file = file.clone();
        file[at] = byte;
        parse(&file).unwrap_err()
    };
    assert_eq!(with(0, 0), ElfError::NotElf);
    // Class: 32 bits. Byte order: big. Machine: aarch64 (183).
    assert_eq!(with(4, 1), ElfError::WrongMachine(Machine::X86_64));
    assert_eq!(with(5, 2), ElfError::WrongMachine(Machine::X86_64));
    assert_eq!(with(18, 183), ElfError::WrongMachine(Machine::X86_64));
    // Type: shared object.
    assert_eq!(with(16, 3), ElfError::NotExecutable);
    // Program headers: elsewhere, of another size, too many of them, misaligned.
    assert_eq!(with(34, 1), ElfError::BadProgramHeaders);
    assert_eq!(with(54, 32), ElfError::BadProgramHeaders);
    assert_eq!(with(57, 1), ElfError::BadProgramHeaders);
    assert_eq!(with(32, 65), ElfError::BadProgramHeaders);
    // None at all.
    assert_eq!(refused(BASE, &[]), ElfError::BadProgramHeaders);
}

#[test]
fn refuses_bad_segments() {
    let with = |change: fn(&mut [Load; 3])| {
        let mut loads = LOADS;
        change(&mut loads);
        refused(BASE, &loads)
    };
    assert_eq!(with(|l| l[1].flags = 7), ElfError::BadAccess);
    assert_eq!(with(|l| l[1].flags = 3), ElfError::BadAccess);
    assert_eq!(with(|l| l[1].flags = 0), ElfError::BadAccess);
    assert_eq!(with(|l| l[1].start = BASE + 0x1fff), ElfError::SegmentsOverlap);
    assert_eq!(with(|l| l[1].start = BASE + 0x1900), ElfError::SegmentsOverlap);
    assert_eq!(with(|l| l[0].start = BASE - 1), ElfError::SegmentOutOfRange);
    assert_eq!(with(|l| l[0].start = 0x40_0000), ElfError::SegmentOutOfRange);
    assert_eq!(with(|l| l[2].start = u64::MAX - 0x10), ElfError::SegmentOutOfRange);
    assert_eq!(with(|l| l[2].size = u64::MAX), ElfError::SegmentOutOfRange);
    assert_eq!(with(|l| l[2].start = u64::MAX - 0x2800), ElfError::SegmentOutOfRange);
    assert_eq!(with(|l| l[2].size = 0x17), ElfError::SegmentCut);
    assert_eq!(with(|l| l[0].kind = 3), ElfError::NotExecutable);
    assert_eq!(with(|l| l[0].kind = 2), ElfError::NotExecutable);
    let data = |n: u64| Load { start: BASE + n * 0x1000, size: 1, file_size: 0, ..LOADS[2] };
    let many: Vec<_> = (0..=MAX_SEGMENTS as u64).map(data).collect();
    assert_eq!(refused(BASE, &many), ElfError::TooManySegments);
}

#[test]
fn the_entry_is_code() {
    for entry in [0, BASE - 1, BASE + 0x1800, BASE + 0x2000, BASE + 0x3008] {
        assert_eq!(refused(entry, &LOADS), ElfError::BadEntry);
    }
    assert!(parse(&elf(BASE + 0x17ff, &LOADS)).is_ok());
}

/// Parses, and if that works loads too, when the image has a size that a test can have.
fn use_file(file: &[u8]) {
    if let Ok(kernel) = parse(file)
        && kernel.image_size() < 1 << 24
    {
        let mut image = vec![0; kernel.image_size() as usize];
        kernel.load(file, &mut image).unwrap();
    }
}

proptest! {
    #[test]
    fn every_truncation_is_noticed(cut in any::<prop::sample::Index>()) {
        let file = elf(BASE, &LOADS);
        prop_assert!(parse(&file[..cut.index(file.len())]).is_err());
    }

    #[test]
    fn no_damage_makes_it_panic(
        damage in prop::collection::vec((0_usize..64 + 3 * 56, any::<u8>()), 1..6),
    ) {
        let mut file = elf(BASE, &LOADS);
        for (at, byte) in damage {
            file[at] = byte;
        }
        use_file(&file);
    }

    #[test]
    fn no_numbers_make_it_panic(
        header in any::<[u64; 3]>(),
        segments in prop::collection::vec(any::<[u64; 6]>(), 3),
    ) {
        let mut file = elf(BASE, &LOADS);
        for (at, word) in (24..).step_by(8).zip(header) {
            file[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        // Half of the cases keep the place of the program headers, to get past it.
        if header[0] % 2 == 0 {
            file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        }
        for (index, words) in segments.iter().enumerate() {
            for (at, word) in (64 + 56 * index + 8..).step_by(8).zip(words) {
                file[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        use_file(&file);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        use_file(&bytes);
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
        file.extend(bytes);
        use_file(&file);
    }

    /// The address of the file in memory must not matter: the archive aligns it to 4 bytes only.
    #[test]
    fn alignment_does_not_matter(shift in 0_usize..8) {
        let file = [vec![0; shift], elf(BASE, &LOADS)].concat();
        prop_assert!(parse(&file[shift..]).is_ok());
    }
}
