//! The arrays that hold every kernel object, sized by the machine's memory.

use core::cell::Cell;
use core::slice;

use kernel_core::arena::Reset;
use kernel_core::cpu::Cpu;
use kernel_core::log::Log;
use kernel_core::message::Control;
use kernel_core::vectors::Round;
use kernel_core::{Arena, Id, Item, Kernel};
use tocsin_abi::limits::MAX_CPUS;

use crate::fatal::fatal;
use crate::machine::Machine;
use crate::mm;
use crate::state::System;

/// Handles per MiB of RAM; with their objects they take about a thirtieth of it.
const SLOTS_PER_MIB: u64 = 256;
const LEAST_SLOTS: u64 = 16 * 1024;
const MOST_SLOTS: u64 = 200_000;

/// What a thread is charged covers what it takes.
const _: () = assert!(
    size_of::<Item<kernel_core::thread::Thread<crate::arch::Frame>>>() as u64
        <= kernel_core::create::THREAD_BYTES
);

/// An array of defaults that lives for ever.
fn array<T: Default>(count: usize) -> &'static [T] {
    let bytes = (count * size_of::<T>()) as u64;
    let Some(frames) = mm::alloc_boot(bytes) else {
        fatal(format_args!("too little memory for the kernel's objects: {} KiB", bytes >> 10))
    };
    let start = mm::direct(frames).cast::<T>();
    for index in 0..count {
        // SAFETY: the block holds `count` objects, and frames are aligned for any of
        // them.
        let place = unsafe { start.add(index) };
        // SAFETY: the place is ours and not initialised.
        unsafe { place.write(T::default()) };
    }
    // SAFETY: all `count` objects have just been written, in memory that is never freed.
    unsafe { slice::from_raw_parts(start, count) }
}

fn arena<T: Reset>(count: u64) -> Arena<T> {
    Arena::new(array::<Item<T>>(count as usize))
}

/// The kernel's state, empty.
pub fn kernel() -> System {
    let mib = mm::free_bytes() >> 20;
    let slots = (mib * SLOTS_PER_MIB).clamp(LEAST_SLOTS, MOST_SLOTS);
    let cpus = array::<Cpu>(MAX_CPUS).first_chunk().expect("as many as asked for");
    Kernel {
        platform: Machine,
        cpus,
        cpu_count: Cell::new(1),
        slots: arena(slots),
        processes: arena(slots / 128),
        threads: arena(slots / 64),
        endpoints: arena(slots / 32),
        ports: arena(slots / 16),
        memories: arena(slots / 8),
        mappings: arena(slots / 8),
        timers: arena(slots / 32),
        messages: arena(slots / 3),
        vectors: array(crate::arch::vector_places()),
        round: Round::default(),
        control: Control::default(),
        log: Log::default(),
        dying: Cell::new(Id::NONE),
    }
}
