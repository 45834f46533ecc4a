//! Message objects: the kernel's half of an interrupt.

use core::cell::Cell;

use tocsin_abi::{Error, Handle, Kind, MessageState, MessageStatus, PacketKind, Rights, Trigger};

use crate::arena::Id;
use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::level::Held;
use crate::objects::{MessageId, NO_CPU, PortId, ProcessId, SlotId};
use crate::platform::{Frame, Platform};
use crate::port::{Node, Posted, Source, Tag};
use crate::reset_cells;
use crate::vectors::Use;

/// Where the interrupt server hears of its messages.
#[derive(Default)]
pub struct Control {
    /// Its port.
    pub port: Cell<PortId>,
    /// Generation of that port.
    pub port_generation: Cell<u32>,
}

/// One message: at most one CPU event, at most one port.
pub struct Message {
    /// Its packet.
    pub node: Node,
    /// Packet to the interrupt server: orphaned, or in a storm.
    pub notice: Node,
    /// The handle through which it was bound: the binding goes with it.
    pub binder: Cell<SlotId>,
    /// State.
    pub state: Cell<MessageState>,
    /// CPU whose local context may use it; none while it has two vectors or none.
    pub home: Cell<u8>,
    /// CPU of its vector.
    pub cpu: Cell<u8>,
    /// Its vector; zero: none.
    pub vector: Cell<u16>,
    /// CPU of the vector it moves away from.
    pub old_cpu: Cell<u8>,
    /// That vector; zero: none. Where CPUs share vectors it is the same one.
    pub old_vector: Cell<u16>,
    /// CPU of the last event.
    pub last_cpu: Cell<u8>,
    /// A storm notice has been sent.
    pub stormed: Cell<bool>,
    /// Its vector is level triggered.
    pub is_level: Cell<bool>,
    /// Its vector is held back by the interrupt controller.
    pub held: Cell<Held>,
    /// Events that came while no port was bound.
    pub pending: Cell<u32>,
    /// Data of the pair.
    pub data: Cell<u32>,
    /// Address of the pair.
    pub address: Cell<u64>,
    /// Events that made a packet.
    pub delivered: Cell<u64>,
    /// Events added to a packet that waited.
    pub coalesced: Cell<u64>,
    /// Events while blocked or deactivated.
    pub blocked: Cell<u64>,
    /// Rate budget: events per window; zero: none.
    pub rate_events: Cell<u32>,
    /// Events in this window.
    pub window_events: Cell<u32>,
    /// Length of a window in ticks.
    pub window_ticks: Cell<u64>,
    /// Start of this window.
    pub window_start: Cell<u64>,
    /// Handles without `CONTROL`: when the last goes, the message is orphaned.
    pub clients: Cell<u32>,
    /// All handles.
    pub handles: Cell<u32>,
    /// Who pays for it.
    pub payer: Cell<ProcessId>,
}

impl Default for Message {
    fn default() -> Self {
        Message {
            node: Node::default(),
            notice: Node::default(),
            binder: Cell::default(),
            state: Cell::new(MessageState::Reserved),
            home: Cell::new(NO_CPU),
            cpu: Cell::default(),
            vector: Cell::default(),
            old_cpu: Cell::default(),
            old_vector: Cell::default(),
            last_cpu: Cell::default(),
            stormed: Cell::default(),
            is_level: Cell::default(),
            held: Cell::default(),
            pending: Cell::default(),
            data: Cell::default(),
            address: Cell::default(),
            delivered: Cell::default(),
            coalesced: Cell::default(),
            blocked: Cell::default(),
            rate_events: Cell::default(),
            window_events: Cell::default(),
            window_ticks: Cell::default(),
            window_start: Cell::default(),
            clients: Cell::default(),
            handles: Cell::default(),
            payer: Cell::default(),
        }
    }
}

reset_cells!(Message {
    binder: Id::NONE,    state: MessageState::Reserved, home: NO_CPU, cpu: 0, vector: 0, old_cpu: 0,
    old_vector: 0, last_cpu: 0, stormed: false, is_level: false, held: Held::No, pending: 0, data: 0, address: 0,
    delivered: 0, coalesced: 0, blocked: 0, rate_events: 0, window_events: 0,
    window_ticks: 0, window_start: 0, clients: 0, handles: 0, payer: Id::NONE;
    node, notice
});

impl<P: Platform> Kernel<P> {
    /// A message's event came: by its vector, or by software.
    ///
    /// # Errors
    /// `Escalate` when the message or its port is homed elsewhere.
    #[inline(always)]
    pub fn message_event(&self, cx: Cx, id: MessageId) -> Result<(), Stop> {
        let message = self.messages.get(id);
        if !cx.may(message.home.get()) {
            return Err(Stop::Escalate);
        }
        if message.state.get() == MessageState::Blocked {
            message.blocked.set(message.blocked.get() + 1);
            return Ok(());
        }
        let has_budget = message.rate_events.get() != 0;
        if has_budget && self.starts_storm(message) {
            cx.need_exclusive()?;
        }
        match self.post(cx, Source::new(Tag::Message, id.index()), &message.node, 1, 0)? {
            Posted::Delivered => message.delivered.set(message.delivered.get() + 1),
            Posted::Coalesced => message.coalesced.set(message.coalesced.get() + 1),
            Posted::Unbound => message.pending.set(message.pending.get().saturating_add(1)),
        }
        message.last_cpu.set(cx.cpu as u8);
        if has_budget {
            self.count_rate(cx, id, message);
        }
        Ok(())
    }

    /// Whether one more event would be the first past the budget.
    fn starts_storm(&self, message: &Message) -> bool {
        !message.stormed.get() && message.window_events.get() >= message.rate_events.get()
    }

    /// Counts an event against the rate budget; the first one past it is told to the
    /// interrupt server.
    #[inline(never)]
    fn count_rate(&self, cx: Cx, id: MessageId, message: &Message) {
        let storm = self.starts_storm(message);
        let now = self.platform.now();
        if now.wrapping_sub(message.window_start.get()) > message.window_ticks.get() {
            message.window_start.set(now);
            message.window_events.set(1);
            return;
        }
        message.window_events.set(message.window_events.get().saturating_add(1));
        if storm {
            message.stormed.set(true);
            self.notify(cx, id, PacketKind::Storm);
        }
    }

    /// Tells the interrupt server something about a message. Exclusive context only.
    pub fn notify(&self, cx: Cx, id: MessageId, kind: PacketKind) {
        let message = self.messages.get(id);
        let notice = &message.notice;
        notice.port.set(self.control.port.get());
        notice.port_generation.set(self.control.port_generation.get());
        // One packet holds all the news. A message that nobody wants any more is to be
        // freed, whatever else it does meanwhile: a storm must not hide that.
        let orphaned = notice.queued.get() && notice.kind.get() == PacketKind::Orphaned as u32;
        if !orphaned {
            notice.kind.set(kind as u32);
        }
        // An exclusive context never escalates, and an unbound control hears nothing.
        let _ = self.post(cx, Source::new(Tag::Notice, id.index()), notice, 1, 0);
    }

    fn need_message(&self, cx: Cx, handle: Handle, rights: Rights) -> Result<MessageId, Stop> {
        cx.need_exclusive()?;
        Ok(self.need(cx, handle, Kind::Message, rights)?.id())
    }

    /// `message_activate`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_activate(
        &self,
        cx: Cx,
        handle: Handle,
        cpu: u64,
        vector: u64,
        trigger: u64,
    ) -> Outcome {
        let id = self.need_message(cx, handle, Rights::CONTROL)?;
        let message = self.messages.get(id);
        let entry = self.entry(cpu, vector)?;
        // `entry` has found it to be one.
        let vector = vector as u16;
        let trigger = Trigger::from_code(trigger).ok_or(Error::BadArgument)?;
        let is_level = trigger == Trigger::Level;
        if is_level {
            self.platform.check_level(vector)?;
        }
        let moves = message.vector.get() != 0;
        // Where CPUs share vectors, a move is to another CPU with the same one.
        let space = self.platform.vector_space();
        // A private vector is one CPU's, and nothing leads it elsewhere.
        if moves && (space.is_private(vector) || space.is_private(message.vector.get())) {
            return Err(Error::BadArgument.into());
        }
        let keeps = moves && message.vector.get() == vector && space.is_shared;
        if !keeps && entry.usage.get() != Use::Free && !self.was_own(entry, id) {
            return Err(Error::VectorInUse.into());
        }
        if message.old_vector.get() != 0 {
            return Err(Error::BadState.into());
        }
        // A wire has one number: another would not be held back, nor acknowledged.
        let fits = message.is_level.get() == is_level && (keeps || !is_level);
        if moves && !fits {
            return Err(Error::BadArgument.into());
        }
        if !keeps {
            self.take_entry(entry, id, cpu as usize, vector);
        }
        if moves {
            message.old_cpu.set(message.cpu.get());
            message.old_vector.set(message.vector.get());
            message.home.set(NO_CPU);
        } else {
            message.state.set(MessageState::Active);
            message.home.set(cpu as u8);
            message.last_cpu.set(cpu as u8);
            message.is_level.set(is_level);
        }
        message.cpu.set(cpu as u8);
        message.vector.set(vector);
        if space.is_private(vector) {
            self.platform.set_private(cpu as usize, vector, Some(trigger));
        }
        Ok(0)
    }

    /// `message_settle`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_settle(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need_message(cx, handle, Rights::CONTROL)?;
        let message = self.messages.get(id);
        let old = message.old_vector.get();
        if old == 0 {
            return Err(Error::BadState.into());
        }
        message.old_vector.set(0);
        // An event in the hands of the former CPU is the message's all the same where both
        // have one vector: nothing is to be drained then.
        let keeps = old == message.vector.get() && self.platform.vector_space().is_shared;
        if !keeps {
            self.quarantine(message.old_cpu.get(), old, Use::Moved);
        }
        message.home.set(message.cpu.get());
        Ok(0)
    }

    /// `message_deactivate`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_deactivate(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need_message(cx, handle, Rights::CONTROL)?;
        let message = self.messages.get(id);
        if message.state.get() == MessageState::Reserved {
            return Err(Error::BadState.into());
        }
        self.let_go(message);
        self.retire_vectors(message);
        message.state.set(MessageState::Reserved);
        message.home.set(NO_CPU);
        Ok(0)
    }

    /// `message_block`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_block(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need_message(cx, handle, Rights::CONTROL)?;
        let message = self.messages.get(id);
        if message.state.get() != MessageState::Active {
            return Err(Error::BadState.into());
        }
        message.state.set(MessageState::Blocked);
        Ok(0)
    }

    /// `message_unblock`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_unblock(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need_message(cx, handle, Rights::CONTROL)?;
        let message = self.messages.get(id);
        if message.state.get() != MessageState::Blocked {
            return Err(Error::BadState.into());
        }
        message.state.set(MessageState::Active);
        message.stormed.set(false);
        message.window_events.set(0);
        // What came meanwhile was told to nobody: a level that is still there comes again.
        if message.held.get() == Held::Muted {
            self.let_go(message);
        }
        Ok(0)
    }

    /// `message_bind`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_bind(&self, cx: Cx, handle: Handle, port: Handle, key: u64) -> Outcome {
        let id = self.need_message(cx, handle, Rights::BIND)?;
        let port: PortId = self.need(cx, port, Kind::Port, Rights::BIND)?.id();
        let message = self.messages.get(id);
        if self.is_tied(&message.node) {
            return Err(Error::AlreadyBound.into());
        }
        self.tie(&message.node, port, key, PacketKind::Message);
        message.binder.set(SlotId::new(handle.index() as u32));
        let pending = message.pending.replace(0);
        if pending == 0 {
            // A former owner took the packet and never acknowledged it: a level that is still
            // there comes again, to this one.
            if message.held.get() == Held::Owner {
                self.let_go(message);
            }
            return Ok(0);
        }
        self.post(cx, Source::new(Tag::Message, id.index()), &message.node, pending, 0)?;
        message.delivered.set(message.delivered.get() + 1);
        message.coalesced.set(message.coalesced.get() + u64::from(pending) - 1);
        Ok(1)
    }

    /// `message_unbind`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_unbind(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need_message(cx, handle, Rights::BIND)?;
        let message = self.messages.get(id);
        if !self.is_tied(&message.node) {
            return Err(Error::NotBound.into());
        }
        self.untie_message(id);
        Ok(0)
    }

    /// Undoes a binding; a packet that nobody has seen becomes pending events.
    pub fn untie_message(&self, id: MessageId) {
        let message = self.messages.get(id);
        if self.withdraw(Source::new(Tag::Message, id.index()), &message.node) {
            self.take_back(message);
        }
        message.node.port.set(Id::NONE);
        message.binder.set(Id::NONE);
    }

    /// A packet that nobody has seen becomes pending events again.
    pub fn take_back(&self, message: &Message) {
        let count = message.node.count.get();
        message.pending.set(message.pending.get().saturating_add(count));
        message.delivered.set(message.delivered.get() - 1);
        let coalesced = u64::from(count).saturating_sub(1);
        message.coalesced.set(message.coalesced.get().saturating_sub(coalesced));
    }

    /// `message_signal`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_signal(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need(cx, handle, Kind::Message, Rights::SIGNAL)?.id();
        self.message_event(cx, id)?;
        Ok(0)
    }

    /// `message_read`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_read(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need_message(cx, handle, Rights::READ)?;
        let message = self.messages.get(id);
        let status = MessageStatus {
            address: message.address.get(),
            data: message.data.get(),
            state: message.state.get(),
            cpu: message.last_cpu.get(),
            vector: message.vector.get(),
            delivered: message.delivered.get(),
            coalesced: message.coalesced.get(),
            blocked: message.blocked.get(),
        };
        let frame = self.frame(cx);
        for (index, value) in status.to_values().into_iter().enumerate() {
            frame.set_value(index, value);
        }
        Ok(0)
    }

    /// `message_binding`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_binding(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need_message(cx, handle, Rights::CONTROL)?;
        let node = &self.messages.get(id).node;
        if !self.is_tied(node) {
            return Err(Error::NotBound.into());
        }
        let port = node.port.get();
        let frame = self.frame(cx);
        frame.set_value(0, u64::from(port.index()));
        frame.set_value(1, self.ports.get(port).payer.get().index().into());
        frame.set_value(2, node.key.get());
        Ok(0)
    }

    /// `message_rate`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_rate(&self, cx: Cx, handle: Handle, events: u64, window_ns: u64) -> Outcome {
        let id = self.need_message(cx, handle, Rights::CONTROL)?;
        let events = u32::try_from(events).map_err(|_| Error::BadArgument)?;
        if events != 0 && window_ns == 0 {
            return Err(Error::BadArgument.into());
        }
        let message = self.messages.get(id);
        message.rate_events.set(events);
        message.window_ticks.set(self.platform.ticks(window_ns));
        message.window_events.set(0);
        message.window_start.set(self.platform.now());
        message.stormed.set(false);
        Ok(0)
    }

    /// `control_bind`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn control_bind(&self, cx: Cx, handle: Handle, port: Handle) -> Outcome {
        cx.need_exclusive()?;
        self.need(cx, handle, Kind::MessageControl, Rights::BIND)?;
        let port: PortId = self.need(cx, port, Kind::Port, Rights::BIND)?.id();
        let old = self.control.port.get();
        let generation = self.control.port_generation.get();
        if old.is_some() && self.ports.item(old).generation.get() == generation {
            return Err(Error::AlreadyBound.into());
        }
        self.control.port.set(port);
        self.control.port_generation.set(self.ports.item(port).generation.get());
        Ok(0)
    }

    /// The last handle is gone: silent from here on.
    pub fn destroy_message(&self, id: MessageId) {
        let message = self.messages.get(id);
        self.let_go(message);
        self.retire_vectors(message);
        self.withdraw(Source::new(Tag::Message, id.index()), &message.node);
        self.withdraw(Source::new(Tag::Notice, id.index()), &message.notice);
        let payer = message.payer.get();
        self.messages.free(id);
        self.drop_share(payer, crate::budget::Share::Message);
        self.release(payer, crate::create::MESSAGE_BYTES);
    }
}
