//! The kernel's state as a whole, contexts, and handle look-up.

use core::cell::Cell;

use tocsin_abi::limits::MAX_CPUS;
use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::arena::{Arena, Id};
use crate::cpu::Cpu;
use crate::log::Log;
use crate::message::{Control, Message};
use crate::objects::{Endpoint, Mapping, Memory, ProcessId, SlotId, ThreadId, Timer};
use crate::platform::Platform;
use crate::port::Port;
use crate::process::Process;
use crate::slot::Slot;
use crate::thread::Thread;
use crate::vectors::{Entry, Round};

/// Where an operation runs and on whose behalf.
#[derive(Clone, Copy, Debug)]
pub struct Cx {
    /// This CPU.
    pub cpu: usize,
    /// No other CPU is inside the kernel.
    pub exclusive: bool,
    /// The calling thread; none in an interrupt.
    pub thread: ThreadId,
    /// The calling process; none in an interrupt.
    pub process: ProcessId,
}

impl Cx {
    /// Whether this context may touch what is homed on CPU `home`.
    #[inline(always)]
    #[must_use]
    pub fn may(self, home: u8) -> bool {
        home as usize == self.cpu || self.exclusive
    }

    /// Asks for an exclusive context.
    ///
    /// # Errors
    /// `Escalate` in a local one.
    #[inline(always)]
    pub fn need_exclusive(self) -> Result<(), Stop> {
        if self.exclusive { Ok(()) } else { Err(Stop::Escalate) }
    }
}

/// Why an operation has no plain result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Refused; nothing changed.
    Error(Error),
    /// Needs an exclusive context; nothing changed.
    Escalate,
    /// The caller's registers are set already, or it is blocked.
    Set,
    /// One bounded step is done; the caller issues the call again.
    Again,
}

impl From<Error> for Stop {
    #[inline(always)]
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// First result of a call.
pub type Outcome = Result<u64, Stop>;

/// All of the kernel's state.
pub struct Kernel<P: Platform> {
    /// The machine.
    pub platform: P,
    /// Per-CPU state.
    pub cpus: &'static [Cpu; MAX_CPUS],
    /// CPUs that run.
    pub cpu_count: Cell<usize>,
    /// Handles.
    pub slots: Arena<Slot>,
    /// Processes.
    pub processes: Arena<Process>,
    /// Threads.
    pub threads: Arena<Thread<P::Frame>>,
    /// Endpoints.
    pub endpoints: Arena<Endpoint>,
    /// Ports.
    pub ports: Arena<Port>,
    /// Memory objects, physical ranges and I/O port ranges.
    pub memories: Arena<Memory>,
    /// Mappings.
    pub mappings: Arena<Mapping>,
    /// Timers.
    pub timers: Arena<Timer>,
    /// Messages.
    pub messages: Arena<Message>,
    /// Where the interrupt server hears of its messages.
    pub control: Control,
    /// The kernel's log.
    pub log: Log,
    /// The vector table: from a CPU event straight to the message.
    pub vectors: &'static [Entry],
    /// Proof that no CPU has an old event of a shared vector in hand.
    pub round: Round,
    /// Processes being torn down: head of a list through `Process::dying_next`.
    pub dying: Cell<ProcessId>,
}

impl<P: Platform> Kernel<P> {
    /// CPU `index`'s state.
    #[inline(always)]
    #[must_use]
    pub fn cpu(&self, index: usize) -> &'static Cpu {
        &self.cpus[index % MAX_CPUS]
    }

    /// The thread with this index.
    #[inline(always)]
    #[must_use]
    pub fn thread(&self, id: ThreadId) -> &'static Thread<P::Frame> {
        self.threads.get(Id::new(id.index()))
    }

    /// The process with this index.
    #[inline(always)]
    #[must_use]
    pub fn process(&self, id: ProcessId) -> &'static Process {
        self.processes.get(id)
    }

    /// The slot behind a handle of `owner`'s.
    ///
    /// # Errors
    /// `BadHandle`.
    #[inline(always)]
    pub fn slot(&self, owner: ProcessId, handle: Handle) -> Result<&'static Slot, Error> {
        let Some(item) = self.slots.lookup(handle.index()) else {
            return Err(Error::BadHandle);
        };
        let generation = item.generation.get() & Handle::GENERATION_MASK;
        if item.value.owner.get() != owner || generation != handle.generation() {
            return Err(Error::BadHandle);
        }
        Ok(&item.value)
    }

    /// As [`Kernel::slot`], with its index.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn slot_id(&self, owner: ProcessId, handle: Handle) -> Result<SlotId, Error> {
        self.slot(owner, handle)?;
        Ok(Id::new(handle.index() as u32))
    }

    /// The slot behind a handle that must name a `kind` with `rights`.
    ///
    /// # Errors
    /// `BadHandle`, `WrongType`, `MissingRight`.
    #[inline(always)]
    pub fn need(
        &self,
        cx: Cx,
        handle: Handle,
        kind: Kind,
        rights: Rights,
    ) -> Result<&'static Slot, Error> {
        let slot = self.slot(cx.process, handle)?;
        if slot.kind.get() != kind as u8 {
            return Err(Error::WrongType);
        }
        if slot.rights.get() & rights.bits() != rights.bits() {
            return Err(Error::MissingRight);
        }
        Ok(slot)
    }

    /// The process that a handle names with `rights`; zero is the caller itself.
    ///
    /// # Errors
    /// `BadHandle`, `WrongType`, `MissingRight`.
    pub fn need_process(&self, cx: Cx, handle: Handle, rights: Rights) -> Result<ProcessId, Error> {
        if handle.is_none() {
            return Ok(cx.process);
        }
        Ok(self.need(cx, handle, Kind::Process, rights)?.id())
    }

    /// The handle that names a slot.
    #[must_use]
    pub fn handle_of(&self, slot: SlotId) -> Handle {
        Handle::new(slot.index(), self.slots.item(slot).generation.get())
    }

    /// The frame of the calling thread.
    #[inline(always)]
    #[must_use]
    pub fn frame(&self, cx: Cx) -> &'static P::Frame {
        &self.thread(cx.thread).frame
    }
}
