//! What turns a device's write into a CPU event on this machine: found by what was granted,
//! and taken into service. Or why not.

mod gic;
mod its;
mod vtd;

use alloc::string::String;

use interrupt_core::its::ItsUnit;
use interrupt_core::vtd::VtdUnit;
use libsys::startup::Environment;
use tocsin_abi::startup::Startup;

use crate::machine::Machine;
use crate::memory::{Arena, Frame, Piece, Region, Registers};

/// Looks at a register or a status word before a wait is given up: far more than any unit
/// needs, and about a second at worst.
const WAIT_BUDGET: u32 = 1_000_000;

/// A remapper, in service.
pub enum Found {
    /// VT-d interrupt remapping.
    Vtd(VtdUnit<Registers, Region>),
    /// A GICv3 ITS.
    Its(ItsUnit<Frame, Piece>),
}

/// Looks for a remapper. `lpis` is how many an ITS is asked to manage at most.
pub fn remapper(env: &Startup, machine: &Machine, lpis: u32) -> Result<Found, String> {
    if !machine.shares_events {
        return vtd::unit(env, machine).map(Found::Vtd);
    }
    if env.handle("its0").is_none() {
        return Err("this machine has no ITS".into());
    }
    let arena = Arena::granted(env, "gic-memory")?;
    its::unit(env, machine, &arena, lpis).map(Found::Its)
}
