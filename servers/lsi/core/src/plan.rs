//! Keys and order of the slots.
//!
//! Every slot has a key, which its packets carry: the array's slots first, then the
//! queue's. Slots are activated in an order that mixes both stores, so that however few
//! vectors the machine has, both stores are always active side by side.

use core::ops::Range;

use crate::slot::{ARRAY_SLOTS, MAX_QUEUE_SLOTS, SlotId, Store};

/// How many slots there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Slots in queue memory.
    queue: u32,
}

impl Plan {
    /// A plan with this many slots in queue memory, at most [`MAX_QUEUE_SLOTS`].
    #[must_use]
    pub const fn new(queue_slots: u32) -> Option<Plan> {
        if queue_slots == 0 || queue_slots > MAX_QUEUE_SLOTS {
            return None;
        }
        Some(Plan { queue: queue_slots })
    }

    /// Slots in queue memory.
    #[must_use]
    pub const fn queue_slots(self) -> u32 {
        self.queue
    }

    /// Number of slots of both stores, and of keys.
    #[must_use]
    pub const fn slots(self) -> u64 {
        ARRAY_SLOTS as u64 + self.queue_slots() as u64
    }

    /// The slot with this key.
    #[must_use]
    pub const fn slot(self, key: u64) -> Option<SlotId> {
        if key < ARRAY_SLOTS as u64 {
            Some(SlotId { store: Store::Array, index: key as u16 })
        } else if key < self.slots() {
            Some(SlotId { store: Store::Queue, index: (key - ARRAY_SLOTS as u64) as u16 })
        } else {
            None
        }
    }

    /// Keys of one store.
    #[must_use]
    pub const fn keys(self, store: Store) -> Range<u64> {
        match store {
            Store::Array => 0..ARRAY_SLOTS as u64,
            Store::Queue => ARRAY_SLOTS as u64..self.slots(),
        }
    }

    /// All keys in the order in which their slots are activated: one of the array, its
    /// share of the queue, and so on.
    pub fn order(self) -> impl Iterator<Item = u64> {
        let (array, all) = (u64::from(ARRAY_SLOTS), self.slots());
        // Slots of the array among the first so many.
        let before = move |place: u64| (place * array).div_ceil(all);
        (0..all).map(move |place| match before(place + 1) > before(place) {
            true => before(place),
            false => array + place - before(place),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::slot::QUEUE_SLOTS;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn plans() -> impl Iterator<Item = Plan> {
        let sizes = [1, 232, ARRAY_SLOTS, 257, QUEUE_SLOTS, 16_384, MAX_QUEUE_SLOTS];
        sizes.into_iter().map(|slots| {
            let plan = Plan::new(slots).expect("a good size");
            assert_eq!(plan.queue_slots(), slots);
            plan
        })
    }

    #[test]
    fn other_sizes_are_refused() {
        for slots in [0, MAX_QUEUE_SLOTS + 1, u32::MAX] {
            assert_eq!(Plan::new(slots), None, "{slots}");
        }
    }

    #[test]
    fn keys_and_slots_are_one_to_one() {
        for plan in plans() {
            let slots: BTreeSet<_> = (0..plan.slots()).filter_map(|key| plan.slot(key)).collect();
            assert_eq!(slots.len() as u64, plan.slots());
            assert_eq!(plan.slot(plan.slots()), None);
            assert_eq!(plan.slot(u64::MAX), None);
            for store in [Store::Array, Store::Queue] {
                let mut keys = plan.keys(store);
                assert!(keys.all(|key| plan.slot(key).is_some_and(|slot| slot.store == store)));
            }
        }
    }

    #[test]
    fn the_order_visits_every_slot_once_and_mixes_the_stores() {
        for plan in plans() {
            let order: Vec<u64> = plan.order().collect();
            assert_eq!(order.len() as u64, plan.slots());
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len() as u64, plan.slots());
            // However many are active, the array has its share of them.
            let array = plan.keys(Store::Array);
            let mut of_array = 0u64;
            for (place, key) in order.iter().enumerate() {
                of_array += u64::from(array.contains(key));
                let share = (place as u64 + 1) * u64::from(ARRAY_SLOTS);
                assert_eq!(of_array, share.div_ceil(plan.slots()));
            }
        }
    }
}
