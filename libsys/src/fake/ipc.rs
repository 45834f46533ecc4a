//! Calls of the model: to a handler, and to a server under test.

use super::kernel::{Call, Handler, Incoming, Model, Object, Return, with};
use crate::sys::Values;
use alloc::boxed::Box;
use alloc::vec::Vec;
use tocsin_abi::ipc::{IpcBuffer, RECEIVED_MESSAGE, RECEIVED_PACKET, Tag};
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::Frame;

impl Model {
    pub(super) fn buffer(&mut self) -> &mut IpcBuffer {
        self.buffer.get_or_insert_with(|| {
            Box::new(IpcBuffer { words: [0; _], handles: [Handle::NONE; _], rights: [0; _] })
        })
    }

    /// Takes a call's message out of the caller's registers and buffer.
    pub(super) fn take_call(&mut self, a: [u64; 6]) -> Result<(Handler, Call), Error> {
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
    pub(super) fn put_reply(&mut self, reply: &Return) -> Result<Values, Error> {
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

    /// What is next for the server.
    pub(super) fn receive(&mut self) -> Result<Values, Error> {
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
    pub(super) fn note_reply(&mut self, tag: u64, registers: [u64; 4]) -> Result<(), Error> {
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
pub(super) fn ipc_call(a: [u64; 6]) -> Result<Values, Error> {
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
