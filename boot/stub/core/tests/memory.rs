//! The memory map: its promises hold for whatever the firmware says, page by page against a model.

use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::{Kind, MAX_REGIONS, Memory, Reach, Region, TooManyRegions};
use boot_stub_core::pc::start_info::MapEntry;
use boot_stub_core::pc::tables::{GIB, direct_map, table_frames};
use boot_stub_core::placement::{Needs, place_of_bundle};
use boot_stub_core::{FOUR_GIB, PAGE};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const TOP: u64 = Reach::PC.top;

/// The memory map of a PC.
fn pc(entries: impl IntoIterator<Item = MapEntry>) -> Result<Memory, TooManyRegions> {
    Memory::new(Reach::PC, entries.into_iter().map(MapEntry::claim))
}

fn entry(base: u64, end: u64, kind: u32) -> MapEntry {
    MapEntry { base, size: end - base, kind }
}

fn region(base: u64, end: u64, kind: Kind) -> Region {
    Region { base, end, kind }
}

/// What SeaBIOS says on q35 with 6 GiB.
fn q35() -> Memory {
    pc([
        entry(0, 0x9_fc00, 1),
        entry(0x9_fc00, 0xa_0000, 2),
        entry(0xf_0000, 0x10_0000, 2),
        entry(0x10_0000, 0x7ffd_f000, 1),
        entry(0x7ffd_f000, 0x8000_0000, 2),
        entry(0xb000_0000, 0xc000_0000, 2),
        entry(FOUR_GIB, 2 * FOUR_GIB, 1),
        entry(0xfd_0000_0000, 0x100_0000_0000, 2),
    ])
    .unwrap()
}

#[test]
fn orders_the_map_of_q35() {
    assert_eq!(
        q35().regions(),
        [
            region(0, 0x1000, Kind::Reserved),
            region(0x1000, 0x9_f000, Kind::Usable),
            region(0x9_f000, 0xa_0000, Kind::Reserved),
            region(0xf_0000, 0x10_0000, Kind::Reserved),
            region(0x10_0000, 0x7ffd_f000, Kind::Usable),
            region(0x7ffd_f000, 0x8000_0000, Kind::Reserved),
            region(0xb000_0000, 0xc000_0000, Kind::Reserved),
            region(FOUR_GIB, 2 * FOUR_GIB, Kind::Usable),
            region(0xfd_0000_0000, 0x100_0000_0000, Kind::Reserved),
        ]
    );
}

#[test]
fn what_forbids_more_wins() {
    let map = [entry(0x1000, 0x9000, 1), entry(0x3000, 0x5000, 3), entry(0x4800, 0x6001, 2)];
    let expected = [
        region(0x1000, 0x3000, Kind::Usable),
        region(0x3000, 0x4000, Kind::AcpiReclaimable),
        region(0x4000, 0x7000, Kind::Reserved),
        region(0x7000, 0x9000, Kind::Usable),
    ];
    assert_eq!(pc(map).unwrap().regions(), expected);
    let backwards = map.into_iter().rev();
    assert_eq!(pc(backwards).unwrap().regions(), expected);
}

#[test]
fn sizes_that_wrap_around_and_unknown_types() {
    let wild = MapEntry { base: 0x5000, size: u64::MAX, kind: 77 };
    let memory = pc([wild]).unwrap();
    assert_eq!(memory.regions(), [region(0x5000, TOP, Kind::Reserved)]);
    let end = MapEntry { base: u64::MAX - 1, size: 1, kind: 1 };
    assert_eq!(pc([end]).unwrap().regions(), []);
    let empty = MapEntry { base: 0x5000, size: 0, kind: 2 };
    assert_eq!(pc([empty]).unwrap().regions(), []);
}

#[test]
fn too_many_regions_is_an_error() {
    let map = |count: u64| (1..=count).map(|i| entry(i * 0x2000, i * 0x2000 + 0x1000, 1));
    assert!(pc(map(MAX_REGIONS as u64)).is_ok());
    assert_eq!(pc(map(MAX_REGIONS as u64 + 1)), Err(TooManyRegions));
}

#[test]
fn a_failed_change_leaves_the_map_as_it_was() {
    let map = (1..=MAX_REGIONS as u64).map(|i| entry(i * 0x4000, i * 0x4000 + 0x3000, 1));
    let mut memory = pc(map).unwrap();
    let before = memory.clone();
    assert_eq!(memory.assign(0x5000, 0x6000, Kind::Reserved), Err(TooManyRegions));
    assert_eq!(memory, before);
}

#[test]
fn allocates_the_lowest_place_between_1_mib_and_4_gib() {
    let mut memory = q35();
    assert_eq!(memory.allocatable(), 0x7ffd_f000 - MIB);
    assert_eq!(memory.allocate(1, Kind::BootloaderReclaimable), Ok(Some(MIB)));
    assert_eq!(memory.allocate(PAGE, Kind::ExecutableAndModules), Ok(Some(MIB + PAGE)));
    assert_eq!(memory.allocate(0x8000_0000, Kind::BootloaderReclaimable), Ok(None));
    assert_eq!(memory.allocate(u64::MAX, Kind::BootloaderReclaimable), Ok(None));
    let rest = memory.allocatable();
    assert!(matches!(memory.allocate(rest, Kind::BootloaderReclaimable), Ok(Some(_))));
    assert_eq!(memory.allocate(1, Kind::BootloaderReclaimable), Ok(None));
    assert_eq!(memory.allocatable(), 0);
}

#[test]
fn direct_map_has_memory_above_4_gib_and_not_the_reserved_hole() {
    assert_eq!(direct_map(&q35()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
    let odd = pc([
        entry(FOUR_GIB + MIB, FOUR_GIB + 2 * MIB, 1),
        entry(FOUR_GIB + 3 * MIB, FOUR_GIB + GIB + MIB, 3),
        entry(9 * GIB - MIB, 9 * GIB, 4),
        entry(20 * GIB, 21 * GIB, 5),
    ])
    .unwrap();
    assert_eq!(direct_map(&odd).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 8]);
}

#[test]
fn the_bundle_lies_in_memory_beside_the_stub() {
    let memory = q35();
    let place = |base, size| place_of_bundle(&memory, base, size, &(MIB..2 * MIB));
    let outside = |base, size| Err(Fatal::BundleOutOfMemory { base, size });
    assert_eq!(place(2 * MIB, 5), Ok(2 * MIB..2 * MIB + 5));
    assert_eq!(place(0x7ffd_e000, 0x1000), Ok(0x7ffd_e000..0x7ffd_f000));
    assert_eq!(place(0, 5), Err(Fatal::NoModules));
    assert_eq!(place(2 * MIB, 0), Err(Fatal::NoModules));
    assert_eq!(place(2 * MIB - 1, 5), Err(Fatal::BundleOverStub));
    assert_eq!(place(MIB, 2 * MIB), Err(Fatal::BundleOverStub));
    // Past the end of memory, in a hole, above 4 GiB, around the end of the address space.
    assert_eq!(place(0x7ffd_e000, 0x1001), outside(0x7ffd_e000, 0x1001));
    assert_eq!(place(0x9000_0000, 5), outside(0x9000_0000, 5));
    assert_eq!(place(FOUR_GIB + MIB, 5), outside(FOUR_GIB + MIB, 5));
    assert_eq!(place(2 * MIB, u64::MAX), outside(2 * MIB, u64::MAX));
}

/// 1 root, 8 directories and 1 third-level table for 8 GiB, and for each of the two runs of 4 KiB
/// pages one third-level table, at most two directories, one table, and one more for a run that is
/// not aligned to 2 MiB.
#[test]
fn table_frames_of_q35() {
    assert_eq!(table_frames(&q35(), 2 * MIB, 1), (1 + 8 + 1) + (1 + 2 + 1 + 1) * 2);
}

#[test]
fn needs_are_counted_in_pages() {
    let mut needs = Needs { image: PAGE + 1, stack: PAGE, ..Needs::default() };
    needs.add_file(0);
    needs.add_file(4097);
    needs.set_table_frames(3);
    assert_eq!(needs.total(), (2 + 1 + 1 + 2 + 3) * PAGE);
}

/// Pages that the model knows about.
const PAGES: usize = 64;

fn entries() -> impl Strategy<Value = Vec<MapEntry>> {
    let entry = (0..PAGES as u64 * PAGE, 0..20 * PAGE, 0_u32..7);
    let entry = entry.prop_map(|(base, size, kind)| MapEntry { base, size, kind });
    prop::collection::vec(entry, 0..12)
}

/// What a page is, from the entries that concern it: `None` where there is nothing.
fn model(entries: &[MapEntry], page: u64) -> Option<Kind> {
    let (start, end) = (page * PAGE, (page + 1) * PAGE);
    let order = [Kind::Usable, Kind::AcpiReclaimable, Kind::AcpiNvs, Kind::Reserved, Kind::Bad];
    let kind = entries
        .iter()
        .filter(|entry| {
            let last = entry.base + entry.size;
            match entry.kind {
                1 => entry.base <= start && end <= last,
                _ => entry.base < end && start < last && entry.size > 0,
            }
        })
        .map(|entry| Kind::from_e820(entry.kind))
        .max_by_key(|kind| order.iter().position(|other| other == kind))?;
    Some(if page == 0 && kind == Kind::Usable { Kind::Reserved } else { kind })
}

fn kind_at(memory: &Memory, address: u64) -> Option<Kind> {
    memory.regions().iter().find(|r| (r.base..r.end).contains(&address)).map(|r| r.kind)
}

fn check_promises(memory: &Memory) -> Result<(), TestCaseError> {
    for region in memory.regions() {
        prop_assert!(region.base < region.end && region.end <= TOP);
        prop_assert!(region.base % PAGE == 0 && region.end % PAGE == 0);
    }
    for pair in memory.regions().windows(2) {
        prop_assert!(pair[0].end <= pair[1].base);
        prop_assert!(pair[0].end != pair[1].base || pair[0].kind != pair[1].kind);
    }
    Ok(())
}

proptest! {
    /// Page 0 is left out: there the rule about address zero decides, which other tests cover.
    #[test]
    fn every_page_is_what_the_model_says(entries in entries()) {
        let memory = pc(entries.clone()).unwrap();
        check_promises(&memory)?;
        for page in 1..PAGES as u64 + 20 {
            prop_assert_eq!(kind_at(&memory, page * PAGE), model(&entries, page));
        }
        prop_assert_ne!(kind_at(&memory, 0), Some(Kind::Usable));
    }

    #[test]
    fn any_entries_keep_the_promises(
        entries in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>()), 0..40)
    ) {
        let entries = entries.into_iter().map(|(base, size, kind)| MapEntry { base, size, kind });
        let memory = pc(entries).unwrap();
        check_promises(&memory)?;
        let _ = table_frames(&memory, 0, 0);
    }

    /// A change touches pages of the one kind only, and none where there is no memory.
    #[test]
    fn changes_are_what_the_model_says(
        entries in entries(), base in 0..PAGES as u64 * PAGE, size in 0..30 * PAGE,
    ) {
        let before = pc(entries).unwrap();
        let mut after = before.clone();
        let (from, to) = (Kind::Usable, Kind::BootloaderReclaimable);
        after.change(base, base + size, from, to).unwrap();
        check_promises(&after)?;
        for page in 0..PAGES as u64 + 40 {
            let start = page * PAGE;
            let touched = size > 0 && start < base + size && base < start + PAGE;
            let expected = match kind_at(&before, start) {
                Some(kind) if kind == from && touched => Some(to),
                other => other,
            };
            prop_assert_eq!(kind_at(&after, start), expected);
        }
        after.change(base, base + size, to, from).unwrap();
        prop_assert_eq!(after, before);
    }

    #[test]
    fn allocations_do_not_overlap(
        entries in entries(),
        sizes in prop::collection::vec(0..8 * PAGE, 1..20),
    ) {
        let above = entries.into_iter().map(|entry| MapEntry { base: entry.base + MIB, ..entry });
        let mut memory = pc(above).unwrap();
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for size in sizes {
            let before = memory.clone();
            let Some(base) = memory.allocate(size, Kind::BootloaderReclaimable).unwrap() else {
                prop_assert_eq!(&memory, &before);
                continue;
            };
            let end = base + size.max(1).next_multiple_of(PAGE);
            prop_assert!(before.is_usable(base, end) && !memory.is_usable(base, end));
            prop_assert!(taken.iter().all(|&(start, stop)| end <= start || stop <= base));
            prop_assert_eq!(before.allocatable() - memory.allocatable(), end - base);
            taken.push((base, end));
        }
        check_promises(&memory)?;
    }
}
