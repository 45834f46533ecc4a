//! The VT-d unit: found in the DMAR table, mapped, switched on. Or why not.

use alloc::format;
use alloc::string::{String, ToString};
use core::mem::ManuallyDrop;

use interrupt_core::HardwareError;
use interrupt_core::vtd::{VtdConfig, VtdInitError, VtdMemory, VtdUnit};
use libsys::map::Mapping;
use libsys::object::{Memory, Physical};
use libsys::{println, startup};
use tocsin_abi::startup::Startup;
use tocsin_firmware::Dmar;
use tocsin_firmware::dmar::Drhd;

use super::WAIT_BUDGET;
use crate::machine::Machine;
use crate::memory::{Region, Registers};

/// Switches the unit on.
pub fn unit(
    env: &Startup,
    machine: &Machine,
    table: &[u8],
) -> Result<VtdUnit<Registers, Region>, String> {
    let table = Dmar::parse(table).map_err(|error| error.to_string())?;
    if !table.interrupt_remapping() {
        return Err("the DMAR table says that the platform can not remap interrupts".into());
    }
    let drhd = choose(&table).ok_or("the DMAR table names no remapping unit for segment 0")?;
    let others = table.drhds().count() - 1;
    if others > 0 {
        println!(
            "interrupt: {others} more VT-d units are left as firmware left them: messages of devices behind them are not remapped"
        );
    }
    let (registers, memory) = resources(env, &drhd)?;
    let entries = memory.table.info().map_or(0, |(bytes, _)| bytes / 16);
    let regions = VtdMemory {
        table: region(&memory.table)?,
        queue: region(&memory.queue)?,
        status: region(&memory.status)?,
    };
    let config = VtdConfig { extended_mode: machine.extended_mode(), wait_budget: WAIT_BUDGET };
    let unit = VtdUnit::new(registers, regions, config).map_err(|error| why(&error))?;
    let version = unit.initial().version;
    let small = if entries < 65_536 { " (memory allows no more)" } else { "" };
    println!(
        "interrupt: VT-d {}.{} at {:#x}: {entries} entries{small}, source ids checked, compatibility format blocked{}",
        version >> 4,
        version & 0xf,
        drhd.register_base,
        if unit.extended_mode() { ", 32-bit APIC ids" } else { "" },
    );
    Ok(unit)
}

/// The unit that has all devices of segment 0, or else its first one.
pub fn choose<'a>(table: &Dmar<'a>) -> Option<Drhd<'a>> {
    let units = || table.drhds().filter(|drhd| drhd.segment == 0);
    units().find(|drhd| drhd.include_pci_all).or_else(|| units().next())
}

/// What a unit works in, granted by init.
struct UnitMemory {
    table: ManuallyDrop<Memory>,
    queue: ManuallyDrop<Memory>,
    status: ManuallyDrop<Memory>,
}

/// The grants `vtd<n>`, `vtd<n>-table`, … whose registers are where the table says.
fn resources(env: &Startup, drhd: &Drhd<'_>) -> Result<(Registers, UnitMemory), String> {
    let entry = env
        .entries()
        .iter()
        .find(|entry| is_unit(entry.name()) && entry.value2 == drhd.register_base)
        .ok_or_else(|| format!("no grant for the VT-d unit at {:#x}", drhd.register_base))?;
    // Lent from the startup page: not this function's to close.
    let range = ManuallyDrop::new(Physical::own(entry.handle));
    let mapped =
        Mapping::of_physical(&range).map_err(|error| format!("VT-d registers: {error}"))?;
    let memory = |what: &str| {
        let name = format!("{}-{what}", entry.name());
        startup::memory(env, &name).ok_or(format!("no grant `{name}`"))
    };
    let memory =
        UnitMemory { table: memory("table")?, queue: memory("queue")?, status: memory("status")? };
    Ok((Registers(mapped), memory))
}

fn is_unit(name: &str) -> bool {
    name.strip_prefix("vtd").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn region(memory: &Memory) -> Result<Region, String> {
    Region::new(memory).map_err(|error| format!("memory of the VT-d unit: {error}"))
}

fn why(error: &VtdInitError) -> String {
    match error {
        VtdInitError::NoInterruptRemapping => {
            "the VT-d unit can not remap interrupts (ECAP.IR is clear)".into()
        }
        VtdInitError::NoQueuedInvalidation => {
            "the VT-d unit has no invalidation queue (ECAP.QI is clear)".into()
        }
        VtdInitError::NoExtendedMode => {
            "a CPU's id needs 32 bits and the VT-d unit takes 8 (ECAP.EIM is clear)".into()
        }
        VtdInitError::BadTable | VtdInitError::BadQueue | VtdInitError::BadStatus => {
            format!("memory for the VT-d unit does not fit: {error:?}")
        }
        VtdInitError::Hardware(error) => hardware(error),
    }
}

fn hardware(error: &HardwareError) -> String {
    format!("the VT-d unit failed: {error}")
}
