//! Who pays for kernel memory.
//!
//! Each process has a budget carved out of its creator's. What it makes is charged to
//! it and released when the object goes, also when that is after its own death: a dead
//! process's unused budget has gone back to its creator, the rest follows as released.

use core::cell::Cell;

use tocsin_abi::Error;

use crate::arena::{Arena, Reset};
use crate::kernel::Kernel;
use crate::objects::ProcessId;
use crate::platform::Platform;
use crate::process::Phase;

/// Kinds of object of which the machine has a limited number, whatever they cost. One
/// process pays for at most a quarter of each, so that no budget buys them all; only of
/// messages there is no share, because all of them belong to the interrupt server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// Processes.
    Process,
    /// Threads.
    Thread,
    /// Endpoints.
    Endpoint,
    /// Ports.
    Port,
    /// Memory objects and ranges.
    Memory,
    /// Mappings.
    Mapping,
    /// Timers.
    Timer,
    /// Messages.
    Message,
}

/// How many objects of each kind a process pays for.
#[derive(Default)]
pub struct Shares([Cell<u32>; 8]);

#[cfg(test)]
impl Shares {
    pub(crate) fn held(&self, share: Share) -> u32 {
        self.0[share as usize].get()
    }
}

impl Reset for Shares {
    fn reset(&self) {
        self.0.iter().for_each(|held| held.set(0));
    }
}

/// A process's share of the machine's objects of a kind.
const SHARE: u32 = 4;

impl<P: Platform> Kernel<P> {
    /// Whether a process may have one more object of a kind.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn share_room<T: Reset>(
        &self,
        process: ProcessId,
        share: Share,
        arena: &Arena<T>,
    ) -> Result<(), Error> {
        let held = self.process(process).shares.0[share as usize].get();
        let all = share == Share::Message || held < arena.capacity() / SHARE;
        if all && arena.room() > 0 { Ok(()) } else { Err(Error::NoMemory) }
    }

    /// Counts an object of a kind.
    pub fn take_share(&self, process: ProcessId, share: Share) {
        let held = &self.process(process).shares.0[share as usize];
        held.set(held.get() + 1);
    }

    /// Counts an object of a kind off.
    pub fn drop_share(&self, process: ProcessId, share: Share) {
        if process.is_some() {
            let held = &self.process(process).shares.0[share as usize];
            held.set(held.get() - 1);
        }
    }

    /// Whether `bytes` more fit.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn can_charge(&self, process: ProcessId, bytes: u64) -> Result<(), Error> {
        let process = self.process(process);
        let free = process.budget.get().saturating_sub(process.used.get());
        if bytes > free { Err(Error::NoMemory) } else { Ok(()) }
    }

    /// Charges what `can_charge` has found to fit.
    pub fn charge(&self, process: ProcessId, bytes: u64) {
        let process = self.process(process);
        process.used.set(process.used.get() + bytes);
    }

    /// Gives back a charge.
    pub fn release(&self, process: ProcessId, bytes: u64) {
        let mut id = process;
        while id.is_some() {
            let process = self.process(id);
            let creator = process.creator.get();
            process.used.set(process.used.get() - bytes);
            if process.phase.get() != Phase::Dead {
                break;
            }
            // A dead process keeps no budget: what it releases is its creator's.
            process.budget.set(process.budget.get() - bytes);
            self.free_process_if_done(id);
            id = creator;
        }
    }
}
