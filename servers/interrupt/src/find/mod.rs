//! What turns a device's write into a CPU event on this machine: found by what was granted,
//! and taken into service. Or why not.

mod amdvi;
mod direct_lpi;
mod gic;
mod ioapic;
mod its;
mod mbi;
mod spis;
mod vtd;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use interrupt_core::amdvi::AmdViUnit;
use interrupt_core::direct_lpi::DirectLpiUnit;
use interrupt_core::its::ItsUnit;
use interrupt_core::mbi::MbiUnit;
use interrupt_core::vtd::VtdUnit;
use libsys::map::Mapping;
use libsys::startup::Environment;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Rights};
use tocsin_firmware::{Blob, Signature};

pub use ioapic::{ChipPage, io_apics};
pub use spis::spis;

use crate::machine::Machine;
use crate::memory::{Arena, Frame, Piece, Region, Registers};

/// Looks at a register or a status word before a wait is given up: far more than any unit
/// needs, and about a second at worst.
const WAIT_BUDGET: u32 = 1_000_000;

/// A remapper, in service.
pub enum Found {
    /// VT-d interrupt remapping.
    Vtd(VtdUnit<Registers, Region>),
    /// AMD-Vi interrupt remapping.
    AmdVi(AmdViUnit<Registers, Piece>),
    /// A GICv3 ITS.
    Its(ItsUnit<Frame, Piece>),
    /// A GICv3's redistributors, without an ITS.
    DirectLpi(DirectLpiUnit<Frame, Piece>),
    /// A GICv3's distributor.
    Mbi(MbiUnit<Frame>),
}

/// Looks for a remapper. `lpis` is how many an ITS, or redistributors, are asked to manage at
/// most; `allow_unisolated`, whether what tells no devices apart will do.
pub fn remapper(
    env: &Startup,
    machine: &Machine,
    lpis: u32,
    allow_unisolated: bool,
) -> Result<Found, String> {
    if !machine.shares_events {
        return pc(env, machine);
    }
    if env.handle("its0").is_some() {
        let arena = Arena::granted(env, "gic-memory")?;
        return its::unit(env, machine, &arena, lpis).map(Found::Its);
    }
    // By firmware's word alone: that there is no ITS says nothing about what else there is.
    let allowed = |what: &str| match allow_unisolated {
        true => Ok(()),
        false => Err(format!(
            "firmware offers {what}, which tell no devices apart, and the manifest does not allow that (allow_unisolated)"
        )),
    };
    if env.value("direct-lpi") == Some(1) {
        allowed("LPIs without an ITS (tocsin,direct-lpi)")?;
        return direct_lpi::unit(env, machine, lpis).map(Found::DirectLpi);
    }
    if let Some(entry) = env.find("mbi") {
        allowed("message-based SPIs (mbi-ranges)")?;
        return mbi::unit(env, machine, entry.value2).map(Found::Mbi);
    }
    Err("this machine has no ITS".into())
}

/// A PC has the one or the other, or none.
fn pc(env: &Startup, machine: &Machine) -> Result<Found, String> {
    let bytes = firmware(env).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or("the machine has no firmware tables")?;
    let blob = Blob::parse(&bytes).map_err(|error| error.to_string())?;
    if let Ok(table) = blob.find(Signature::DMAR, 0) {
        return vtd::unit(env, machine, table).map(Found::Vtd);
    }
    match blob.find(Signature::IVRS, 0) {
        Ok(table) => amdvi::unit(env, machine, table).map(Found::AmdVi),
        Err(_) => Err("the firmware has no DMAR table and no IVRS table".into()),
    }
}

/// A copy of the firmware's tables, if init gave them.
fn firmware(env: &Startup) -> Result<Option<Vec<u8>>, Error> {
    let Some(entry) = env.find("firmware") else { return Ok(None) };
    let Some(handle) = env.handle("firmware") else { return Ok(None) };
    let mapped = entry.value.next_multiple_of(4096);
    let mapping = Mapping::new(handle, 0, mapped, Rights::READ)?;
    Ok(Some(mapping.to_vec(0, entry.value)))
}
