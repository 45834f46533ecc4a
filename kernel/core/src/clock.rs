//! Deadlines: timers and `port_wait`, in one queue per CPU.

use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::cpu::Cpu;
use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::objects::{NO_CPU, ThreadId, Timer, TimerId};
use crate::platform::{Frame, Platform};
use crate::port::{Source, Tag};
use crate::thread::{Due, State};

/// Names a deadline: a thread, or (top bit set) a timer.
const TIMER_BIT: u32 = 1 << 31;
const NO_DUE: u32 = u32::MAX;

impl<P: Platform> Kernel<P> {
    fn due(&self, reference: u32) -> &'static Due {
        if reference & TIMER_BIT != 0 {
            &self.timers.get(TimerId::new(reference & !TIMER_BIT)).due
        } else {
            &self.thread(ThreadId::new(reference)).due
        }
    }

    /// Puts a deadline into CPU `home`'s queue, in order. The queue is as long as the
    /// deadlines that budgets have paid for.
    fn insert_due(&self, home: usize, reference: u32, deadline: u64) {
        let cpu = self.cpu(home);
        let entry = self.due(reference);
        entry.deadline.set(deadline);
        entry.cpu.set(home as u8);
        let (mut prev, mut next) = (NO_DUE, cpu.due.get());
        while next != NO_DUE && self.due(next).deadline.get() <= deadline {
            prev = next;
            next = self.due(next).next.get();
        }
        entry.prev.set(prev);
        entry.next.set(next);
        if prev == NO_DUE {
            cpu.due.set(reference);
        } else {
            self.due(prev).next.set(reference);
        }
        if next != NO_DUE {
            self.due(next).prev.set(reference);
        }
    }

    #[inline(never)]
    fn remove_due(&self, entry: &Due) {
        let home = entry.cpu.replace(NO_CPU);
        if home == NO_CPU {
            return;
        }
        let (next, prev) = (entry.next.get(), entry.prev.get());
        if prev == NO_DUE {
            self.cpu(home as usize).due.set(next);
        } else {
            self.due(prev).next.set(next);
        }
        if next != NO_DUE {
            self.due(next).prev.set(prev);
        }
    }

    /// A thread waits at most until `deadline` ticks.
    pub fn set_wait_deadline(&self, cx: Cx, deadline: u64) {
        self.insert_due(cx.cpu, cx.thread.index(), deadline);
        self.arm(self.cpu(cx.cpu));
    }

    /// A thread does not wait any more.
    #[inline(always)]
    pub fn cancel_wait_deadline(&self, due: &Due) {
        if due.cpu.get() != NO_CPU {
            self.remove_due(due);
        }
    }

    /// Arms this CPU's timer for the earliest thing it must not miss.
    pub fn arm(&self, cpu: &Cpu) {
        let first = cpu.due.get();
        let first = if first == NO_DUE { u64::MAX } else { self.due(first).deadline.get() };
        let target = first.min(cpu.slice_end.get());
        // A timer that fires too early costs one interrupt; re-arming costs a slow
        // register write each time. So it is only ever moved forward.
        if target < cpu.armed.get() {
            cpu.armed.set(target);
            self.platform.arm_timer(target);
        }
    }

    /// The timer interrupt. An `Escalate` is answered by calling it again.
    ///
    /// # Errors
    /// `Escalate` when a packet must go to another CPU's port.
    pub fn timer_interrupt(&self, cx: Cx) -> Result<(), Stop> {
        let cpu = self.cpu(cx.cpu);
        let now = self.platform.now();
        loop {
            let first = cpu.due.get();
            if first == NO_DUE || self.due(first).deadline.get() > now {
                break;
            }
            if first & TIMER_BIT != 0 {
                let id = TimerId::new(first & !TIMER_BIT);
                let timer = self.timers.get(id);
                self.post(cx, Source::new(Tag::Timer, id.index()), &timer.node, 1, 0)?;
                self.remove_due(&timer.due);
            } else {
                self.time_out(cx, ThreadId::new(first))?;
            }
        }
        if cpu.slice_end.get() <= now {
            self.end_slice(cpu);
        }
        cpu.armed.set(u64::MAX);
        self.arm(cpu);
        Ok(())
    }

    fn time_out(&self, cx: Cx, id: ThreadId) -> Result<(), Stop> {
        let thread = self.thread(id);
        debug_assert_eq!(thread.state.get(), State::Waiting);
        let port = self.ports.get(self.slots.get(thread.via.get()).id());
        if !cx.may(port.home.get()) {
            return Err(Stop::Escalate);
        }
        port.waiter.set(ThreadId::NONE);
        self.remove_due(&thread.due);
        thread.frame.set_result(Error::TimedOut.to_register());
        self.wake(cx, id);
        Ok(())
    }

    fn need_timer(&self, cx: Cx, handle: Handle) -> Result<(TimerId, &'static Timer), Stop> {
        cx.need_exclusive()?;
        let id = self.need(cx, handle, Kind::Timer, Rights::WRITE)?.id();
        Ok((id, self.timers.get(id)))
    }

    /// `timer_set`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn timer_set(&self, cx: Cx, handle: Handle, deadline_ns: u64) -> Outcome {
        let (id, timer) = self.need_timer(cx, handle)?;
        self.remove_due(&timer.due);
        let deadline = self.platform.ticks(deadline_ns);
        if deadline <= self.platform.now() {
            self.post(cx, Source::new(Tag::Timer, id.index()), &timer.node, 1, 0)?;
        } else {
            self.insert_due(cx.cpu, id.index() | TIMER_BIT, deadline);
            self.arm(self.cpu(cx.cpu));
        }
        Ok(0)
    }

    /// `timer_cancel`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn timer_cancel(&self, cx: Cx, handle: Handle) -> Outcome {
        let (id, timer) = self.need_timer(cx, handle)?;
        self.stop_timer(id, timer);
        Ok(0)
    }

    /// Takes a timer and its packet out of their queues.
    pub fn stop_timer(&self, id: TimerId, timer: &Timer) {
        self.remove_due(&timer.due);
        self.withdraw(Source::new(Tag::Timer, id.index()), &timer.node);
    }
}
