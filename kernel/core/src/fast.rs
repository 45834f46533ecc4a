//! Short cuts through the interrupt and IPC paths.
//!
//! Each is one common case of a general operation: everything is local, everybody waits
//! where they should, and the thread that is woken is the most urgent on its CPU, so
//! that the switch is decided already. A short cut either does all that the general
//! operation would have done, and answers with the thread to switch to; or it does
//! nothing, and the general operation follows.

use tocsin_abi::ipc::RECEIVED_MESSAGE;
use tocsin_abi::limits::{FOREVER, IPC_REGISTER_WORDS, WAIT_PACKETS};
use tocsin_abi::{Handle, Kind, MessageState, Packet, Rights, Tag};

use crate::arena::Id;
use crate::cpu::Cpu;
use crate::ipc::Words;
use crate::kernel::Kernel;
use crate::objects::{NO_CPU, ProcessId, SlotId, ThreadId};
use crate::platform::{Frame, Platform};
use crate::port::check_buffer;
use crate::slot::Slot;
use crate::thread::{State, Thread};
use crate::vectors::Use;

impl<P: Platform> Kernel<P> {
    /// The slot behind a handle as it came in a register, if it names a `kind` with
    /// `rights`. Bits beyond a handle's are compared with a generation and so refused.
    #[inline(always)]
    fn find(&self, owner: ProcessId, word: u64, kind: Kind, rights: Rights) -> Option<&Slot> {
        let item = self.slots.lookup(Handle(word as u32).index())?;
        let slot = &item.value;
        let generation = u64::from(item.generation.get() & Handle::GENERATION_MASK);
        let fits = slot.owner.get() == owner
            && generation == word >> Handle::INDEX_BITS
            && slot.kind.get() == kind as u8
            && slot.rights.get() & rights.bits() == rights.bits();
        fits.then_some(slot)
    }

    /// The calling thread; none when another CPU has killed it on its way in.
    #[inline(always)]
    fn caller(&self, cpu: &Cpu) -> Option<(ThreadId, &'static Thread<P::Frame>)> {
        let id = cpu.current.get();
        id.is_some().then(|| (id, self.thread(id)))
    }

    /// Whether a short cut takes a message: with `LONG` any, else one that is all in
    /// registers and has no handles.
    #[inline(always)]
    fn takes<const LONG: bool>(tag: Tag) -> bool {
        if LONG { tag.is_valid() } else { tag.0 >> 32 <= IPC_REGISTER_WORDS as u64 }
    }

    /// Moves what is not in registers. All or nothing; why nothing, the general operation
    /// says.
    #[inline(always)]
    fn move_rest(&self, from: &Thread<P::Frame>, to: &Thread<P::Frame>, tag: Tag) -> Option<()> {
        if tag.handles() > 0 {
            self.transfer_handles(from, to, tag).ok()?;
        }
        if tag.words() > IPC_REGISTER_WORDS {
            self.platform.ipc_copy(from.ipc_buffer.get(), to.ipc_buffer.get(), tag.words());
        }
        Some(())
    }

    /// `ipc_call` of a server that waits on this CPU. A `LONG` one with handles
    /// needs an exclusive context.
    #[inline(always)]
    pub fn ipc_call_fast<const LONG: bool>(
        &self,
        cpu_index: usize,
        handle: u64,
        tag: Tag,
        words: Words,
    ) -> Option<&'static Thread<P::Frame>> {
        if !Self::takes::<LONG>(tag) {
            return None;
        }
        let cpu = self.cpu(cpu_index);
        let (caller_id, caller) = self.caller(cpu)?;
        let slot = self.find(caller.process.get(), handle, Kind::Endpoint, Rights::CALL)?;
        let endpoint = self.endpoints.get(slot.id());
        let server_id = endpoint.receivers.head.get();
        if server_id.is_none() || endpoint.home.get() as usize != cpu_index {
            return None;
        }
        let server = self.thread(server_id);
        let urgent = cpu.ready.get() < server.level.get();
        if !urgent || server.cpu.get() as usize != cpu_index {
            return None;
        }
        if LONG {
            self.move_rest(caller, server, tag)?;
        }
        self.pop_first(&endpoint.receivers, server);
        let frame = &server.frame;
        frame.set_result(RECEIVED_MESSAGE);
        frame.set_values4([slot.badge.get(), tag.0, words[0], words[1]]);
        frame.set_value(4, words[2]);
        frame.set_value(5, words[3]);
        server.caller.set(caller_id);
        server.state.set(State::Running);
        caller.server.set(server_id);
        caller.state.set(State::Calling);
        cpu.current.set(server_id);
        Some(server)
    }

    /// `ipc_reply_receive` to a caller on this CPU, when nobody else calls. A `LONG`
    /// one with handles needs an exclusive context.
    #[inline(always)]
    pub fn ipc_reply_receive_fast<const LONG: bool>(
        &self,
        cpu_index: usize,
        handle: u64,
        tag: Tag,
        words: Words,
    ) -> Option<&'static Thread<P::Frame>> {
        if !Self::takes::<LONG>(tag) {
            return None;
        }
        let cpu = self.cpu(cpu_index);
        let (server_id, server) = self.caller(cpu)?;
        let slot = self.find(server.process.get(), handle, Kind::Endpoint, Rights::RECEIVE)?;
        let endpoint = self.endpoints.get(slot.id());
        let caller_id = server.caller.get();
        let alone = endpoint.senders.head.get().is_none();
        if caller_id.is_none() || !alone || endpoint.home.get() as usize != cpu_index {
            return None;
        }
        if endpoint.port.get().is_some() && self.ports.get(endpoint.port.get()).queued.get() > 0 {
            return None;
        }
        let caller = self.thread(caller_id);
        let urgent = cpu.ready.get() < caller.level.get();
        if !urgent || caller.cpu.get() as usize != cpu_index {
            return None;
        }
        if LONG {
            self.move_rest(server, caller, tag)?;
        }
        let frame = &caller.frame;
        frame.set_result(0);
        frame.set_values4([0, tag.0, words[0], words[1]]);
        frame.set_value(4, words[2]);
        frame.set_value(5, words[3]);
        caller.server.set(Id::NONE);
        caller.state.set(State::Running);
        server.caller.set(Id::NONE);
        server.via.set(SlotId::new(Handle(handle as u32).index() as u32));
        server.state.set(State::Receiving);
        self.push_back_thread(&endpoint.receivers, server_id, server);
        cpu.current.set(caller_id);
        Some(caller)
    }

    /// `port_signal` for a more urgent thread that waits on this CPU.
    #[inline(always)]
    pub fn port_signal_fast(
        &self,
        cpu_index: usize,
        handle: u64,
        bits: u64,
    ) -> Option<&'static Thread<P::Frame>> {
        let cpu = self.cpu(cpu_index);
        let (caller_id, caller) = self.caller(cpu)?;
        let slot = self.find(caller.process.get(), handle, Kind::Port, Rights::SIGNAL)?;
        let port = self.ports.get(slot.id());
        let waiter_id = port.waiter.get();
        if bits == 0 || waiter_id.is_none() || port.home.get() as usize != cpu_index {
            return None;
        }
        let waiter = self.thread(waiter_id);
        let level = waiter.level.get();
        let urgent = cpu.ready.get() < level && caller.level.get() < level;
        if !urgent || waiter.due.cpu.get() != NO_CPU {
            return None;
        }
        caller.frame.set_result(0);
        caller.state.set(State::Ready);
        self.enqueue_first(cpu, caller_id, caller);
        port.waiter.set(Id::NONE);
        let packet = Packet {
            key: port.signal.key.get(),
            count: 1,
            kind: port.signal.kind.get(),
            first_ticks: self.platform.now(),
            value: bits,
        };
        waiter.frame.set_result(1);
        waiter.frame.set_values4(packet.to_values());
        waiter.state.set(State::Running);
        cpu.current.set(waiter_id);
        Some(waiter)
    }

    /// `port_wait` without a deadline, on an empty port of this CPU, when the most urgent of
    /// those that are ready has no equal there.
    #[inline(always)]
    pub fn port_wait_fast(
        &self,
        cpu_index: usize,
        handle: u64,
        buffer: u64,
        capacity: u64,
        deadline_ns: u64,
    ) -> Option<&'static Thread<P::Frame>> {
        let fits = capacity.wrapping_sub(1) < WAIT_PACKETS as u64;
        if deadline_ns != FOREVER || !fits {
            return None;
        }
        if capacity > 1 {
            check_buffer(buffer, capacity - 1).ok()?;
        }
        let cpu = self.cpu(cpu_index);
        let (caller_id, caller) = self.caller(cpu)?;
        let slot = self.find(caller.process.get(), handle, Kind::Port, Rights::WAIT)?;
        let port = self.ports.get(slot.id());
        let idle = port.queued.get() == 0 && port.waiter.get().is_none();
        if !idle || port.home.get() as usize != cpu_index {
            return None;
        }
        let ready = cpu.ready.get();
        let top = 31u32.checked_sub(ready.leading_zeros())?;
        let queue = &cpu.queues[top as usize % cpu.queues.len()];
        let next_id = queue.head.get();
        let next = self.thread(next_id);
        if next.next.get().is_some() {
            return None;
        }
        port.waiter.set(caller_id);
        caller.via.set(SlotId::new(Handle(handle as u32).index() as u32));
        caller.state.set(State::Waiting);
        queue.head.set(Id::NONE);
        queue.tail.set(Id::NONE);
        cpu.ready.set(ready & !(1 << top));
        cpu.slice_end.set(next.slice_end.get());
        next.state.set(State::Running);
        cpu.current.set(next_id);
        Some(next)
    }

    /// A device event for a thread that waits on this CPU.
    #[inline(always)]
    pub fn device_event_fast(
        &self,
        cpu_index: usize,
        vector: u16,
    ) -> Option<&'static Thread<P::Frame>> {
        let cpu = self.cpu(cpu_index);
        let entry = self.vectors.get(self.platform.vector_place(cpu_index, vector))?;
        if entry.usage.get() != Use::Live {
            return None;
        }
        let message = self.messages.get(entry.message.get());
        let node = &message.node;
        let plain = message.state.get() == MessageState::Active && message.rate_events.get() == 0;
        if !plain || message.home.get() as usize != cpu_index {
            return None;
        }
        // An unbound node leads to the arena's first place, where nobody ever waits.
        let item = self.ports.item(node.port.get());
        let port = &item.value;
        let waiter_id = port.waiter.get();
        let living = item.generation.get() == node.port_generation.get();
        if !living || waiter_id.is_none() || port.home.get() as usize != cpu_index {
            return None;
        }
        let waiter = self.thread(waiter_id);
        let level = waiter.level.get();
        if cpu.ready.get() >= level || waiter.due.cpu.get() != NO_CPU {
            return None;
        }
        let current = cpu.current.get();
        if current.is_some() {
            let running = self.thread(current);
            if running.level.get() >= level {
                return None;
            }
            running.state.set(State::Ready);
            self.enqueue_first(cpu, current, running);
        }
        port.waiter.set(Id::NONE);
        message.delivered.set(message.delivered.get() + 1);
        message.last_cpu.set(cpu_index as u8);
        let packet = Packet {
            key: node.key.get(),
            count: 1,
            kind: node.kind.get(),
            first_ticks: self.platform.now(),
            value: 0,
        };
        waiter.frame.set_result(1);
        waiter.frame.set_values4(packet.to_values());
        waiter.state.set(State::Running);
        cpu.current.set(waiter_id);
        Some(waiter)
    }
}
