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
    /// Queue slots for each slot of the array.
    queue_per_array: u32,
}

impl Plan {
    /// A plan with this many slots in queue memory: a multiple of the array's, so that they
    /// mix evenly, and at most [`MAX_QUEUE_SLOTS`].
    #[must_use]
    pub const fn new(queue_slots: u32) -> Option<Plan> {
        let evenly = queue_slots.is_multiple_of(ARRAY_SLOTS);
        if queue_slots == 0 || queue_slots > MAX_QUEUE_SLOTS || !evenly {
            return None;
        }
        Some(Plan { queue_per_array: queue_slots / ARRAY_SLOTS })
    }

    /// Slots in queue memory.
    #[must_use]
    pub const fn queue_slots(self) -> u32 {
        self.queue_per_array * ARRAY_SLOTS
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
        let share = u64::from(self.queue_per_array);
        (0..self.slots()).map(move |n| {
            let (group, place) = (n / (share + 1), n % (share + 1));
            match place {
                0 => group,
                _ => u64::from(ARRAY_SLOTS) + group * share + place - 1,
            }
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
        let sizes = [ARRAY_SLOTS, QUEUE_SLOTS, 16_384, MAX_QUEUE_SLOTS];
        sizes.into_iter().map(|slots| {
            let plan = Plan::new(slots).expect("a good size");
            assert_eq!(plan.queue_slots(), slots);
            plan
        })
    }

    #[test]
    fn other_sizes_are_refused() {
        for slots in [0, 1, 255, 257, MAX_QUEUE_SLOTS + 256, u32::MAX] {
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
            let array = plan.keys(Store::Array);
            let group = 1 + plan.queue_slots() / ARRAY_SLOTS;
            for group in order.chunks(group as usize) {
                assert_eq!(group.iter().filter(|key| array.contains(key)).count(), 1);
            }
        }
    }
}
