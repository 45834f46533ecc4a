//! The model of the kernel.

use crate::sys::Values;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use tocsin_abi::ipc::{IpcBuffer, RECEIVED_MESSAGE, RECEIVED_PACKET, Tag};
use tocsin_abi::message::{MessageState, MessageStatus};
use tocsin_abi::{Error, Handle, Packet, PacketKind, Rights, Syscall};
use tocsin_proto::Frame;

/// A call as the handler of a fake endpoint sees it.
#[derive(Debug)]
pub struct Call {
    /// Badge of the handle that was called.
    pub badge: u64,
    /// Label.
    pub label: u32,
    /// Words.
    pub words: Vec<u64>,
    /// Handles that came along; the handler need not close them.
    pub handles: Vec<Handle>,
}

/// What the handler of a fake endpoint replies.
#[derive(Debug)]
pub struct Return {
    /// Label and words.
    pub frame: Frame,
    /// Handles, each with the rights it keeps.
    pub handles: Vec<(Handle, Rights)>,
}

type Handler = Rc<RefCell<dyn FnMut(Call) -> Return>>;

/// Where an object is in the model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Object {
    Port(usize),
    Endpoint(usize),
    Message(usize),
    Memory(usize),
    Timer(usize),
    Control,
}

#[derive(Clone, Copy)]
struct Grant {
    object: Object,
    rights: Rights,
    badge: u64,
}

struct FakeMessage {
    address: u64,
    data: u32,
    state: MessageState,
    port: Option<(usize, u64)>,
    pending: u32,
    delivered: u64,
    coalesced: u64,
    blocked: u64,
}

struct FakeTimer {
    port: usize,
    key: u64,
    deadline: Option<u64>,
}

#[derive(Default)]
struct Model {
    grants: BTreeMap<u32, Grant>,
    next_handle: u32,
    ports: Vec<VecDeque<Packet>>,
    endpoints: Vec<Option<Handler>>,
    messages: Vec<FakeMessage>,
    memories: Vec<&'static mut [u64]>,
    timers: Vec<FakeTimer>,
    now: u64,
    trace: Vec<String>,
    buffer: Option<Box<IpcBuffer>>,
    incoming: VecDeque<Incoming>,
    replies: Vec<(Frame, usize)>,
}

/// What a server will receive.
#[derive(Debug)]
pub enum Incoming {
    /// A call; its handles are given to the server.
    Call(Call),
    /// A packet on the port bound to the endpoint.
    Packet(Packet),
    /// A reply that the caller can not take: the next `ipc_reply_receive` fails so.
    BadReply(Error),
}

std::thread_local! {
    static MODEL: RefCell<Model> = RefCell::default();
}

fn with<T>(f: impl FnOnce(&mut Model) -> T) -> T {
    MODEL.with_borrow_mut(f)
}

/// Forgets everything: no handles, time zero, empty trace.
pub fn reset() {
    with(|model| *model = Model::default());
}

/// Writes a line into the trace.
pub fn trace(line: impl Into<String>) {
    with(|model| model.trace.push(line.into()));
}

/// The trace since it was taken last.
#[must_use]
pub fn take_trace() -> Vec<String> {
    with(|model| core::mem::take(&mut model.trace))
}

/// Queues what the server under test will receive, whatever endpoint it receives on. When
/// all is received, the endpoint is dead (`PeerDied`).
pub fn incoming(events: impl IntoIterator<Item = Incoming>) {
    with(|model| model.incoming.extend(events));
}

/// The replies that the server gave: message, and number of handles sent along.
#[must_use]
pub fn take_replies() -> Vec<(Frame, usize)> {
    with(|model| core::mem::take(&mut model.replies))
}

/// Number of open handles.
#[must_use]
pub fn handle_count() -> usize {
    with(|model| model.grants.len())
}

/// Makes an endpoint whose calls `handler` answers, and a handle to it with `badge`.
#[must_use]
pub fn endpoint(badge: u64, handler: impl FnMut(Call) -> Return + 'static) -> Handle {
    with(|model| {
        model.endpoints.push(Some(Rc::new(RefCell::new(handler))));
        let object = Object::Endpoint(model.endpoints.len() - 1);
        model.grant(object, Rights::CALL | Rights::DUPLICATE, badge)
    })
}

/// A device writes this pair: raises the message that has it. Says whether there is one.
#[must_use]
pub fn device_write(address: u64, data: u32) -> bool {
    with(|model| {
        let found =
            model.messages.iter().position(|each| (each.address, each.data) == (address, data));
        found.is_some_and(|index| {
            model.raise(index);
            true
        })
    })
}

/// The pair that no message has any more: its object is gone.
const NO_PAIR: u64 = u64::MAX;

impl Model {
    fn grant(&mut self, object: Object, rights: Rights, badge: u64) -> Handle {
        self.next_handle += 1;
        self.grants.insert(self.next_handle, Grant { object, rights, badge });
        Handle(self.next_handle)
    }

    fn find(&self, handle: u64, rights: Rights) -> Result<Grant, Error> {
        let grant = self.grants.get(&(handle as u32)).ok_or(Error::BadHandle)?;
        if grant.rights.contains(rights) { Ok(*grant) } else { Err(Error::MissingRight) }
    }

    fn port(&self, handle: u64, rights: Rights) -> Result<usize, Error> {
        match self.find(handle, rights)?.object {
            Object::Port(index) => Ok(index),
            _ => Err(Error::WrongType),
        }
    }

    fn message(&self, handle: u64, rights: Rights) -> Result<usize, Error> {
        match self.find(handle, rights)?.object {
            Object::Message(index) => Ok(index),
            _ => Err(Error::WrongType),
        }
    }

    fn timer(&self, handle: u64) -> Result<usize, Error> {
        match self.find(handle, Rights::WRITE)?.object {
            Object::Timer(index) => Ok(index),
            _ => Err(Error::WrongType),
        }
    }

    /// Leaves a packet, folded into one of the same source that still waits. Says whether
    /// it was folded.
    fn post(&mut self, port: usize, packet: Packet) -> bool {
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

    fn raise(&mut self, index: usize) {
        let message = &mut self.messages[index];
        if message.state != MessageState::Active {
            message.blocked += 1;
            return;
        }
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
    fn tick(&mut self) {
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
    fn wait(&mut self, port: usize, deadline: u64) -> Result<(), Error> {
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

    fn port_wait(&mut self, a: [u64; 6]) -> Result<Values, Error> {
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

    fn close(&mut self, handle: u64) -> Result<(), Error> {
        let grant = self.grants.remove(&(handle as u32)).ok_or(Error::BadHandle)?;
        if let Object::Message(index) = grant.object {
            if !self.grants.values().any(|other| other.object == grant.object) {
                self.trace.push("last handle closed".into());
                self.messages[index].address = NO_PAIR;
            }
        }
        Ok(())
    }

    fn bind(&mut self, a: [u64; 6]) -> Result<u64, Error> {
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

    fn unbind(&mut self, handle: u64) -> Result<(), Error> {
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

    fn duplicate(&mut self, a: [u64; 6]) -> Result<Handle, Error> {
        let source = self.find(a[0], Rights::DUPLICATE)?;
        let rights = Rights::from_bits_retain(a[1] as u16);
        if !source.rights.contains(rights) {
            return Err(Error::Widening);
        }
        let badge = if a[2] == 0 { source.badge } else { a[2] };
        Ok(self.grant(source.object, rights, badge))
    }

    fn set_state(&mut self, handle: u64, state: MessageState) -> Result<(), Error> {
        let message = self.message(handle, Rights::CONTROL)?;
        self.messages[message].state = state;
        Ok(())
    }

    fn memory(&self, handle: u64) -> Result<(usize, u64), Error> {
        match self.find(handle, Rights::empty())?.object {
            Object::Memory(index) => Ok((index, self.memories[index].len() as u64 * 8)),
            _ => Err(Error::WrongType),
        }
    }

    fn dispatch(&mut self, call: Syscall, a: [u64; 6]) -> Result<Values, Error> {
        let zero = Values { result: 0, values: [0; 6] };
        let made = |handle: Handle| Ok(Values { result: handle.0.into(), ..zero });
        match call {
            Syscall::KernelNop | Syscall::ThreadYield => Ok(zero),
            Syscall::ClockRead => Ok(Values { result: self.now, ..zero }),
            Syscall::PortCreate => {
                self.ports.push(VecDeque::new());
                let object = Object::Port(self.ports.len() - 1);
                made(self.grant(object, Rights::all(), 0))
            }
            Syscall::PortWait => self.port_wait(a),
            Syscall::IpcReceive => self.receive(),
            Syscall::IpcReply => self.note_reply(a[0], [a[1], a[2], a[3], a[4]]).map(|()| zero),
            Syscall::IpcReplyReceive => {
                self.note_reply(a[1], [a[2], a[3], a[4], a[5]])?;
                self.receive()
            }
            Syscall::PortSignal => {
                let port = self.port(a[0], Rights::SIGNAL)?;
                let kind = PacketKind::Signal as u32;
                self.post(port, Packet { key: 0, count: 1, kind, first_ticks: 0, value: a[1] });
                Ok(zero)
            }
            Syscall::HandleDuplicate => self.duplicate(a).and_then(made),
            Syscall::HandleClose => self.close(a[0]).map(|()| zero),
            Syscall::HandleInfo => {
                let grant = self.find(a[0], Rights::empty())?;
                Ok(Values { values: [grant.rights.bits().into(), grant.badge, 0, 0, 0, 0], ..zero })
            }
            Syscall::TimerCreate => {
                let port = self.port(a[0], Rights::BIND)?;
                self.timers.push(FakeTimer { port, key: a[1], deadline: None });
                let object = Object::Timer(self.timers.len() - 1);
                made(self.grant(object, Rights::all(), 0))
            }
            Syscall::TimerSet => {
                let timer = self.timer(a[0])?;
                self.timers[timer].deadline = Some(a[1]);
                Ok(zero)
            }
            Syscall::TimerCancel => {
                let timer = self.timer(a[0])?;
                self.timers[timer].deadline = None;
                Ok(zero)
            }
            Syscall::MemoryCreate => {
                let words = (a[0] as usize).next_multiple_of(4096) / 8;
                // Mappings are numbers, so the memory stays for the life of the process.
                self.memories.push(Box::leak(alloc::vec![0; words].into_boxed_slice()));
                let object = Object::Memory(self.memories.len() - 1);
                made(self.grant(object, Rights::all(), 0))
            }
            Syscall::MemoryInfo => {
                let (_, size) = self.memory(a[0])?;
                Ok(Values { values: [size, 0, 0, 0, 0, 0], ..zero })
            }
            Syscall::MessageCreate => {
                self.messages.push(FakeMessage {
                    address: a[1],
                    data: a[2] as u32,
                    state: MessageState::Reserved,
                    port: None,
                    pending: 0,
                    delivered: 0,
                    coalesced: 0,
                    blocked: 0,
                });
                let object = Object::Message(self.messages.len() - 1);
                made(self.grant(object, Rights::all(), 0))
            }
            Syscall::MessageActivate => self.set_state(a[0], MessageState::Active).map(|()| zero),
            Syscall::MessageDeactivate => {
                self.set_state(a[0], MessageState::Reserved).map(|()| zero)
            }
            Syscall::MessageBlock => self.set_state(a[0], MessageState::Blocked).map(|()| zero),
            Syscall::MessageUnblock => self.set_state(a[0], MessageState::Active).map(|()| zero),
            Syscall::MessageBind => self.bind(a).map(|result| Values { result, ..zero }),
            Syscall::MessageUnbind => self.unbind(a[0]).map(|()| zero),
            Syscall::MessageSignal => {
                let message = self.message(a[0], Rights::SIGNAL)?;
                self.raise(message);
                Ok(zero)
            }
            Syscall::MessageRead => {
                let message = &self.messages[self.message(a[0], Rights::READ)?];
                let status = MessageStatus {
                    address: message.address,
                    data: message.data,
                    state: message.state,
                    cpu: 0,
                    vector: 0,
                    delivered: message.delivered,
                    coalesced: message.coalesced,
                    blocked: message.blocked,
                };
                let [a, b, c, d, e] = status.to_values();
                Ok(Values { values: [a, b, c, d, e, 0], ..zero })
            }
            _ => Err(Error::NotSupported),
        }
    }

    fn buffer(&mut self) -> &mut IpcBuffer {
        self.buffer.get_or_insert_with(|| {
            Box::new(IpcBuffer { words: [0; _], handles: [Handle::NONE; _], rights: [0; _] })
        })
    }

    /// Takes a call's message out of the caller's registers and buffer.
    fn take_call(&mut self, a: [u64; 6]) -> Result<(Handler, Call), Error> {
        let grant = self.find(a[0], Rights::CALL)?;
        let Object::Endpoint(index) = grant.object else { return Err(Error::WrongType) };
        let tag = Tag(a[1]);
        if !tag.is_valid() {
            return Err(Error::BadArgument);
        }
        let buffer = self.buffer();
        let mut words: Vec<u64> = a[2..].to_vec();
        words.extend_from_slice(&buffer.words[4..]);
        words.truncate(tag.words());
        let sent: Vec<(Handle, u16)> =
            buffer.handles.into_iter().zip(buffer.rights).take(tag.handles()).collect();
        let handles: Result<Vec<Handle>, Error> = sent
            .into_iter()
            .map(|(handle, rights)| {
                let source = self.find(handle.0.into(), Rights::TRANSFER)?;
                let rights = source.rights & Rights::from_bits_retain(rights);
                Ok(self.grant(source.object, rights, source.badge))
            })
            .collect();
        let handler = self.endpoints[index].clone().ok_or(Error::PeerDied)?;
        Ok((handler, Call { badge: grant.badge, label: tag.label(), words, handles: handles? }))
    }

    /// Puts a reply into the caller's registers and buffer.
    fn put_reply(&mut self, reply: &Return) -> Result<Values, Error> {
        let mut made = Vec::new();
        for &(handle, rights) in &reply.handles {
            let source = self.find(handle.0.into(), Rights::TRANSFER)?;
            made.push(self.grant(source.object, source.rights & rights, source.badge));
        }
        let words = &reply.frame.words;
        let buffer = self.buffer();
        buffer.handles[..made.len()].copy_from_slice(&made);
        if words.len() > 4 {
            buffer.words[4..words.len()].copy_from_slice(&words[4..]);
        }
        let tag = Tag::new(reply.frame.label, words.len(), made.len());
        let mut values = [0, tag.0, 0, 0, 0, 0];
        values[2..].iter_mut().zip(words.iter()).for_each(|(value, &word)| *value = word);
        Ok(Values { result: 0, values })
    }
}

impl Model {
    /// What is next for the server.
    fn receive(&mut self) -> Result<Values, Error> {
        match self.incoming.pop_front() {
            None => Err(Error::PeerDied),
            Some(Incoming::BadReply(error)) => Err(error),
            Some(Incoming::Packet(packet)) => {
                let [key, kind, first, value] = packet.to_values();
                Ok(Values { result: RECEIVED_PACKET, values: [key, kind, first, value, 0, 0] })
            }
            Some(Incoming::Call(call)) => {
                let buffer = self.buffer();
                buffer.handles[..call.handles.len()].copy_from_slice(&call.handles);
                let mut registers = [0; 4];
                for (n, &word) in call.words.iter().enumerate() {
                    *registers.get_mut(n).unwrap_or(&mut buffer.words[n]) = word;
                }
                let tag = Tag::new(call.label, call.words.len(), call.handles.len());
                let [a, b, c, d] = registers;
                Ok(Values { result: RECEIVED_MESSAGE, values: [call.badge, tag.0, a, b, c, d] })
            }
        }
    }

    /// Takes the server's reply down. `tag` and words are arguments from `first` on.
    fn note_reply(&mut self, tag: u64, registers: [u64; 4]) -> Result<(), Error> {
        if let Some(Incoming::BadReply(error)) = self.incoming.front() {
            let error = *error;
            self.incoming.pop_front();
            return Err(error);
        }
        let tag = Tag(tag);
        let buffer = self.buffer();
        let mut words = registers.to_vec();
        words.extend_from_slice(&buffer.words[4..]);
        words.truncate(tag.words());
        let sent: Vec<Handle> = buffer.handles[..tag.handles()].to_vec();
        for handle in &sent {
            self.find(handle.0.into(), Rights::TRANSFER)?;
        }
        self.replies.push((Frame::plain(tag.label(), &words), sent.len()));
        Ok(())
    }
}

/// A call: the handler runs while the model is free for it to use.
fn ipc_call(a: [u64; 6]) -> Result<Values, Error> {
    let (handler, call) = with(|model| model.take_call(a))?;
    let borrowed = call.handles.clone();
    // A server that calls itself, directly or not, would wait for ever.
    let reply = (handler.try_borrow_mut().map_err(|_| Error::Busy)?)(call);
    with(|model| {
        let result = model.put_reply(&reply);
        for handle in borrowed {
            model.grants.remove(&handle.0);
        }
        result
    })
}

/// The system call with this number.
pub(crate) fn syscall(number: u64, arguments: [u64; 6]) -> Values {
    let result = match Syscall::from_number(number) {
        None => Err(Error::BadSyscall),
        Some(Syscall::IpcCall) => ipc_call(arguments),
        Some(call) => with(|model| model.dispatch(call, arguments)),
    };
    result.unwrap_or_else(|error| Values { result: error.to_register(), values: [0; 6] })
}

/// Address of this thread's IPC buffer.
pub(crate) fn ipc_buffer() -> usize {
    with(|model| (&raw mut *model.buffer()).expose_provenance())
}

/// Where a part of a memory object is.
pub(crate) fn map(object: Handle, offset: u64, size: u64, how: Rights) -> Result<usize, Error> {
    with(|model| {
        model.find(object.0.into(), how)?;
        let (index, bytes) = model.memory(object.0.into())?;
        if offset.checked_add(size).is_none_or(|end| end > bytes) || size == 0 {
            return Err(Error::OutOfRange);
        }
        let start = model.memories[index].as_mut_ptr().expose_provenance();
        Ok(start + offset as usize)
    })
}

/// A handle to the authority over messages, for fake interrupt servers.
pub(super) fn control() -> Handle {
    with(|model| model.grant(Object::Control, Rights::all(), 0))
}
