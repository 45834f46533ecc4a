//! More threads in this process.

use crate::map::Mapping;
use crate::object::{Capability, Memory, Port};
use crate::{arch, sys};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use tocsin_abi::limits::{PAGE_BYTES, STACK_BLOCK_BYTES};
use tocsin_abi::{Error, Handle, Rights};

/// Bytes of a stack: a power of two of pages that leaves room for buffer page and guard.
pub const STACK_BYTES: u64 = 32 * 1024;

/// Where and how urgently a thread runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Fixed priority, at most the spawner's own.
    pub priority: u8,
    /// CPU that the thread stays on.
    pub cpu: u8,
}

/// A thread that was spawned. `join` waits for it. Dropping it ends the thread wherever it
/// is, also in the middle of an allocation, which would leave the heap locked for ever: for
/// threads that wait in the kernel.
#[must_use = "a thread that is dropped is ended"]
#[derive(Debug)]
pub struct JoinHandle {
    thread: Capability,
    done: Arc<Port>,
    // Dropped after the thread, whose stack this is; memory after its mapping.
    _stack: Mapping,
    _memory: Memory,
}

/// What the new thread is given.
pub(crate) struct Start {
    body: Box<dyn FnOnce() + Send>,
    done: Arc<Port>,
    /// Its own handle, to end itself with; set before it runs.
    thread: AtomicU32,
}

/// Makes a thread that runs `body`.
///
/// # Errors
/// As `memory_create`, `memory_map`, `port_create`, `thread_create` and `thread_start`.
pub fn spawn(
    placement: Placement,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle, Error> {
    let memory = Memory::new(STACK_BYTES)?;
    let (stack, block) = arch::map_stack(memory.handle(), STACK_BYTES)?;
    let done = Arc::new(Port::new()?);
    let start =
        Box::new(Start { body: Box::new(body), done: done.clone(), thread: AtomicU32::new(0) });
    let start = Box::into_raw(start);
    let made = sys::thread_create(
        Handle::NONE,
        arch::thread_entry() as u64,
        stack.address() as u64 + stack.len() - 8,
        start.expose_provenance() as u64,
        u64::from(placement.priority) | u64::from(placement.cpu) << 8,
        block as u64,
    );
    let thread = match made {
        Ok(made) => Capability::own(made.handle()),
        Err(error) => {
            // SAFETY: `start` came from `into_raw` above and no thread got it.
            drop(unsafe { Box::from_raw(start) });
            return Err(error);
        }
    };
    // SAFETY: the thread that will own `start` does not run yet.
    unsafe { &*start }.thread.store(thread.handle().0, Ordering::Relaxed);
    // From here on a failure ends the thread; it never ran, and `start` stays behind.
    let joined = JoinHandle { thread, done, _stack: stack, _memory: memory };
    sys::thread_start(joined.handle())?;
    Ok(joined)
}

/// Where a new thread's Rust begins; `start` is what [`spawn`] passed.
pub(crate) extern "C" fn run(start: *mut Start) -> ! {
    // SAFETY: `spawn` made it with `into_raw` and gave it to this thread alone.
    let start = unsafe { Box::from_raw(start) };
    let Start { body, done, thread } = *start;
    body();
    let own = Handle(thread.into_inner());
    // The port outlives this: the join handle has it too, or has ended this thread.
    let _ = done.signal(1);
    drop(done);
    loop {
        let _ = sys::thread_kill(own);
        let _ = sys::thread_yield();
    }
}

impl JoinHandle {
    /// The thread's handle.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.thread.handle()
    }

    /// Waits until the thread's body has returned.
    ///
    /// # Errors
    /// As `port_wait`.
    pub fn join(self) -> Result<(), Error> {
        self.done.wait_one().map(drop)
    }

    /// Lets the thread run for the life of the process.
    pub fn detach(self) {
        core::mem::forget(self);
    }
}

impl Drop for JoinHandle {
    fn drop(&mut self) {
        // `BadState`: it ended by itself.
        let _ = sys::thread_kill(self.thread.handle());
    }
}

/// The stack block of a thread: address of the block, and of the stack in it.
pub(crate) const fn stack_in(block: u64, stack_bytes: u64) -> u64 {
    assert!(stack_bytes <= STACK_BLOCK_BYTES - 2 * PAGE_BYTES, "stack block too small");
    block + STACK_BLOCK_BYTES - stack_bytes
}

/// Read and write.
pub(crate) const STACK_RIGHTS: Rights = Rights::READ.union(Rights::WRITE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    #[test]
    fn a_thread_that_can_not_be_made_leaves_nothing_behind() {
        fake::reset();
        let alive = Arc::new(());
        let inside = alive.clone();
        let made = spawn(Placement { priority: 1, cpu: 0 }, move || drop(inside));
        // The model has no threads.
        assert_eq!(made.map(drop), Err(Error::NotSupported));
        assert_eq!((fake::handle_count(), Arc::strong_count(&alive)), (0, 1));
    }
}
