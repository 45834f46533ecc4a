//! The model of the kernel.

use super::ipc::ipc_call;
use crate::sys::Values;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use tocsin_abi::ipc::IpcBuffer;
use tocsin_abi::message::MessageState;
use tocsin_abi::{Error, Handle, Packet, Rights, Syscall};
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

pub(super) type Handler = Rc<RefCell<dyn FnMut(Call) -> Return>>;

/// Where an object is in the model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    Port(usize),
    Endpoint(usize),
    Message(usize),
    Memory(usize),
    Timer(usize),
    Control,
}

#[derive(Clone, Copy)]
pub(super) struct Grant {
    pub(super) object: Object,
    pub(super) rights: Rights,
    pub(super) badge: u64,
}

pub(super) struct FakeMessage {
    pub(super) address: u64,
    pub(super) data: u32,
    pub(super) state: MessageState,
    pub(super) port: Option<(usize, u64)>,
    pub(super) pending: u32,
    pub(super) delivered: u64,
    pub(super) coalesced: u64,
    pub(super) blocked: u64,
}

pub(super) struct FakeTimer {
    pub(super) port: usize,
    pub(super) key: u64,
    pub(super) deadline: Option<u64>,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) grants: BTreeMap<u32, Grant>,
    pub(super) next_handle: u32,
    pub(super) ports: Vec<VecDeque<Packet>>,
    pub(super) endpoints: Vec<Option<Handler>>,
    pub(super) messages: Vec<FakeMessage>,
    pub(super) memories: Vec<&'static mut [u64]>,
    pub(super) timers: Vec<FakeTimer>,
    pub(super) now: u64,
    pub(super) trace: Vec<String>,
    pub(super) buffer: Option<Box<IpcBuffer>>,
    pub(super) incoming: VecDeque<Incoming>,
    pub(super) replies: Vec<(Frame, usize)>,
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

pub(super) fn with<T>(f: impl FnOnce(&mut Model) -> T) -> T {
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
    pub(super) fn grant(&mut self, object: Object, rights: Rights, badge: u64) -> Handle {
        self.next_handle += 1;
        self.grants.insert(self.next_handle, Grant { object, rights, badge });
        Handle(self.next_handle)
    }

    pub(super) fn find(&self, handle: u64, rights: Rights) -> Result<Grant, Error> {
        let grant = self.grants.get(&(handle as u32)).ok_or(Error::BadHandle)?;
        if grant.rights.contains(rights) { Ok(*grant) } else { Err(Error::MissingRight) }
    }

    pub(super) fn port(&self, handle: u64, rights: Rights) -> Result<usize, Error> {
        match self.find(handle, rights)?.object {
            Object::Port(index) => Ok(index),
            _ => Err(Error::WrongType),
        }
    }

    pub(super) fn message(&self, handle: u64, rights: Rights) -> Result<usize, Error> {
        match self.find(handle, rights)?.object {
            Object::Message(index) => Ok(index),
            _ => Err(Error::WrongType),
        }
    }

    pub(super) fn timer(&self, handle: u64) -> Result<usize, Error> {
        match self.find(handle, Rights::WRITE)?.object {
            Object::Timer(index) => Ok(index),
            _ => Err(Error::WrongType),
        }
    }

    pub(super) fn close(&mut self, handle: u64) -> Result<(), Error> {
        let grant = self.grants.remove(&(handle as u32)).ok_or(Error::BadHandle)?;
        if let Object::Message(index) = grant.object
            && !self.grants.values().any(|other| other.object == grant.object)
        {
            self.trace.push("last handle closed".into());
            self.messages[index].address = NO_PAIR;
        }
        Ok(())
    }

    pub(super) fn duplicate(&mut self, a: [u64; 6]) -> Result<Handle, Error> {
        let source = self.find(a[0], Rights::DUPLICATE)?;
        let rights = Rights::from_bits_retain(a[1] as u16);
        if !source.rights.contains(rights) {
            return Err(Error::Widening);
        }
        let badge = if a[2] == 0 { source.badge } else { a[2] };
        Ok(self.grant(source.object, rights, badge))
    }

    pub(super) fn memory(&self, handle: u64) -> Result<(usize, u64), Error> {
        match self.find(handle, Rights::empty())?.object {
            Object::Memory(index) => Ok((index, self.memories[index].len() as u64 * 8)),
            _ => Err(Error::WrongType),
        }
    }
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
