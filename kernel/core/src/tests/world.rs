//! A kernel with small arenas, CPUs that take turns, and processes that make calls as
//! the entry code does: in a local context first, then in an exclusive one.

use core::cell::{Cell, RefCell};
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::test_runner::Config as ProptestConfig;
use tocsin_abi::limits::MAX_CPUS;
use tocsin_abi::{Error, Handle, Kind, Packet, Rights, Syscall, Tag};

use super::dispatch::{Arguments, dispatch};
use super::platform::{FakeFrame, FakePlatform, PLACES};
use super::snapshot::{self, Snapshot};
use crate::arena::{Arena, Id, Item, Reset};
use crate::cpu::Cpu;
use crate::kernel::{Cx, Kernel, Stop};
use crate::log::Log;
use crate::message::Control;
use crate::objects::{ProcessId, SlotId, ThreadId};
use crate::platform::{Frame, Platform};
use crate::thread::{State, Thread};
use crate::vectors::{Entry, Round};

/// The kernel under test.
pub type TestKernel = Kernel<FakePlatform>;

/// Where root's IPC buffer is; the others' follow.
const IPC_BUFFERS: u64 = 0x100_0000;
/// A writable page of every process made by [`World::spawn`].
pub const SCRATCH: u64 = 0x200_0000;

/// What a call came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is answered: the result register says so much.
    Done(Result<u64, Error>),
    /// The caller waits.
    Blocked,
    /// The caller is no more.
    Gone,
}

/// Sizes of a world.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub cpus: usize,
    pub slots: usize,
    pub objects: usize,
    pub frames: usize,
}

/// So many cases; failures are printed, not kept in files.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What most tests need.
pub const SMALL: Size = Size { cpus: 2, slots: 1024, objects: 64, frames: 512 };

/// A process with one thread.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    pub process: ProcessId,
    pub thread: ThreadId,
    /// The creator's handles to them.
    pub process_handle: u64,
    pub thread_handle: u64,
}

/// Handles of the root process to what no call makes.
#[derive(Clone, Copy, Debug)]
pub struct Roots {
    pub own: u64,
    pub log: u64,
    pub control: u64,
    pub physical: u64,
    pub ioports: u64,
    pub machine: u64,
}

/// A machine with a kernel and a root process on CPU 0.
pub struct World {
    pub k: &'static TestKernel,
    pub root: Actor,
    pub roots: Roots,
    /// Check before and after each call that refusals and escalations change nothing.
    pub careful: Cell<bool>,
    buffers: Cell<u64>,
    /// Take the short cuts, as the binary does.
    pub fast: Cell<bool>,
    /// How often each was taken: calls, replies, signals, device events.
    pub short_cuts: [Cell<u32>; 5],
    /// By call number: answered well, refused, left waiting or ended.
    pub tally: RefCell<BTreeMap<u64, [u32; 3]>>,
    before: RefCell<Snapshot>,
    after: RefCell<Snapshot>,
}

fn arena<T: Reset>(count: usize) -> Arena<T> {
    let items: Vec<Item<T>> = (0..count).map(|_| Item::default()).collect();
    Arena::new(Box::leak(items.into_boxed_slice()))
}

/// A kernel that nobody uses yet.
pub fn kernel(size: Size) -> TestKernel {
    let cpus: Box<[Cpu; MAX_CPUS]> = Box::new(core::array::from_fn(|_| Cpu::default()));
    let n = size.objects;
    Kernel {
        platform: FakePlatform::new(size.frames),
        cpus: Box::leak(cpus),
        cpu_count: Cell::new(size.cpus),
        slots: arena(size.slots),
        processes: arena(n / 2),
        threads: arena(n),
        endpoints: arena(n),
        ports: arena(n),
        memories: arena(n),
        mappings: arena(n * 2),
        timers: arena(n),
        messages: arena(n),
        vectors: Box::leak((0..PLACES).map(|_| Entry::default()).collect()),
        round: Round::default(),
        control: Control::default(),
        log: Log::default(),
        dying: Cell::new(Id::NONE),
    }
}

impl World {
    /// A root process that owns everything, and runs.
    pub fn new(size: Size) -> World {
        let k: &'static TestKernel = Box::leak(Box::new(kernel(size)));
        k.platform.exclusive.set(true);
        let id = k.processes.alloc().expect("room");
        let process = k.process(id);
        process.space.set(k.platform.space_create().expect("room"));
        process.budget.set(k.platform.free_bytes());
        let cx = Cx { cpu: 0, exclusive: true, thread: Id::NONE, process: id };
        let (thread_handle, thread) = k.new_thread(cx, id, IPC_BUFFERS, 31, 0).expect("room");
        let root = |kind: Kind, object: u32| {
            k.slot_room(id, 1).expect("room");
            let slot = k.new_slot(id, kind, object, kind.all_rights(), 0, SlotId::NONE);
            u64::from(k.handle_of(slot).0)
        };
        let range = |kind: Kind, size: u64| {
            let memory = k.memories.alloc().expect("room");
            k.memories.get(memory).size.set(size);
            root(kind, memory.index())
        };
        let roots = Roots {
            own: root(Kind::Process, id.index()),
            log: root(Kind::DebugLog, 0),
            control: root(Kind::MessageControl, 0),
            physical: range(Kind::Physical, 1 << 40),
            ioports: range(Kind::IoPorts, 1 << 16),
            machine: root(Kind::Machine, 0),
        };
        k.wake(cx, thread);
        let chosen = k.choose(0);
        assert_eq!(chosen, thread);
        k.platform.exclusive.set(false);
        k.platform.loaded[0].set(process.space.get());
        let process_handle = roots.own;
        World {
            k,
            root: Actor { process: id, thread, process_handle, thread_handle },
            roots,
            careful: Cell::new(true),
            buffers: Cell::new(IPC_BUFFERS + 0x1000),
            fast: Cell::new(true),
            short_cuts: Default::default(),
            tally: RefCell::default(),
            before: RefCell::default(),
            after: RefCell::default(),
        }
    }

    /// The frame of a thread.
    pub fn frame(&self, thread: ThreadId) -> &'static FakeFrame {
        &self.k.thread(thread).frame
    }

    /// Values 0 to 5 of a thread's last call.
    pub fn values(&self, thread: ThreadId) -> [u64; 6] {
        core::array::from_fn(|index| self.frame(thread).values[index].get())
    }

    /// The packet in a thread's registers.
    pub fn packet(&self, thread: ThreadId) -> Packet {
        let values = self.values(thread);
        Packet::from_values([values[0], values[1], values[2], values[3]])
    }

    /// A packet in a thread's memory.
    pub fn packet_at(&self, thread: ThreadId, address: u64) -> Packet {
        let mut bytes = [0; Packet::BYTES];
        let space = self.k.thread(thread).space.get();
        self.k.platform.copy_from_user(space, address, &mut bytes).expect("mapped");
        let word = |n: usize| u64::from_le_bytes(bytes[n * 8..][..8].try_into().expect("eight"));
        Packet::from_values([word(0), word(1), word(2), word(3)])
    }

    /// The result of a thread's last call.
    pub fn result(&self, thread: ThreadId) -> Result<u64, Error> {
        Error::from_register(self.frame(thread).result.get())
    }

    pub fn state(&self, thread: ThreadId) -> State {
        self.k.thread(thread).state.get()
    }

    /// An IPC buffer's address that nobody has used.
    pub fn next_buffer(&self) -> u64 {
        self.buffers.replace(self.buffers.get() + 0x1000)
    }

    /// Does something in the kernel as CPU `cpu`; then that CPU looks what to run.
    pub(super) fn enter<R>(&self, cpu: usize, action: impl FnOnce(Cx) -> R) -> R {
        let platform = &self.k.platform;
        platform.cpu.set(cpu);
        let cx = Cx { cpu, exclusive: false, thread: Id::NONE, process: Id::NONE };
        let result = action(cx);
        self.resume(cpu);
        result
    }

    pub(super) fn alone<R>(&self, cx: Cx, action: impl FnOnce(Cx) -> R) -> R {
        self.k.platform.exclusive.set(true);
        let result = action(Cx { exclusive: true, ..cx });
        self.k.platform.exclusive.set(false);
        result
    }

    /// As the binary's `resume`.
    pub fn resume(&self, cpu: usize) {
        let (k, platform) = (self.k, &self.k.platform);
        platform.cpu.set(cpu);
        let cx = Cx { cpu, exclusive: false, thread: Id::NONE, process: Id::NONE };
        if k.dying.get().is_some() {
            let _ = self.alone(cx, |cx| k.teardown_step(cx));
        }
        let next = k.choose(cpu);
        assert_eq!(next, k.cpu(cpu).current.get());
        let space = if next.is_some() { k.thread(next).space.get() } else { 0 };
        platform.loaded[cpu].set(space);
    }

    /// One system call of whatever thread runs on `cpu`.
    pub fn system_call(&self, cpu: usize, number: u64, arguments: Arguments) {
        let k = self.k;
        let thread = k.cpu(cpu).current.get();
        if thread.is_none() {
            return;
        }
        let frame = self.frame(thread);
        frame.again.set(None);
        let answers = frame.answers.get();
        let process = k.thread(thread).process.get();
        if self.fast.get() && self.short_cut(cpu, number, arguments) {
            return;
        }
        self.enter(cpu, |cx| {
            let cx = Cx { thread, process, ..cx };
            match self.checked(cx, |cx| dispatch(k, cx, number, arguments)) {
                Ok(result) => frame.set_result(result),
                Err(Stop::Set | Stop::Again) => {}
                Err(Stop::Error(error)) => frame.set_result(error.to_register()),
                Err(Stop::Escalate) => self.alone(cx, |cx| {
                    for round in 0.. {
                        assert!(round < 1000, "a call never ends");
                        match self.checked(cx, |cx| dispatch(k, cx, number, arguments)) {
                            Ok(result) => frame.set_result(result),
                            Err(Stop::Set | Stop::Again) => {}
                            Err(Stop::Error(error)) => frame.set_result(error.to_register()),
                            Err(Stop::Escalate) => continue,
                        }
                        break;
                    }
                }),
            }
        });
        let outcome = match self.result(thread) {
            _ if frame.answers.get() == answers => 2,
            Ok(_) => 0,
            Err(_) => 1,
        };
        self.tally.borrow_mut().entry(number).or_default()[outcome] += 1;
    }

    /// The short cuts of `kernel/src/syscall.rs`, in its order.
    fn short_cut(&self, cpu: usize, number: u64, a: Arguments) -> bool {
        let k = self.k;
        let (tag, words) = (Tag(a[1]), [a[2], a[3], a[4], a[5]]);
        let calls = number == Syscall::IpcCall as u64;
        if number == Syscall::PortSignal as u64 {
            return self.try_short(2, cpu, false, || k.port_signal_fast(cpu, a[0], a[1]));
        }
        if number == Syscall::PortWait as u64 {
            return self.try_short(4, cpu, false, || k.port_wait_fast(cpu, a[0], a[1], a[2], a[3]));
        }
        if !calls && number != Syscall::IpcReplyReceive as u64 {
            return false;
        }
        let short = || match calls {
            true => k.ipc_call_fast::<false>(cpu, a[0], tag, words),
            false => k.ipc_reply_receive_fast::<false>(cpu, a[0], tag, words),
        };
        let long = || match calls {
            true => k.ipc_call_fast::<true>(cpu, a[0], tag, words),
            false => k.ipc_reply_receive_fast::<true>(cpu, a[0], tag, words),
        };
        let kind = usize::from(!calls);
        if self.try_short(kind, cpu, false, short) {
            return true;
        }
        if tag.handles() > 0 {
            return self.try_short(kind, cpu, true, long);
        }
        tag.words() > 4 && self.try_short(kind, cpu, false, long)
    }

    /// Tries a short cut: it does all, and the thread it answers with is the one that
    /// runs; or it does nothing.
    pub(super) fn try_short(
        &self,
        kind: usize,
        cpu: usize,
        exclusive: bool,
        attempt: impl Fn() -> Option<&'static Thread<FakeFrame>>,
    ) -> bool {
        let platform = &self.k.platform;
        platform.cpu.set(cpu);
        platform.exclusive.set(exclusive);
        if self.careful.get() {
            self.before.borrow_mut().take(self.k);
        }
        let taken = attempt();
        platform.exclusive.set(false);
        if self.careful.get() {
            self.after.borrow_mut().take(self.k);
            let (before, after) = (self.before.borrow(), self.after.borrow());
            if taken.is_none() {
                snapshot::assert_same(self.k, &before, &after, "no short cut");
            } else if !exclusive {
                snapshot::assert_local(self.k, &before, &after, cpu);
            }
        }
        let Some(thread) = taken else { return false };
        self.short_cuts[kind].set(self.short_cuts[kind].get() + 1);
        let current = self.k.cpu(cpu).current.get();
        assert!(core::ptr::eq(thread, self.k.thread(current)), "a switch to somebody else");
        platform.loaded[cpu].set(thread.space.get());
        true
    }

    /// Runs an operation; sees that a local one stays at home, and that a refused or
    /// escalated one changed nothing.
    pub(super) fn checked(
        &self,
        cx: Cx,
        action: impl FnOnce(Cx) -> Result<u64, Stop>,
    ) -> Result<u64, Stop> {
        if !self.careful.get() {
            return action(cx);
        }
        self.before.borrow_mut().take(self.k);
        let result = action(cx);
        self.after.borrow_mut().take(self.k);
        let (before, after) = (self.before.borrow(), self.after.borrow());
        if !cx.exclusive {
            snapshot::assert_local(self.k, &before, &after, cx.cpu);
            if result == Err(Stop::Escalate) {
                snapshot::assert_same(self.k, &before, &after, "escalated");
            }
        }
        if let Err(Stop::Error(error)) = result
            && error != Error::Busy
        {
            snapshot::assert_same_visible(self.k, &before, &after, error);
        }
        result
    }

    /// Makes `thread` the one that runs on its CPU. It must be ready or running.
    pub fn bring(&self, thread: ThreadId) {
        let k = self.k;
        let home = usize::from(k.thread(thread).cpu.get());
        let cpu = k.cpu(home);
        if cpu.current.get() == thread {
            return;
        }
        k.end_slice(cpu);
        assert_eq!(self.state(thread), State::Ready, "{thread:?} can not run");
        k.dequeue(thread);
        k.thread(thread).state.set(State::Running);
        cpu.current.set(thread);
        k.platform.loaded[home].set(k.thread(thread).space.get());
    }

    /// A call by a thread that can run, to its end or until it blocks.
    pub fn call(&self, thread: ThreadId, call: Syscall, arguments: &[u64]) -> Answer {
        let mut six = [0; 6];
        six[..arguments.len()].copy_from_slice(arguments);
        let frame = self.frame(thread);
        let answers = frame.answers.get();
        self.bring(thread);
        let cpu = usize::from(self.k.thread(thread).cpu.get());
        let mut number = call as u64;
        for round in 0.. {
            assert!(round < 10_000, "a call never ends");
            self.system_call(cpu, number, six);
            let Some((next, argument0)) = frame.again.take() else { break };
            number = next;
            six[0] = argument0;
            self.bring(thread);
        }
        match self.state(thread) {
            State::Dead => Answer::Gone,
            _ if frame.answers.get() > answers => {
                assert_eq!(frame.answers.get(), answers + 1, "answered twice");
                Answer::Done(self.result(thread))
            }
            _ => Answer::Blocked,
        }
    }

    /// As [`World::call`], for a call that is answered at once.
    pub fn ask(&self, thread: ThreadId, call: Syscall, arguments: &[u64]) -> Result<u64, Error> {
        match self.call(thread, call, arguments) {
            Answer::Done(result) => result,
            other => panic!("{call:?} {arguments:x?}: {other:?}"),
        }
    }

    /// As [`World::ask`], for a call that succeeds.
    pub fn must(&self, thread: ThreadId, call: Syscall, arguments: &[u64]) -> u64 {
        match self.ask(thread, call, arguments) {
            Ok(value) => value,
            Err(error) => panic!("{call:?} {arguments:x?}: {error:?}"),
        }
    }

    /// A process of `parent`'s with one thread that is ready to run and a writable page.
    pub fn spawn(&self, parent: ThreadId, budget: u64, cpu: u64, priority: u64) -> Actor {
        let process_handle = self.must(parent, Syscall::ProcessCreate, &[budget]);
        let process = self.k.slot(self.k.thread(parent).process.get(), to(process_handle));
        let process = process.expect("just made").id();
        let rw = u64::from((Rights::READ | Rights::WRITE).bits());
        let page = self.must(parent, Syscall::MemoryCreate, &[4096]);
        self.must(parent, Syscall::MemoryMap, &[process_handle, page, SCRATCH, 0, 4096, rw]);
        let thread_handle = self.thread_in(parent, process_handle, cpu, priority);
        let thread = self.k.process(process).threads.get();
        Actor { process, thread, process_handle, thread_handle }
    }

    /// One more thread, ready to run; returns the handle.
    pub fn thread_in(&self, parent: ThreadId, process: u64, cpu: u64, priority: u64) -> u64 {
        let placement = priority | cpu << 8;
        let arguments = [process, 0x40_0000, 0x80_0000, 0, placement, self.next_buffer()];
        let handle = self.must(parent, Syscall::ThreadCreate, &arguments);
        self.must(parent, Syscall::ThreadStart, &[handle]);
        handle
    }

    /// Gives `target` a handle of `from`'s, who needs a handle to the process.
    pub fn grant(&self, from: ThreadId, target: &Actor, handle: u64, rights: Rights) -> u64 {
        let rights = u64::from(rights.bits());
        self.must(from, Syscall::ProcessGrant, &[target.process_handle, handle, rights, 0])
    }

    /// What a thread that was told to repeat its call has to issue.
    pub fn pending_call(&self, thread: ThreadId) -> Option<(u64, Arguments)> {
        let (number, argument0) = self.frame(thread).again.get()?;
        Some((number, [argument0, 0, 0, 0, 0, 0]))
    }
}

/// A handle from a result register.
pub fn to(value: u64) -> Handle {
    Handle(u32::try_from(value).expect("a handle"))
}

/// A tag as an argument.
pub fn tag(label: u32, words: usize, handles: usize) -> u64 {
    Tag::new(label, words, handles).0
}

/// The rights of a kind without some.
pub fn without(kind: Kind, rights: Rights) -> Rights {
    kind.all_rights().difference(rights)
}
