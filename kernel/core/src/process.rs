//! Processes and threads: making them, and tearing them down in bounded steps.

use core::cell::Cell;

use tocsin_abi::limits::{PAGE_BYTES, PRIORITIES, USER_END, USER_START};
use tocsin_abi::startup::EXIT_KILLED;
use tocsin_abi::{Error, Handle, Kind, PacketKind, Rights};

use crate::arena::Id;
use crate::budget::{Share, Shares};
use crate::create::{PROCESS_BYTES, THREAD_BYTES};
use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::memory::check_user_pages;
use crate::objects::{MappingId, PortId, ProcessId, SlotId, ThreadId};
use crate::platform::{Frame, Platform};
use crate::port::{Node, Source, Tag};
use crate::reset_cells;
use crate::thread::{State, Thread};

/// Work of one step of a teardown: objects, and runs of mapped pages.
const TEARDOWN_STEP: u64 = 32;
/// Tables of an address space that one step frees.
const TABLES_STEP: u64 = 16;

/// Where a process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// Alive.
    #[default]
    Alive,
    /// Its threads are gone, its handles are being closed.
    Dying,
    /// Nothing is left but its account.
    Dead,
}

/// An address space, a set of handles, a budget.
#[derive(Default)]
pub struct Process {
    /// Where it is in its life.
    pub phase: Cell<Phase>,
    /// Who made it and dies after it.
    pub creator: Cell<ProcessId>,
    /// First of those it made.
    pub child: Cell<ProcessId>,
    /// Next with the same creator.
    pub sibling_next: Cell<ProcessId>,
    /// Previous with the same creator.
    pub sibling_prev: Cell<ProcessId>,
    /// Next in the list of the dying.
    pub dying_next: Cell<ProcessId>,
    /// Address space.
    pub space: Cell<u64>,
    /// Table frames of the address space.
    pub tables: Cell<u64>,
    /// Bytes it may use.
    pub budget: Cell<u64>,
    /// Bytes it uses.
    pub used: Cell<u64>,
    /// Objects of each kind that it pays for.
    pub shares: Shares,
    /// Exit code.
    pub exit_code: Cell<u64>,
    /// Packet about its death.
    pub death: Node,
    /// First of its handles.
    pub slots: Cell<SlotId>,
    /// Number of its handles.
    pub handle_count: Cell<u32>,
    /// First mapping in its address space.
    pub mappings: Cell<MappingId>,
    /// First of its threads.
    pub threads: Cell<ThreadId>,
    /// Handles that name it.
    pub handles: Cell<u32>,
}

reset_cells!(Process {
    phase: Phase::Alive, creator: Id::NONE, child: Id::NONE, sibling_next: Id::NONE,
    sibling_prev: Id::NONE, dying_next: Id::NONE, space: 0, tables: 0, budget: 0, used: 0,
    exit_code: 0, slots: Id::NONE, handle_count: 0, mappings: Id::NONE, threads: Id::NONE,
    handles: 0;
    death, shares
});

impl<P: Platform> Kernel<P> {
    /// Refuses what can not be done to a dying process.
    ///
    /// # Errors
    /// `BadState`.
    pub fn need_alive(&self, id: ProcessId) -> Result<(), Error> {
        if self.process(id).phase.get() == Phase::Alive { Ok(()) } else { Err(Error::BadState) }
    }

    /// `process_create`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn process_create(&self, cx: Cx, budget_bytes: u64) -> Outcome {
        cx.need_exclusive()?;
        if budget_bytes == 0 || budget_bytes >= 1 << 48 {
            return Err(Error::BadSize.into());
        }
        let cost = PROCESS_BYTES + budget_bytes;
        self.room_for(cx.process, cost, &self.processes, Share::Process)?;
        let space = self.platform.space_create().ok_or(Error::NoMemory)?;
        let (handle, id) =
            self.make(cx.process, Kind::Process, cost, &self.processes, Share::Process);
        let process = self.process(id);
        process.space.set(space);
        process.budget.set(budget_bytes);
        process.creator.set(cx.process);
        let first = self.process(cx.process).child.replace(id);
        process.sibling_next.set(first);
        if first.is_some() {
            self.process(first).sibling_prev.set(id);
        }
        Ok(handle)
    }

    /// `process_bind`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn process_bind(&self, cx: Cx, process: Handle, port: Handle, key: u64) -> Outcome {
        cx.need_exclusive()?;
        let id: ProcessId = self.need(cx, process, Kind::Process, Rights::BIND)?.id();
        let port: PortId = self.need(cx, port, Kind::Port, Rights::BIND)?.id();
        let target = self.process(id);
        if self.is_tied(&target.death) {
            return Err(Error::AlreadyBound.into());
        }
        self.tie(&target.death, port, key, PacketKind::Death);
        if target.phase.get() == Phase::Dead {
            self.post_death(cx, id)?;
        }
        Ok(0)
    }

    fn post_death(&self, cx: Cx, id: ProcessId) -> Result<(), Stop> {
        let process = self.process(id);
        let source = Source::new(Tag::Death, id.index());
        self.post(cx, source, &process.death, 1, process.exit_code.get())?;
        Ok(())
    }

    /// `process_info`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn process_info(&self, cx: Cx, process: Handle) -> Outcome {
        cx.need_exclusive()?;
        let process = self.process(self.need_process(cx, process, Rights::READ)?);
        let (budget, used) = (process.budget.get(), process.used.get());
        let handles = u64::from(process.handle_count.get());
        self.frame(cx).set_values4([budget, used, process.exit_code.get(), handles]);
        Ok(u64::from(process.phase.get() == Phase::Dead))
    }

    /// `process_kill`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn process_kill(&self, cx: Cx, process: Handle) -> Outcome {
        cx.need_exclusive()?;
        let id: ProcessId = self.need(cx, process, Kind::Process, Rights::CONTROL)?.id();
        self.need_alive(id)?;
        self.kill_process(cx, id, EXIT_KILLED);
        // Suicide is not answered.
        if id == cx.process { Err(Stop::Set) } else { Ok(0) }
    }

    /// `process_exit`, and the end of a process whose thread faulted.
    ///
    /// # Errors
    /// `Escalate`; else `Set`: nobody is left to return to.
    pub fn process_exit(&self, cx: Cx, code: u64) -> Outcome {
        cx.need_exclusive()?;
        self.kill_process(cx, cx.process, code);
        Err(Stop::Set)
    }

    /// Ends a process: its threads now, its handles and children in steps.
    pub fn kill_process(&self, cx: Cx, id: ProcessId, code: u64) {
        let process = self.process(id);
        if process.phase.get() != Phase::Alive {
            return;
        }
        process.phase.set(Phase::Dying);
        process.exit_code.set(code);
        while process.threads.get().is_some() {
            self.end_thread(cx, process.threads.get());
        }
        process.dying_next.set(self.dying.get());
        self.dying.set(id);
    }

    /// One bounded step of tearing down whoever is dying. Exclusive context only.
    /// Says whether there is more to do.
    pub fn teardown_step(&self, cx: Cx) -> bool {
        let id = self.dying.get();
        if id.is_none() {
            return false;
        }
        let process = self.process(id);
        let mut child = process.child.get();
        while child.is_some() {
            if self.process(child).phase.get() == Phase::Alive {
                // Goes to the head of the list: children end before their creator.
                self.kill_process(cx, child, EXIT_KILLED);
                return true;
            }
            child = self.process(child).sibling_next.get();
        }
        let mut work = 0;
        while work < TEARDOWN_STEP {
            work += 1;
            if process.slots.get().is_some() {
                let slot = process.slots.get();
                if !self.trim_slot(cx, slot, &mut work) {
                    break;
                }
                self.delete_slot(cx, slot);
            } else if process.mappings.get().is_some() {
                work += self.remove_mapping(cx, process.mappings.get());
            } else {
                if self.platform.space_shrink(process.space.get(), TABLES_STEP) {
                    self.finish_process(cx, id);
                }
                break;
            }
        }
        self.dying.get().is_some()
    }

    fn finish_process(&self, cx: Cx, id: ProcessId) {
        let process = self.process(id);
        self.dying.set(process.dying_next.get());
        process.space.set(0);
        self.release(id, process.tables.replace(0) * PAGE_BYTES);
        process.phase.set(Phase::Dead);
        let unused = process.budget.get() - process.used.get();
        process.budget.set(process.used.get());
        self.release(process.creator.get(), unused);
        // An exclusive context never escalates.
        let _ = self.post_death(cx, id);
        self.free_process_if_done(id);
    }

    /// Forgets a dead process that nobody names and that has no charges left.
    pub fn free_process_if_done(&self, id: ProcessId) {
        let process = self.process(id);
        let dead = process.phase.get() == Phase::Dead;
        if !dead || process.handles.get() > 0 || process.used.get() > 0 {
            return;
        }
        // A packet that nobody has read goes too: nobody names this process any more, and
        // an unread packet must not keep what somebody else pays for.
        self.withdraw(Source::new(Tag::Death, id.index()), &process.death);
        let (next, prev) = (process.sibling_next.get(), process.sibling_prev.get());
        let creator = process.creator.get();
        if prev.is_some() {
            self.process(prev).sibling_next.set(next);
        } else if creator.is_some() {
            self.process(creator).child.set(next);
        }
        if next.is_some() {
            self.process(next).sibling_prev.set(prev);
        }
        self.processes.free(id);
        self.drop_share(creator, Share::Process);
        self.release(creator, PROCESS_BYTES);
    }

    /// `thread_create`.
    ///
    /// # Errors
    /// Those of the call.
    #[expect(clippy::too_many_arguments, reason = "the call has six")]
    pub fn thread_create(
        &self,
        cx: Cx,
        process: Handle,
        entry: u64,
        stack: u64,
        argument: u64,
        placement: u64,
        ipc_buffer: u64,
    ) -> Outcome {
        cx.need_exclusive()?;
        let target = self.need_process(cx, process, Rights::CONTROL)?;
        self.need_alive(target)?;
        let (priority, cpu) = (placement & 0xff, placement >> 8);
        let own = self.thread(cx.thread).priority.get();
        if priority >= PRIORITIES as u64 || priority > u64::from(own) {
            return Err(Error::BadArgument.into());
        }
        if cpu >= self.cpu_count.get() as u64 {
            return Err(Error::BadCpu.into());
        }
        let user = USER_START..USER_END;
        if !user.contains(&entry) || !user.contains(&(stack.wrapping_sub(8))) {
            return Err(Error::BadAddress.into());
        }
        check_user_pages(ipc_buffer, PAGE_BYTES)?;
        let id = self.new_thread(cx, target, ipc_buffer, priority as u8, cpu as u8)?;
        self.thread(id.1).frame.start(entry, stack, argument);
        Ok(id.0)
    }

    /// Makes a thread with its IPC buffer. Returns its handle, as a result register has
    /// it, and the thread.
    ///
    /// # Errors
    /// `AlreadyMapped`, `NoMemory`, `NoHandles`.
    pub fn new_thread(
        &self,
        cx: Cx,
        target: ProcessId,
        ipc_buffer: u64,
        priority: u8,
        cpu: u8,
    ) -> Result<(u64, ThreadId), Error> {
        let cost = THREAD_BYTES + PAGE_BYTES;
        // What the mapping below charges to the same account must fit as well.
        self.room_for(cx.process, cost + 5 * PAGE_BYTES, &self.threads, Share::Thread)?;
        let frame = self.platform.alloc_frames(1).ok_or(Error::NoMemory)?;
        let protection = Rights::READ | Rights::WRITE;
        let mapped = self.map(cx, target, Id::NONE, ipc_buffer, frame, 1, protection, false);
        let mapping = match mapped {
            Ok(mapping) => mapping,
            Err(error) => {
                self.platform.free_frames(frame, 1);
                return Err(error);
            }
        };
        let (handle, id) = self.make(cx.process, Kind::Thread, cost, &self.threads, Share::Thread);
        let id = ThreadId::new(id.index());
        let thread = self.thread(id);
        thread.payer.set(cx.process);
        thread.priority.set(priority);
        thread.level.set(1 << priority);
        thread.cpu.set(cpu);
        thread.ipc_buffer.set(frame);
        thread.ipc_mapping.set(mapping);
        self.join_process(target, id, thread);
        Ok((handle, id))
    }

    /// Makes a thread one of a process's.
    fn join_process(&self, target: ProcessId, id: ThreadId, thread: &Thread<P::Frame>) {
        let process = self.process(target);
        thread.process.set(target);
        thread.space.set(process.space.get());
        let first = process.threads.replace(id);
        thread.sibling_next.set(first);
        if first.is_some() {
            self.thread(first).sibling_prev.set(id);
        }
    }

    /// `thread_start`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn thread_start(&self, cx: Cx, handle: Handle) -> Outcome {
        cx.need_exclusive()?;
        let id: ThreadId = self.need(cx, handle, Kind::Thread, Rights::CONTROL)?.id();
        if self.thread(id).state.get() != State::New {
            return Err(Error::BadState.into());
        }
        self.wake(cx, id);
        Ok(0)
    }

    /// `thread_kill`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn thread_kill(&self, cx: Cx, handle: Handle) -> Outcome {
        cx.need_exclusive()?;
        let id: ThreadId = self.need(cx, handle, Kind::Thread, Rights::CONTROL)?.id();
        if self.thread(id).state.get() == State::Dead {
            return Err(Error::BadState.into());
        }
        let process = self.thread(id).process.get();
        self.end_thread(cx, id);
        if self.process(process).threads.get().is_none() {
            self.kill_process(cx, process, EXIT_KILLED);
        }
        if id == cx.thread { Err(Stop::Set) } else { Ok(0) }
    }

    /// Ends a thread wherever it is. Exclusive context only.
    pub fn end_thread(&self, cx: Cx, id: ThreadId) {
        let thread = self.thread(id);
        self.leave_queues(id, thread);
        let home = thread.cpu.get() as usize;
        if self.cpu(home).current.get() == id {
            if home != cx.cpu {
                self.platform.evict(home);
            }
            self.cpu(home).current.set(Id::NONE);
        }
        self.fail_caller(cx, id);
        thread.state.set(State::Dead);
        let process = self.process(thread.process.get());
        let (next, prev) = (thread.sibling_next.get(), thread.sibling_prev.get());
        if prev.is_none() {
            process.threads.set(next);
        } else {
            self.thread(prev).sibling_next.set(next);
        }
        if next.is_some() {
            self.thread(next).sibling_prev.set(prev);
        }
        self.drop_ipc_buffer(cx, thread);
        self.free_thread_if_done(id);
    }

    fn leave_queues(&self, id: ThreadId, thread: &Thread<P::Frame>) {
        match thread.state.get() {
            State::New | State::Dead | State::Running => {}
            State::Ready => self.dequeue(id),
            State::Sending => {
                let endpoint = self.endpoints.get(self.slots.get(thread.via.get()).id());
                self.unlink(&endpoint.senders, id);
            }
            State::Receiving => {
                let endpoint = self.endpoints.get(self.slots.get(thread.via.get()).id());
                self.unlink(&endpoint.receivers, id);
            }
            State::Calling => self.thread(thread.server.get()).caller.set(Id::NONE),
            State::Waiting => {
                self.ports.get(self.slots.get(thread.via.get()).id()).waiter.set(Id::NONE);
                self.cancel_wait_deadline(&thread.due);
            }
        }
    }

    fn drop_ipc_buffer(&self, cx: Cx, thread: &Thread<P::Frame>) {
        let buffer = thread.ipc_buffer.replace(0);
        self.remove_mapping(cx, thread.ipc_mapping.replace(Id::NONE));
        self.platform.free_frames(buffer, 1);
    }

    /// Forgets a dead thread that nobody names.
    pub fn free_thread_if_done(&self, id: ThreadId) {
        let thread = self.thread(id);
        if thread.state.get() == State::Dead && thread.handles.get() == 0 {
            let payer = thread.payer.get();
            self.threads.free(Id::new(id.index()));
            self.drop_share(payer, Share::Thread);
            self.release(payer, THREAD_BYTES + PAGE_BYTES);
        }
    }
}
