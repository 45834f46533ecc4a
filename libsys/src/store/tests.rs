//! The rules, one by one, and what the ready stores do to their memory.

use super::*;
use crate::fake::{self, DeviceMemory, FakePci};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use proptest::prelude::*;

const LAYOUT: EntryLayout = EntryLayout {
    base: 0x100,
    stride: 16,
    slots: 4,
    address: 0,
    address_high: Some(4),
    data: 8,
    mask: Some(MaskField::bit_masks(12, 1)),
};
const PAIR: Pair = Pair { address: 0x1_fee0_0010, data: 0x42 };
const MESSAGE: Prepared = Prepared { pair: PAIR, message: Handle::NONE };

fn complete() -> Template {
    Template::new(StoreKind::DeviceArray, Some(4))
        .write(|_, _| Ok(()))
        .mask(|_| Ok(()))
        .unmask(|_| Ok(()))
}

fn refusal(template: Template) -> StoreError {
    Store::new(template).expect_err("must be refused")
}

#[test]
fn a_template_without_an_operation_is_refused() {
    assert!(Store::new(complete()).is_ok());
    assert_eq!(refusal(Template { mask: None, ..complete() }), StoreError::NoMask);
    assert_eq!(refusal(Template { unmask: None, ..complete() }), StoreError::NoUnmask);
    assert_eq!(refusal(Template { write: None, ..complete() }), StoreError::NoWrite);
}

#[test]
fn a_template_with_too_much_is_refused() {
    let template = Template { set_affinity: Some(Box::new(|_, _| Ok(()))), ..complete() };
    assert_eq!(refusal(template), StoreError::HasAffinity);
    assert_eq!(refusal(complete().lock(|| Ok(()))), StoreError::HalfBracket);
    assert_eq!(refusal(complete().commit(|| Ok(()))), StoreError::HalfBracket);
    assert!(Store::new(complete().lock(|| Ok(())).commit(|| Ok(()))).is_ok());
}

#[test]
fn capacity_must_suit_the_kind() {
    let with = |kind, capacity| Template { kind, capacity, ..complete() };
    assert_eq!(refusal(with(StoreKind::DeviceArray, None)), StoreError::NoCapacity);
    assert_eq!(refusal(with(StoreKind::DeviceArray, Some(0))), StoreError::NoCapacity);
    assert_eq!(refusal(with(StoreKind::Registers, None)), StoreError::NoCapacity);
    assert_eq!(refusal(with(StoreKind::QueueMemory, Some(8))), StoreError::FixedQueue);
    assert!(Store::new(with(StoreKind::QueueMemory, None)).is_ok());
}

#[test]
fn a_layout_that_does_not_fit_is_refused() {
    let memory = || DeviceMemory::new(0x140);
    let refused =
        |layout| Store::device_array(memory(), layout).map(drop).expect_err("must be refused");
    assert!(Store::device_array(memory(), LAYOUT).is_ok());
    assert_eq!(refused(EntryLayout { mask: None, ..LAYOUT }), StoreError::NoMask);
    assert_eq!(refused(EntryLayout { slots: 0, ..LAYOUT }), StoreError::NoCapacity);
    assert_eq!(refused(EntryLayout { slots: 5, ..LAYOUT }), StoreError::OutOfRange);
    assert_eq!(refused(EntryLayout { base: 0x104, ..LAYOUT }), StoreError::OutOfRange);
    assert_eq!(refused(EntryLayout { base: !3, ..LAYOUT }), StoreError::OutOfRange);
    assert_eq!(refused(EntryLayout { stride: 1 << 62, ..LAYOUT }), StoreError::OutOfRange);
    assert_eq!(refused(EntryLayout { base: 0x102, ..LAYOUT }), StoreError::Misaligned);
    assert_eq!(refused(EntryLayout { stride: 18, ..LAYOUT }), StoreError::Misaligned);
    assert_eq!(refused(EntryLayout { data: 9, ..LAYOUT }), StoreError::Misaligned);
    assert_eq!(refused(EntryLayout { data: 0, ..LAYOUT }), StoreError::Overlap);
    assert_eq!(refused(EntryLayout { data: 16, ..LAYOUT }), StoreError::Overlap);
    assert_eq!(refused(EntryLayout { stride: 12, ..LAYOUT }), StoreError::Overlap);
    assert_eq!(refused(EntryLayout { data: !3, ..LAYOUT }), StoreError::OutOfRange);
    let mask = |mask| refused(EntryLayout { mask: Some(mask), ..LAYOUT });
    assert_eq!(mask(MaskField::bit_masks(8, 1)), StoreError::Overlap);
    assert_eq!(mask(MaskField::bit_masks(12, 0)), StoreError::BadMask);
    assert_eq!(mask(MaskField::word(12, 7, 7)), StoreError::BadMask);
    let outside = MaskField { offset: 12, bits: 1, masked: 3, unmasked: 0 };
    assert_eq!(mask(outside), StoreError::BadMask);
    let queue = Store::queue_memory(memory(), EntryLayout { mask: None, ..LAYOUT });
    assert_eq!(queue.map(drop), Err(StoreError::NoMask));
}

#[test]
fn an_array_reads_back_what_it_wrote() {
    fake::reset();
    let memory = DeviceMemory::new(0x140);
    let mut array = DeviceArray::new(memory.clone(), LAYOUT).expect("fits");
    array.mask(1).expect("masks");
    array.write(1, MESSAGE).expect("writes");
    array.unmask(1).expect("unmasks");
    let expected = [
        // mask: read-modify-write of the mask word, and read back
        "read 0x11c",
        "write 0x11c 0x1",
        "read 0x11c",
        // pair, and read back
        "write 0x110 0xfee00010",
        "write 0x114 0x1",
        "write 0x118 0x42",
        "read 0x118",
        // unmask
        "read 0x11c",
        "write 0x11c 0x0",
        "read 0x11c",
    ];
    assert_eq!(fake::take_trace(), expected);
    assert_eq!(array.mask(4), Err(StoreError::BadSlot));
    assert_eq!(array.write(u32::MAX, MESSAGE), Err(StoreError::BadSlot));
    assert_eq!(fake::take_trace(), Vec::<String>::new());
}

#[test]
fn a_slot_that_stays_live_is_an_error() {
    let memory = DeviceMemory::new(0x140);
    let mut array = DeviceArray::new(memory.clone(), LAYOUT).expect("fits");
    memory.set_stuck(true);
    assert_eq!(array.mask(0), Err(StoreError::NotMasked));
}

#[test]
fn other_bits_of_the_mask_word_stay() {
    let memory = DeviceMemory::new(0x140);
    memory.write32(0x10c, 0x9800_0000);
    let layout = EntryLayout { mask: Some(MaskField::bit_masks(12, 1 << 19)), ..LAYOUT };
    let mut array = DeviceArray::new(memory.clone(), layout).expect("fits");
    array.mask(0).expect("masks");
    assert_eq!(memory.peek(0x10c), 0x9808_0000);
    array.unmask(0).expect("unmasks");
    assert_eq!(memory.peek(0x10c), 0x9800_0000);
}

#[test]
fn a_wide_address_needs_a_high_word() {
    let narrow = EntryLayout { address_high: None, ..LAYOUT };
    let mut array = DeviceArray::new(DeviceMemory::new(0x140), narrow).expect("fits");
    assert_eq!(array.write(0, MESSAGE), Err(StoreError::AddressTooWide));
    let low = Prepared { pair: Pair { address: 0xfee0_0010, data: 1 }, ..MESSAGE };
    assert_eq!(array.write(0, low), Ok(()));
    let mut queue = QueueMemory::new(DeviceMemory::new(0x140), narrow).expect("fits");
    queue.lock().expect("locks");
    assert_eq!(queue.write(0, MESSAGE), Err(StoreError::AddressTooWide));
}

#[test]
fn queue_memory_changes_nothing_before_commit() {
    fake::reset();
    let memory = DeviceMemory::new(0x140);
    let published = Rc::new(Cell::new(0));
    let count = published.clone();
    let mut queue = QueueMemory::new(memory.clone(), LAYOUT).expect("fits").publishing(move || {
        count.set(count.get() + 1);
        Ok(())
    });
    assert_eq!(queue.capacity(), None);
    assert!(queue.has_slot(3) && !queue.has_slot(4));
    assert_eq!(queue.mask(0), Err(StoreError::NotLocked));
    assert_eq!(queue.commit(), Err(StoreError::NotLocked));
    queue.lock().expect("locks");
    assert_eq!(queue.lock(), Err(StoreError::Busy));
    queue.mask(0).expect("noted");
    queue.write(0, MESSAGE).expect("noted");
    assert_eq!(queue.mask(4), Err(StoreError::BadSlot));
    assert_eq!(fake::take_trace(), Vec::<String>::new());
    queue.commit().expect("commits");
    assert_eq!(published.get(), 1);
    let writes: Vec<String> =
        fake::take_trace().into_iter().filter(|line| line.starts_with("write")).collect();
    let expected =
        ["write 0x10c 0x1", "write 0x100 0xfee00010", "write 0x104 0x1", "write 0x108 0x42"];
    assert_eq!(writes, expected);
    queue.lock().expect("locks");
    queue.commit().expect("an empty batch");
    assert_eq!(published.get(), 1, "nothing changed, nothing to publish");
}

#[test]
fn msi_is_written_by_the_pci_server() {
    fake::reset();
    let device = Device::new(FakePci::new(0).client(0x18));
    assert_eq!(PciMsi::new(device).map(drop), Err(StoreError::NoCapacity));
    let device = Device::new(FakePci::new(2).client(0x18));
    let store = Store::pci_msi(device).expect("has the capability");
    assert_eq!((store.kind(), store.capacity()), (StoreKind::PciMsi, Some(2)));
    assert_eq!(store.claim(2).map(drop), Err(StoreError::BadSlot));
}

#[test]
fn slots_are_taken_once_and_come_back() {
    let store = Store::device_array(DeviceMemory::new(0x140), LAYOUT).expect("fits");
    let first = store.claim(0).expect("free");
    assert_eq!(store.claim(0).map(drop), Err(StoreError::SlotTaken));
    let others: Vec<SlotClaim> = (0..3).map(|_| store.claim_any().expect("free")).collect();
    assert_eq!(others.iter().map(SlotClaim::slot).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(store.claim_any().map(drop), Err(StoreError::NoSlots));
    drop(first);
    assert_eq!(store.claim_any().expect("came back").slot(), 0);
    assert_eq!(store.used(), 3);
}

#[test]
fn a_quarantined_slot_never_comes_back() {
    let store = Store::device_array(DeviceMemory::new(0x140), LAYOUT).expect("fits");
    let mut claim = store.claim(1).expect("free");
    claim.quarantine();
    drop(claim);
    assert_eq!(store.claim(1).map(drop), Err(StoreError::SlotTaken));
}

#[test]
fn a_batch_ends_whatever_happens() {
    let depth = Rc::new(Cell::new(0));
    let (opened, closed) = (depth.clone(), depth.clone());
    let template = complete()
        .write(|_, _| Err(StoreError::Device(7)))
        .lock(move || {
            opened.set(opened.get() + 1);
            Ok(())
        })
        .commit(move || {
            closed.set(closed.get() - 1);
            Ok(())
        });
    let store = Store::new(template).expect("complete");
    let result = store.batch(|store| store.write(0, MESSAGE));
    assert_eq!((result, depth.get()), (Err(StoreError::Device(7)), 0));
}

proptest! {
    #[test]
    fn slots_match_a_set(operations in prop::collection::vec((any::<bool>(), 0u32..200), 0..200)) {
        let store = Store::new(Template { capacity: Some(150), ..complete() }).expect("complete");
        let mut claims: alloc::collections::BTreeMap<u32, SlotClaim> = Default::default();
        for (take, slot) in operations {
            if take {
                let expected = match slot {
                    150.. => Err(StoreError::BadSlot),
                    _ if claims.contains_key(&slot) => Err(StoreError::SlotTaken),
                    _ => Ok(()),
                };
                let got = store.claim(slot);
                prop_assert_eq!(got.as_ref().map(drop).map_err(|&error| error), expected);
                if let Ok(claim) = got {
                    claims.insert(slot, claim);
                }
            } else {
                claims.remove(&slot);
            }
            let lowest = (0..).find(|slot| !claims.contains_key(slot));
            let any = store.claim_any().map(|claim| claim.slot());
            prop_assert_eq!(any.ok(), lowest.filter(|&slot| slot < 150));
            prop_assert_eq!(store.used() as usize, claims.len());
        }
    }

    /// Any layout is refused or keeps all writes of all its slots inside the memory and
    /// apart from each other (`DeviceMemory` panics outside).
    #[test]
    fn layouts_never_reach_outside(
        base in 0u64..80, stride in 0u64..48, slots in 0u32..12,
        address in 0u64..24, high in prop::option::of(0u64..24), data in 0u64..24, mask in 0u64..24,
    ) {
        let layout = EntryLayout {
            base, stride, slots, address, address_high: high, data,
            mask: Some(MaskField::bit_masks(mask, 1)),
        };
        let memory = DeviceMemory::new(0x100);
        if let Ok(mut array) = DeviceArray::new(memory.clone(), layout) {
            let wide = high.map_or(0, |_| 1 << 32);
            for slot in 0..slots {
                let pair = Pair { address: wide + 0x1000 + u64::from(slot), data: 0x2000 + slot };
                array.mask(slot).expect("in range");
                array.write(slot, Prepared { pair, message: Handle::NONE }).expect("in range");
            }
            for slot in 0..slots {
                let start = base + stride * u64::from(slot);
                prop_assert_eq!(memory.peek(start + address), 0x1000 + slot);
                prop_assert_eq!(memory.peek(start + data), 0x2000 + slot);
                prop_assert_eq!(memory.peek(start + mask), 1);
            }
        }
    }
}
