//! The domain tree, for the inspector: vectors ← remapper ← devices ← messages.

use super::table::{NONE, Record, State};
use super::{Core, Error, Kind, MessageId, MessageState, Outcome};
use crate::{
    BackEnd, ClientId, CpuEvent, CpuSet, EntryIndex, EntryName, EventLease, EventSpace,
    KernelMessages, Pair, RemapEntry,
};

/// What went unusually.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Faults read from the hardware.
    pub faults: u64,
    /// Times that the hardware had no record for a fault: how many it lost is not known.
    pub faults_lost: u64,
    /// Times that the hardware stood still because it had refused something, and was helped
    /// on outside of a request.
    pub stalls: u64,
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
    pub client: ClientId,
    /// Where the device keeps the pair.
    pub kind: Kind,
    /// Where it is in its life.
    pub state: MessageState,
    /// Blocked because of its rate.
    pub storm: bool,
    /// Its entry, where a remapper has entries: no two messages have the same.
    pub entry: Option<EntryIndex>,
    /// What the entry is called outside.
    pub name: Option<EntryName>,
    /// Its pair.
    pub pair: Pair,
    /// Its CPU event, if it has one.
    pub event: Option<CpuEvent>,
    /// Where it may be delivered.
    pub cpus: CpuSet,
    /// Writes blocked while it was reserved or blocked, as far as hardware recorded them.
    pub faults: u32,
}

/// One node of the tree, parents before children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Depth 0: the vectors of one CPU, or the LPIs.
    Vectors(EventSpace),
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
        client: ClientId,
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
pub struct Describe<'a, B: BackEnd, K: KernelMessages> {
    core: &'a Core<B, K>,
    at: Position,
}

enum Position {
    Space(u8),
    Remapper,
    Client(usize),
    Message { slot: u32, client: usize },
}

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// The domain tree.
    pub fn describe(&self) -> Describe<'_, B, K> {
        Describe { core: self, at: Position::Space(0) }
    }

    /// One message of a client.
    pub fn info(&self, client: impl Into<ClientId>, id: MessageId) -> Outcome<MessageInfo, K> {
        let slot = self.own(client, id)?;
        self.information(slot).ok_or(Error::BadId)
    }

    /// What a client's message's entry is called; nothing where the remapper has no table.
    pub fn entry_name(
        &self,
        client: impl Into<ClientId>,
        id: MessageId,
    ) -> Outcome<Option<EntryName>, K> {
        let entry = &self.table.get(self.own(client, id)?).entry;
        Ok(entry.as_ref().and_then(|entry| self.back_end.name(entry)))
    }

    /// What went unusually since the start.
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn information(&self, slot: u32) -> Option<MessageInfo> {
        let record: &Record<B, K::Handle> = self.table.get(slot);
        let state = match record.state {
            State::Reserved | State::Withheld => MessageState::Reserved,
            State::Active => MessageState::Active,
            State::Blocked => MessageState::Blocked,
            State::Free | State::Dying => return None,
        };
        Some(self.information_as(slot, state))
    }

    /// What is known of a record that is not free, said to be in this state.
    pub(super) fn information_as(&self, slot: u32, state: MessageState) -> MessageInfo {
        let record: &Record<B, K::Handle> = self.table.get(slot);
        let has_entries = !self.by_entry.is_empty();
        let entry = record.entry.as_ref();
        MessageInfo {
            id: self.table.id(slot),
            client: self.clients.get(record.client).id,
            kind: record.kind,
            state,
            storm: record.storm,
            entry: entry.map(|entry| entry.index()).filter(|_| has_entries),
            name: entry.and_then(|entry| self.back_end.name(entry)),
            pair: record.pair,
            event: record.lease.as_ref().map(|lease| lease.event()),
            cpus: record.cpus,
            faults: record.faults,
        }
    }
}

impl<B: BackEnd, K: KernelMessages> Iterator for Describe<'_, B, K> {
    type Item = Domain;

    fn next(&mut self) -> Option<Domain> {
        loop {
            match self.at {
                Position::Space(number) => match self.core.back_end.space(number) {
                    Some(space) => {
                        self.at = Position::Space(number + 1);
                        return Some(Domain::Vectors(space));
                    }
                    None => self.at = Position::Remapper,
                },
                Position::Remapper => {
                    self.at = Position::Client(0);
                    let capabilities = self.core.back_end.capabilities();
                    return Some(Domain::Remapper {
                        name: capabilities.name,
                        isolated: capabilities.isolated,
                        entries: capabilities.entries,
                        used: self.core.back_end.entries_used(),
                    });
                }
                Position::Client(place) => {
                    let client = self.core.clients.at(place)?;
                    self.at = Position::Message { slot: client.first, client: place };
                    if client.registered || client.held != 0 || client.faults != 0 {
                        return Some(Domain::Client {
                            client: client.id,
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
