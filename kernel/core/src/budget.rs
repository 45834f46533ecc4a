//! Who pays for kernel memory.
//!
//! Each process has a budget carved out of its creator's. What it makes is charged to
//! it and released when the object goes, also when that is after its own death: a dead
//! process's unused budget has gone back to its creator, the rest follows as released.

use tocsin_abi::Error;

use crate::kernel::Kernel;
use crate::objects::ProcessId;
use crate::platform::Platform;
use crate::process::Phase;

impl<P: Platform> Kernel<P> {
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
