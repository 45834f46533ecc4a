//! Threads of this process on a CPU and with a priority of the test's choice.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, Ordering};
use libsys::sys;
use tocsin_abi::limits::{FOREVER, STACK_BLOCK_BYTES};
use tocsin_abi::{Error, Handle};

use crate::harness::{Failure, wrong};
use crate::kit::{self, Ctx, Own, RW, own};

/// First stack block of the workers: IPC buffer page, guard, stack.
const BLOCKS: u64 = 0x31_0000_0000;
/// Bytes of a worker's stack.
const STACK_BYTES: u64 = 32 << 10;
/// Workers alive at once.
const MAX_WORKERS: usize = 32;

/// Which blocks are taken.
static TAKEN: [AtomicBool; MAX_WORKERS] = [const { AtomicBool::new(false) }; MAX_WORKERS];

/// What a new thread finds behind its argument.
struct Start {
    body: Box<dyn FnOnce() + Send>,
    done: Handle,
    bed: Handle,
}

/// A thread. Dropping it kills the thread.
#[must_use]
pub struct Worker {
    thread: Own,
    _stack: Own,
    done: Own,
    _bed: Own,
    _block: Block,
}

/// A stack block that is free again when this is dropped.
struct Block(usize);

impl Block {
    fn take() -> Option<Block> {
        let free = TAKEN.iter().position(|taken| !taken.swap(true, Ordering::AcqRel))?;
        Some(Block(free))
    }

    fn address(&self) -> u64 {
        BLOCKS + self.0 as u64 * STACK_BLOCK_BYTES
    }

    fn end(&self) -> u64 {
        self.address() + STACK_BLOCK_BYTES
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        TAKEN[self.0].store(false, Ordering::Release);
    }
}

impl Worker {
    /// Starts `body` on `cpu` with `priority`.
    pub fn start(
        ctx: &Ctx,
        cpu: u32,
        priority: u8,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<Worker, Failure> {
        let worker = Worker::prepare(ctx, cpu, priority, body)?;
        worker.run()?;
        Ok(worker)
    }

    /// Makes the thread; [`Worker::run`] lets it run.
    pub fn prepare(
        ctx: &Ctx,
        cpu: u32,
        priority: u8,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<Worker, Failure> {
        let process = ctx.need("self")?;
        let block = Block::take().ok_or_else(|| wrong("too many workers"))?;
        let (done, bed) = (kit::port()?, kit::port()?);
        let stack = kit::memory(STACK_BYTES)?;
        let bottom = block.end() - STACK_BYTES;
        sys::memory_map(Handle::NONE, stack.h(), bottom, 0, STACK_BYTES, RW)?;
        let start =
            Box::into_raw(Box::new(Start { body: Box::new(body), done: done.h(), bed: bed.h() }));
        let placement = u64::from(priority) | u64::from(cpu) << 8;
        let entry = begin as *const () as u64;
        let thread = own(sys::thread_create(
            process,
            entry,
            block.end() - 8,
            start as u64,
            placement,
            block.address(),
        ))?;
        Ok(Worker { thread, _stack: stack, done, _bed: bed, _block: block })
    }

    /// Lets a prepared thread run.
    pub fn run(&self) -> Result<(), Error> {
        sys::thread_start(self.thread.h()).map(|_| ())
    }

    /// The thread.
    pub fn thread(&self) -> Handle {
        self.thread.h()
    }

    /// Waits for the body's end.
    pub fn join(self) -> Result<(), Failure> {
        self.finished()
    }

    /// Waits for the body's end and keeps the thread.
    pub fn finished(&self) -> Result<(), Failure> {
        match kit::next(&self.done) {
            Ok(_) => Ok(()),
            Err(error) => Err(wrong(alloc::format!("a thread does not finish: {error:?}"))),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A thread that was killed by the test already answers `BadState`. The stack's
        // mapping goes with its memory handle, which is dropped after this.
        let _ = sys::thread_kill(self.thread.h());
    }
}

/// First function of every worker. After the body it says so and sleeps: a thread can not
/// free the stack it stands on, so whoever started it does.
extern "C" fn begin(start: *mut Start) -> ! {
    // SAFETY: `prepare` made the box, gave its only pointer to this thread as the first
    // argument, and the thread starts once.
    let start = unsafe { Box::from_raw(start) };
    let Start { body, done, bed } = *start;
    body();
    let _ = sys::port_signal(done, 1);
    loop {
        let _ = sys::port_wait(bed, 0, 1, FOREVER);
    }
}
