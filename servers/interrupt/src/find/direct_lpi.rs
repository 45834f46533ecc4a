//! LPIs that devices raise by writes to the redistributors, where firmware says so.

use alloc::format;
use alloc::string::String;

use interrupt_core::direct_lpi::{
    DirectLpiConfig, DirectLpiInitError, DirectLpiUnit, DirectRedistributor,
};
use interrupt_core::its::{ItsRegisters, Lpi, RedistributorType, offset};
use libsys::println;
use tocsin_abi::startup::Startup;

use super::{WAIT_BUDGET, gic};
use crate::machine::Machine;
use crate::memory::{Arena, Frame, Piece};

/// Takes the redistributors into service. Whether they take messages is asked before any of
/// them is given a table.
pub fn unit(
    env: &Startup,
    machine: &Machine,
    lpis: u32,
) -> Result<DirectLpiUnit<Frame, Piece>, String> {
    let lpis = gic::lpis(machine, lpis)?;
    let mut redistributors = gic::redistributors(env, machine)?;
    for (cpu, (registers, _)) in redistributors.iter_mut().enumerate() {
        let kind = RedistributorType::decode(registers.read64(offset::REDISTRIBUTOR_TYPE));
        if !kind.direct_lpis() {
            return Err(not_there(cpu));
        }
    }
    let arena = Arena::granted(env, "gic-memory")?;
    let mut properties = gic::properties(&arena, lpis)?;
    let enabled = gic::enable(redistributors, &arena, &mut properties)?;
    let direct = |each: gic::Enabled| DirectRedistributor {
        registers: each.registers,
        frame: each.target.frame,
    };
    let redistributors = enabled.into_iter().map(direct).collect();
    let config = DirectLpiConfig { lpis, priority: gic::priority(), wait_budget: WAIT_BUDGET };
    let unit = DirectLpiUnit::new(redistributors, properties, &config).map_err(why)?;
    println!(
        "interrupt: LPIs without an ITS: {lpis} from {}; not isolated, any device can raise any message; a message stays on its CPU",
        Lpi::FIRST
    );
    Ok(unit)
}

fn not_there(cpu: usize) -> String {
    format!(
        "firmware offers LPIs without an ITS, and the redistributor of CPU {cpu} takes none (GICR_TYPER.DirectLPI is clear)"
    )
}

fn why(error: DirectLpiInitError) -> String {
    match error {
        DirectLpiInitError::NotThere(cpu) => not_there(cpu.index()),
        DirectLpiInitError::NotEnabled(cpu) => format!(
            "LPIs are off at the redistributor of CPU {} (GICR_CTLR.EnableLPIs)",
            cpu.index()
        ),
        DirectLpiInitError::Late(cpu) => format!(
            "the redistributor of CPU {} did not answer (GICR_SYNCR.Busy stays set)",
            cpu.index()
        ),
        DirectLpiInitError::BadLpiCount => "the LPIs do not fit the property table".into(),
        DirectLpiInitError::BadCpus => "no CPU, or more than 64".into(),
        DirectLpiInitError::NoMemory => "no memory for the books of LPIs".into(),
    }
}
