//! The vector space, as the tests that hold it themselves use it.

use libsys::sys;
use tocsin_abi::{Error, Handle, Trigger};

use crate::arch;
use crate::harness::{Failure, Outcome, wrong};
use crate::kit::{self, Ctx, Own};

/// The vector space.
pub struct Space {
    /// Authority over it.
    pub control: Handle,
    /// CPUs.
    pub cpus: u64,
    /// Lowest number that a device can have.
    pub first: u64,
    /// Highest number.
    pub last: u64,
    /// All CPUs have the same numbers.
    pub is_shared: bool,
    /// The first of many numbers in a row that no device has.
    pub low: u64,
}

impl Space {
    /// As the kernel describes it.
    pub fn of(ctx: &Ctx) -> Result<Space, Failure> {
        let control = ctx.need("message-control")?;
        let v = sys::control_info(control, 0)?.values;
        let low = arch::first_quiet_vector(v[1], v[2]);
        Ok(Space { control, cpus: v[0], first: v[1], last: v[2], is_shared: v[4] == 1, low })
    }

    /// Every CPU whose vectors are its own: one where all share them.
    pub fn own_cpus(&self) -> u64 {
        if self.is_shared { 1 } else { self.cpus }
    }

    /// What the interrupt fabric calls a CPU.
    pub fn hardware_id(&self, cpu: u64) -> Result<u64, Error> {
        Ok(sys::control_info(self.control, cpu)?.values[3])
    }

    /// Ends the quarantine of a vector, however long that takes.
    pub fn drain(&self, cpu: u64, vector: u64) -> Outcome {
        let deadline = kit::now() + kit::PATIENCE_NS;
        loop {
            match sys::vector_drain(self.control, cpu, vector) {
                Ok(_) => return Ok(()),
                Err(Error::Busy) if kit::now() < deadline => kit::sleep(1_000_000),
                Err(error) => {
                    return Err(wrong(alloc::format!("drain of {cpu}/{vector}: {error:?}")));
                }
            }
        }
    }

    /// Deactivates a message and drains the vector it had.
    pub fn release(&self, message: &Own, cpu: u64, vector: u64) -> Outcome {
        sys::message_deactivate(message.h())?;
        self.drain(cpu, vector)
    }
}

/// Gives a message a vector whose events each stand for themselves.
pub fn activate(message: &Own, cpu: u64, vector: u64) -> Result<(), Error> {
    activate_as(message, cpu, vector, Trigger::Edge)
}

/// Gives a message a vector.
pub fn activate_as(message: &Own, cpu: u64, vector: u64, trigger: Trigger) -> Result<(), Error> {
    sys::message_activate(message.h(), cpu, vector, trigger as u64).map(|_| ())
}
