//! Ports, messages and timers of the model.

use super::kernel::{FakeTimer, Model};
use crate::sys::Values;
use alloc::vec::Vec;
use tocsin_abi::message::MessageState;
use tocsin_abi::{Error, Packet, PacketKind, Rights};

impl Model {
    /// Leaves a packet, folded into one of the same source that still waits. Says whether
    /// it was folded.
    pub(super) fn post(&mut self, port: usize, packet: Packet) -> bool {
        let queue = &mut self.ports[port];
        let same = |other: &&mut Packet| (other.kind, other.key) == (packet.kind, packet.key);
        if let Some(waiting) = queue.iter_mut().find(same) {
            waiting.count = waiting.count.saturating_add(packet.count);
            waiting.value |= packet.value;
            return true;
        }
        queue.push_back(packet);
        false
    }

    pub(super) fn raise(&mut self, index: usize) {
        let message = &mut self.messages[index];
        if message.state != MessageState::Active {
            message.blocked += 1;
            return;
        }
        self.post_event(index);
    }

    /// By software: a message without a CPU event can be raised as well.
    pub(super) fn signal(&mut self, index: usize) {
        let message = &mut self.messages[index];
        if message.state == MessageState::Blocked {
            message.blocked += 1;
            return;
        }
        self.post_event(index);
    }

    fn post_event(&mut self, index: usize) {
        let message = &mut self.messages[index];
        let Some((port, key)) = message.port else {
            message.pending = message.pending.saturating_add(1);
            return;
        };
        let kind = PacketKind::Message as u32;
        let packet = Packet { key, count: 1, kind, first_ticks: self.now, value: 0 };
        let folded = self.post(port, packet);
        let message = &mut self.messages[index];
        if folded { message.coalesced += 1 } else { message.delivered += 1 }
    }

    /// Fires the timers whose time has come.
    pub(super) fn tick(&mut self) {
        for index in 0..self.timers.len() {
            let FakeTimer { port, key, deadline } = self.timers[index];
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.timers[index].deadline = None;
                let kind = PacketKind::Timer as u32;
                self.post(port, Packet { key, count: 1, kind, first_ticks: self.now, value: 0 });
            }
        }
    }

    /// Waits in model time: it moves on to the next timer, or to the deadline.
    pub(super) fn wait(&mut self, port: usize, deadline: u64) -> Result<(), Error> {
        loop {
            self.tick();
            if !self.ports[port].is_empty() {
                return Ok(());
            }
            let next = self.timers.iter().filter_map(|timer| timer.deadline).min();
            match next {
                Some(next) if next <= deadline => self.now = next,
                _ if deadline == u64::MAX => return Err(Error::PeerDied),
                _ => {
                    self.now = self.now.max(deadline);
                    return Err(Error::TimedOut);
                }
            }
        }
    }

    pub(super) fn port_wait(&mut self, a: [u64; 6]) -> Result<Values, Error> {
        let [port, buffer, capacity, deadline, ..] = a;
        let port = self.port(port, Rights::WAIT)?;
        if capacity == 0 {
            return Err(Error::BadSize);
        }
        self.wait(port, deadline)?;
        let queue = &mut self.ports[port];
        let count = queue.len().min(capacity as usize);
        let packets: Vec<Packet> = queue.drain(..count).collect();
        let out: *mut Packet = core::ptr::with_exposed_provenance_mut(buffer as usize);
        for (n, packet) in packets[1..].iter().enumerate() {
            // SAFETY: the caller gave `capacity - 1` packets' room at `buffer`.
            unsafe { out.wrapping_add(n).write(*packet) }
        }
        let [key, count_and_kind, first, value] = packets[0].to_values();
        Ok(Values { result: count as u64, values: [key, count_and_kind, first, value, 0, 0] })
    }

    pub(super) fn bind(&mut self, a: [u64; 6]) -> Result<u64, Error> {
        let message = self.message(a[0], Rights::BIND)?;
        let port = self.port(a[1], Rights::BIND)?;
        if self.messages[message].port.is_some() {
            return Err(Error::AlreadyBound);
        }
        self.trace.push("bind".into());
        self.messages[message].port = Some((port, a[2]));
        let pending = core::mem::take(&mut self.messages[message].pending);
        (0..pending).for_each(|_| self.raise(message));
        Ok(u64::from(pending > 0))
    }

    pub(super) fn unbind(&mut self, handle: u64) -> Result<(), Error> {
        let message = self.message(handle, Rights::BIND)?;
        let (port, key) = self.messages[message].port.take().ok_or(Error::NotBound)?;
        self.trace.push("unbind".into());
        let kind = PacketKind::Message as u32;
        let queue = &mut self.ports[port];
        if let Some(place) = queue.iter().position(|each| (each.kind, each.key) == (kind, key))
            && let Some(packet) = queue.remove(place)
        {
            self.messages[message].pending = packet.count;
        }
        Ok(())
    }

    pub(super) fn set_state(&mut self, handle: u64, state: MessageState) -> Result<(), Error> {
        let message = self.message(handle, Rights::CONTROL)?;
        self.messages[message].state = state;
        Ok(())
    }
}
