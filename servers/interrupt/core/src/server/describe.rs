//! The domain tree, for the inspector: vectors ← remapper ← devices ← messages.

use super::table::{NONE, Record, State};
use super::{Core, Error, Kind, MessageId, MessageState, Outcome, target};
use crate::numbers::CpuVectors;
use crate::{CpuIndex, CpuSet, EntryIndex, KernelMessages, Pair, Remapper, RequesterId, Target};

/// What went unusually.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Faults read from the hardware.
    pub faults: u64,
    /// Flushes that hardware did not finish in time and that were put off.
    pub flushes_late: u64,
    /// Kernel calls that failed although they undo or complete what had just succeeded.
    pub undo_failures: u64,
}

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageInfo {
    /// Its name.
    pub id: MessageId,
    /// Whose it is.
    pub client: RequesterId,
    /// Where the device keeps the pair.
    pub kind: Kind,
    /// Where it is in its life.
    pub state: MessageState,
    /// Blocked because of its rate.
    pub storm: bool,
    /// Its entry, where a remapper has entries.
    pub entry: Option<EntryIndex>,
    /// Its pair.
    pub pair: Pair,
    /// Its CPU event, if it has one.
    pub target: Option<Target>,
    /// Where it may be delivered.
    pub cpus: CpuSet,
    /// Writes blocked while it was reserved or blocked, as far as hardware recorded them.
    pub faults: u32,
}

/// One node of the tree, parents before children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Depth 0: the vectors of one CPU.
    Vectors {
        /// The CPU.
        cpu: CpuIndex,
        /// Its numbers.
        count: CpuVectors,
    },
    /// Depth 1: the remapper.
    Remapper {
        /// Name for people.
        name: &'static str,
        /// Whether it checks who sent a message.
        isolated: bool,
        /// Entries in all.
        entries: u32,
        /// Entries reserved, those in quarantine included.
        used: u32,
    },
    /// Depth 2: a device.
    Client {
        /// Which.
        client: RequesterId,
        /// How many messages it may have.
        quota: u32,
        /// How many count against it, those in quarantine included.
        held: u32,
        /// Faults counted against it.
        faults: u32,
    },
    /// Depth 3: a message.
    Message(MessageInfo),
}

/// The tree's nodes in order. Takes no memory.
pub struct Describe<'a, R: Remapper, K: KernelMessages> {
    core: &'a Core<R, K>,
    at: Position,
}

enum Position {
    Cpu(u8),
    Remapper,
    Client(usize),
    Message { slot: u32, client: usize },
}

impl<R: Remapper, K: KernelMessages> Core<R, K> {
    /// The domain tree.
    pub fn describe(&self) -> Describe<'_, R, K> {
        Describe { core: self, at: Position::Cpu(0) }
    }

    /// One message of a client.
    pub fn info(&self, client: RequesterId, id: MessageId) -> Outcome<MessageInfo, K> {
        let slot = self.own(client, id)?;
        self.information(slot).ok_or(Error::BadId)
    }

    /// A client's message's entry; none where the remapper has no table.
    pub fn entry(&self, client: RequesterId, id: MessageId) -> Outcome<Option<EntryIndex>, K> {
        let entry = &self.table.get(self.own(client, id)?).entry;
        Ok(entry.as_ref().map(|entry| entry.index()).filter(|_| !self.by_entry.is_empty()))
    }

    /// What went unusually since the start.
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn information(&self, slot: u32) -> Option<MessageInfo> {
        let record: &Record<K::Handle> = self.table.get(slot);
        let state = match record.state {
            State::Reserved => MessageState::Reserved,
            State::Active => MessageState::Active,
            State::Blocked => MessageState::Blocked,
            State::Free | State::Dying => return None,
        };
        let has_entries = !self.by_entry.is_empty();
        Some(MessageInfo {
            id: self.table.id(slot),
            client: self.clients.get(record.client).requester,
            kind: record.kind,
            state,
            storm: record.storm,
            entry: record.entry.as_ref().map(|entry| entry.index()).filter(|_| has_entries),
            pair: record.pair,
            target: record.vector.as_ref().map(|lease| target(&self.apics, lease)),
            cpus: record.cpus,
            faults: record.faults,
        })
    }
}

impl<R: Remapper, K: KernelMessages> Iterator for Describe<'_, R, K> {
    type Item = Domain;

    fn next(&mut self) -> Option<Domain> {
        loop {
            match self.at {
                Position::Cpu(number) => {
                    let cpu = CpuIndex::new(number);
                    match cpu.and_then(|cpu| Some((cpu, self.core.vectors.count(cpu)?))) {
                        Some((cpu, count)) => {
                            self.at = Position::Cpu(number + 1);
                            return Some(Domain::Vectors { cpu, count });
                        }
                        None => self.at = Position::Remapper,
                    }
                }
                Position::Remapper => {
                    self.at = Position::Client(0);
                    let capabilities = self.core.remapper.capabilities();
                    return Some(Domain::Remapper {
                        name: capabilities.name,
                        isolated: capabilities.isolated,
                        entries: capabilities.entries,
                        used: self.core.remapper.entries_used(),
                    });
                }
                Position::Client(place) => {
                    let client = self.core.clients.at(place)?;
                    self.at = Position::Message { slot: client.first, client: place };
                    if client.registered || client.held != 0 || client.faults != 0 {
                        return Some(Domain::Client {
                            client: client.requester,
                            quota: client.policy.quota,
                            held: client.held,
                            faults: client.faults,
                        });
                    }
                }
                Position::Message { slot: NONE, client } => self.at = Position::Client(client + 1),
                Position::Message { slot, client } => {
                    self.at = Position::Message { slot: self.core.table.next(slot), client };
                    if let Some(message) = self.core.information(slot) {
                        return Some(Domain::Message(message));
                    }
                }
            }
        }
    }
}
