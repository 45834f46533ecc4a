//! What each CPU has for itself.

use core::cell::Cell;

use tocsin_abi::limits::PRIORITIES;

use crate::arena::Id;
use crate::objects::{ThreadId, ThreadQueue};

/// One CPU's part of the kernel's state: used by its own local context, or by anybody's
/// exclusive one. Aligned so that no two CPUs share a cache line, and of a size that is a power
/// of two, so that the interrupt and IPC paths find it by a shift.
#[repr(align(512))]
pub struct Cpu {
    /// The thread on it.
    pub current: Cell<ThreadId>,
    /// A thread just woken, in no queue yet: the next one if its priority says so.
    pub handoff: Cell<ThreadId>,
    /// Bit `p`: `queues[p]` is not empty.
    pub ready: Cell<u32>,
    /// Threads ready to run, by priority.
    pub queues: [ThreadQueue; PRIORITIES],
    /// First deadline of the timer queue: a `DueRef`.
    pub due: Cell<u32>,
    /// What the timer is armed for.
    pub armed: Cell<u64>,
    /// End of the running thread's time slice; `u64::MAX` while it need not share.
    pub slice_end: Cell<u64>,
    /// Pokes asked for, and answered: an answered poke proves that every event that was
    /// in flight before it has been taken.
    pub pokes_asked: Cell<u64>,
    /// See `pokes_asked`.
    pub pokes_done: Cell<u64>,
    /// The poke of the round that is under way (see `vectors::Round`).
    pub round_poke: Cell<u64>,
    /// Events on vectors that belong to nobody.
    pub strays: Cell<u64>,
}

impl Default for Cpu {
    fn default() -> Self {
        Cpu {
            current: Cell::new(Id::NONE),
            handoff: Cell::new(Id::NONE),
            ready: Cell::new(0),
            queues: core::array::from_fn(|_| ThreadQueue::default()),
            due: Cell::new(u32::MAX),
            armed: Cell::new(u64::MAX),
            slice_end: Cell::new(u64::MAX),
            pokes_asked: Cell::new(0),
            pokes_done: Cell::new(0),
            round_poke: Cell::new(0),
            strays: Cell::new(0),
        }
    }
}
