//! Run queues: fixed priorities, round robin within one.

use crate::arena::Id;
use crate::cpu::Cpu;
use crate::kernel::{Cx, Kernel};
use crate::objects::{ThreadId, ThreadQueue};
use crate::platform::{Frame, Platform};
use crate::thread::{State, Thread};

/// How long a thread runs while others of its priority wait, in nanoseconds.
pub const SLICE_NS: u64 = 10_000_000;

impl<P: Platform> Kernel<P> {
    /// Adds a thread at the end of a queue.
    pub fn push_back(&self, queue: &ThreadQueue, id: ThreadId) {
        self.push_back_thread(queue, id, self.thread(id));
    }

    /// As `push_back`, for who has looked the thread up.
    #[inline(always)]
    pub fn push_back_thread(&self, queue: &ThreadQueue, id: ThreadId, thread: &Thread<P::Frame>) {
        let tail = queue.tail.get();
        thread.next.set(Id::NONE);
        thread.prev.set(tail);
        if tail.is_none() {
            queue.head.set(id);
        } else {
            self.thread(tail).next.set(id);
        }
        queue.tail.set(id);
    }

    /// Takes a thread out of the queue that it is in.
    pub fn unlink(&self, queue: &ThreadQueue, id: ThreadId) {
        let thread = self.thread(id);
        let (next, prev) = (thread.next.get(), thread.prev.get());
        if prev.is_none() {
            queue.head.set(next);
        } else {
            self.thread(prev).next.set(next);
        }
        if next.is_none() {
            queue.tail.set(prev);
        } else {
            self.thread(next).prev.set(prev);
        }
        thread.next.set(Id::NONE);
        thread.prev.set(Id::NONE);
    }

    /// Takes the first thread of a queue.
    #[inline(always)]
    #[must_use]
    pub fn pop(&self, queue: &ThreadQueue) -> ThreadId {
        let id = queue.head.get();
        if id.is_some() {
            self.pop_first(queue, self.thread(id));
        }
        id
    }

    /// Takes the first thread of a queue, which has been looked up.
    #[inline(always)]
    pub fn pop_first(&self, queue: &ThreadQueue, first: &Thread<P::Frame>) {
        let next = first.next.get();
        queue.head.set(next);
        if next.is_none() {
            queue.tail.set(Id::NONE);
        } else {
            self.thread(next).prev.set(Id::NONE);
        }
    }

    /// Puts a ready thread at the end of its run queue.
    #[inline(never)]
    fn enqueue(&self, cpu: &Cpu, id: ThreadId) {
        let thread = self.thread(id);
        let priority = thread.priority.get() as usize % cpu.queues.len();
        thread.slice_end.set(u64::MAX);
        self.push_back(&cpu.queues[priority], id);
        cpu.ready.set(cpu.ready.get() | 1 << priority);
    }

    /// Puts a preempted thread at the head of its run queue.
    #[inline(always)]
    pub fn enqueue_first(&self, cpu: &Cpu, id: ThreadId, thread: &Thread<P::Frame>) {
        let priority = thread.priority.get() as usize % cpu.queues.len();
        let queue = &cpu.queues[priority];
        let head = queue.head.get();
        thread.prev.set(Id::NONE);
        thread.next.set(head);
        if head.is_none() {
            queue.tail.set(id);
        } else {
            self.thread(head).prev.set(id);
        }
        queue.head.set(id);
        cpu.ready.set(cpu.ready.get() | 1 << priority);
    }

    /// Takes a ready thread out of its run queue, or out of the handoff.
    pub fn dequeue(&self, id: ThreadId) {
        let thread = self.thread(id);
        let cpu = self.cpu(thread.cpu.get() as usize);
        if cpu.handoff.get() == id {
            cpu.handoff.set(Id::NONE);
            return;
        }
        let priority = thread.priority.get() as usize % cpu.queues.len();
        let queue = &cpu.queues[priority];
        self.unlink(queue, id);
        if queue.head.get().is_none() {
            cpu.ready.set(cpu.ready.get() & !(1 << priority));
        }
    }

    /// Makes a thread ready. On this CPU it is handed over: `choose` decides whether it
    /// runs at once. On another (exclusive context only) it is queued there.
    #[inline(always)]
    pub fn wake(&self, cx: Cx, id: ThreadId) {
        self.wake_thread(cx, id, self.thread(id));
    }

    /// As `wake`, for who has looked the thread up.
    #[inline(always)]
    pub fn wake_thread(&self, cx: Cx, id: ThreadId, thread: &Thread<P::Frame>) {
        thread.state.set(State::Ready);
        let home = thread.cpu.get() as usize;
        if home == cx.cpu {
            let cpu = self.cpu(cx.cpu);
            let before = cpu.handoff.replace(id);
            if before.is_some() {
                self.enqueue(cpu, before);
            }
        } else {
            debug_assert!(cx.exclusive);
            self.enqueue(self.cpu(home), id);
            self.platform.poke(home);
        }
    }

    /// Takes the calling thread off its CPU; it is waiting in `state` now.
    #[inline(always)]
    pub fn block(&self, cx: Cx, state: State) {
        self.block_thread(cx, self.thread(cx.thread), state);
    }

    /// As `block`, for who has looked the calling thread up.
    #[inline(always)]
    pub fn block_thread(&self, cx: Cx, thread: &Thread<P::Frame>, state: State) {
        thread.state.set(state);
        self.cpu(cx.cpu).current.set(Id::NONE);
    }

    /// `thread_yield`.
    pub fn thread_yield(&self, cx: Cx) {
        self.frame(cx).set_result(0);
        self.thread(cx.thread).state.set(State::Ready);
        let cpu = self.cpu(cx.cpu);
        cpu.current.set(Id::NONE);
        self.enqueue(cpu, cx.thread);
    }

    /// Decides which thread runs now and makes it current; none: the CPU is idle.
    #[must_use]
    pub fn choose(&self, cpu_index: usize) -> ThreadId {
        let _ = self.choose_thread(cpu_index);
        self.cpu(cpu_index).current.get()
    }

    /// As `choose`, with the thread looked up.
    #[inline(always)]
    #[must_use]
    pub fn choose_thread(&self, cpu_index: usize) -> Option<&'static Thread<P::Frame>> {
        let cpu = self.cpu(cpu_index);
        let current = cpu.current.get();
        let handoff = cpu.handoff.get();
        if handoff.is_none() {
            if current.is_some() {
                let thread = self.thread(current);
                if cpu.ready.get() < thread.level.get() {
                    return Some(thread);
                }
            }
            return self.choose_among(cpu);
        }
        // The common switch: somebody woke a thread that is more urgent than all others,
        // and goes on waiting himself or is preempted.
        let thread = self.thread(handoff);
        let level = thread.level.get();
        if cpu.ready.get() >= level {
            return self.choose_among(cpu);
        }
        if current.is_some() {
            let running = self.thread(current);
            if running.level.get() >= level {
                return self.choose_among(cpu);
            }
            running.state.set(State::Ready);
            self.enqueue_first(cpu, current, running);
        }
        cpu.handoff.set(Id::NONE);
        thread.state.set(State::Running);
        cpu.current.set(handoff);
        Some(thread)
    }

    /// The general case of `choose`.
    #[inline(never)]
    fn choose_among(&self, cpu: &Cpu) -> Option<&'static Thread<P::Frame>> {
        let handoff = cpu.handoff.replace(Id::NONE);
        let current = cpu.current.get();
        if handoff.is_some() {
            let urgent = current.is_none()
                || self.thread(handoff).priority.get() > self.thread(current).priority.get();
            let top = Self::top(cpu);
            if urgent && top.is_none_or(|top| self.thread(handoff).priority.get() >= top) {
                if current.is_some() {
                    self.thread(current).state.set(State::Ready);
                    self.enqueue_first(cpu, current, self.thread(current));
                }
                return Some(self.run_in_slice(cpu, handoff));
            }
            self.enqueue(cpu, handoff);
        }
        let running = current.is_some().then(|| self.thread(current));
        let Some(top) = Self::top(cpu) else { return running };
        if let Some(running) = running {
            let priority = running.priority.get();
            if priority > top {
                return Some(running);
            }
            if priority == top {
                self.share(cpu, running);
                return Some(running);
            }
            running.state.set(State::Ready);
            self.enqueue_first(cpu, current, running);
        }
        let next = self.pop(&cpu.queues[top as usize % cpu.queues.len()]);
        if cpu.queues[top as usize % cpu.queues.len()].head.get().is_none() {
            cpu.ready.set(cpu.ready.get() & !(1 << top));
        }
        Some(self.run(cpu, next))
    }

    fn top(cpu: &Cpu) -> Option<u8> {
        let ready = cpu.ready.get();
        if ready == 0 { None } else { Some(31 - ready.leading_zeros() as u8) }
    }

    fn run(&self, cpu: &Cpu, id: ThreadId) -> &'static Thread<P::Frame> {
        // A preempted thread goes on with the slice it has: visits of more urgent ones
        // do not renew it, or its equals would starve.
        cpu.slice_end.set(self.thread(id).slice_end.get());
        self.run_in_slice(cpu, id)
    }

    /// As `run`, in the slice that has begun: two that hand the CPU to each other share
    /// one, or a third of their priority would starve.
    fn run_in_slice(&self, cpu: &Cpu, id: ThreadId) -> &'static Thread<P::Frame> {
        let thread = self.thread(id);
        thread.state.set(State::Running);
        cpu.current.set(id);
        if cpu.ready.get() >> (u32::from(thread.priority.get()) % 32) & 1 != 0 {
            self.share(cpu, thread);
        }
        thread
    }

    /// Others of the running thread's priority wait: give it a slice.
    fn share(&self, cpu: &Cpu, thread: &Thread<P::Frame>) {
        if cpu.slice_end.get() == u64::MAX {
            cpu.slice_end.set(self.platform.now() + self.platform.ticks(SLICE_NS));
        }
        thread.slice_end.set(cpu.slice_end.get());
        self.arm(cpu);
    }

    /// The slice is over: the current thread goes behind the others of its priority.
    pub fn end_slice(&self, cpu: &Cpu) {
        cpu.slice_end.set(u64::MAX);
        let current = cpu.current.replace(Id::NONE);
        if current.is_some() {
            self.thread(current).state.set(State::Ready);
            self.enqueue(cpu, current);
        }
    }
}
