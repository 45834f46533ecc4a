//! Ports, and the nodes through which everything sends its packets.
//!
//! A node is part of the object that sends: a port can neither overflow nor make the
//! sender allocate, and there is at most one packet per sender.

use core::cell::Cell;

use tocsin_abi::ipc::RECEIVED_PACKET;
use tocsin_abi::limits::{FOREVER, USER_END, WAIT_PACKETS};
use tocsin_abi::{Error, Handle, Kind, Packet, PacketKind, Rights};

use crate::arena::{Id, Reset};
use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::objects::{Endpoint, EndpointId, NO_CPU, PortId, ProcessId, SlotId, ThreadId};
use crate::platform::{Frame, Platform};
use crate::reset_cells;
use crate::thread::{State, Thread};

/// What kind of object a [`Source`] index is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Tag {
    /// A message's events.
    Message = 0,
    /// News about a message for the interrupt server.
    Notice = 1,
    /// A port's own signal.
    Signal = 2,
    /// A timer.
    Timer = 3,
    /// A process's death.
    Death = 4,
    /// The kernel's log.
    Log = 5,
}

/// Names a node: kind and index of the object that holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source(u32);

impl Source {
    const NONE: Source = Source(u32::MAX);

    /// The node of object `index` of that kind.
    #[inline(always)]
    #[must_use]
    pub const fn new(tag: Tag, index: u32) -> Source {
        Source((tag as u32) << 28 | index)
    }
}

impl Default for Source {
    fn default() -> Self {
        Source::NONE
    }
}

/// A packet in the making, and its way to a port.
#[derive(Default)]
pub struct Node {
    /// Where packets go.
    pub port: Cell<PortId>,
    /// Generation of that port: a dead port's successor is not meant.
    pub port_generation: Cell<u32>,
    /// Whether it is in the port's queue.
    pub queued: Cell<bool>,
    /// Events since the last wait.
    pub count: Cell<u32>,
    /// Chosen by whoever bound it.
    pub key: Cell<u64>,
    /// Ticks at the first event.
    pub first: Cell<u64>,
    /// Union of the events' values.
    pub value: Cell<u64>,
    /// Code of [`PacketKind`].
    pub kind: Cell<u32>,
    next: Cell<Source>,
    prev: Cell<Source>,
}

reset_cells!(Node {
    port: Id::NONE, port_generation: 0, queued: false, count: 0, key: 0, first: 0,
    value: 0, kind: 0, next: Source::NONE, prev: Source::NONE;
});

/// A place where packets arrive and one thread waits.
pub struct Port {
    /// CPU whose local context may use it: that of the last waiter.
    pub home: Cell<u8>,
    /// The thread that waits.
    pub waiter: Cell<ThreadId>,
    /// Endpoint whose receivers also take its packets.
    pub endpoint: Cell<EndpointId>,
    /// Packets in its queue.
    pub queued: Cell<u32>,
    head: Cell<Source>,
    tail: Cell<Source>,
    /// The port's own node, for `port_signal`.
    pub signal: Node,
    /// Handles that name it.
    pub handles: Cell<u32>,
    /// Who pays for it.
    pub payer: Cell<ProcessId>,
}

impl Default for Port {
    fn default() -> Self {
        Port {
            home: Cell::new(NO_CPU),
            waiter: Cell::default(),
            endpoint: Cell::default(),
            queued: Cell::default(),
            head: Cell::default(),
            tail: Cell::default(),
            signal: Node::default(),
            handles: Cell::default(),
            payer: Cell::default(),
        }
    }
}

reset_cells!(Port {
    home: NO_CPU, waiter: Id::NONE, endpoint: Id::NONE, queued: 0,
    head: Source::NONE, tail: Source::NONE, handles: 0, payer: Id::NONE;
    signal
});

/// The links, for the tests' walk over every list.
#[cfg(test)]
impl Node {
    pub(crate) fn links(&self) -> (u32, u32) {
        (self.next.get().0, self.prev.get().0)
    }
}

#[cfg(test)]
impl Port {
    pub(crate) fn ends(&self) -> (u32, u32) {
        (self.head.get().0, self.tail.get().0)
    }
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Posted {
    /// It made a packet.
    Delivered,
    /// It was added to a packet that waits.
    Coalesced,
    /// The node leads to no living port.
    Unbound,
}

/// Checks a buffer for so many packets, as far as its address says.
#[inline(always)]
pub fn check_buffer(buffer: u64, packets: u64) -> Result<(), Error> {
    if !buffer.is_multiple_of(8) {
        return Err(Error::Misaligned);
    }
    let end = buffer.checked_add(packets * Packet::BYTES as u64).ok_or(Error::BadAddress)?;
    if end > USER_END { Err(Error::BadAddress) } else { Ok(()) }
}

impl<P: Platform> Kernel<P> {
    fn node(&self, source: Source) -> &Node {
        let index = source.0 & 0x0fff_ffff;
        match source.0 >> 28 {
            0 => &self.messages.get(Id::new(index)).node,
            1 => &self.messages.get(Id::new(index)).notice,
            2 => &self.ports.get(Id::new(index)).signal,
            3 => &self.timers.get(Id::new(index)).node,
            4 => &self.processes.get(Id::new(index)).death,
            _ => &self.log.node,
        }
    }

    /// Ties a node to a port.
    pub fn tie(&self, node: &Node, port: PortId, key: u64, kind: PacketKind) {
        node.port.set(port);
        node.port_generation.set(self.ports.item(port).generation.get());
        node.key.set(key);
        node.kind.set(kind as u32);
    }

    /// Whether a node leads to a living port.
    #[must_use]
    pub fn is_tied(&self, node: &Node) -> bool {
        let port = node.port.get();
        port.is_some() && self.ports.item(port).generation.get() == node.port_generation.get()
    }

    /// Sends `count` events on their way: to the thread that waits, into the packet that
    /// waits, or into the queue. Constant work, no allocation.
    ///
    /// # Errors
    /// `Escalate` when the port is homed elsewhere.
    #[inline(always)]
    pub fn post(
        &self,
        cx: Cx,
        source: Source,
        node: &Node,
        count: u32,
        value: u64,
    ) -> Result<Posted, Stop> {
        let id = node.port.get();
        if id.is_none() {
            return Ok(Posted::Unbound);
        }
        let item = self.ports.item(id);
        if item.generation.get() != node.port_generation.get() {
            return Ok(Posted::Unbound);
        }
        let port = &item.value;
        if !cx.may(port.home.get()) {
            return Err(Stop::Escalate);
        }
        if node.queued.get() {
            node.count.set(node.count.get().saturating_add(count));
            node.value.set(node.value.get() | value);
            return Ok(Posted::Coalesced);
        }
        let waiter = port.waiter.get();
        if waiter.is_some() {
            port.waiter.set(Id::NONE);
            let thread = self.thread(waiter);
            self.cancel_wait_deadline(&thread.due);
            self.hand_over(cx, waiter, thread, 1, node, count, value);
            return Ok(Posted::Delivered);
        }
        if port.endpoint.get().is_some() {
            let receivers = &self.endpoints.get(port.endpoint.get()).receivers;
            let receiver = receivers.head.get();
            if receiver.is_some() {
                let thread = self.thread(receiver);
                if !cx.may(thread.cpu.get()) {
                    return Err(Stop::Escalate);
                }
                self.pop_first(receivers, thread);
                self.hand_over(cx, receiver, thread, RECEIVED_PACKET, node, count, value);
                return Ok(Posted::Delivered);
            }
        }
        node.count.set(count);
        node.value.set(value);
        node.first.set(self.platform.now());
        self.append(port, source, node);
        Ok(Posted::Delivered)
    }

    /// Gives a fresh packet to a waiting thread, in its registers.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "inlined into the interrupt path")]
    fn hand_over(
        &self,
        cx: Cx,
        id: ThreadId,
        thread: &Thread<P::Frame>,
        result: u64,
        node: &Node,
        count: u32,
        value: u64,
    ) {
        let packet = Packet {
            key: node.key.get(),
            count,
            kind: node.kind.get(),
            first_ticks: self.platform.now(),
            value,
        };
        thread.frame.set_result(result);
        thread.frame.set_values4(packet.to_values());
        self.wake_thread(cx, id, thread);
    }

    fn append(&self, port: &Port, source: Source, node: &Node) {
        node.queued.set(true);
        node.next.set(Source::NONE);
        let tail = port.tail.get();
        node.prev.set(tail);
        if tail == Source::NONE {
            port.head.set(source);
        } else {
            self.node(tail).next.set(source);
        }
        port.tail.set(source);
        port.queued.set(port.queued.get() + 1);
    }

    /// Takes a node's packet back, if nobody has seen it. Says whether there was one.
    pub fn withdraw(&self, source: Source, node: &Node) -> bool {
        if !node.queued.replace(false) {
            return false;
        }
        let port = self.ports.get(node.port.get());
        let (next, prev) = (node.next.get(), node.prev.get());
        debug_assert!(prev != Source::NONE || port.head.get() == source);
        if prev == Source::NONE {
            port.head.set(next);
        } else {
            self.node(prev).next.set(next);
        }
        if next == Source::NONE {
            port.tail.set(prev);
        } else {
            self.node(next).prev.set(prev);
        }
        port.queued.set(port.queued.get() - 1);
        true
    }

    /// Takes the first packet of a port's queue.
    #[must_use]
    pub fn take_packet(&self, port: &Port) -> Option<Packet> {
        let source = port.head.get();
        if source == Source::NONE {
            return None;
        }
        let node = self.node(source);
        self.withdraw(source, node);
        Some(Packet {
            key: node.key.get(),
            count: node.count.get(),
            kind: node.kind.get(),
            first_ticks: node.first.get(),
            value: node.value.get(),
        })
    }

    /// Gives the packets that wait on a port to the receivers that wait at the endpoint
    /// just tied to it: nothing else would wake them. Exclusive context only.
    pub fn feed_receivers(&self, cx: Cx, port: &Port, endpoint: &Endpoint) {
        while endpoint.receivers.head.get().is_some() {
            let Some(packet) = self.take_packet(port) else { break };
            let id = self.pop(&endpoint.receivers);
            let frame = &self.thread(id).frame;
            frame.set_result(RECEIVED_PACKET);
            frame.set_values4(packet.to_values());
            self.wake(cx, id);
        }
    }

    /// `port_wait`.
    ///
    /// # Errors
    /// Those of the call.
    #[inline(always)]
    pub fn port_wait(
        &self,
        cx: Cx,
        handle: Handle,
        buffer: u64,
        capacity: u64,
        deadline_ns: u64,
    ) -> Outcome {
        let slot = self.need(cx, handle, Kind::Port, Rights::WAIT)?;
        let port = self.ports.get(slot.id());
        if capacity == 0 || capacity > WAIT_PACKETS as u64 {
            return Err(Error::BadSize.into());
        }
        if capacity > 1 {
            check_buffer(buffer, capacity - 1)?;
        }
        if port.home.get() as usize != cx.cpu {
            cx.need_exclusive()?;
            if port.waiter.get().is_some() {
                return Err(Error::Busy.into());
            }
            self.move_home(port, cx)?;
        }
        if port.head.get() != Source::NONE {
            return self.take_packets(cx, port, buffer, capacity);
        }
        if port.waiter.get().is_some() {
            return Err(Error::Busy.into());
        }
        if deadline_ns != FOREVER {
            let deadline = self.platform.ticks(deadline_ns);
            if deadline_ns == 0 || deadline <= self.platform.now() {
                return Err(Error::TimedOut.into());
            }
            self.set_wait_deadline(cx, deadline);
        }
        port.waiter.set(cx.thread);
        let thread = self.thread(cx.thread);
        thread.via.set(SlotId::new(handle.index() as u32));
        self.block_thread(cx, thread, State::Waiting);
        Err(Stop::Set)
    }

    /// Brings a port (and an endpoint tied to it) home to this CPU.
    pub fn move_home(&self, port: &Port, cx: Cx) -> Result<(), Stop> {
        let endpoint = port.endpoint.get();
        if endpoint.is_some() {
            let endpoint = self.endpoints.get(endpoint);
            if endpoint.receivers.head.get().is_some() {
                return Err(Error::Busy.into());
            }
            endpoint.home.set(cx.cpu as u8);
        }
        port.home.set(cx.cpu as u8);
        Ok(())
    }

    /// Returns queued packets: the first in registers, more in the caller's buffer.
    #[inline(never)]
    fn take_packets(&self, cx: Cx, port: &Port, buffer: u64, capacity: u64) -> Outcome {
        let count = capacity.min(u64::from(port.queued.get()));
        let space = self.thread(cx.thread).space.get();
        if count > 1 {
            let bytes = (count - 1) * Packet::BYTES as u64;
            self.platform.check_user_writable(space, buffer, bytes)?;
        }
        for index in 0..count {
            let Some(packet) = self.take_packet(port) else { break };
            let values = packet.to_values();
            if index == 0 {
                self.frame(cx).set_values4(values);
                continue;
            }
            let mut bytes = [0; Packet::BYTES];
            for (bytes, value) in bytes.chunks_exact_mut(8).zip(values) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            let address = buffer + (index - 1) * Packet::BYTES as u64;
            // Checked above, and mappings do not change while we are in the kernel.
            self.platform.copy_to_user(space, address, &bytes)?;
        }
        Ok(count)
    }

    /// `port_signal`.
    ///
    /// # Errors
    /// Those of the call.
    #[inline(always)]
    pub fn port_signal(&self, cx: Cx, handle: Handle, bits: u64) -> Outcome {
        let slot = self.need(cx, handle, Kind::Port, Rights::SIGNAL)?;
        if bits == 0 {
            return Err(Error::BadArgument.into());
        }
        let port = self.ports.get(slot.id());
        let source = Source::new(Tag::Signal, slot.object.get());
        self.post(cx, source, &port.signal, 1, bits)?;
        Ok(0)
    }

    /// Whoever waits on a port waits no longer.
    pub fn fail_waiter(&self, cx: Cx, port: &Port) {
        let waiter = port.waiter.replace(Id::NONE);
        if waiter.is_some() {
            let thread = self.thread(waiter);
            self.cancel_wait_deadline(&thread.due);
            thread.frame.set_result(Error::PeerDied.to_register());
            self.wake(cx, waiter);
        }
    }

    /// A port's last handle is gone: its waiter fails, its packets go back.
    pub fn destroy_port(&self, cx: Cx, id: PortId) {
        let port = self.ports.get(id);
        self.fail_waiter(cx, port);
        while port.head.get() != Source::NONE {
            let source = port.head.get();
            self.withdraw(source, self.node(source));
            self.packet_returned(source);
        }
        if port.endpoint.get().is_some() {
            self.endpoints.get(port.endpoint.get()).port.set(Id::NONE);
        }
        port.signal.reset();
        let payer = port.payer.get();
        self.ports.free(id);
        self.drop_share(payer, crate::budget::Share::Port);
        self.release(payer, crate::create::PORT_BYTES);
    }

    /// A packet that nobody has seen lost its port: a message keeps it as pending.
    fn packet_returned(&self, source: Source) {
        if source.0 >> 28 == Tag::Message as u32 {
            self.take_back(self.messages.get(Id::new(source.0 & 0x0fff_ffff)));
        }
    }
}
