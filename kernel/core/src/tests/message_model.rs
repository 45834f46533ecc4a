//! What a message must do, without any of how: states, counters, vectors, packets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::vec::Vec;

use tocsin_abi::{MessageState, PacketKind, Trigger};

use super::platform::FIRST_WIRE;
use crate::level::Held;
use crate::vectors::Use;

/// A vector of a CPU.
pub type Vector = (usize, u16);

#[derive(Clone, Debug)]
pub struct Message {
    pub alive: bool,
    pub state: MessageState,
    pub vector: Option<Vector>,
    pub old: Option<Vector>,
    pub trigger: Trigger,
    /// What the interrupt controller waits for.
    pub held: Held,
    /// Client, key, and the index of the handle that bound it.
    pub bound: Option<(usize, u64, usize)>,
    pub pending: u32,
    /// Events in the packet that waits.
    pub queued: u32,
    pub delivered: u64,
    pub coalesced: u64,
    pub blocked: u64,
    /// Everything that ever came.
    pub events: u64,
    pub rate: u32,
    pub window: u64,
    pub window_start: u64,
    pub window_events: u32,
    pub stormed: bool,
    /// Kind and count of the notice that waits.
    pub notice: Option<(PacketKind, u32)>,
}

/// A vector that is not free.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub usage: Use,
    pub message: usize,
    /// Drain was asked.
    pub asked: bool,
    /// Pokes that each CPU has answered since.
    pub answers: [u32; 2],
}

/// A packet that goes straight to a thread that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handed {
    pub client: usize,
    pub key: u64,
    pub count: u32,
}

#[derive(Default)]
pub struct Model {
    /// CPUs have one space of vectors.
    pub shared: bool,
    pub messages: Vec<Message>,
    pub vectors: BTreeMap<Vector, Entry>,
    /// Vectors that are held back for nobody.
    pub left: BTreeSet<Vector>,
    /// Messages with a packet, by client, in order.
    pub ports: Vec<VecDeque<usize>>,
    pub listening: Vec<bool>,
    /// Messages with a notice, in order.
    pub control: VecDeque<usize>,
    pub strays: u64,
    pub now: u64,
    pub handed: Option<Handed>,
}

impl Model {
    pub fn create(&mut self) -> usize {
        self.messages.push(Message {
            alive: true,
            state: MessageState::Reserved,
            vector: None,
            old: None,
            trigger: Trigger::Edge,
            held: Held::No,
            bound: None,
            pending: 0,
            queued: 0,
            delivered: 0,
            coalesced: 0,
            blocked: 0,
            events: 0,
            rate: 0,
            window: 0,
            window_start: 0,
            window_events: 0,
            stormed: false,
            notice: None,
        });
        self.messages.len() - 1
    }

    /// The same vector of one CPU and of another are one where they are shared.
    pub fn key(&self, vector: Vector) -> Vector {
        if self.shared { (0, vector.1) } else { vector }
    }

    /// The vectors of the machine's that the interrupt controller holds back.
    pub fn held_back(&self) -> BTreeSet<u16> {
        let live = self.messages.iter().filter(|m| m.alive && m.held != Held::No);
        let live = live.filter_map(|m| m.vector);
        live.chain(self.left.iter().copied()).map(|vector| vector.1).collect()
    }

    /// An event on a vector.
    pub fn device_event(&mut self, vector: Vector) {
        let vector = self.key(vector);
        let wire = self.shared && vector.1 >= FIRST_WIRE;
        if wire && self.held_back().contains(&vector.1) {
            return;
        }
        let live = self.vectors.get(&vector).copied().filter(|entry| entry.usage == Use::Live);
        self.taken(vector);
        let Some(entry) = live else {
            self.left.extend(wire.then_some(vector));
            return;
        };
        let message = &mut self.messages[entry.message];
        if message.trigger == Trigger::Level {
            let blocked = message.state == MessageState::Blocked;
            message.held = if blocked { Held::Muted } else { Held::Owner };
        }
    }

    fn taken(&mut self, vector: Vector) {
        let Some(entry) = self.vectors.get(&vector).copied() else {
            self.strays += 1;
            return;
        };
        let message = &mut self.messages[entry.message];
        if !message.alive {
            self.strays += 1;
        } else if entry.usage == Use::Retired || message.state == MessageState::Reserved {
            message.events += 1;
            message.blocked += 1;
        } else {
            self.event(entry.message);
        }
    }

    /// An event of a message.
    pub fn event(&mut self, id: usize) {
        let message = &mut self.messages[id];
        message.events += 1;
        if message.state == MessageState::Blocked {
            message.blocked += 1;
            return;
        }
        match message.bound {
            None => message.pending += 1,
            Some(_) if message.queued > 0 => {
                message.queued += 1;
                message.coalesced += 1;
            }
            Some((client, key, _)) => {
                message.delivered += 1;
                self.send(id, client, key, 1);
            }
        }
        self.rate(id);
    }

    fn send(&mut self, id: usize, client: usize, key: u64, count: u32) {
        if self.listening[client] {
            self.listening[client] = false;
            self.handed = Some(Handed { client, key, count });
        } else {
            self.messages[id].queued = count;
            self.ports[client].push_back(id);
        }
    }

    fn rate(&mut self, id: usize) {
        let (now, message) = (self.now, &mut self.messages[id]);
        if message.rate == 0 {
            return;
        }
        if now - message.window_start > message.window {
            message.window_start = now;
            message.window_events = 1;
            return;
        }
        message.window_events += 1;
        if message.window_events > message.rate && !message.stormed {
            message.stormed = true;
            self.notify(id, PacketKind::Storm);
        }
    }

    /// One notice for each message; that nobody wants it any more outweighs a storm.
    fn notify(&mut self, id: usize, kind: PacketKind) {
        let message = &mut self.messages[id];
        match &mut message.notice {
            Some((old, count)) => {
                *count += 1;
                if kind == PacketKind::Orphaned {
                    *old = kind;
                }
            }
            None => {
                message.notice = Some((kind, 1));
                self.control.push_back(id);
            }
        }
    }

    pub fn bind(&mut self, id: usize, client: usize, key: u64, handle: usize) -> u64 {
        let message = &mut self.messages[id];
        message.bound = Some((client, key, handle));
        let pending = core::mem::take(&mut message.pending);
        if pending == 0 {
            // Seen by an earlier owner, who went without acknowledging it.
            if message.held == Held::Owner {
                message.held = Held::No;
            }
            return 0;
        }
        message.delivered += 1;
        message.coalesced += u64::from(pending) - 1;
        self.send(id, client, key, pending);
        1
    }

    /// Nothing is lost: a packet that nobody saw is pending again.
    pub fn unbind(&mut self, id: usize) {
        let message = &mut self.messages[id];
        let Some((client, ..)) = message.bound.take() else { return };
        let queued = core::mem::take(&mut message.queued);
        if queued > 0 {
            message.pending += queued;
            message.delivered -= 1;
            message.coalesced -= u64::from(queued) - 1;
            self.ports[client].retain(|other| *other != id);
        }
    }

    /// The next packet of a client: key and count.
    pub fn take(&mut self, client: usize) -> Option<(u64, u32)> {
        let id = self.ports[client].pop_front()?;
        let message = &mut self.messages[id];
        let key = message.bound.expect("queued, so bound").1;
        Some((key, core::mem::take(&mut message.queued)))
    }

    /// The next notice: message, kind, count.
    pub fn take_notice(&mut self) -> Option<(usize, PacketKind, u32)> {
        let id = self.control.pop_front()?;
        let (kind, count) = self.messages[id].notice.take().expect("queued");
        Some((id, kind, count))
    }

    pub fn retire(&mut self, vector: Option<Vector>, usage: Use) {
        let vector = vector.map(|vector| self.key(vector));
        if let Some(entry) = vector.and_then(|vector| self.vectors.get_mut(&vector)) {
            entry.usage = usage;
        }
    }

    /// Whether a number in quarantine is this message's own, which it may have again.
    pub fn was_own(&self, vector: Vector, id: usize) -> bool {
        let entry = self.vectors.get(&self.key(vector));
        self.shared && entry.is_some_and(|entry| entry.usage == Use::Retired && entry.message == id)
    }

    /// A client's handle is gone. `left`: other handles; `clients`: those of clients.
    pub fn handle_gone(&mut self, id: usize, handle: usize, left: usize, clients: usize) {
        if self.messages[id].bound.is_some_and(|bound| bound.2 == handle) {
            self.unbind(id);
        }
        if left == 0 {
            self.die(id);
        } else if clients == 0 {
            self.notify(id, PacketKind::Orphaned);
        }
    }

    pub fn die(&mut self, id: usize) {
        self.unbind(id);
        self.messages[id].held = Held::No;
        let Message { vector, old, .. } = self.messages[id];
        self.retire(vector, Use::Retired);
        self.retire(old, Use::Retired);
        self.control.retain(|other| *other != id);
        self.messages[id].alive = false;
    }

    /// Every event that ever came is somewhere.
    pub fn check(&self) {
        for message in self.messages.iter().filter(|message| message.alive) {
            let sum = message.delivered
                + message.coalesced
                + u64::from(message.pending)
                + message.blocked;
            assert_eq!(sum, message.events, "the model loses events");
        }
    }
}
