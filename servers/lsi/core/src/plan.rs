//! Keys and order of the slots.
//!
//! Every slot has a key, which its packets carry: the array's slots first, then the
//! queue's. Slots are activated in an order that mixes both stores, so that however few
//! vectors the machine has, both stores are always active side by side.

use crate::slot::{ARRAY_SLOTS, QUEUE_SLOTS, SlotId, Store};

/// Number of slots of both stores, and of keys.
pub const SLOTS: u64 = ARRAY_SLOTS as u64 + QUEUE_SLOTS as u64;
/// Queue slots between two array slots in the order.
const QUEUE_PER_ARRAY: u64 = QUEUE_SLOTS as u64 / ARRAY_SLOTS as u64;

/// The key of a slot.
#[must_use]
pub const fn key(slot: SlotId) -> u64 {
    match slot.store {
        Store::Array => slot.index as u64,
        Store::Queue => ARRAY_SLOTS as u64 + slot.index as u64,
    }
}

/// The slot with this key.
#[must_use]
pub const fn slot(key: u64) -> Option<SlotId> {
    if key < ARRAY_SLOTS as u64 {
        Some(SlotId { store: Store::Array, index: key as u16 })
    } else if key < SLOTS {
        Some(SlotId { store: Store::Queue, index: (key - ARRAY_SLOTS as u64) as u16 })
    } else {
        None
    }
}

/// Keys of one store.
#[must_use]
pub const fn keys(store: Store) -> core::ops::Range<u64> {
    match store {
        Store::Array => 0..ARRAY_SLOTS as u64,
        Store::Queue => ARRAY_SLOTS as u64..SLOTS,
    }
}

/// All slots in the order in which they are activated: one of the array, eight of the
/// queue, and so on.
pub fn order() -> impl Iterator<Item = SlotId> {
    (0..SLOTS).map(|n| {
        let (group, place) = (n / (QUEUE_PER_ARRAY + 1), n % (QUEUE_PER_ARRAY + 1));
        match place {
            0 => SlotId { store: Store::Array, index: group as u16 },
            _ => {
                SlotId { store: Store::Queue, index: (group * QUEUE_PER_ARRAY + place - 1) as u16 }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    #[test]
    fn keys_and_slots_are_one_to_one() {
        for n in 0..SLOTS {
            assert_eq!(slot(n).map(key), Some(n));
        }
        assert_eq!(slot(SLOTS), None);
        assert_eq!(slot(u64::MAX), None);
        for store in [Store::Array, Store::Queue] {
            assert!(keys(store).all(|key| slot(key).is_some_and(|slot| slot.store == store)));
        }
    }

    #[test]
    fn the_order_visits_every_slot_once_and_mixes_the_stores() {
        let order: Vec<SlotId> = order().collect();
        assert_eq!(order.len() as u64, SLOTS);
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len() as u64, SLOTS);
        for window in order.windows(9) {
            assert_eq!(window.iter().filter(|slot| slot.store == Store::Array).count(), 1);
        }
    }
}
