//! The heap: `talc` over memory objects that are mapped one behind the other on demand.

use crate::sys;
use core::alloc::Layout;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;
use tocsin_abi::limits::{MAX_MEMORY_BYTES, PAGE_BYTES};
use tocsin_abi::{Error, Handle, Rights};

/// Addresses of the heap: between the startup page and the mappings.
const FIRST: u64 = 0x8_0000_0000;
const END: u64 = 0x10_0000_0000;
/// Least that the heap grows by.
const STEP_BYTES: u64 = 64 << 10;

#[global_allocator]
static HEAP: talc::TalcLock<HeapLock, Pages> =
    talc::TalcLock::new(Pages { next: FIRST, end: None });

/// Where the heap ends.
#[derive(Debug)]
struct Pages {
    next: u64,
    end: Option<core::ptr::NonNull<u8>>,
}

// SAFETY: the pointer is the end of memory that belongs to the whole process, and is used
// under the heap's lock only.
unsafe impl Send for Pages {}

// SAFETY: `acquire` uses the `talc` it was given and system calls, never the allocator:
// nothing in it allocates. `Ok` is returned only after memory was added.
unsafe impl Source for Pages {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // `talc` asks again until the allocation fits, so a large one may take several steps.
        let wanted = (layout.size() as u64).saturating_add(PAGE_BYTES).next_power_of_two();
        let bytes = wanted.clamp(STEP_BYTES, MAX_MEMORY_BYTES);
        let address = talc.source.next;
        if END - address < bytes {
            return Err(());
        }
        let made = sys::memory_create(bytes).map_err(drop)?;
        // The handle stays open: the mapping goes when it goes.
        let memory = Handle(made.result as u32);
        let how = Rights::READ | Rights::WRITE;
        if sys::memory_map(Handle::NONE, memory, address, 0, bytes, how).is_err() {
            let _ = sys::handle_close(memory);
            return Err(());
        }
        talc.source.next = address + bytes;
        let start: *mut u8 = core::ptr::with_exposed_provenance_mut(address as usize);
        let end = start.wrapping_add(bytes as usize);
        talc.source.end = match talc.source.end {
            // SAFETY: the bytes from the old end to the new one were just mapped and are
            // used by nobody else.
            Some(old) => Some(unsafe { talc.extend(old, end) }),
            // SAFETY: the bytes were just mapped, writable, and are used by nobody else.
            None => Some(unsafe { talc.claim(start, bytes as usize) }.ok_or(())?),
        };
        Ok(())
    }
}

/// A lock that gives the CPU away while it waits. Threads have fixed priorities, so a
/// thread that only span could keep the lock's holder from running for ever.
pub(crate) struct HeapLock(AtomicBool);

/// Spins before a thread sleeps instead.
const SPINS: u32 = 100;
/// How long it sleeps.
const NAP_NS: u64 = 20_000;
/// A port that gets no packets, to sleep on; made when it is needed first.
static BED: AtomicU32 = AtomicU32::new(0);

// SAFETY: `try_lock` succeeds for one thread until that thread's `unlock`: it swaps an
// atomic with acquire ordering, and `unlock` stores with release ordering.
unsafe impl talc::lock_api::RawMutex for HeapLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "how lock_api makes locks")]
    const INIT: HeapLock = HeapLock(AtomicBool::new(false));
    type GuardMarker = talc::lock_api::GuardSend;

    fn lock(&self) {
        let mut spins = 0;
        while !self.try_lock() {
            spins += 1;
            if spins % SPINS == 0 { nap() } else { core::hint::spin_loop() }
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Makes now what is made when it is needed first: the place where threads sleep that wait
/// for the heap, and `bytes` of heap. For programs that count their own handles.
pub fn reserve(bytes: usize) {
    let _ = bed();
    // Taken and given back: the heap keeps the memory.
    drop(core::hint::black_box(alloc::vec::Vec::<u8>::with_capacity(bytes)));
}

/// The port to sleep on. `None`: the kernel gives no port, or another thread was faster.
fn bed() -> Option<u32> {
    let bed = BED.load(Ordering::Relaxed);
    if bed != 0 {
        return Some(bed);
    }
    let bed = sys::port_create().ok()?.result as u32;
    if BED.compare_exchange(0, bed, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        let _ = sys::handle_close(Handle(bed));
        return None;
    }
    Some(bed)
}

#[cold]
fn nap() {
    let Some(bed) = bed() else { return yield_now() };
    let deadline = sys::clock_read().map_or(0, |now| now.result + NAP_NS);
    // Somebody sleeps there already: it is rare enough to spin a little longer.
    if sys::port_wait(Handle(bed), 0, 1, deadline) == Err(Error::Busy) {
        yield_now();
    }
}

fn yield_now() {
    let _ = sys::thread_yield();
}
