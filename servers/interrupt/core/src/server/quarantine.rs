//! Numbers that wait until nothing can use them (invariant 5).
//!
//! An item is one former vector of one record, or a record without a vector whose entry is
//! not yet flushed. It goes round the queue until hardware has forgotten the entry and the
//! kernel has seen the CPU drain. A dead record whose last item is done gives back its entry
//! and its place.

use super::table::{NONE, State};
use super::{Core, Error, Outcome};
use crate::numbers::{RetiredVector, VectorLease};
use crate::{CpuSet, Drained, Flushed, KernelMessages, Remapper, Unrouted};
use alloc::collections::VecDeque;

/// Looked at when an allocation finds nothing: enough to make room, still constant.
const POLLED_BY_NEED: u32 = 16;

/// How far an item has come.
enum Proof {
    Unrouted(Unrouted),
    Flushed(Flushed),
}

struct Item {
    slot: u32,
    vector: Option<RetiredVector>,
    proof: Proof,
}

/// The queue. Its capacity is taken at the start and is never exceeded.
pub(super) struct Quarantine {
    items: VecDeque<Item>,
}

impl Quarantine {
    pub(super) fn new(capacity: usize) -> Option<Self> {
        let mut items = VecDeque::new();
        items.try_reserve_exact(capacity).ok()?;
        Some(Self { items })
    }
}

impl<R: Remapper, K: KernelMessages> Core<R, K> {
    /// Moves the quarantine on by at most `items` items; returns how many are left. Call it
    /// after a request and, while something is left, from a timer.
    pub fn tick(&mut self, items: u32) -> usize {
        for _ in 0..items.min(self.quarantine.items.len() as u32) {
            let Some(item) = self.quarantine.items.pop_front() else { break };
            if let Some(item) = self.advance(item) {
                self.quarantine.items.push_back(item);
            }
        }
        self.quarantine.items.len()
    }

    /// Numbers that wait, including those of live messages that moved.
    pub fn quarantined(&self) -> usize {
        self.quarantine.items.len()
    }

    /// Puts what an entry pointed at aside. Tries the flush at once; when hardware does not
    /// follow, the flush is the first thing that the item waits for.
    pub(super) fn set_aside(&mut self, slot: u32, unrouted: Unrouted, vector: Option<VectorLease>) {
        let proof = self.try_flush(unrouted);
        if vector.is_none() {
            let covered = match proof {
                // Nothing to wait for: no event can be pending without a vector.
                Proof::Flushed(_) => true,
                // An item of this entry will flush it later: that forgets this as well.
                Proof::Unrouted(_) => self.table.get(slot).stale > 0,
            };
            if covered {
                return;
            }
        }
        self.push(slot, vector, proof);
    }

    /// A dead record: gives its numbers back, now or when its last item is done.
    pub(super) fn bury_when_quiet(&mut self, slot: u32) {
        let record = self.table.get_mut(slot);
        debug_assert_eq!(record.state, State::Dying);
        let Some(entry) = &record.entry else { return };
        if let Some(lease) = record.vector.take() {
            if record.armed {
                let unrouted = self.remapper.unroute(entry);
                return self.set_aside(slot, unrouted, Some(lease));
            }
            // Only reserved by a pair that names it; no event of it was ever accepted.
            self.vectors.cancel(lease);
        }
        let record = self.table.get_mut(slot);
        let Some(entry) = &record.entry else { return };
        if record.waiting == 0 {
            if record.handle.is_some() {
                let unrouted = self.remapper.unroute(entry);
                let proof = self.try_flush(unrouted);
                self.push(slot, None, proof);
            } else {
                let proof = Drained::idle(entry);
                self.bury(slot, proof);
            }
        }
    }

    /// A vector in the wanted set. Looks into the quarantine before it says no.
    pub(super) fn take_vector(&mut self, cpus: CpuSet) -> Outcome<VectorLease, K> {
        if let Ok(lease) = self.vectors.take(cpus) {
            return Ok(lease);
        }
        self.make_room();
        self.vectors.take(cpus).map_err(|_| Error::NoVectors)
    }

    /// A look into the quarantine before something says no.
    pub(super) fn make_room(&mut self) {
        self.tick(POLLED_BY_NEED);
    }

    /// Takes a record that holds nothing but its entry out of service for good.
    pub(super) fn bury(&mut self, slot: u32, proof: Drained) {
        let record = self.table.get_mut(slot);
        let client = record.client;
        if let Some(entry) = record.entry.take() {
            if let Some(place) = self.by_entry.get_mut(entry.index().index()) {
                *place = NONE;
            }
            self.remapper.release(entry, proof);
        }
        self.table.put(slot, self.clients.get_mut(client));
    }

    fn push(&mut self, slot: u32, vector: Option<VectorLease>, proof: Proof) {
        let record = self.table.get_mut(slot);
        record.waiting += 1;
        if let Proof::Unrouted(_) = proof {
            record.stale += 1;
        }
        let vector = vector.map(|lease| self.vectors.retire(lease));
        let item = Item { slot, vector, proof };
        let left = match item.proof {
            // Asking the kernel starts the drain.
            Proof::Flushed(_) => self.advance(item),
            Proof::Unrouted(_) => Some(item),
        };
        self.quarantine.items.extend(left);
    }

    /// One step of one item; gives it back unless it is done.
    fn advance(&mut self, item: Item) -> Option<Item> {
        let Item { slot, vector, proof } = item;
        let flushed = match proof {
            Proof::Flushed(flushed) => flushed,
            Proof::Unrouted(unrouted) => match self.try_flush(unrouted) {
                Proof::Flushed(flushed) => {
                    self.table.get_mut(slot).stale -= 1;
                    flushed
                }
                late => return Some(Item { slot, vector, proof: late }),
            },
        };
        self.settle(slot);
        if !self.destroy_if_dying(slot) || !self.stop_if_owed(slot) {
            return Some(Item { slot, vector, proof: Proof::Flushed(flushed) });
        }
        if let Some(retired) = &vector
            && !self.kernel.vector_drained(retired.cpu(), retired.vector())
        {
            return Some(Item { slot, vector, proof: Proof::Flushed(flushed) });
        }
        let drained = flushed.drained();
        if let Some(retired) = vector {
            self.vectors.reclaim(retired, &drained);
        }
        let record = self.table.get_mut(slot);
        record.waiting -= 1;
        if record.state == State::Dying && record.waiting == 0 {
            self.bury(slot, drained);
        }
        None
    }

    /// The kernel object of a dead record goes before its numbers do. `false`: not yet.
    fn destroy_if_dying(&mut self, slot: u32) -> bool {
        let record = self.table.get_mut(slot);
        match (record.state, record.handle) {
            (State::Dying, Some(handle)) => {
                let gone = self.kernel.destroy(handle).is_ok();
                if gone {
                    record.handle = None;
                }
                gone
            }
            _ => true,
        }
    }

    /// After any flush of a record's entry: a move is complete in hardware.
    pub(super) fn settle(&mut self, slot: u32) {
        let record = self.table.get_mut(slot);
        if let (true, Some(handle)) = (record.moving, record.handle)
            && self.kernel.settle(handle).is_ok()
        {
            record.moving = false;
        }
    }

    fn try_flush(&mut self, unrouted: Unrouted) -> Proof {
        match self.remapper.flush(unrouted) {
            Ok(flushed) => Proof::Flushed(flushed),
            Err((unrouted, _)) => {
                self.statistics.flushes_late += 1;
                Proof::Unrouted(unrouted)
            }
        }
    }
}
