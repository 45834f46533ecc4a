//! The allocators against sets that are obviously right.

use interrupt_core::numbers::{
    Bitmap, EntryAllocator, Extent, Extents, RetiredVector, VectorAllocator, VectorLease,
};
use interrupt_core::{
    CpuIndex, CpuSet, Drained, Entry, RequesterId, ReserveError, Source, Unrouted, Vector,
    VectorRange,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn range(first: u8, last: u8) -> VectorRange {
    VectorRange::new(Vector::new(first).unwrap(), Vector::new(last).unwrap()).unwrap()
}

const SOURCE: Source = Source::Function(RequesterId::from_bits(0x10));

proptest! {
    #[test]
    fn bitmap_is_a_set(
        size in 1..=5000_u32,
        steps in prop::collection::vec((0..4_u8, any::<u32>()), 1..300),
    ) {
        let mut set = Bitmap::full(size).unwrap();
        let mut model: BTreeSet<u32> = (0..size).collect();
        for (what, number) in steps {
            match what {
                0 => {
                    let lowest = model.first().copied();
                    prop_assert_eq!(set.take_lowest(), lowest);
                    model.remove(&lowest.unwrap_or(size));
                }
                1 => {
                    let number = number % (size + 2);
                    let fits = number < size && !model.contains(&number);
                    prop_assert_eq!(set.insert(number), fits);
                    if fits {
                        model.insert(number);
                    }
                }
                _ => {
                    let order = (number % 8) as u8;
                    let length = 1 << order;
                    let exists = order <= 6 && (0..size / length)
                        .any(|run| (0..length).all(|i| model.contains(&(run * length + i))));
                    let run = set.take_run(order);
                    prop_assert_eq!(run.is_some(), exists);
                    if let Some(first) = run {
                        prop_assert_eq!(first % length, 0);
                        for number in first..first + length {
                            prop_assert!(model.remove(&number), "{} was not free", number);
                        }
                    }
                }
            }
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
        for number in 0..size + 2 {
            prop_assert_eq!(set.contains(number), model.contains(&number));
        }
    }

    /// Leased, quarantined and free vectors are apart; a vector comes from the least loaded
    /// CPU of the set; exhaustion changes nothing.
    #[test]
    fn vectors_never_twice(
        cpus in 1..=4_u8,
        last in 0x30..=0x38_u8,
        steps in prop::collection::vec((0..6_u8, any::<u8>()), 1..400),
    ) {
        let range = range(0x30, last);
        let total = range.count();
        let mut allocator = VectorAllocator::new(cpus, range).unwrap();
        let mut leased: Vec<VectorLease> = Vec::new();
        let mut retired: Vec<RetiredVector> = Vec::new();
        for (what, number) in steps {
            match what {
                0..=2 => {
                    let wanted = CpuSet::from_bits(number as u64 & 0xf);
                    let free = |cpu: u8| {
                        let used = leased.iter().filter(|l| l.cpu().index() == cpu as usize);
                        let waits = retired.iter().filter(|r| r.cpu().index() == cpu as usize);
                        total as usize - used.count() - waits.count()
                    };
                    let most = (0..cpus)
                        .filter(|cpu| wanted.contains(CpuIndex::new(*cpu).unwrap()))
                        .map(free)
                        .max()
                        .unwrap_or(0);
                    match allocator.take(wanted) {
                        Err(_) => prop_assert_eq!(most, 0),
                        Ok(lease) => {
                            prop_assert!(range.contains(lease.vector()));
                            prop_assert!(wanted.contains(lease.cpu()));
                            prop_assert_eq!(free(lease.cpu().index() as u8), most);
                            prop_assert!(!leased.contains(&lease), "leased twice");
                            prop_assert!(
                                !retired.iter().any(|r| r.cpu() == lease.cpu()
                                    && r.vector() == lease.vector()),
                                "out of quarantine"
                            );
                            leased.push(lease);
                        }
                    }
                }
                3 if !leased.is_empty() => {
                    let lease = leased.swap_remove(number as usize % leased.len());
                    retired.push(allocator.retire(lease));
                }
                4 if !retired.is_empty() => {
                    let one = retired.swap_remove(number as usize % retired.len());
                    let (cpu, vector) = (one.cpu(), one.vector());
                    prop_assert!(!allocator.is_free(cpu, vector));
                    allocator.reclaim(one, &drained());
                    prop_assert!(allocator.is_free(cpu, vector));
                }
                5 if !leased.is_empty() => {
                    let lease = leased.swap_remove(number as usize % leased.len());
                    allocator.cancel(lease);
                }
                _ => {}
            }
            let mut free = 0;
            let mut waiting = 0;
            for cpu in allocator.cpus().iter() {
                let count = allocator.count(cpu).unwrap();
                free += count.free as usize;
                waiting += count.quarantined as usize;
                prop_assert_eq!(count.total, total);
            }
            prop_assert_eq!(waiting, retired.len());
            prop_assert_eq!(free + waiting + leased.len(), cpus as usize * total as usize);
        }
    }

    #[test]
    fn entries_never_twice(
        size in prop::sample::select(vec![2_u32, 16, 64, 100, 256]),
        steps in prop::collection::vec((0..4_u8, any::<u16>()), 1..300),
    ) {
        let mut allocator = EntryAllocator::new(size).unwrap();
        let mut held: Vec<Entry> = Vec::new();
        for (what, number) in steps {
            match what {
                0 | 1 => {
                    let order = if what == 0 { 0 } else { number as u8 % 6 };
                    let before = allocator.free();
                    match allocator.take(SOURCE, order) {
                        Ok(mut block) => {
                            let mut offset = 0;
                            for entry in block.by_ref() {
                                prop_assert_eq!(entry.offset(), offset);
                                prop_assert_eq!(entry.block().bits() % (1 << order), 0);
                                prop_assert!((entry.index().bits() as u32) < size);
                                prop_assert!(held.iter().all(|e| e.index() != entry.index()));
                                held.push(entry);
                                offset += 1;
                            }
                            prop_assert_eq!(offset, 1 << order);
                        }
                        Err(error) => {
                            prop_assert_eq!(allocator.free(), before);
                            let none = error == ReserveError::NoEntries;
                            prop_assert_eq!(none, before == 0);
                        }
                    }
                }
                2 if !held.is_empty() => {
                    let entry = held.swap_remove(number as usize % held.len());
                    let (index, proof) = (entry.index(), Drained::idle(&entry));
                    prop_assert!(!allocator.is_free(index));
                    prop_assert!(allocator.give_back(entry, proof).is_ok());
                    prop_assert!(allocator.is_free(index));
                }
                3 if held.len() > 1 => {
                    // A proof about another entry frees neither.
                    let entry = held.swap_remove(number as usize % held.len());
                    let proof = Drained::idle(&held[0]);
                    let back = allocator.give_back(entry, proof);
                    prop_assert!(back.is_err());
                    held.extend(back.err());
                }
                _ => {}
            }
            prop_assert_eq!(allocator.free() as usize + held.len(), size as usize);
        }
    }
}

fn drained() -> Drained {
    let mut table = EntryAllocator::new(2).unwrap();
    let entry = table.take(SOURCE, 0).unwrap().next().unwrap();
    Unrouted::new(entry.index()).flushed().drained()
}

/// The largest table: every number once, then none.
#[test]
fn full_table() {
    let mut allocator = EntryAllocator::new(65_536).unwrap();
    for number in 0..65_536_u32 {
        let entry = allocator.take(SOURCE, 0).unwrap().next().unwrap();
        assert_eq!(entry.index().bits() as u32, number);
    }
    assert_eq!(allocator.take(SOURCE, 0), Err(ReserveError::NoEntries));
    assert_eq!(allocator.take(SOURCE, 3), Err(ReserveError::NoEntries));
    assert!(EntryAllocator::new(65_537).is_none());
}

/// Free singles that do not lie together are no block.
#[test]
fn fragmented_table() {
    let mut allocator = EntryAllocator::new(64).unwrap();
    let mut held: Vec<Entry> =
        (0..64).map(|_| allocator.take(SOURCE, 0).unwrap().next().unwrap()).collect();
    for place in (0..32).rev() {
        let entry = held.remove(2 * place);
        let proof = Drained::idle(&entry);
        allocator.give_back(entry, proof).unwrap();
    }
    assert_eq!(allocator.free(), 32);
    assert_eq!(allocator.take(SOURCE, 1), Err(ReserveError::NoContiguous));
}

proptest! {
    /// Against a map of single bytes.
    #[test]
    fn extents_never_twice(
        size in 0..600_usize,
        steps in prop::collection::vec((any::<bool>(), 1..90_usize, 0..6_u32), 1..200),
    ) {
        let mut extents = Extents::new(size).unwrap();
        let mut used = vec![false; size];
        let mut held: Vec<Extent> = Vec::new();
        for (take, number, order) in steps {
            if take {
                let align = 1 << order;
                let free = |start: usize| {
                    start + number <= size && used[start..start + number].iter().all(|it| !it)
                };
                let lowest = (0..size).step_by(align).find(|start| free(*start));
                let taken = extents.take(number, align);
                prop_assert_eq!(taken.map(|taken| taken.start), lowest);
                if let Some(taken) = taken {
                    prop_assert_eq!(taken.bytes, number);
                    used[taken.start..taken.start + number].fill(true);
                    held.push(taken);
                }
            } else if !held.is_empty() {
                let piece = held.swap_remove(number % held.len());
                prop_assert!(extents.give_back(piece));
                prop_assert!(!extents.give_back(piece), "twice");
                used[piece.start..piece.start + piece.bytes].fill(false);
            }
            prop_assert_eq!(extents.free_bytes(), used.iter().filter(|it| !**it).count());
        }
        for piece in held {
            prop_assert!(extents.give_back(piece));
        }
        let whole = extents.take(size, 1);
        prop_assert_eq!(whole.map(|whole| whole.bytes), (size > 0).then_some(size));
    }
}

#[test]
fn extents_refuse_what_is_not_theirs() {
    let mut extents = Extents::new(64).unwrap();
    assert_eq!(extents.take(0, 1), None);
    assert_eq!(extents.take(8, 3), None);
    assert_eq!(extents.take(65, 1), None);
    let piece = extents.take(16, 16).unwrap();
    for (start, bytes) in [(8, 16), (0, 0), (60, 8), (usize::MAX, 2), (0, 17)] {
        assert!(!extents.give_back(Extent { start, bytes }), "{start} {bytes}");
    }
    assert!(extents.give_back(piece));
    assert_eq!(extents.free_bytes(), 64);
}
