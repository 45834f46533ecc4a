//! Arm's tables, walked as the processor walks them, and register values worked out by hand.

mod common;

use boot_stub_core::PAGE;
use boot_stub_core::arm::image;
use boot_stub_core::arm::registers::{self, attribute};
use boot_stub_core::arm::tables::{self, Root, Tables, Use};
use boot_stub_core::elf::{Access, Kernel, Machine};
use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::{Claim, Kind, Memory, Reach};
use common::{BASE, LOADS, elf_for};
use proptest::prelude::*;
use std::ops::Range;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DIRECT_MAP: u64 = 0xffff_0000_0000_0000;
/// Where the tables are said to lie.
const TABLES: u64 = 0x8_4000_0000;

/// What a page is mapped to: its address, and the descriptor's attributes.
fn translate(words: &[u64], root: u64, address: u64) -> Option<(u64, u64)> {
    const TARGET: u64 = 0x0000_ffff_ffff_f000;
    let mut table = root;
    for level in 0..4 {
        let shift = 39 - 9 * level;
        let index = (address >> shift & 511) as usize;
        let descriptor = words[(table - TABLES) as usize / 8 + index];
        match (descriptor & 3, level) {
            (0, _) => return None,
            (3, 0..=2) => {
                assert_eq!(descriptor & !TARGET, 3, "a table descriptor has no attributes");
                table = descriptor & TARGET;
            }
            (1, 1..=2) | (3, 3) => {
                let target = descriptor & TARGET;
                assert_eq!(target % (1 << shift), 0, "a block is aligned to its size");
                return Some((target + address % (1 << shift), descriptor & !TARGET & !2));
            }
            other => panic!("{descriptor:#x} is no descriptor: {other:?}"),
        }
    }
    unreachable!()
}

struct Block(Vec<u64>);

impl Block {
    fn new(frames: u64) -> Self {
        // Memory that was something else before.
        Self(vec![0xeeee_eeee_eeee_eeee; frames as usize * 512])
    }

    fn tables(&mut self) -> (Tables<'_>, Root) {
        let mut tables = Tables::new(&mut self.0, TABLES);
        let root = tables.root().unwrap();
        assert_eq!(tables.address(root), TABLES);
        (tables, root)
    }

    fn translate(&self, address: u64) -> Option<(u64, u64)> {
        translate(&self.0, TABLES, address)
    }
}

/// Bits by hand, from the Arm ARM's figure of the attributes: valid 0, AttrIndx 4:2, AP 7:6, SH 9:8,
/// AF 10, PXN 53, UXN 54.
const MEMORY: u64 = 0x0040_0000_0000_0701;
const READ_ONLY: u64 = 0x80;
const NEVER: u64 = 0x0020_0000_0000_0000;

#[test]
fn attributes() {
    let expected = [
        (Use::AllMemory, MEMORY),
        (Use::Segment(Access::Read), MEMORY | READ_ONLY | NEVER),
        (Use::Segment(Access::ReadExecute), MEMORY | READ_ONLY),
        (Use::Segment(Access::ReadWrite), MEMORY | NEVER),
        (Use::Device, 0x0060_0000_0000_0405),
    ];
    for (purpose, bits) in expected {
        let mut block = Block::new(4);
        let (mut tables, root) = block.tables();
        tables.map(root, 0x1000, 0x9000..0xa000, purpose).unwrap();
        assert_eq!(block.translate(0x1008), Some((0x9008, bits)));
        assert_eq!((block.translate(0), block.translate(0x2000)), (None, None));
    }
}

#[test]
fn takes_the_largest_blocks() {
    let range = GIB - 2 * MIB - PAGE..3 * GIB + PAGE;
    let frames = 1 + tables::aligned_frames(&range);
    let mut block = Block::new(frames);
    let (mut tables, root) = block.tables();
    tables.map(root, DIRECT_MAP + range.start, range.clone(), Use::AllMemory).unwrap();
    for at in [range.start, GIB - 2 * MIB, GIB, 2 * GIB + 5 * PAGE, 3 * GIB] {
        assert_eq!(block.translate(DIRECT_MAP + at), Some((at, MEMORY)));
    }
    assert_eq!(block.translate(DIRECT_MAP + range.start - 1), None);
    assert_eq!(block.translate(DIRECT_MAP + range.end), None);
    // Root, one table of gibibytes, and at each end one of 2 MiB and one of pages: all were needed.
    assert_eq!(frames, 6);
    let mut small = Block::new(5);
    let (mut tables, root) = small.tables();
    let result = tables.map(root, DIRECT_MAP + range.start, range, Use::AllMemory);
    assert_eq!(result, Err(Fatal::Internal("too few page-table frames were planned")));
}

#[test]
fn a_page_is_mapped_once() {
    let mut block = Block::new(10);
    let (mut tables, root) = block.tables();
    tables.map(root, 0, 0..2 * MIB, Use::AllMemory).unwrap();
    assert!(tables.map(root, 0, 0..2 * MIB, Use::AllMemory).is_err());
    assert!(tables.map(root, PAGE, 0..PAGE, Use::AllMemory).is_err());
    let mut tables = Tables::new(&mut [], TABLES);
    assert!(tables.root().is_err());
}

#[test]
fn only_memory_is_mapped() {
    let claim = |base, size, kind| Claim { base, size, kind };
    let mut memory = Memory::new(
        Reach::ARM,
        [
            claim(0x4000_0000, GIB, Kind::Usable),
            claim(0x4100_0000, PAGE, Kind::Reserved),
            claim(0x8_0000_0000, GIB, Kind::Usable),
        ],
    )
    .unwrap();
    memory.assign(0x4000_0000, 0x4010_0000, Kind::BootloaderReclaimable).unwrap();
    let expected =
        [0x4000_0000..0x4100_0000, 0x4100_1000..0x8000_0000, 0x8_0000_0000..0x8_4000_0000];
    assert_eq!(tables::mapped(&memory).collect::<Vec<_>>(), expected);
    let frames = 1 + expected.iter().map(tables::aligned_frames).sum::<u64>();
    let mut block = Block::new(frames);
    let (mut tables, root) = block.tables();
    tables::map_memory(&mut tables, root, &memory, DIRECT_MAP).unwrap();
    assert_eq!(block.translate(DIRECT_MAP), None);
    assert_eq!(block.translate(DIRECT_MAP + 0x4100_0fff), None);
    for at in [0x4000_0000, 0x40ff_ffff, 0x4100_1000, 0x8_3fff_ffff] {
        assert_eq!(block.translate(DIRECT_MAP + at), Some((at, MEMORY)));
    }
}

#[test]
fn the_kernel_is_mapped_with_its_own_access() {
    const AARCH64: u16 = 183;
    let kernel = Kernel::parse(&elf_for(AARCH64, BASE, &LOADS), Machine::Aarch64).unwrap();
    let mut block = Block::new(1 + tables::page_frames(&kernel.image()));
    let (mut tables, root) = block.tables();
    tables::map_kernel(&mut tables, root, &kernel, 0x7_0000_1000).unwrap();
    let page = |address: u64| block.translate(address);
    assert_eq!(page(BASE + 8), Some((0x7_0000_1008, MEMORY | READ_ONLY)));
    assert_eq!(page(BASE + 0x1000), Some((0x7_0000_2000, MEMORY | READ_ONLY)));
    assert_eq!(page(BASE + 0x2000), Some((0x7_0000_3000, MEMORY | READ_ONLY | NEVER)));
    assert_eq!(page(BASE + 0x5000), Some((0x7_0000_6000, MEMORY | NEVER)));
    assert_eq!((page(BASE - 1), page(BASE + 0x6000)), (None, None));
    assert!(Kernel::parse(&elf_for(AARCH64, BASE, &LOADS), Machine::X86_64).is_err());
}

/// Against the tables of fields in the Arm ARM, chapter D24.
#[test]
fn register_values() {
    assert_eq!(registers::MAIR >> (8 * attribute::MEMORY) & 0xff, 0xff);
    assert_eq!(registers::MAIR >> (8 * attribute::DEVICE) & 0xff, 0x00);
    assert_eq!(registers::SCTLR_OFF, 0x30d0_0800);
    assert_eq!(registers::SCTLR_ON, 0x30d0_181d);
    assert_eq!(registers::SCTLR_EL2_OFF, 0x30c5_0830);
    // Cortex-A72: 44 bits of physical address (4), all sizes of pages.
    assert_eq!(registers::tcr(0x1124), Some(0x4_b510_3510));
    // 52 bits are cut to 48. TGran4 = 1 means more, not none.
    assert_eq!(registers::tcr(0x1000_1126), Some(0x5_b510_3510));
    assert_eq!(registers::tcr(0xf000_1124), None);
    assert_eq!(registers::TCR_NO_LOWER_HALF, 0x80);
    assert_eq!(registers::TCR_NO_UPPER_HALF, 0x80_0000);
}

#[test]
fn image_header() {
    assert_eq!(image::MAGIC.to_le_bytes(), *b"ARM\x64");
    assert_eq!(image::FLAGS, 0b1010);
    assert_eq!(image::TEXT_OFFSET % (2 * MIB), 0);
}

fn page_range() -> impl Strategy<Value = Range<u64>> {
    // Around the borders of tables, where bounds go wrong.
    let border = prop::sample::select(vec![0, 2 * MIB, GIB, 512 * GIB, 1 << 46]);
    (border, 0..600_u64, 1..1200_u64).prop_map(|(border, before, pages)| {
        let start = border + (600 - before) * PAGE;
        start..start + pages * PAGE
    })
}

proptest! {
    #[test]
    fn the_bounds_are_bounds(range in page_range(), shift in 0..4_u64, far in 1..3000_u64) {
        let mut block = Block::new(1 + tables::aligned_frames(&range));
        let (mut tables, root) = block.tables();
        prop_assert_eq!(tables.map(root, DIRECT_MAP + range.start, range.clone(), Use::AllMemory), Ok(()));
        for at in [range.start, (range.start + range.end) / 2, range.end - 1] {
            prop_assert_eq!(block.translate(DIRECT_MAP + at), Some((at, MEMORY)));
        }
        prop_assert_eq!(block.translate(DIRECT_MAP + range.end), None);

        // Large ones: gibibytes in the middle.
        let large = range.start..range.end + far * GIB;
        let mut block = Block::new(1 + tables::aligned_frames(&large));
        let (mut tables, root) = block.tables();
        prop_assert_eq!(tables.map(root, DIRECT_MAP + large.start, large, Use::AllMemory), Ok(()));

        let mut block = Block::new(1 + tables::page_frames(&range));
        let (mut tables, root) = block.tables();
        let physical = range.start + shift * PAGE..range.end + shift * PAGE;
        prop_assert_eq!(tables.map(root, range.start, physical, Use::AllMemory), Ok(()));
        let expected = Some((range.end - 1 + shift * PAGE, MEMORY));
        prop_assert_eq!(block.translate(range.end - 1), expected);
    }
}
