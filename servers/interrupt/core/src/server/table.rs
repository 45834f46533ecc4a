//! Message records: a slab with generations and a chain per client. Every step is constant.

use super::clients::Client;
use super::{Kind, MessageId};
use crate::{BackEnd, CpuSet, Pair};
use alloc::vec::Vec;

/// No record.
pub(super) const NONE: u32 = u32::MAX;

/// Where a record is in its life. `MessageState` is what clients see of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// On the free list.
    Free,
    /// Of a block, and its client has not been given it yet: no id names it.
    Withheld,
    Reserved,
    Active,
    Blocked,
    /// Nobody's any more; its numbers are in quarantine.
    Dying,
}

/// One message.
pub(super) struct Record<B: BackEnd, H> {
    pub(super) generation: u32,
    pub(super) state: State,
    pub(super) kind: Kind,
    /// Blocked because of its rate.
    pub(super) storm: bool,
    pub(super) client: u16,
    /// The kernel knows its CPU event: as its own, or as one that drains.
    pub(super) armed: bool,
    /// The kernel would not stop it when an activation was taken back.
    pub(super) stop_owed: bool,
    /// Its pair goes past the remapper: no entry, and a CPU event for life.
    pub(super) direct: bool,
    /// Its driver has died, and nobody has silenced its device yet.
    pub(super) loud: bool,
    /// It moved, and the kernel still accepts its former event.
    pub(super) moving: bool,
    /// Quarantine items about it.
    pub(super) waiting: u16,
    /// Those of them that still need a flush of its entry.
    pub(super) stale: u16,
    pub(super) entry: Option<B::Entry>,
    pub(super) lease: Option<B::Lease>,
    pub(super) handle: Option<H>,
    pub(super) cpus: CpuSet,
    pub(super) pair: Pair,
    /// Writes that the remapper blocked and recorded.
    pub(super) faults: u32,
    /// Events that the kernel had counted as blocked before it was told to block this one.
    pub(super) missed: u64,
    /// Of a block's first message: the first that is withheld. Of that: the next one.
    pub(super) rest: u32,
    /// Free list, or the client's chain.
    next: u32,
    previous: u32,
}

/// All records.
pub(super) struct Table<B: BackEnd, H> {
    records: Vec<Record<B, H>>,
    free: u32,
    left: u32,
}

impl<B: BackEnd, H> Table<B, H> {
    pub(super) fn new(size: u32) -> Option<Self> {
        let mut records = Vec::new();
        records.try_reserve_exact(size as usize).ok()?;
        for slot in 0..size {
            records.push(Record {
                generation: 0,
                state: State::Free,
                kind: Kind::PciMsi,
                storm: false,
                client: 0,
                armed: false,
                stop_owed: false,
                direct: false,
                loud: false,
                moving: false,
                waiting: 0,
                stale: 0,
                entry: None,
                lease: None,
                handle: None,
                cpus: CpuSet::from_bits(0),
                pair: Pair { address: 0, data: 0 },
                faults: 0,
                missed: 0,
                rest: NONE,
                next: if slot + 1 < size { slot + 1 } else { NONE },
                previous: NONE,
            });
        }
        Some(Self { records, free: 0, left: size })
    }

    /// How many records there are.
    pub(super) const fn len(&self) -> u32 {
        // No more than were asked for with 32 bits.
        self.records.len() as u32
    }

    /// How many records are free.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// The record that an id names, unless it is free, dying, or not its client's yet.
    pub(super) fn find(&self, id: MessageId) -> Option<u32> {
        let record = self.records.get(id.slot() as usize)?;
        let live = !matches!(record.state, State::Free | State::Withheld | State::Dying);
        (live && record.generation == id.generation()).then_some(id.slot())
    }

    pub(super) fn get(&self, slot: u32) -> &Record<B, H> {
        &self.records[slot as usize]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Record<B, H> {
        &mut self.records[slot as usize]
    }

    pub(super) fn id(&self, slot: u32) -> MessageId {
        MessageId::new(slot, self.get(slot).generation)
    }

    /// The record after this one in its client's chain.
    pub(super) fn next(&self, slot: u32) -> u32 {
        self.get(slot).next
    }

    /// Takes a free record and puts it at the head of the client's chain.
    pub(super) fn take(&mut self, index: u16, client: &mut Client) -> Option<u32> {
        let slot = self.free;
        let record = self.records.get_mut(slot as usize)?;
        self.free = record.next;
        self.left -= 1;
        record.state = State::Reserved;
        record.client = index;
        record.next = client.first;
        record.previous = NONE;
        if let Some(former) = self.records.get_mut(client.first as usize) {
            former.previous = slot;
        }
        client.first = slot;
        client.held += 1;
        Some(slot)
    }

    /// From now on no id names it.
    pub(super) fn kill(&mut self, slot: u32) {
        let record = self.get_mut(slot);
        record.state = State::Dying;
        record.generation = record.generation.wrapping_add(1);
    }

    /// Puts a record without numbers back on the free list.
    pub(super) fn put(&mut self, slot: u32, client: &mut Client) {
        let free = self.free;
        let record = self.get_mut(slot);
        let (previous, next) = (record.previous, record.next);
        record.state = State::Free;
        record.storm = false;
        record.armed = false;
        record.stop_owed = false;
        record.direct = false;
        record.loud = false;
        record.moving = false;
        record.faults = 0;
        record.rest = NONE;
        record.previous = NONE;
        record.next = free;
        match self.records.get_mut(previous as usize) {
            Some(record) => record.next = next,
            None => client.first = next,
        }
        if let Some(record) = self.records.get_mut(next as usize) {
            record.previous = previous;
        }
        client.held -= 1;
        self.free = slot;
        self.left += 1;
    }
}
