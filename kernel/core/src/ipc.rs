//! Endpoints: call, receive, reply.

use tocsin_abi::ipc::{RECEIVED_MESSAGE, RECEIVED_PACKET};
use tocsin_abi::limits::IPC_REGISTER_WORDS;
use tocsin_abi::{Error, Handle, Kind, Rights, Tag};

use crate::arena::Id;
use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::objects::{Endpoint, EndpointId, SlotId, ThreadId, ThreadQueue};
use crate::platform::{Frame, Platform};
use crate::thread::{State, Thread};

/// Words that travel in registers.
pub type Words = [u64; IPC_REGISTER_WORDS];

/// The message part of a call or reply.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    /// Badge of the handle that was called; zero in a reply.
    pub badge: u64,
    /// Label and counts.
    pub tag: Tag,
    /// First words.
    pub words: Words,
}

impl<P: Platform> Kernel<P> {
    /// `ipc_call`.
    ///
    /// # Errors
    /// Those of the call.
    #[inline(always)]
    pub fn ipc_call(&self, cx: Cx, handle: Handle, tag: Tag, words: Words) -> Outcome {
        let slot = self.need(cx, handle, Kind::Endpoint, Rights::CALL)?;
        if !tag.is_valid() {
            return Err(Error::BadArgument.into());
        }
        let endpoint = self.endpoints.get(slot.id());
        if !cx.may(endpoint.home.get()) {
            return Err(Stop::Escalate);
        }
        let badge = slot.badge.get();
        let receiver = endpoint.receivers.head.get();
        if receiver.is_none() {
            return self.queue_call(cx, handle, endpoint, Payload { badge, tag, words });
        }
        let server = self.thread(receiver);
        if !cx.may(server.cpu.get()) {
            return Err(Stop::Escalate);
        }
        let caller = self.thread(cx.thread);
        self.transfer(cx, caller, server, Payload { badge, tag, words })?;
        self.pop_first(&endpoint.receivers, server);
        server.frame.set_result(RECEIVED_MESSAGE);
        server.caller.set(cx.thread);
        caller.server.set(receiver);
        self.block_thread(cx, caller, State::Calling);
        self.wake_thread(cx, receiver, server);
        Err(Stop::Set)
    }

    /// Nobody receives: the call waits in the endpoint's queue.
    #[cold]
    #[inline(never)]
    fn queue_call(&self, cx: Cx, handle: Handle, endpoint: &Endpoint, payload: Payload) -> Outcome {
        if endpoint.receive_handles.get() == 0 {
            return Err(Error::PeerDied.into());
        }
        if payload.tag.handles() > 0 {
            self.check_sendable(cx, payload.tag)?;
        }
        let thread = self.thread(cx.thread);
        thread.message[0].set(payload.badge);
        thread.message[1].set(payload.tag.0);
        for (cell, word) in thread.message[2..].iter().zip(payload.words) {
            cell.set(word);
        }
        thread.via.set(SlotId::new(handle.index() as u32));
        self.push_back(&endpoint.senders, cx.thread);
        self.block(cx, State::Sending);
        Err(Stop::Set)
    }

    /// Moves one message from a thread to another. All or nothing.
    #[inline(always)]
    fn transfer(
        &self,
        cx: Cx,
        from: &Thread<P::Frame>,
        to: &Thread<P::Frame>,
        payload: Payload,
    ) -> Result<(), Stop> {
        let count = payload.tag.words();
        if payload.tag.handles() > 0 {
            cx.need_exclusive()?;
            self.transfer_handles(from, to, payload.tag)?;
        }
        if count > IPC_REGISTER_WORDS {
            self.platform.ipc_copy(from.ipc_buffer.get(), to.ipc_buffer.get(), count);
        }
        let frame = &to.frame;
        frame.set_values4([payload.badge, payload.tag.0, payload.words[0], payload.words[1]]);
        frame.set_value(4, payload.words[2]);
        frame.set_value(5, payload.words[3]);
        Ok(())
    }

    /// `ipc_receive`.
    ///
    /// # Errors
    /// Those of the call.
    #[inline(always)]
    pub fn ipc_receive(&self, cx: Cx, handle: Handle) -> Outcome {
        let slot = self.need(cx, handle, Kind::Endpoint, Rights::RECEIVE)?;
        let endpoint = self.endpoints.get(slot.id());
        if endpoint.home.get() as usize != cx.cpu {
            self.bring_home(cx, endpoint)?;
        }
        self.check_local_receive(cx, endpoint)?;
        self.receive_at(cx, handle, endpoint)
    }

    /// Makes this CPU the endpoint's home, and that of the port tied to it.
    #[cold]
    fn bring_home(&self, cx: Cx, endpoint: &Endpoint) -> Result<(), Stop> {
        cx.need_exclusive()?;
        if endpoint.port.get().is_some() {
            let port = self.ports.get(endpoint.port.get());
            if port.waiter.get().is_some() {
                return Err(Error::Busy.into());
            }
            port.home.set(cx.cpu as u8);
        }
        endpoint.home.set(cx.cpu as u8);
        Ok(())
    }

    #[inline(always)]
    fn receive_at(&self, cx: Cx, handle: Handle, endpoint: &Endpoint) -> Outcome {
        // First of all: it may escalate, and what follows may not be done twice.
        self.drop_caller(cx)?;
        if endpoint.port.get().is_some() {
            let port = self.ports.get(endpoint.port.get());
            if let Some(packet) = self.take_packet(port) {
                self.frame(cx).set_values4(packet.to_values());
                return Ok(RECEIVED_PACKET);
            }
        }
        let sender = endpoint.senders.head.get();
        if sender.is_some() {
            return self.receive_queued(cx, endpoint);
        }
        let me = self.thread(cx.thread);
        me.via.set(SlotId::new(handle.index() as u32));
        self.push_back_thread(&endpoint.receivers, cx.thread, me);
        self.block_thread(cx, me, State::Receiving);
        Err(Stop::Set)
    }

    /// Takes the first waiting call that can be delivered; those that can not fail.
    #[inline(never)]
    fn receive_queued(&self, cx: Cx, endpoint: &Endpoint) -> Outcome {
        loop {
            let id = endpoint.senders.head.get();
            if id.is_none() {
                // Every sender failed; receive again, from the start.
                return Err(Stop::Escalate);
            }
            let sender = self.thread(id);
            if !cx.may(sender.cpu.get()) {
                return Err(Stop::Escalate);
            }
            let payload = Payload {
                badge: sender.message[0].get(),
                tag: Tag(sender.message[1].get()),
                words: core::array::from_fn(|index| sender.message[2 + index].get()),
            };
            match self.transfer(cx, sender, self.thread(cx.thread), payload) {
                Ok(()) => {
                    let _ = self.pop(&endpoint.senders);
                    sender.state.set(State::Calling);
                    sender.server.set(cx.thread);
                    self.thread(cx.thread).caller.set(id);
                    return Ok(RECEIVED_MESSAGE);
                }
                Err(Stop::Error(error)) => {
                    let _ = self.pop(&endpoint.senders);
                    sender.frame.set_result(error.to_register());
                    self.wake(cx, id);
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Whoever still waits for this thread's reply waits in vain.
    #[inline(always)]
    fn drop_caller(&self, cx: Cx) -> Result<(), Stop> {
        let caller = self.thread(cx.thread).caller.get();
        if caller.is_some() {
            return self.drop_this_caller(cx, caller);
        }
        Ok(())
    }

    #[cold]
    fn drop_this_caller(&self, cx: Cx, caller: ThreadId) -> Result<(), Stop> {
        if !cx.may(self.thread(caller).cpu.get()) {
            return Err(Stop::Escalate);
        }
        self.fail_caller(cx, cx.thread);
        Ok(())
    }

    /// Lets the caller of `server` fail with `PeerDied`.
    pub fn fail_caller(&self, cx: Cx, server: ThreadId) {
        let caller = self.thread(server).caller.replace(Id::NONE);
        if caller.is_some() {
            let thread = self.thread(caller);
            thread.server.set(Id::NONE);
            thread.frame.set_result(Error::PeerDied.to_register());
            self.wake(cx, caller);
        }
    }

    /// `ipc_reply`.
    ///
    /// # Errors
    /// Those of the call.
    #[inline(always)]
    pub fn ipc_reply(&self, cx: Cx, tag: Tag, words: Words) -> Outcome {
        if !tag.is_valid() {
            return Err(Error::BadArgument.into());
        }
        let me = self.thread(cx.thread);
        let caller = me.caller.get();
        if caller.is_none() {
            return Err(Error::NoCaller.into());
        }
        let thread = self.thread(caller);
        if !cx.may(thread.cpu.get()) {
            return Err(Stop::Escalate);
        }
        self.transfer(cx, me, thread, Payload { badge: 0, tag, words })?;
        thread.frame.set_result(0);
        thread.server.set(Id::NONE);
        me.caller.set(Id::NONE);
        self.wake_thread(cx, caller, thread);
        Ok(0)
    }

    /// `ipc_reply_receive`.
    ///
    /// # Errors
    /// Those of the call.
    #[inline(always)]
    pub fn ipc_reply_receive(&self, cx: Cx, handle: Handle, tag: Tag, words: Words) -> Outcome {
        // Everything that can refuse or escalate the second half comes first, so that
        // the reply is not sent twice.
        let slot = self.need(cx, handle, Kind::Endpoint, Rights::RECEIVE)?;
        let endpoint = self.endpoints.get(slot.id());
        if endpoint.home.get() as usize != cx.cpu {
            self.bring_home(cx, endpoint)?;
        }
        self.check_local_receive(cx, endpoint)?;
        match self.ipc_reply(cx, tag, words) {
            Ok(_) | Err(Stop::Error(Error::NoCaller)) => {}
            Err(stop) => return Err(stop),
        }
        self.receive_at(cx, handle, endpoint)
    }

    /// What receiving finds must be known to be for this context before anything is
    /// changed: the reply sent, or the old caller dropped.
    #[inline(always)]
    fn check_local_receive(&self, cx: Cx, endpoint: &Endpoint) -> Result<(), Stop> {
        if cx.exclusive {
            return Ok(());
        }
        if endpoint.senders.head.get().is_some() {
            self.check_local_sender(cx, endpoint)?;
        }
        Ok(())
    }

    /// A queued call that needs an exclusive context must be known before the reply.
    #[cold]
    fn check_local_sender(&self, cx: Cx, endpoint: &Endpoint) -> Result<(), Stop> {
        let sender = self.thread(endpoint.senders.head.get());
        if !cx.may(sender.cpu.get()) || Tag(sender.message[1].get()).handles() > 0 {
            return Err(Stop::Escalate);
        }
        Ok(())
    }

    /// Nobody can receive any more: everybody in an endpoint's queues fails.
    pub fn fail_queues(&self, cx: Cx, endpoint: &Endpoint) {
        for queue in [&endpoint.senders, &endpoint.receivers] {
            loop {
                let thread = self.pop(queue);
                if thread.is_none() {
                    break;
                }
                self.thread(thread).frame.set_result(Error::PeerDied.to_register());
                self.wake(cx, thread);
            }
        }
    }

    /// Whoever waits in a queue through this handle waits no longer.
    pub fn fail_those_through(&self, cx: Cx, queue: &ThreadQueue, via: SlotId) {
        let mut id = queue.head.get();
        while id.is_some() {
            let thread = self.thread(id);
            let next = thread.next.get();
            if thread.via.get() == via {
                self.unlink(queue, id);
                thread.frame.set_result(Error::PeerDied.to_register());
                self.wake(cx, id);
            }
            id = next;
        }
    }

    /// An endpoint's last handle is gone.
    pub fn destroy_endpoint(&self, cx: Cx, id: EndpointId) {
        let endpoint = self.endpoints.get(id);
        self.fail_queues(cx, endpoint);
        if endpoint.port.get().is_some() {
            self.ports.get(endpoint.port.get()).endpoint.set(Id::NONE);
        }
        let payer = endpoint.payer.get();
        self.endpoints.free(id);
        self.drop_share(payer, crate::budget::Share::Endpoint);
        self.release(payer, crate::create::ENDPOINT_BYTES);
    }
}
