//! Accesses stay inside and do what they say.

use super::*;
use crate::fake;
use proptest::prelude::*;
use std::panic::catch_unwind;

fn memory(size: u64) -> Mapping {
    fake::reset();
    Mapping::owning(Capability::own(Memory::new(size).expect("memory").leak())).expect("mapped")
}

#[test]
fn two_mappings_show_one_memory() {
    fake::reset();
    let memory = Memory::new(8192).expect("memory");
    let whole = Mapping::of_memory(&memory).expect("mapped");
    let part = Mapping::new(memory.handle(), 4096, 4096, Rights::READ).expect("mapped");
    whole.write32(4096, 0x1234_5678);
    assert_eq!((part.read16(0), part.read8(3)), (0x5678, 0x12));
    let outside = Mapping::new(memory.handle(), 4096, 8192, Rights::READ);
    assert_eq!(outside.map(drop), Err(Error::OutOfRange));
}

#[test]
fn a_mapping_that_owns_its_object_closes_it() {
    let mapping = memory(4096);
    assert_eq!((fake::handle_count(), mapping.object().is_some()), (1, true));
    drop(mapping);
    assert_eq!(fake::handle_count(), 0);
}

proptest! {
    #[test]
    fn no_access_leaves_the_mapping(offset in prop_oneof![0u64..5000, any::<u64>()]) {
        let mapping = memory(4096);
        let inside = |bytes: u64| {
            offset.is_multiple_of(bytes) && offset.checked_add(bytes).is_some_and(|end| end <= 4096)
        };
        prop_assert_eq!(catch_unwind(|| mapping.read8(offset)).is_ok(), inside(1));
        prop_assert_eq!(catch_unwind(|| mapping.read16(offset)).is_ok(), inside(2));
        prop_assert_eq!(catch_unwind(|| mapping.write32(offset, 1)).is_ok(), inside(4));
        prop_assert_eq!(catch_unwind(|| mapping.write64(offset, 1)).is_ok(), inside(8));
    }

    #[test]
    fn copies_are_what_was_copied(
        offset in 0u64..64, bytes in prop::collection::vec(any::<u8>(), 0..64), around: u8,
    ) {
        let mapping = memory(4096);
        (0..160).for_each(|at| mapping.write8(at, around));
        mapping.copy_from(offset, &bytes);
        let end = offset + bytes.len() as u64;
        for at in 0..160 {
            let expected =
                if at >= offset && at < end { bytes[(at - offset) as usize] } else { around };
            prop_assert_eq!(mapping.read8(at), expected);
        }
        prop_assert_eq!(mapping.to_vec(offset, bytes.len() as u64), bytes);
    }

    #[test]
    fn copies_outside_are_refused(offset: u64, len in 1usize..64) {
        let mapping = memory(4096);
        let inside = offset.checked_add(len as u64).is_some_and(|end| end <= 4096);
        prop_assert_eq!(catch_unwind(|| mapping.copy_from(offset, &[0; 64][..len])).is_ok(), inside);
        prop_assert_eq!(catch_unwind(|| mapping.to_vec(offset, len as u64)).is_ok(), inside);
    }
}
