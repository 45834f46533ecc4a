//! The LPI side of the redistributors: one for each CPU, found by its CPU's affinity.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;

use interrupt_core::its::{
    ItsRegisters, Lpi, LpiTable, LpisEnabled, PendingTableNeed, Priority, RedistributorError,
    RedistributorTarget, RedistributorType, enable_lpis, offset,
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

/// What the kernel gives devices' interrupts: above its timer and its pokes.
const PRIORITY: u8 = 0xa0;
/// The property table's alignment (GICR_PROPBASER).
const PROPERTIES_ALIGN: usize = 4096;

/// The priority of every interrupt of a device.
pub fn priority() -> Priority {
    Priority::new(PRIORITY).unwrap_or(Priority::LOWEST)
}

/// How many LPIs there can be, at most `wanted`: the kernel leaves so many to devices.
pub fn lpis(machine: &Machine, wanted: u32) -> Result<u32, String> {
    let there = (u32::from(machine.last) + 1).saturating_sub(Lpi::FIRST);
    match wanted.min(there) {
        0 => Err("the kernel leaves no LPIs to devices".into()),
        lpis => Ok(lpis),
    }
}

/// For no more INTIDs than are used: redistributors look through all that they are told of.
pub fn properties(arena: &Arena, lpis: u32) -> Result<LpiTable<Piece>, String> {
    let id_bits = (Lpi::FIRST + lpis - 1).ilog2() as u8 + 1;
    let memory = arena.cut(LpiTable::<Piece>::bytes(id_bits), PROPERTIES_ALIGN);
    let memory = memory.ok_or("no memory for LPI properties")?;
    LpiTable::new(memory, id_bits, priority()).map_err(|error| format!("LPI properties: {error:?}"))
}

/// A CPU's redistributor with LPIs enabled.
pub struct Enabled {
    /// Its RD_base frame.
    pub registers: Frame,
    /// Its names.
    pub target: RedistributorTarget,
}

/// Every CPU's redistributor, by CPU, before anything of it is changed.
pub fn redistributors(env: &Startup, machine: &Machine) -> Result<Vec<(Frame, u64)>, String> {
    let mut found = Vec::new();
    let is_one = |name: &str| {
        name.strip_prefix("gicr").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    for entry in env.entries().iter().filter(|entry| is_one(entry.name())) {
        let (mut frame, address) = frame(entry)?;
        let kind = RedistributorType::decode(frame.read64(offset::REDISTRIBUTOR_TYPE));
        found.push((kind.affinity(), frame, address));
    }
    let mut sorted = Vec::new();
    for (cpu, id) in machine.hardware_ids.iter().enumerate() {
        let Some(place) = found.iter().position(|(affinity, ..)| affinity == id) else {
            return Err(format!("no redistributor is that of CPU {cpu} (affinity {id:#x})"));
        };
        let (_, frame, address) = found.swap_remove(place);
        sorted.push((frame, address));
    }
    Ok(sorted)
}

/// Gives every CPU's redistributor its tables and enables LPIs there.
pub fn enable(
    redistributors: Vec<(Frame, u64)>,
    arena: &Arena,
    properties: &mut LpiTable<Piece>,
) -> Result<Vec<Enabled>, String> {
    let mut enabled = Vec::new();
    for (cpu, (mut registers, frame)) in redistributors.into_iter().enumerate() {
        let need = PendingTableNeed::new(properties.id_bits());
        let pending = arena.cut(need.bytes, need.align);
        let pending = pending.ok_or_else(|| format!("no memory for CPU {cpu}'s pending LPIs"))?;
        match enable_lpis(&mut registers, properties, pending, WAIT_BUDGET) {
            // The pending table is the redistributor's: a piece that is dropped stays taken.
            Ok(LpisEnabled { processor, .. }) => {
                let target = RedistributorTarget { processor, frame };
                enabled.push(Enabled { registers, target });
            }
            Err(error) => {
                return Err(format!("the redistributor of CPU {cpu}: {}", why(error)));
            }
        }
    }
    Ok(enabled)
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
