//! The loop, and a reply that is written in place.
//!
//! `libsys::ipc::serve` hands replies around by value; a reply has room for 64 words, and
//! copying that several times costs more than writing a device's registers. Here one reply
//! is made at the start and written by whoever knows its words.

use libsys::ipc::{Event, Server};
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::pci;
use tocsin_proto::{ErrorCode, Frame, Words};

use crate::serve::Pci;

/// Handles that a reply of this protocol has at most (`Claimed`).
const HANDLES: usize = 2;

/// The reply to the call that is being served.
pub struct Reply {
    frame: Frame,
    handles: [(Handle, Rights); HANDLES],
    handle_count: usize,
}

impl Reply {
    const fn new() -> Self {
        let none = (Handle::NONE, Rights::empty());
        Self { frame: Frame::empty(0), handles: [none; HANDLES], handle_count: 0 }
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

    /// Success, with these words and a handle that the server keeps too.
    pub fn lend(&mut self, words: &impl tocsin_proto::Reply, lent: (Handle, Rights)) {
        self.ok(words);
        self.handles[0] = lent;
        self.handle_count = 1;
    }

    /// Success, with these words and two handles that the server keeps too.
    pub fn lend_both(&mut self, words: &impl tocsin_proto::Reply, lent: [(Handle, Rights); 2]) {
        self.ok(words);
        self.handles = lent;
        self.handle_count = 2;
    }

    /// Failure.
    #[inline]
    pub fn refuse(&mut self, error: pci::Error) {
        self.start(error.code());
    }
}

/// Serves until the endpoint is gone, and returns why. A reply that its caller can not take
/// is dropped; the caller sees `PeerDied`.
pub fn serve(endpoint: Handle, pci: &mut Pci) -> Error {
    let mut server = Server::new(endpoint);
    let mut reply = Reply::new();
    let mut next = server.receive();
    loop {
        match next {
            Ok(Event::Call(request)) => {
                let message = server.handles().pop();
                pci.call(request, server.words(), message, &mut reply);
                let handles = &reply.handles[..reply.handle_count];
                next = server.reply_receive(&reply.frame, handles);
            }
            Err(error @ (Error::PeerDied | Error::BadHandle | Error::MissingRight)) => {
                return error;
            }
            // One message is bound to the port: an owner of a line does not answer.
            Ok(Event::Packet(_)) => {
                pci.take_late_off();
                next = server.receive();
            }
            Err(_) => next = server.receive(),
        }
    }
}
