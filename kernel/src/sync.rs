//! Who may be inside the kernel.
//!
//! Each CPU has a lock. A *local* context holds its own CPU's: taken on every entry,
//! uncontended unless somebody is exclusive. An *exclusive* context holds all of them,
//! taken in the order of the CPUs after giving up its own, so two of them can not wait
//! for each other in a circle. A CPU waits for its lock with interrupts off, but it
//! answers evictions, so an exclusive context can make it leave an address space.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tocsin_abi::limits::MAX_CPUS;

use crate::arch;

#[repr(align(64))]
struct CpuLock {
    held: AtomicBool,
    /// Somebody exclusive wants this CPU out of its address space.
    evict: AtomicBool,
}

static LOCKS: [CpuLock; MAX_CPUS] =
    [const { CpuLock { held: AtomicBool::new(false), evict: AtomicBool::new(false) } }; MAX_CPUS];

/// CPUs whose locks an exclusive context takes.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// Notes how many CPUs there are, before the others enter the kernel.
pub fn set_cpu_count(count: usize) {
    COUNT.store(count, Ordering::Release);
}

/// Takes this CPU's lock: a local context begins.
#[inline(always)]
pub fn enter(cpu: usize) {
    if LOCKS[cpu % MAX_CPUS].held.swap(true, Ordering::Acquire) {
        wait_for(cpu, cpu);
    }
}

/// As `enter`, but does not wait: says whether the lock was taken. For who has a better place
/// to wait in than where registers are dear.
#[inline(always)]
pub fn try_enter(cpu: usize) -> bool {
    !LOCKS[cpu % MAX_CPUS].held.swap(true, Ordering::Acquire)
}

/// Gives up this CPU's lock.
#[inline(always)]
pub fn leave(cpu: usize) {
    LOCKS[cpu % MAX_CPUS].held.store(false, Ordering::Release);
}

/// From a local context to an exclusive one. In between, others may run: what was read
/// before is to be read again.
#[inline(always)]
pub fn enter_exclusive(cpu: usize) {
    leave(cpu);
    begin_exclusive(cpu);
}

/// An exclusive context begins, where none has begun on this CPU.
pub fn begin_exclusive(cpu: usize) {
    for (other, lock) in LOCKS.iter().enumerate().take(COUNT.load(Ordering::Acquire)) {
        if lock.held.swap(true, Ordering::Acquire) {
            wait_for(other, cpu);
        }
    }
}

/// From an exclusive context back to a local one.
#[inline(always)]
pub fn leave_exclusive(cpu: usize) {
    for other in 0..COUNT.load(Ordering::Acquire) {
        if other != cpu {
            leave(other);
        }
    }
}

#[cold]
fn wait_for(lock: usize, cpu: usize) {
    let own = &LOCKS[cpu].evict;
    loop {
        while LOCKS[lock].held.load(Ordering::Relaxed) {
            if own.load(Ordering::Acquire) {
                arch::leave_space();
                own.store(false, Ordering::Release);
            }
            arch::pause();
        }
        if !LOCKS[lock].held.swap(true, Ordering::Acquire) {
            return;
        }
    }
}

/// Makes another CPU leave user space and its address space. Only in an exclusive
/// context; the other one is in user space, or waits for its lock, or is about to.
/// The wait ends: a poke brings it into the kernel, where it finds its lock held.
pub fn evict(cpu: usize) {
    let flag = &LOCKS[cpu].evict;
    flag.store(true, Ordering::Release);
    arch::poke(cpu);
    while flag.load(Ordering::Acquire) {
        arch::pause();
    }
}
