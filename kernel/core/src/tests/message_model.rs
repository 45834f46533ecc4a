//! What a message must do, without any of how: states, counters, vectors, packets.

use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use tocsin_abi::{MessageState, PacketKind};

use crate::vectors::Use;

/// A vector of a CPU.
pub type Vector = (usize, u16);

#[derive(Clone, Debug)]
pub struct Message {
    pub alive: bool,
    pub state: MessageState,
    pub vector: Option<Vector>,
    pub old: Option<Vector>,
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
    /// Drain was asked, and its poke is not answered yet.
    pub asked: bool,
    /// Pokes that have been answered.
    pub answers: u32,
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
    pub messages: Vec<Message>,
    pub vectors: BTreeMap<Vector, Entry>,
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

    /// An event on a vector.
    pub fn device_event(&mut self, vector: Vector) {
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
        if let Some(entry) = vector.and_then(|vector| self.vectors.get_mut(&vector)) {
            entry.usage = usage;
        }
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
