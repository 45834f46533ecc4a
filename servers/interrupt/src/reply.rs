//! The loop, and a reply that is written in place.
//!
//! `libsys::ipc::serve` hands replies around by value; a reply has room for 64 words, and
//! copying that several times costs more than reserving a message. Here one reply is made
//! at the start and written by whoever knows its words.

use interrupt_core::{Allocated, BackEnd};
use libsys::ipc::{Event, Server};
use tocsin_abi::limits::IPC_HANDLES;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::interrupt::{self, MessageId, MessageIds};
use tocsin_proto::{ErrorCode, Frame, Reply as _, Words};

use crate::serve::Interrupts;

/// What a client may do with a message. Not `CONTROL`: only this server moves or blocks.
const CLIENT_RIGHTS: Rights = Rights::READ
    .union(Rights::BIND)
    .union(Rights::SIGNAL)
    .union(Rights::DUPLICATE)
    .union(Rights::TRANSFER)
    .union(Rights::REVOKE);

/// The reply to the call that is being served.
pub struct Reply {
    frame: Frame,
    handles: [(Handle, Rights); IPC_HANDLES],
    /// The messages that the handles are.
    names: [u64; IPC_HANDLES],
    handle_count: usize,
}

impl Reply {
    const fn new() -> Self {
        let none = (Handle::NONE, Rights::empty());
        Self {
            frame: Frame::empty(0),
            handles: [none; IPC_HANDLES],
            names: [0; IPC_HANDLES],
            handle_count: 0,
        }
    }

    #[inline]
    fn start(&mut self, label: u32) {
        self.frame.label = label;
        self.frame.words = Words::new();
        self.handle_count = 0;
    }

    /// Success, with these words.
    #[inline]
    pub fn ok(&mut self, words: &impl tocsin_proto::Reply) {
        self.start(0);
        words.put(&mut self.frame.words);
    }

    /// Success, with these words and one message, whose name is `name`.
    pub fn message(&mut self, words: &impl tocsin_proto::Reply, handle: Handle, name: u64) {
        self.ok(words);
        self.handles[0] = (handle, CLIENT_RIGHTS);
        self.names[0] = name;
        self.handle_count = 1;
    }

    /// Failure.
    #[inline]
    pub fn refuse(&mut self, error: interrupt::Error) {
        self.start(error.code());
    }

    /// Success, with one word of the system's own requests.
    pub fn word(&mut self, word: u64) {
        self.start(0);
        self.frame = Frame::plain(0, &[word]);
    }

    /// Success, with a message that the server raises by software.
    pub fn notice(&mut self, name: interrupt_core::MessageId, handle: Handle) {
        self.start(0);
        self.handles[0] = (handle, CLIENT_RIGHTS.difference(Rights::SIGNAL));
        self.names[0] = name.bits();
        self.handle_count = 1;
    }

    /// Success, with an endpoint that is no message.
    pub fn lend(&mut self, endpoint: Handle, rights: Rights) {
        self.start(0);
        self.handles[0] = (endpoint, rights);
        // No message has this name.
        self.names[0] = u64::MAX;
        self.handle_count = 1;
    }

    /// Success, with messages and their handles.
    #[inline]
    pub fn messages<'a>(&mut self, made: impl Iterator<Item = &'a Allocated<Handle>>) {
        self.start(0);
        let mut reply = interrupt::Allocated::default();
        let places = self.handles.iter_mut().zip(&mut self.names);
        for (message, (place, name)) in made.zip(places) {
            let id = MessageId(message.id.bits());
            let ids = MessageIds { id, address: message.pair.address, data: message.pair.data };
            // There is room: `alloc` makes no more than fit into one reply.
            let _ = reply.messages.push(ids);
            *place = (message.handle, CLIENT_RIGHTS);
            *name = message.id.bits();
            self.handle_count += 1;
        }
        reply.put(&mut self.frame.words);
    }
}

/// A child's reply with handles. It keeps none of them, from before it waits again: what its
/// client has are the last ones.
#[cold]
fn hand_on<B: BackEnd>(
    server: &mut Server,
    reply: &Reply,
    interrupts: &mut Interrupts<B>,
) -> Result<Event, Error> {
    let names = &reply.names[..reply.handle_count];
    match server.reply(&reply.frame, &reply.handles[..reply.handle_count]) {
        Ok(()) => interrupts.handed_on(names),
        // Its caller waits for another answer.
        Err(error @ (Error::NoMemory | Error::NoHandles)) => return Err(error),
        // Nobody waits.
        Err(_) => interrupts.not_delivered(names),
    }
    server.receive()
}

/// Serves until the endpoint is gone, and returns why. A caller that has no room for the
/// messages it asked for is told so, and has none.
pub fn serve<B: BackEnd>(endpoint: Handle, interrupts: &mut Interrupts<B>) -> Error {
    let mut server = Server::new(endpoint);
    let mut reply = Reply::new();
    let mut next = server.receive();
    loop {
        match next {
            Ok(Event::Call(request)) => {
                interrupts.call(request, server.words(), &mut reply);
                let handles = &reply.handles[..reply.handle_count];
                next = if interrupts.upstream.is_some() && !handles.is_empty() {
                    hand_on(&mut server, &reply, interrupts)
                } else {
                    server.reply_receive(&reply.frame, handles)
                };
                // Only a reply fails so, and its caller still waits (`ipc_reply_receive`).
                if matches!(next, Err(Error::NoMemory | Error::NoHandles)) {
                    interrupts.not_delivered(&reply.names[..reply.handle_count]);
                    reply.refuse(interrupt::Error::NoMemory);
                    next = server.reply_receive(&reply.frame, &[]);
                }
            }
            Ok(Event::Packet(packet)) => {
                interrupts.packet(packet);
                next = server.receive();
            }
            Err(error @ (Error::PeerDied | Error::BadHandle | Error::MissingRight)) => {
                return error;
            }
            Err(_) => next = server.receive(),
        }
    }
}
