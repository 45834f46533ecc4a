//! What objects cost, and the makers of the simple ones.

use tocsin_abi::{Error, Handle, Kind, PacketKind, Rights};

use crate::arena::{Arena, Id, Reset};
use crate::budget::Share;
use crate::kernel::{Cx, Kernel, Outcome};
use crate::message::Message;
use crate::objects::{Endpoint, Mapping, Memory, PortId, ProcessId, SlotId, Timer, TimerId};
use crate::platform::Platform;
use crate::port::Port;
use crate::process::Process;
use crate::slot::Slot;

/// Cost of a handle.
pub const SLOT_BYTES: u64 = Arena::<Slot>::item_bytes();
/// Cost of an endpoint.
pub const ENDPOINT_BYTES: u64 = Arena::<Endpoint>::item_bytes();
/// Cost of a port.
pub const PORT_BYTES: u64 = Arena::<Port>::item_bytes();
/// Cost of a memory object, without its frames.
pub const MEMORY_BYTES: u64 = Arena::<Memory>::item_bytes();
/// Cost of a slice of a range.
pub const RANGE_BYTES: u64 = Arena::<Memory>::item_bytes();
/// Cost of a mapping, without table frames.
pub const MAPPING_BYTES: u64 = Arena::<Mapping>::item_bytes();
/// Cost of a timer.
pub const TIMER_BYTES: u64 = Arena::<Timer>::item_bytes();
/// Cost of a message.
pub const MESSAGE_BYTES: u64 = Arena::<Message>::item_bytes();
/// Cost of a process with its first table, without its budget.
pub const PROCESS_BYTES: u64 = Arena::<Process>::item_bytes() + 4096;
/// Cost of a thread, without its IPC buffer.
pub const THREAD_BYTES: u64 = 512;

impl<P: Platform> Kernel<P> {
    /// Whether `process` can get an object of `bytes` from `arena`, and a handle to it.
    ///
    /// # Errors
    /// `NoMemory`, `NoHandles`.
    pub fn room_for<T: Reset>(
        &self,
        process: ProcessId,
        bytes: u64,
        arena: &Arena<T>,
        share: Share,
    ) -> Result<(), Error> {
        self.slot_room(process, 1)?;
        self.share_room(process, share, arena)?;
        self.can_charge(process, bytes.saturating_add(SLOT_BYTES))?;
        if arena.room() == 0 { Err(Error::NoMemory) } else { Ok(()) }
    }

    /// Makes an object that `room_for` has found room for, with a handle that has every
    /// right. Returns the handle as a result register has it, and the object.
    ///
    /// # Panics
    /// When nobody asked `room_for`: a bug in the kernel.
    pub fn make<T: Reset>(
        &self,
        process: ProcessId,
        kind: Kind,
        bytes: u64,
        arena: &Arena<T>,
        share: Share,
    ) -> (u64, Id<T>) {
        let id = arena.alloc().expect("room was checked");
        self.take_share(process, share);
        self.charge(process, bytes);
        let rights = kind.all_rights();
        let slot = self.new_slot(process, kind, id.index(), rights, 0, SlotId::NONE);
        (u64::from(self.handle_of(slot).0), id)
    }

    /// `endpoint_create`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn endpoint_create(&self, cx: Cx) -> Outcome {
        cx.need_exclusive()?;
        self.room_for(cx.process, ENDPOINT_BYTES, &self.endpoints, Share::Endpoint)?;
        let (handle, id) =
            self.make(cx.process, Kind::Endpoint, ENDPOINT_BYTES, &self.endpoints, Share::Endpoint);
        self.endpoints.get(id).payer.set(cx.process);
        Ok(handle)
    }

    /// `endpoint_bind`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn endpoint_bind(&self, cx: Cx, endpoint: Handle, port: Handle) -> Outcome {
        cx.need_exclusive()?;
        let endpoint_id: Id<Endpoint> =
            self.need(cx, endpoint, Kind::Endpoint, Rights::RECEIVE)?.id();
        let port_id: PortId = self.need(cx, port, Kind::Port, Rights::WAIT)?.id();
        let endpoint = self.endpoints.get(endpoint_id);
        let port = self.ports.get(port_id);
        if endpoint.port.get().is_some() || port.endpoint.get().is_some() {
            return Err(Error::AlreadyBound.into());
        }
        if port.waiter.get().is_some() {
            return Err(Error::Busy.into());
        }
        endpoint.port.set(port_id);
        port.endpoint.set(endpoint_id);
        port.home.set(endpoint.home.get());
        self.feed_receivers(cx, port, endpoint);
        Ok(0)
    }

    /// `port_create`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn port_create(&self, cx: Cx) -> Outcome {
        cx.need_exclusive()?;
        self.room_for(cx.process, PORT_BYTES, &self.ports, Share::Port)?;
        let (handle, id) = self.make(cx.process, Kind::Port, PORT_BYTES, &self.ports, Share::Port);
        let port = self.ports.get(id);
        port.payer.set(cx.process);
        self.tie(&port.signal, id, 0, PacketKind::Signal);
        Ok(handle)
    }

    /// `timer_create`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn timer_create(&self, cx: Cx, port: Handle, key: u64) -> Outcome {
        cx.need_exclusive()?;
        let port = self.need(cx, port, Kind::Port, Rights::BIND)?.id();
        self.room_for(cx.process, TIMER_BYTES, &self.timers, Share::Timer)?;
        let (handle, id) =
            self.make(cx.process, Kind::Timer, TIMER_BYTES, &self.timers, Share::Timer);
        let timer = self.timers.get(id);
        timer.payer.set(cx.process);
        self.tie(&timer.node, port, key, PacketKind::Timer);
        Ok(handle)
    }

    /// A timer's last handle is gone.
    pub fn destroy_timer(&self, id: TimerId) {
        let timer = self.timers.get(id);
        self.stop_timer(id, timer);
        let payer = timer.payer.get();
        self.timers.free(id);
        self.drop_share(payer, Share::Timer);
        self.release(payer, TIMER_BYTES);
    }

    /// `message_create`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_create(
        &self,
        cx: Cx,
        control: Handle,
        address: u64,
        data: u64,
        cookie: u64,
    ) -> Outcome {
        cx.need_exclusive()?;
        self.need(cx, control, Kind::MessageControl, Rights::CONTROL)?;
        let data = u32::try_from(data).map_err(|_| Error::BadArgument)?;
        self.room_for(cx.process, MESSAGE_BYTES, &self.messages, Share::Message)?;
        let (handle, id) =
            self.make(cx.process, Kind::Message, MESSAGE_BYTES, &self.messages, Share::Message);
        let message = self.messages.get(id);
        message.payer.set(cx.process);
        message.address.set(address);
        message.data.set(data);
        message.notice.key.set(cookie);
        Ok(handle)
    }
}
