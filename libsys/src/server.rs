//! Serving an endpoint.
//!
//! [`serve`] runs a [`Service`]; [`Server`] is the loop in pieces, for servers that want to
//! reply later or measure.

use crate::ipc::{Handles, load, unload_handles, unload_words};
use crate::object::Capability;
use crate::sys;
use tocsin_abi::ipc::{RECEIVED_PACKET, Tag};
use tocsin_abi::limits::{IPC_HANDLES, IPC_WORDS};
use tocsin_abi::{Error, Handle, Packet, Rights};
use tocsin_proto::{ErrorCode, Frame, Reply};

/// What a call is about; its words and handles are with the [`Server`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// The word that the issuer of the caller's handle put on it.
    pub badge: u64,
    /// The protocol's operation.
    pub label: u32,
    /// Number of handles that came along.
    pub handles: usize,
}

/// What [`Server::receive`] got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Somebody calls and waits for the reply.
    Call(Request),
    /// A packet on the port bound to the endpoint.
    Packet(Packet),
}

/// One thread's side of an endpoint.
#[derive(Debug)]
pub struct Server {
    endpoint: Handle,
    count: usize,
    words: [u64; IPC_WORDS],
    handles: Handles,
}

impl Server {
    /// A server that receives on `endpoint` (right `RECEIVE`).
    #[must_use]
    pub const fn new(endpoint: Handle) -> Server {
        Server { endpoint, count: 0, words: [0; IPC_WORDS], handles: Handles::new() }
    }

    /// Waits for a call or a packet. A caller that got no reply yet fails with `PeerDied`.
    ///
    /// # Errors
    /// As `ipc_receive`.
    #[inline]
    pub fn receive(&mut self) -> Result<Event, Error> {
        let got = sys::ipc_receive(self.endpoint)?;
        Ok(self.take(got))
    }

    /// Replies to the caller.
    ///
    /// # Errors
    /// As `ipc_reply`.
    pub fn reply(&mut self, frame: &Frame, handles: &[(Handle, Rights)]) -> Result<(), Error> {
        let (tag, [a, b, c, d]) = load(frame.label, &frame.words, handles)?;
        sys::ipc_reply(tag, a, b, c, d).map(drop)
    }

    /// Replies to the caller and waits for the next call or packet, in one call.
    ///
    /// # Errors
    /// As `ipc_reply_receive`; the server has not received then.
    #[inline]
    pub fn reply_receive(
        &mut self,
        frame: &Frame,
        handles: &[(Handle, Rights)],
    ) -> Result<Event, Error> {
        let (tag, [a, b, c, d]) = load(frame.label, &frame.words, handles)?;
        let got = sys::ipc_reply_receive(self.endpoint, tag, a, b, c, d)?;
        Ok(self.take(got))
    }

    /// Words of the last call.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words[..self.count]
    }

    /// Handles of the last call. Those that are still here at the next call are closed.
    #[inline]
    pub fn handles(&mut self) -> &mut Handles {
        &mut self.handles
    }

    #[inline]
    fn take(&mut self, got: sys::Values) -> Event {
        let [first, second, a, b, c, d] = got.values;
        if !self.handles.is_empty() {
            self.handles.clear();
        }
        if got.result == RECEIVED_PACKET {
            self.count = 0;
            return Event::Packet(Packet::from_values([first, second, a, b]));
        }
        let tag = Tag(second);
        if tag.handles() != 0 {
            self.handles = unload_handles(tag);
        }
        self.count = unload_words(tag, [a, b, c, d], &mut self.words);
        Event::Call(Request { badge: first, label: tag.label(), handles: self.handles.len() })
    }
}

/// What a [`Service`] replies.
#[derive(Debug)]
pub struct Answer {
    frame: Frame,
    handles: heapless::Vec<(Handle, Rights), IPC_HANDLES>,
    given: Handles,
}

impl Answer {
    /// Success.
    #[inline]
    pub fn ok(reply: &impl Reply) -> Answer {
        Answer::frame(reply.frame())
    }

    /// Failure.
    #[inline]
    pub fn refused(error: impl ErrorCode) -> Answer {
        Answer::frame(Frame::refusal(error))
    }

    /// Any words.
    #[inline]
    #[must_use]
    pub const fn frame(frame: Frame) -> Answer {
        Answer { frame, handles: heapless::Vec::new(), given: Handles::new() }
    }

    /// Success or failure.
    #[inline]
    pub fn from_result<R: Reply, E: ErrorCode>(result: Result<R, E>) -> Answer {
        match result {
            Ok(reply) => Answer::ok(&reply),
            Err(error) => Answer::refused(error),
        }
    }

    /// Adds a handle, which the server keeps too.
    ///
    /// # Panics
    /// When it is the ninth.
    #[must_use]
    pub fn lending(mut self, handle: Handle, rights: Rights) -> Answer {
        assert!(self.handles.push((handle, rights)).is_ok(), "a reply has eight handles");
        self
    }

    /// Adds a handle that the server gives away: its own is closed after the reply.
    ///
    /// # Panics
    /// When it is the ninth.
    #[must_use]
    pub fn giving(self, capability: Capability, rights: Rights) -> Answer {
        let mut answer = self.lending(capability.handle(), rights);
        assert!(answer.given.push(capability).is_ok(), "a reply has eight handles");
        answer
    }
}

/// What a server does.
pub trait Service {
    /// Answers a call.
    fn call(&mut self, request: Request, words: &[u64], handles: &mut Handles) -> Answer;

    /// Takes a packet of the port bound to the endpoint.
    fn packet(&mut self, packet: Packet) {
        let _ = packet;
    }
}

/// Runs a service until its endpoint is gone, and returns why. A reply that its caller can
/// not take (no memory or handles left over there) is dropped; the caller sees `PeerDied`.
pub fn serve(endpoint: Handle, service: &mut impl Service) -> Error {
    let mut server = Server::new(endpoint);
    let mut next = server.receive();
    loop {
        match next {
            Ok(Event::Call(request)) => {
                let Server { words, count, handles, .. } = &mut server;
                let answer = service.call(request, &words[..*count], handles);
                next = server.reply_receive(&answer.frame, &answer.handles);
                // Given handles are closed here, after the reply has copied them.
                drop(answer);
            }
            Ok(Event::Packet(packet)) => {
                service.packet(packet);
                next = server.receive();
            }
            Err(error @ (Error::PeerDied | Error::BadHandle | Error::MissingRight)) => {
                return error;
            }
            Err(_) => next = server.receive(),
        }
    }
}

#[cfg(test)]
mod tests;
