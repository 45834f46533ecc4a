//! The objects' types and indices, and the smaller objects themselves.

use core::cell::Cell;

use crate::arena::Id;
use crate::port::{Node, Port};
use crate::process::Process;
use crate::reset_cells;
use crate::slot::Slot;
use crate::thread::Due;

/// Index of a slot.
pub type SlotId = Id<Slot>;
/// Index of a process.
pub type ProcessId = Id<Process>;
/// Index of a port.
pub type PortId = Id<Port>;
/// Index of an endpoint.
pub type EndpointId = Id<Endpoint>;
/// Index of a mapping.
pub type MappingId = Id<Mapping>;
/// Index of a memory object.
pub type MemoryId = Id<Memory>;
/// Index of a timer.
pub type TimerId = Id<Timer>;
/// Index of a message.
pub type MessageId = Id<crate::message::Message>;
/// Index of a thread. Threads are generic over the machine's frame, indices are not.
pub type ThreadId = Id<crate::thread::AnyThread>;

/// "No CPU": home of what nobody has used yet, so only an exclusive context may.
pub const NO_CPU: u8 = u8::MAX;

/// A queue of threads, linked through the threads.
#[derive(Default)]
pub struct ThreadQueue {
    /// First in line.
    pub head: Cell<ThreadId>,
    /// Last in line.
    pub tail: Cell<ThreadId>,
}

reset_cells!(ThreadQueue { head: Id::NONE, tail: Id::NONE; });

/// A place to call.
pub struct Endpoint {
    /// Threads that wait for calls.
    pub receivers: ThreadQueue,
    /// Threads whose call nobody has taken yet.
    pub senders: ThreadQueue,
    /// CPU whose local context may use it: that of the last receiver.
    pub home: Cell<u8>,
    /// Port whose packets receivers get as well.
    pub port: Cell<PortId>,
    /// Handles that name it.
    pub handles: Cell<u32>,
    /// Those among them that can receive: without any, a call has nowhere to go.
    pub receive_handles: Cell<u32>,
    /// Who pays for it.
    pub payer: Cell<ProcessId>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Endpoint {
            receivers: ThreadQueue::default(),
            senders: ThreadQueue::default(),
            home: Cell::new(NO_CPU),
            port: Cell::default(),
            handles: Cell::default(),
            receive_handles: Cell::default(),
            payer: Cell::default(),
        }
    }
}

reset_cells!(Endpoint {
    home: NO_CPU, port: Id::NONE, handles: 0, receive_handles: 0, payer: Id::NONE;
    receivers, senders
});

/// Physically contiguous memory: RAM, or a range of device addresses, or I/O ports.
#[derive(Default)]
pub struct Memory {
    /// First address (or port).
    pub base: Cell<u64>,
    /// Length.
    pub size: Cell<u64>,
    /// Handles that name it.
    pub handles: Cell<u32>,
    /// Who pays for it.
    pub payer: Cell<ProcessId>,
}

reset_cells!(Memory { base: 0, size: 0, handles: 0, payer: Id::NONE; });

/// A range of an address space, mapped through one handle.
#[derive(Default)]
pub struct Mapping {
    /// Whose address space.
    pub process: Cell<ProcessId>,
    /// First address.
    pub address: Cell<u64>,
    /// First physical address.
    pub physical: Cell<u64>,
    /// Pages.
    pub pages: Cell<u64>,
    /// The handle it was made through; none for an IPC buffer.
    pub slot: Cell<SlotId>,
    /// Who pays for it.
    pub payer: Cell<ProcessId>,
    /// Next made through the same handle.
    pub slot_next: Cell<MappingId>,
    /// Previous made through the same handle.
    pub slot_prev: Cell<MappingId>,
    /// Next in the same address space.
    pub next: Cell<MappingId>,
    /// Previous in the same address space.
    pub prev: Cell<MappingId>,
}

reset_cells!(Mapping {
    process: Id::NONE, address: 0, physical: 0, pages: 0, slot: Id::NONE, payer: Id::NONE,
    slot_next: Id::NONE, slot_prev: Id::NONE, next: Id::NONE, prev: Id::NONE;
});

/// A one-shot timer.
#[derive(Default)]
pub struct Timer {
    /// Its packet.
    pub node: Node,
    /// Its place in a CPU's queue.
    pub due: Due,
    /// Handles that name it.
    pub handles: Cell<u32>,
    /// Who pays for it.
    pub payer: Cell<ProcessId>,
}

reset_cells!(Timer { handles: 0, payer: Id::NONE; node, due });
