//! Objects of its own, so that random calls get past the first check.

use alloc::vec::Vec;
use libsys::sys;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Handle, Kind, Rights};

use crate::random::Random;

/// Kernel memory for processes that it makes.
const CHILD_BUDGET: u64 = 256 << 10;
/// Handles in the pool at most.
const POOL: usize = 128;

/// Handles that were live when they were put here.
pub struct Objects {
    pool: Vec<(Kind, Handle)>,
    /// Given by the parent; used like the others, but put back when lost.
    granted: Vec<(Kind, Handle)>,
}

impl Objects {
    /// What was granted under names that start with `toy`.
    pub fn new(env: &Startup) -> Objects {
        let toys = env.entries().iter().filter(|entry| entry.name().starts_with("toy"));
        let kind =
            |handle| sys::handle_info(handle).ok().and_then(|v| Kind::from_code(v.result as u8));
        let granted =
            toys.filter_map(|toy| kind(toy.handle).map(|kind| (kind, toy.handle))).collect();
        Objects { pool: Vec::with_capacity(POOL), granted }
    }

    /// Adds fresh objects and forgets old ones, which stay open or not as it comes.
    pub fn refresh(&mut self, random: &mut Random) {
        while self.pool.len() > POOL - 16 {
            let victim = random.below(self.pool.len() as u64) as usize;
            let (_, handle) = self.pool.swap_remove(victim);
            let _ = sys::handle_close(handle);
        }
        self.pool.extend(self.granted.iter().copied());
        for kind in [Kind::Port, Kind::Endpoint, Kind::Memory, Kind::Timer, Kind::Process] {
            if let Some(handle) = self.make(kind, random) {
                self.pool.push((kind, handle));
                // And a weaker one, derived from it.
                let rights = Rights::from_bits_retain(random.next() as u16) & kind.all_rights();
                let badge = if kind == Kind::Endpoint { random.below(3) } else { 0 };
                if let Ok(made) = sys::handle_duplicate(handle, rights, badge) {
                    self.pool.push((kind, made.handle()));
                }
            }
        }
        if let Some(process) = self.any(Kind::Process, random) {
            // In a child, so that what it executes is the child's problem.
            let buffer = 0x5000_0000 + random.below(64) * 0x1_0000;
            let placement = random.below(3) | random.below(4) << 8;
            let (entry, stack) = (0x40_0000 + random.below(1 << 20), buffer + 0x8000);
            if let Ok(made) = sys::thread_create(process, entry, stack, 0, placement, buffer) {
                self.pool.push((Kind::Thread, made.handle()));
            }
        }
    }

    fn make(&self, kind: Kind, random: &mut Random) -> Option<Handle> {
        let made = match kind {
            Kind::Port => sys::port_create(),
            Kind::Endpoint => sys::endpoint_create(),
            Kind::Memory => sys::memory_create(1 << (12 + random.below(4))),
            Kind::Timer => sys::timer_create(self.any(Kind::Port, random)?, random.next()),
            Kind::Process => sys::process_create(CHILD_BUDGET),
            _ => return None,
        };
        made.ok().map(|values| values.handle())
    }

    /// An object of this kind, alive or not.
    pub fn any(&self, kind: Kind, random: &mut Random) -> Option<Handle> {
        let count = self.pool.iter().filter(|(k, _)| *k == kind).count() as u64;
        let chosen = random.below(count) as usize;
        self.pool.iter().filter(|(k, _)| *k == kind).nth(chosen).map(|(_, handle)| *handle)
    }

    /// Any object at all.
    pub fn random(&self, random: &mut Random) -> Handle {
        match self.pool.len() {
            0 => Handle(random.next() as u32),
            len => self.pool[random.below(len as u64) as usize].1,
        }
    }
}
