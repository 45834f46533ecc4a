//! The domain tree in pieces, for whoever reads it over many requests.
//!
//! A walk goes by the places of records, not along the clients' chains: whatever is made and
//! freed between two steps, a message that lives through the whole walk is met exactly once,
//! and a step costs the same wherever it starts.

use super::table::{Record, State};
use super::{ClientPolicy, Core, MessageInfo, MessageState, Statistics};
use crate::{BackEnd, Capabilities, ClientId, EventSpace, KernelMessages};

/// How far a walk has come: any word is a place, and behind the last one there is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place(u64);

/// What is looked at, in this order. The number in its lower half says which one.
const SERVER: u64 = 0;
const SPACES: u64 = 1;
const CLIENTS: u64 = 2;
const MESSAGES: u64 = 3;
const BEYOND: u64 = 4;

impl Place {
    /// Before everything.
    pub const START: Place = Place(0);

    /// From a word of a caller's.
    pub const fn from_bits(bits: u64) -> Place {
        Place(bits)
    }

    /// As a word. Never zero for a place that came out of a walk.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// A place among what the core does not know of, and comes behind all that it knows.
    pub const fn beyond(number: u32) -> Place {
        Place::of(BEYOND, number)
    }

    /// The number of such a place.
    pub const fn number_beyond(self) -> Option<u32> {
        if self.0 >> 32 == BEYOND { Some(self.0 as u32) } else { None }
    }

    const fn of(part: u64, number: u32) -> Place {
        Place(part << 32 | number as u64)
    }
}

/// What the server counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerNode {
    /// The remapper.
    pub capabilities: Capabilities,
    /// Its entries reserved now.
    pub entries_used: u32,
    /// Message records in all, and those in use.
    pub messages: (u32, u32),
    /// Numbers in quarantine.
    pub quarantined: usize,
    /// How many CPUs there are.
    pub cpus: u8,
    /// IMS is given out even without isolation.
    pub allow_unisolated: bool,
    /// What went unusually.
    pub statistics: Statistics,
}

/// A client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientNode {
    /// Which.
    pub client: ClientId,
    /// What it may have, and what its writes arrive with.
    pub policy: ClientPolicy,
    /// Records that it holds, those in quarantine included.
    pub held: u32,
    /// Faults counted against it and none of its messages.
    pub faults: u32,
}

/// A message, or what is left of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageNode<H> {
    /// What is known of it.
    pub info: MessageInfo,
    /// It is freed, and its numbers are in quarantine: its name is nobody's.
    pub dead: bool,
    /// It moved, and the kernel still accepts its former event.
    pub moving: bool,
    /// Former numbers of it in the quarantine.
    pub waiting: u16,
    /// The kernel's object, while there is one.
    pub handle: Option<H>,
}

/// One node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Node<H> {
    /// The server.
    Server(ServerNode),
    /// CPU events that are counted together.
    Space(EventSpace),
    /// A client.
    Client(ClientNode),
    /// A message.
    Message(MessageNode<H>),
}

/// A step of a walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<H> {
    /// A node, and the place behind it.
    Node(Node<H>, Place),
    /// Nothing found in as many places as were to be looked at; it goes on here.
    Later(Place),
    /// There is nothing more.
    End,
}

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// The first node at `place` or behind it: of everybody, or of one client's own, which are
    /// its record and its messages. Looks at `looks` places at most, and counts them down.
    pub fn survey(
        &self,
        only: Option<ClientId>,
        mut place: Place,
        looks: &mut u32,
    ) -> Step<K::Handle> {
        while *looks > 0 {
            *looks -= 1;
            let (part, number) = (place.0 >> 32, place.0 as u32);
            place = Place::of(part, number.saturating_add(1));
            let node = match part {
                SERVER => {
                    place = Place::of(SPACES, 0);
                    only.is_none().then(|| Node::Server(self.server_node()))
                }
                SPACES => match u8::try_from(number).ok().and_then(|n| self.back_end.space(n)) {
                    Some(space) => only.is_none().then_some(Node::Space(space)),
                    None => {
                        place = Place::of(CLIENTS, 0);
                        None
                    }
                },
                CLIENTS if number as usize >= self.clients.len() => {
                    place = Place::of(MESSAGES, 0);
                    None
                }
                CLIENTS => self.client_node(number as usize).map(Node::Client),
                MESSAGES if number < self.table.len() => {
                    self.message_node(number).map(Node::Message)
                }
                _ => return Step::End,
            };
            if let Some(node) = node.filter(|node| only.is_none_or(|client| node.is_of(client))) {
                return Step::Node(node, place);
            }
        }
        Step::Later(place)
    }

    fn server_node(&self) -> ServerNode {
        let total = self.table.len();
        ServerNode {
            capabilities: self.back_end.capabilities(),
            entries_used: self.back_end.entries_used(),
            messages: (total, total - self.table.left()),
            quarantined: self.quarantined(),
            cpus: self.cpus.iter().count() as u8,
            allow_unisolated: self.allow_unisolated,
            statistics: self.statistics(),
        }
    }

    fn client_node(&self, place: usize) -> Option<ClientNode> {
        let client = self.clients.at(place)?;
        let is_known = client.registered || client.held != 0 || client.faults != 0;
        is_known.then_some(ClientNode {
            client: client.id,
            policy: client.policy,
            held: client.held,
            faults: client.faults,
        })
    }

    fn message_node(&self, slot: u32) -> Option<MessageNode<K::Handle>> {
        let record: &Record<B, K::Handle> = self.table.get(slot);
        let state = match record.state {
            State::Free => return None,
            State::Reserved | State::Withheld | State::Dying => MessageState::Reserved,
            State::Active => MessageState::Active,
            State::Blocked => MessageState::Blocked,
        };
        Some(MessageNode {
            info: self.information_as(slot, state),
            dead: record.state == State::Dying,
            moving: record.moving,
            waiting: record.waiting,
            handle: record.handle,
        })
    }
}

impl<H> Node<H> {
    fn is_of(&self, client: ClientId) -> bool {
        match self {
            Node::Server(_) | Node::Space(_) => false,
            Node::Client(node) => node.client == client,
            Node::Message(node) => node.info.client == client,
        }
    }
}
