//! The LPI side of the redistributors: one for each CPU, found by its CPU's affinity.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;

use interrupt_core::its::{
    ItsRegisters, LpiTable, LpisEnabled, PendingTableNeed, RedistributorError, RedistributorTarget,
    RedistributorType, enable_lpis, offset,
};
use libsys::map::Mapping;
use libsys::object::Physical;
use tocsin_abi::startup::{Entry, Startup};

use super::WAIT_BUDGET;
use crate::machine::Machine;
use crate::memory::{Arena, Frame, Piece};

/// A granted frame, mapped, with its physical address.
pub fn frame(entry: &Entry) -> Result<(Frame, u64), String> {
    // Lent from the startup page: not this function's to close.
    let range = ManuallyDrop::new(Physical::own(entry.handle));
    let mapped =
        Mapping::of_physical(&range).map_err(|error| format!("`{}`: {error}", entry.name()))?;
    Ok((Frame(mapped), entry.value2))
}

/// Gives every CPU's redistributor its tables and enables LPIs there. Returns what an ITS
/// calls the redistributors, by CPU.
pub fn enable(
    env: &Startup,
    machine: &Machine,
    arena: &Arena,
    properties: &mut LpiTable<Piece>,
) -> Result<Vec<RedistributorTarget>, String> {
    let mut found = Vec::new();
    let is_one = |name: &str| {
        name.strip_prefix("gicr").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    for entry in env.entries().iter().filter(|entry| is_one(entry.name())) {
        let (mut frame, address) = frame(entry)?;
        let kind = RedistributorType::decode(frame.read64(offset::REDISTRIBUTOR_TYPE));
        found.push((kind.affinity(), frame, address));
    }
    let mut targets = Vec::new();
    for (cpu, id) in machine.hardware_ids.iter().enumerate() {
        let own = found.iter_mut().find(|(affinity, ..)| affinity == id);
        let Some((_, frame, address)) = own else {
            return Err(format!("no redistributor is that of CPU {cpu} (affinity {id:#x})"));
        };
        let need = PendingTableNeed::new(properties.id_bits());
        let pending = arena.cut(need.bytes, need.align);
        let pending = pending.ok_or_else(|| format!("no memory for CPU {cpu}'s pending LPIs"))?;
        match enable_lpis(frame, properties, pending, WAIT_BUDGET) {
            // The pending table is the redistributor's: a piece that is dropped stays taken.
            Ok(LpisEnabled { processor, .. }) => {
                targets.push(RedistributorTarget { processor, frame: *address });
            }
            Err(error) => {
                return Err(format!("the redistributor of CPU {cpu}: {}", why(error)));
            }
        }
    }
    Ok(targets)
}

fn why(error: RedistributorError) -> &'static str {
    match error {
        RedistributorError::NoLpis => "it has no LPIs (GICR_TYPER.PLPIS is clear)",
        RedistributorError::AlreadyEnabled => {
            "firmware has enabled LPIs with tables of its own, for good (GICR_CTLR.CES is clear)"
        }
        RedistributorError::BadPendingTable => "memory for its pending LPIs does not fit",
        RedistributorError::PropertiesRefused => {
            "it does not take the property table (GICR_PROPBASER)"
        }
        RedistributorError::PendingRefused => "it does not take the pending table (GICR_PENDBASER)",
        RedistributorError::NotEnabled => "LPIs can not be enabled (GICR_CTLR.EnableLPIs)",
        RedistributorError::Timeout => "it did not answer: LPIs off (GICR_CTLR.RWP)",
    }
}
