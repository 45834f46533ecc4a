//! Threads.

use core::cell::Cell;

use crate::arena::{Id, Reset};
use crate::objects::{MappingId, NO_CPU, ProcessId, SlotId, ThreadId};
use crate::platform::Frame;
use crate::reset_cells;

/// Names threads in indices, whatever the machine's frame is.
pub enum AnyThread {}

/// What a thread is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// Made, not started.
    #[default]
    New,
    /// In its CPU's run queue, or about to run.
    Ready,
    /// On its CPU.
    Running,
    /// In an endpoint's queue with a call.
    Sending,
    /// In an endpoint's queue for a call.
    Receiving,
    /// Waits for the reply of `peer`.
    Calling,
    /// Waits on a port.
    Waiting,
    /// Will not run again.
    Dead,
}

/// A deadline in a CPU's timer queue.
pub struct Due {
    /// Ticks.
    pub deadline: Cell<u64>,
    /// CPU in whose queue it is, or none.
    pub cpu: Cell<u8>,
    /// Next in the queue: a `DueRef`.
    pub next: Cell<u32>,
    /// Previous in the queue.
    pub prev: Cell<u32>,
}

impl Default for Due {
    fn default() -> Self {
        Due {
            deadline: Cell::new(0),
            cpu: Cell::new(NO_CPU),
            next: Cell::new(u32::MAX),
            prev: Cell::new(u32::MAX),
        }
    }
}

reset_cells!(Due { deadline: 0, cpu: NO_CPU, next: u32::MAX, prev: u32::MAX; });

/// A thread. The frame comes first: the entry code finds it at the thread's address.
#[derive(Default)]
#[repr(C, align(16))]
pub struct Thread<F> {
    /// Registers, while the thread is not on a CPU.
    pub frame: F,
    /// What it does.
    pub state: Cell<State>,
    /// Fixed priority; the higher runs first.
    pub priority: Cell<u8>,
    /// `1 << priority`: compared with a CPU's set of ready priorities, it says at once
    /// whether somebody as urgent waits.
    pub level: Cell<u32>,
    /// Its CPU, for life.
    pub cpu: Cell<u8>,
    /// Its process.
    pub process: Cell<ProcessId>,
    /// Its process's address space, kept here so that a switch need not look further.
    pub space: Cell<u64>,
    /// Next in whatever queue it is.
    pub next: Cell<ThreadId>,
    /// Previous in that queue.
    pub prev: Cell<ThreadId>,
    /// While it waits at an endpoint or port: the handle it does so through. When that
    /// goes, the wait ends.
    pub via: Cell<SlotId>,
    /// While `Calling`: the thread that will reply.
    pub server: Cell<ThreadId>,
    /// The thread that waits for our reply.
    pub caller: Cell<ThreadId>,
    /// While `Sending`: badge, tag and words of the call.
    pub message: [Cell<u64>; 6],
    /// Deadline of a `port_wait`.
    pub due: Due,
    /// Physical address of the IPC buffer.
    pub ipc_buffer: Cell<u64>,
    /// The mapping of the IPC buffer.
    pub ipc_mapping: Cell<MappingId>,
    /// Next thread of the process.
    pub sibling_next: Cell<ThreadId>,
    /// Previous thread of the process.
    pub sibling_prev: Cell<ThreadId>,
    /// End of the slice that it was given, while it stays first among its equals.
    pub slice_end: Cell<u64>,
    /// Handles that name it.
    pub handles: Cell<u32>,
    /// Who pays for it.
    pub payer: Cell<ProcessId>,
}

impl<F: Frame> Reset for Thread<F> {
    fn reset(&self) {
        self.state.set(State::New);
        self.priority.set(0);
        self.level.set(1);
        self.cpu.set(0);
        self.process.set(Id::NONE);
        self.space.set(0);
        self.next.set(Id::NONE);
        self.prev.set(Id::NONE);
        self.via.set(Id::NONE);
        self.server.set(Id::NONE);
        self.caller.set(Id::NONE);
        self.due.reset();
        self.ipc_buffer.set(0);
        self.ipc_mapping.set(Id::NONE);
        self.sibling_next.set(Id::NONE);
        self.sibling_prev.set(Id::NONE);
        self.slice_end.set(u64::MAX);
        self.handles.set(0);
        self.payer.set(Id::NONE);
    }
}
