//! The rules of a layout one by one, and what the store does to the registers, in order.

use super::super::Store;
use super::*;
use crate::fake::{self, DeviceMemory};
use alloc::collections::BTreeSet;
use alloc::string::String;
use proptest::prelude::*;
use tocsin_abi::Handle;

/// An HPET's comparator 0: INT_ENB_CNF (2) enables, FSB_EN_CNF (14) stays set.
const COMPARATOR: RegisterSlot = RegisterSlot {
    address: 0x114,
    address_high: None,
    data: 0x110,
    mask: Some(MaskField { offset: 0x100, bits: 0x4004, masked: 0x4000, unmasked: 0x4004 }),
};
/// A VT-d unit's fault event: FECTL.IM (31) masks.
const FAULT_EVENT: RegisterSlot = RegisterSlot {
    address: 0x40,
    address_high: Some(0x44),
    data: 0x3c,
    mask: Some(MaskField::bit_masks(0x38, 1 << 31)),
};

const PAIR: Pair = Pair { address: 0xfee0_0010, data: 0x42 };
const WIDE: Pair = Pair { address: 0x1_fee0_0010, data: 0x42 };

fn message(pair: Pair) -> Prepared {
    Prepared { pair, message: Handle::NONE }
}

fn refused(slots: &[RegisterSlot]) -> StoreError {
    Store::registers(DeviceMemory::new(0x200), slots).map(drop).expect_err("must be refused")
}

#[test]
fn a_layout_that_breaks_a_rule_is_refused_with_that_rule() {
    assert!(Store::registers(DeviceMemory::new(0x200), &[COMPARATOR, FAULT_EVENT]).is_ok());
    assert_eq!(refused(&[]), StoreError::NoCapacity);
    assert_eq!(
        refused(&[FAULT_EVENT, RegisterSlot { mask: None, ..COMPARATOR }]),
        StoreError::NoMask
    );
    for mask in [
        MaskField { offset: 0x100, bits: 4, masked: 4, unmasked: 4 },
        MaskField { offset: 0x100, bits: 4, masked: 0, unmasked: 0x4004 },
        MaskField::bit_masks(0x100, 0),
    ] {
        assert_eq!(
            refused(&[RegisterSlot { mask: Some(mask), ..COMPARATOR }]),
            StoreError::BadMask
        );
    }
    let misaligned = MaskField::bit_enables(0x102, 4);
    for slot in [
        RegisterSlot { address: 0x115, ..COMPARATOR },
        RegisterSlot { address_high: Some(0x46), ..FAULT_EVENT },
        RegisterSlot { data: 0x111, ..COMPARATOR },
        RegisterSlot { mask: Some(misaligned), ..COMPARATOR },
    ] {
        assert_eq!(refused(&[slot]), StoreError::Misaligned);
    }
    for slot in [
        RegisterSlot { address: 0x200, ..COMPARATOR },
        RegisterSlot { address_high: Some(0x200), ..FAULT_EVENT },
        RegisterSlot { data: !3, ..COMPARATOR },
        RegisterSlot { mask: Some(MaskField::bit_enables(0x1000, 4)), ..COMPARATOR },
    ] {
        assert_eq!(refused(&[slot]), StoreError::OutOfRange);
    }
}

#[test]
fn two_things_in_one_register_are_refused() {
    let own = |slot| refused(&[slot]);
    assert_eq!(own(RegisterSlot { data: 0x114, ..COMPARATOR }), StoreError::Overlap);
    assert_eq!(own(RegisterSlot { address_high: Some(0x40), ..FAULT_EVENT }), StoreError::Overlap);
    assert_eq!(own(RegisterSlot { address_high: Some(0x3c), ..FAULT_EVENT }), StoreError::Overlap);
    for place in [0x110, 0x114] {
        let mask = Some(MaskField::bit_enables(place, 4));
        assert_eq!(own(RegisterSlot { mask, ..COMPARATOR }), StoreError::Overlap);
    }
    let two = |other| refused(&[COMPARATOR, other]);
    assert_eq!(two(COMPARATOR), StoreError::Overlap);
    assert_eq!(two(RegisterSlot { data: 0x110, ..FAULT_EVENT }), StoreError::Overlap);
    assert_eq!(two(RegisterSlot { address_high: Some(0x100), ..FAULT_EVENT }), StoreError::Overlap);
    let mask = Some(MaskField::bit_masks(0x114, 1));
    assert_eq!(two(RegisterSlot { mask, ..FAULT_EVENT }), StoreError::Overlap);
    let mask = |bits| Some(MaskField::bit_enables(0x100, bits));
    assert_eq!(two(RegisterSlot { mask: mask(4), ..FAULT_EVENT }), StoreError::Overlap);
    // One mask register for all slots, a bit for each.
    let shared = RegisterSlot { mask: mask(8), ..FAULT_EVENT };
    assert!(Store::registers(DeviceMemory::new(0x200), &[COMPARATOR, shared]).is_ok());
}

#[test]
fn every_write_is_read_back_and_the_pair_lies_between_mask_and_unmask() {
    fake::reset();
    let memory = DeviceMemory::new(0x200);
    let mut store = Registers::new(memory.clone(), &[COMPARATOR, FAULT_EVENT]).expect("fits");
    assert_eq!((store.kind(), store.capacity()), (StoreKind::Registers, Some(2)));
    store.mask(1).expect("masks");
    store.write(1, message(WIDE)).expect("writes");
    store.unmask(1).expect("unmasks");
    let expected = [
        "read 0x38",
        "write 0x38 0x80000000",
        "read 0x38",
        // Still masked, then each half of the pair.
        "read 0x38",
        "write 0x40 0xfee00010",
        "read 0x40",
        "write 0x44 0x1",
        "read 0x44",
        "write 0x3c 0x42",
        "read 0x3c",
        "read 0x38",
        "write 0x38 0x0",
        "read 0x38",
    ];
    assert_eq!(fake::take_trace(), expected);
    for error in [store.mask(2), store.unmask(2), store.write(u32::MAX, message(PAIR))] {
        assert_eq!(error, Err(StoreError::BadSlot));
    }
    assert_eq!(fake::take_trace(), Vec::<String>::new());
}

/// The enable bit goes, the bit that must stay set is set, and nothing else changes.
#[test]
fn the_sense_of_the_bit_and_its_neighbours_are_kept() {
    let memory = DeviceMemory::new(0x200);
    memory.write32(0x100, 0x8034);
    let mut store = Registers::new(memory.clone(), &[COMPARATOR]).expect("fits");
    store.mask(0).expect("masks");
    assert_eq!(memory.peek(0x100), 0xc030);
    store.unmask(0).expect("unmasks");
    assert_eq!(memory.peek(0x100), 0xc034);
}

/// Whatever the device looks at in between, a live slot holds the whole old pair or the new.
#[test]
fn a_live_slot_is_never_half_written() {
    let memory = DeviceMemory::new(0x200);
    let mut store = Registers::new(memory.clone(), &[FAULT_EVENT]).expect("fits");
    store.mask(0).expect("masks");
    memory.watch(|words, offset, _| {
        let masked = words[0x38 / 4] >> 31 == 1;
        assert!(masked || offset == 0x38, "{offset:#x} written in a live slot");
    });
    for pair in [PAIR, WIDE, PAIR] {
        store.mask(0).expect("masks");
        store.write(0, message(pair)).expect("writes");
        store.unmask(0).expect("unmasks");
    }
    // Not masked: not written.
    assert_eq!(store.write(0, message(WIDE)), Err(StoreError::NotMasked));
    assert_eq!(memory.peek(0x44), 0);
}

#[test]
fn a_pair_that_does_not_fit_is_said_and_not_written() {
    let memory = DeviceMemory::new(0x200);
    let mut store = Registers::new(memory.clone(), &[COMPARATOR]).expect("fits");
    store.mask(0).expect("masks");
    fake::reset();
    assert_eq!(store.write(0, message(WIDE)), Err(StoreError::AddressTooWide));
    assert_eq!(fake::take_trace(), Vec::<String>::new(), "nothing was touched");
    assert_eq!(store.write(0, message(PAIR)), Ok(()));
    // A register that does not take what is written.
    memory.set_stuck(true);
    let other = Pair { address: 0xfee0_0030, ..PAIR };
    assert_eq!(store.write(0, message(other)), Err(StoreError::NotWritten));
    let other = Pair { data: 0x43, ..PAIR };
    assert_eq!(store.write(0, message(other)), Err(StoreError::NotWritten));
    memory.set_stuck(false);
    store.unmask(0).expect("unmasks");
    memory.set_stuck(true);
    assert_eq!(store.mask(0), Err(StoreError::NotMasked));
}

fn any_slot() -> impl Strategy<Value = RegisterSlot> {
    (0u64..12, prop::option::of(0u64..12), 0u64..12, 0u64..12, 0u32..4, any::<bool>()).prop_map(
        |(address, high, data, mask, bit, enables)| {
            let make = if enables { MaskField::bit_enables } else { MaskField::bit_masks };
            RegisterSlot {
                address: 4 * address,
                address_high: high.map(|high| 4 * high),
                data: 4 * data,
                mask: Some(make(4 * mask, 1 << bit)),
            }
        },
    )
}

proptest! {
    /// What is accepted keeps every slot's pair and mask whatever is done to the others; what
    /// is refused as `Overlap` has two things in one place.
    #[test]
    fn accepted_slots_do_not_disturb_each_other(slots in prop::collection::vec(any_slot(), 1..4)) {
        let memory = DeviceMemory::new(0x30);
        let pairs: Vec<u64> = slots.iter().flat_map(RegisterSlot::pair_fields).collect();
        let masks: Vec<MaskField> = slots.iter().filter_map(|slot| slot.mask).collect();
        let places: BTreeSet<u64> = pairs.iter().copied().collect();
        let bits: BTreeSet<(u64, u32)> = masks.iter().map(|it| (it.offset, it.bits)).collect();
        let clean = places.len() == pairs.len()
            && bits.len() == masks.len()
            && masks.iter().all(|mask| !places.contains(&mask.offset));
        match Registers::new(memory.clone(), &slots) {
            Err(error) => prop_assert!(error == StoreError::Overlap && !clean),
            Ok(mut store) => {
                prop_assert!(clean);
                for slot in 0..slots.len() as u32 {
                    store.mask(slot).expect("masks");
                    let pair = Pair { address: 0x1000 + u64::from(slot), data: 0x2000 + slot };
                    store.write(slot, message(pair)).expect("writes");
                    if slot % 2 == 0 {
                        store.unmask(slot).expect("unmasks");
                    }
                }
                for (number, slot) in (0..).zip(&slots) {
                    prop_assert_eq!(memory.peek(slot.address), 0x1000 + number);
                    prop_assert_eq!(memory.peek(slot.data), 0x2000 + number);
                    let mask = slot.mask.expect("has one");
                    let expected = if number % 2 == 0 { mask.unmasked } else { mask.masked };
                    prop_assert_eq!(memory.peek(mask.offset) & mask.bits, expected);
                }
            }
        }
    }
}
