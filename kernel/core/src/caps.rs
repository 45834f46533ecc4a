//! Handles and the tree of derivation: duplicate, grant, transfer, close, revoke.

use tocsin_abi::limits::IPC_HANDLES;
use tocsin_abi::{Error, Handle, Kind, PacketKind, Rights, Syscall, Tag};

use crate::arena::Id;
use crate::create::SLOT_BYTES;
use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::objects::{ProcessId, SlotId};
use crate::platform::{Frame, Platform};
use crate::slot::Slot;
use crate::thread::Thread;

/// The handles of one message: slot and rights.
type SentHandles = [(SlotId, Rights); IPC_HANDLES];

/// None of them.
const NOTHING_SENT: SentHandles = [(SlotId::NONE, Rights::empty()); IPC_HANDLES];

/// Work of one bounded step: handles, and runs of mapped pages.
const STEP: u64 = 32;

/// One process holds at most this part of the machine's handles.
const HANDLE_SHARE: u32 = 4;

impl<P: Platform> Kernel<P> {
    /// Whether `owner` can get `count` more handles.
    ///
    /// # Errors
    /// `NoHandles`, `NoMemory`.
    pub fn slot_room(&self, owner: ProcessId, count: u32) -> Result<(), Error> {
        let held = self.process(owner).handle_count.get();
        if self.slots.room() < count || held + count > self.slots.capacity() / HANDLE_SHARE {
            return Err(Error::NoHandles);
        }
        self.can_charge(owner, u64::from(count) * SLOT_BYTES)
    }

    /// Makes a handle. `slot_room` has said that there is room.
    ///
    /// # Panics
    /// When nobody asked `slot_room`: a bug in the kernel.
    pub fn new_slot(
        &self,
        owner: ProcessId,
        kind: Kind,
        object: u32,
        rights: Rights,
        badge: u64,
        parent: SlotId,
    ) -> SlotId {
        let id = self.slots.alloc().expect("room was checked");
        let slot = self.slots.get(id);
        slot.object.set(object);
        slot.kind.set(kind as u8);
        slot.rights.set(rights.bits());
        slot.badge.set(badge);
        slot.owner.set(owner);
        let process = self.process(owner);
        let first = process.slots.get();
        slot.owner_next.set(first);
        if first.is_some() {
            self.slots.get(first).owner_prev.set(id);
        }
        process.slots.set(id);
        process.handle_count.set(process.handle_count.get() + 1);
        self.charge(owner, SLOT_BYTES);
        if parent.is_some() {
            self.adopt(parent, id);
        }
        self.count_handle(slot, 1);
        id
    }

    fn adopt(&self, parent: SlotId, id: SlotId) {
        let slot = self.slots.get(id);
        let first = self.slots.get(parent).child.get();
        slot.parent.set(parent);
        slot.prev.set(Id::NONE);
        slot.next.set(first);
        if first.is_some() {
            self.slots.get(first).prev.set(id);
        }
        self.slots.get(parent).child.set(id);
    }

    /// Counts a handle to an object; returns how many there are.
    fn count_handle(&self, slot: &Slot, delta: i32) -> u32 {
        let cell = match slot.kind() {
            Kind::Process => &self.processes.get(slot.id()).handles,
            Kind::Thread => &self.thread(slot.id()).handles,
            Kind::Endpoint => {
                let endpoint = self.endpoints.get(slot.id());
                if slot.rights().contains(Rights::RECEIVE) {
                    let receive = &endpoint.receive_handles;
                    receive.set(receive.get().wrapping_add_signed(delta));
                }
                &endpoint.handles
            }
            Kind::Port => &self.ports.get(slot.id()).handles,
            Kind::Memory | Kind::Physical | Kind::IoPorts => &self.memories.get(slot.id()).handles,
            Kind::Timer => &self.timers.get(slot.id()).handles,
            Kind::Message => {
                let message = self.messages.get(slot.id());
                if !slot.rights().contains(Rights::CONTROL) {
                    message.clients.set(message.clients.get().wrapping_add_signed(delta));
                }
                &message.handles
            }
            Kind::MessageControl | Kind::DebugLog | Kind::Machine => return u32::MAX,
        };
        cell.set(cell.get().wrapping_add_signed(delta));
        cell.get()
    }

    /// What a handle derived from `slot` may be: fewer rights; a badge only where there
    /// is none yet and `MINT` allows it.
    fn narrow(slot: &Slot, rights: Rights, badge: u64) -> Result<u64, Error> {
        if !slot.rights().contains(rights) {
            return Err(Error::Widening);
        }
        if badge == 0 {
            return Ok(slot.badge.get());
        }
        let mint = slot.kind() == Kind::Endpoint
            && slot.badge.get() == 0
            && slot.rights().contains(Rights::MINT);
        if mint { Ok(badge) } else { Err(Error::Widening) }
    }

    /// `handle_duplicate`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn handle_duplicate(&self, cx: Cx, handle: Handle, rights: Rights, badge: u64) -> Outcome {
        cx.need_exclusive()?;
        self.derive(cx, cx.process, handle, Rights::DUPLICATE, rights, badge)
    }

    /// `process_grant`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn process_grant(
        &self,
        cx: Cx,
        process: Handle,
        handle: Handle,
        rights: Rights,
        badge: u64,
    ) -> Outcome {
        cx.need_exclusive()?;
        let target = self.need(cx, process, Kind::Process, Rights::CONTROL)?.id();
        self.need_alive(target)?;
        self.derive(cx, target, handle, Rights::TRANSFER, rights, badge)
    }

    fn derive(
        &self,
        cx: Cx,
        owner: ProcessId,
        handle: Handle,
        needed: Rights,
        rights: Rights,
        badge: u64,
    ) -> Outcome {
        let id = self.slot_id(cx.process, handle)?;
        let slot = self.slots.get(id);
        if !slot.rights().contains(needed) {
            return Err(Error::MissingRight.into());
        }
        let badge = Self::narrow(slot, rights, badge)?;
        self.slot_room(owner, 1)?;
        let new = self.new_slot(owner, slot.kind(), slot.object.get(), rights, badge, id);
        Ok(u64::from(self.handle_of(new).0))
    }

    /// Whether the calling thread may send the handles in its IPC buffer.
    ///
    /// # Errors
    /// `BadHandle`, `MissingRight`, `Widening`.
    pub fn check_sendable(&self, cx: Cx, tag: Tag) -> Result<(), Error> {
        let mut sent = NOTHING_SENT;
        self.sent_handles(self.thread(cx.thread), tag, &mut sent).map(drop)
    }

    /// The handles that a thread sends, checked, with the rights that each keeps. Each is
    /// read once: another thread of the process can write the buffer meanwhile, so what
    /// was checked must be what is used.
    #[inline(always)]
    fn sent_handles<'a>(
        &self,
        sender: &Thread<P::Frame>,
        tag: Tag,
        sent: &'a mut SentHandles,
    ) -> Result<&'a [(SlotId, Rights)], Error> {
        // A valid tag counts no more than there is room for.
        let sent = &mut sent[..tag.handles().min(IPC_HANDLES)];
        for (index, place) in sent.iter_mut().enumerate() {
            let (handle, rights) = self.platform.ipc_handle(sender.ipc_buffer.get(), index);
            let slot = self.slot(sender.process.get(), handle)?;
            if !slot.rights().contains(Rights::TRANSFER) {
                return Err(Error::MissingRight);
            }
            Self::narrow(slot, rights, 0)?;
            *place = (SlotId::new(handle.index() as u32), rights);
        }
        Ok(sent)
    }

    /// Copies the handles of a message: the receiver's are derived from the sender's.
    /// All or none.
    ///
    /// # Errors
    /// As `check_sendable`; `NoHandles` and `NoMemory` for the receiver.
    #[inline(never)]
    pub fn transfer_handles(
        &self,
        sender: &Thread<P::Frame>,
        receiver: &Thread<P::Frame>,
        tag: Tag,
    ) -> Result<(), Error> {
        let mut sent = NOTHING_SENT;
        let sent = self.sent_handles(sender, tag, &mut sent)?;
        let (owner, buffer) = (receiver.process.get(), receiver.ipc_buffer.get());
        self.slot_room(owner, sent.len() as u32)?;
        for (index, &(id, rights)) in sent.iter().enumerate() {
            let slot = self.slots.get(id);
            let (object, badge) = (slot.object.get(), slot.badge.get());
            let new = self.new_slot(owner, slot.kind(), object, rights, badge, id);
            self.platform.ipc_set_handle(buffer, index, self.handle_of(new));
        }
        Ok(())
    }

    /// `handle_info`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn handle_info(&self, cx: Cx, handle: Handle) -> Outcome {
        let slot = self.slot(cx.process, handle)?;
        let rights = u64::from(slot.rights.get());
        self.frame(cx).set_values4([rights, slot.badge.get(), 0, 0]);
        Ok(u64::from(slot.kind.get()))
    }

    /// `handle_close`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn handle_close(&self, cx: Cx, handle: Handle) -> Outcome {
        cx.need_exclusive()?;
        let id = self.slot_id(cx.process, handle)?;
        if !self.trim_slot(cx, id, &mut 0) {
            self.frame(cx).restart(Syscall::HandleClose as u64, u64::from(handle.0));
            return Err(Stop::Again);
        }
        self.delete_slot(cx, id);
        Ok(0)
    }

    /// `handle_revoke`: one bounded step.
    ///
    /// # Errors
    /// Those of the call; `Again` while there is more to kill.
    pub fn handle_revoke(&self, cx: Cx, handle: Handle) -> Outcome {
        cx.need_exclusive()?;
        let id = self.slot_id(cx.process, handle)?;
        if !self.slots.get(id).rights().contains(Rights::REVOKE) {
            return Err(Error::MissingRight.into());
        }
        let (mut at, mut work) = (id, 0);
        while work < STEP {
            work += 1;
            while self.slots.get(at).child.get().is_some() {
                at = self.slots.get(at).child.get();
            }
            if at == id {
                return Ok(0);
            }
            if !self.trim_slot(cx, at, &mut work) {
                break;
            }
            let parent = self.slots.get(at).parent.get();
            self.delete_slot(cx, at);
            at = parent;
        }
        self.frame(cx).restart(Syscall::HandleRevoke as u64, u64::from(handle.0));
        Err(Stop::Again)
    }

    /// Undoes the mappings made through a handle and leaves what was derived from it to
    /// its parent, as far as one bounded step goes; adds what it did to `work`. Says
    /// whether none is left.
    pub fn trim_slot(&self, cx: Cx, id: SlotId, work: &mut u64) -> bool {
        let slot = self.slots.get(id);
        while slot.mappings.get().is_some() {
            if *work > STEP {
                return false;
            }
            *work += self.remove_mapping(cx, slot.mappings.get());
        }
        while slot.child.get().is_some() {
            if *work > STEP {
                return false;
            }
            *work += 1;
            self.raise_child(slot);
        }
        true
    }

    /// Makes the first handle derived from this one derived from its parent instead.
    fn raise_child(&self, slot: &Slot) {
        let id = slot.child.get();
        let child = self.slots.get(id);
        let next = child.next.get();
        slot.child.set(next);
        if next.is_some() {
            self.slots.get(next).prev.set(Id::NONE);
        }
        let parent = slot.parent.get();
        if parent.is_some() {
            self.adopt(parent, id);
        } else {
            child.parent.set(Id::NONE);
            child.next.set(Id::NONE);
            child.prev.set(Id::NONE);
        }
    }

    /// Closes a handle: its mappings go, what was derived from it becomes derived from
    /// its parent, and an object without handles is destroyed.
    pub fn delete_slot(&self, cx: Cx, id: SlotId) {
        let slot = self.slots.get(id);
        while slot.mappings.get().is_some() {
            self.remove_mapping(cx, slot.mappings.get());
        }
        self.leave_tree(id, slot);
        let owner = slot.owner.replace(Id::NONE);
        let process = self.process(owner);
        let (next, prev) = (slot.owner_next.get(), slot.owner_prev.get());
        if prev.is_none() {
            process.slots.set(next);
        } else {
            self.slots.get(prev).owner_next.set(next);
        }
        if next.is_some() {
            self.slots.get(next).owner_prev.set(prev);
        }
        process.handle_count.set(process.handle_count.get() - 1);
        let left = self.count_handle(slot, -1);
        if left == 0 {
            self.destroy_object(cx, slot);
        } else if slot.kind() == Kind::Message {
            self.message_handle_gone(cx, id, slot);
        } else if slot.kind() == Kind::Endpoint {
            self.endpoint_handle_gone(cx, id, slot);
        } else if slot.kind() == Kind::Port {
            let port = self.ports.get(slot.id());
            if self.thread(port.waiter.get()).via.get() == id {
                self.fail_waiter(cx, port);
            }
        }
        self.slots.free(id);
        self.release(owner, SLOT_BYTES);
    }

    /// An endpoint lives on without this handle, but nobody waits there through it; and
    /// without a handle to receive nobody waits there at all.
    fn endpoint_handle_gone(&self, cx: Cx, id: SlotId, slot: &Slot) {
        let endpoint = self.endpoints.get(slot.id());
        if endpoint.receive_handles.get() == 0 {
            self.fail_queues(cx, endpoint);
        } else {
            self.fail_those_through(cx, &endpoint.senders, id);
            self.fail_those_through(cx, &endpoint.receivers, id);
        }
    }

    /// A message lives on without this handle: silent, if it was bound through it; the
    /// interrupt server hears when it was the last client's.
    fn message_handle_gone(&self, cx: Cx, id: SlotId, slot: &Slot) {
        let message = self.messages.get(slot.id());
        if message.binder.get() == id {
            self.untie_message(slot.id());
        }
        if !slot.rights().contains(Rights::CONTROL) && message.clients.get() == 0 {
            self.notify(cx, slot.id(), PacketKind::Orphaned);
        }
    }

    fn leave_tree(&self, id: SlotId, slot: &Slot) {
        let parent = slot.parent.get();
        let (next, prev) = (slot.next.get(), slot.prev.get());
        if prev.is_some() {
            self.slots.get(prev).next.set(next);
        } else if parent.is_some() {
            debug_assert_eq!(self.slots.get(parent).child.get(), id);
            self.slots.get(parent).child.set(next);
        }
        if next.is_some() {
            self.slots.get(next).prev.set(prev);
        }
        debug_assert!(slot.child.get().is_none(), "trimmed before");
        while slot.child.get().is_some() {
            self.raise_child(slot);
        }
    }

    fn destroy_object(&self, cx: Cx, slot: &Slot) {
        match slot.kind() {
            Kind::Process => self.free_process_if_done(slot.id()),
            Kind::Thread => self.free_thread_if_done(slot.id()),
            Kind::Endpoint => self.destroy_endpoint(cx, slot.id()),
            Kind::Port => self.destroy_port(cx, slot.id()),
            Kind::Memory => self.destroy_memory(slot.id()),
            Kind::Physical | Kind::IoPorts => self.destroy_range(slot.id()),
            Kind::Timer => self.destroy_timer(slot.id()),
            Kind::Message => self.destroy_message(slot.id()),
            Kind::MessageControl | Kind::DebugLog | Kind::Machine => {}
        }
    }
}
