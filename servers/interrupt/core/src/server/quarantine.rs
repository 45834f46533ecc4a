//! Numbers that wait until nothing can use them (invariant 5).
//!
//! An item is one former event of one record, or a record without an event whose entry is
//! not yet flushed. It goes round the queue until hardware has forgotten the entry and the
//! kernel has seen the CPU drain. A dead record whose last item is done gives back its entry
//! and its place.

use super::table::{NONE, State};
use super::{Core, Error, Outcome};
use crate::{BackEnd, CpuSet, Drained, EventLease, Flushed, KernelMessages, RemapEntry, Unrouted};
use alloc::collections::VecDeque;

/// Looked at when an allocation finds nothing: enough to make room, still constant.
const POLLED_BY_NEED: u32 = 16;

/// How far an item has come.
enum Proof {
    Unrouted(Unrouted),
    Flushed(Flushed),
}

struct Item<T> {
    slot: u32,
    event: Option<T>,
    proof: Proof,
}

/// The queue. Its capacity is taken at the start and is never exceeded.
pub(super) struct Quarantine<B: BackEnd> {
    items: VecDeque<Item<B::Retired>>,
}

impl<B: BackEnd> Quarantine<B> {
    pub(super) fn new(capacity: usize) -> Option<Self> {
        let mut items = VecDeque::new();
        items.try_reserve_exact(capacity).ok()?;
        Some(Self { items })
    }
}

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
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
    pub(super) fn set_aside(&mut self, slot: u32, unrouted: Unrouted, lease: Option<B::Lease>) {
        let proof = self.try_flush(unrouted);
        if lease.is_none() {
            match proof {
                // Nothing more to wait for.
                Proof::Flushed(_) => return self.settle(slot),
                // An item of this entry will flush it later: that forgets this as well.
                Proof::Unrouted(_) if self.table.get(slot).stale > 0 => return,
                Proof::Unrouted(_) => {}
            }
        }
        self.push(slot, lease, proof);
    }

    /// A dead record: gives its numbers back, now or when its last item is done.
    pub(super) fn bury_when_quiet(&mut self, slot: u32) {
        let record = self.table.get_mut(slot);
        debug_assert_eq!(record.state, State::Dying);
        if record.direct {
            return self.bury_direct(slot);
        }
        let Some(entry) = &record.entry else { return };
        let mut lease = record.lease.take();
        if lease.is_none() && record.armed {
            // Its own event of a former life, which has to drain before it is another's.
            lease = self.back_end.take(entry, self.cpus).ok();
        }
        if let Some(lease) = lease {
            if record.armed {
                let unrouted = self.back_end.unroute(entry);
                return self.set_aside(slot, unrouted, Some(lease));
            }
            // Only reserved by a pair that names it; no event of it was ever accepted.
            self.back_end.cancel(lease);
        }
        let record = self.table.get_mut(slot);
        let Some(entry) = &record.entry else { return };
        if record.waiting == 0 {
            if record.handle.is_some() {
                let unrouted = self.back_end.unroute(entry);
                let proof = self.try_flush(unrouted);
                self.push(slot, None, proof);
            } else {
                let proof = Drained::idle(entry);
                self.bury(slot, proof);
            }
        }
    }

    /// A CPU event for an entry. Looks into the quarantine before it says no.
    pub(super) fn take_event(&mut self, entry: &B::Entry, cpus: CpuSet) -> Outcome<B::Lease, K> {
        if let Ok(lease) = self.back_end.take(entry, cpus) {
            return Ok(lease);
        }
        self.make_room();
        self.back_end.take(entry, cpus).map_err(|_| Error::NoVectors)
    }

    /// The same for a record's entry.
    pub(super) fn take_event_of(&mut self, slot: u32, cpus: CpuSet) -> Outcome<B::Lease, K> {
        if let Some(lease) = self.try_take(slot, cpus) {
            return Ok(lease);
        }
        self.make_room();
        self.try_take(slot, cpus).ok_or(Error::NoVectors)
    }

    #[inline]
    fn try_take(&mut self, slot: u32, cpus: CpuSet) -> Option<B::Lease> {
        let entry = self.table.get(slot).entry.as_ref()?;
        self.back_end.take(entry, cpus).ok()
    }

    /// A look into the quarantine before something says no.
    #[cold]
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
            self.back_end.release(entry, proof);
        }
        self.table.put(slot, self.clients.get_mut(client));
    }

    /// An event that no entry leads to.
    pub(super) fn quarantine_flushed(
        &mut self,
        slot: u32,
        lease: Option<B::Lease>,
        flushed: Flushed,
    ) {
        self.push(slot, lease, Proof::Flushed(flushed));
    }

    fn push(&mut self, slot: u32, lease: Option<B::Lease>, proof: Proof) {
        let record = self.table.get_mut(slot);
        record.waiting += 1;
        if let Proof::Unrouted(_) = proof {
            record.stale += 1;
        }
        let event = lease.map(|lease| self.back_end.retire(lease));
        let item = Item { slot, event, proof };
        let left = match item.proof {
            // Asking the kernel starts the drain.
            Proof::Flushed(_) => self.advance(item),
            Proof::Unrouted(_) => Some(item),
        };
        self.quarantine.items.extend(left);
    }

    /// One step of one item; gives it back unless it is done.
    fn advance(&mut self, item: Item<B::Retired>) -> Option<Item<B::Retired>> {
        let Item { slot, event, proof } = item;
        let flushed = match proof {
            Proof::Flushed(flushed) => flushed,
            Proof::Unrouted(unrouted) => match self.try_flush(unrouted) {
                Proof::Flushed(flushed) => {
                    self.table.get_mut(slot).stale -= 1;
                    flushed
                }
                late => return Some(Item { slot, event, proof: late }),
            },
        };
        self.settle(slot);
        if !self.destroy_if_dying(slot) || !self.stop_if_owed(slot) {
            return Some(Item { slot, event, proof: Proof::Flushed(flushed) });
        }
        if let Some(retired) = &event
            && !self.kernel.vector_drained(retired.event())
        {
            return Some(Item { slot, event, proof: Proof::Flushed(flushed) });
        }
        let drained = flushed.drained();
        if let Some(retired) = event {
            self.back_end.reclaim(retired, &drained);
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
        match self.back_end.flush(unrouted) {
            Ok(flushed) => Proof::Flushed(flushed),
            Err((unrouted, _)) => {
                self.statistics.flushes_late += 1;
                Proof::Unrouted(unrouted)
            }
        }
    }
}
