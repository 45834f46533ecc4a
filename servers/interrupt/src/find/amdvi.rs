//! The AMD IOMMU: found in the IVRS table, given its memory, switched on. Or why not.
//!
//! | table | where it is cut | how large |
//! | --- | --- | --- |
//! | devices | 4 KiB | 2 MiB: all requester ids |
//! | commands, events | 4 KiB | 4 KiB each |
//! | a device's entries | 128 bytes, when it asks for its first message | 8 KiB; 32 KiB where the unit takes 2048 entries |

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;

use interrupt_core::amdvi::{
    Alias, AmdViConfig, AmdViInitError, AmdViMemory, AmdViUnit, EntryFormat,
};
use interrupt_core::{HardwareError, RequesterId};
use libsys::map::Mapping;
use libsys::object::Physical;
use libsys::println;
use tocsin_abi::startup::Startup;
use tocsin_firmware::ivrs::Ivhd;
use tocsin_firmware::{Devices, Ivrs, Special};

use super::WAIT_BUDGET;
use crate::arch;
use crate::machine::Machine;
use crate::memory::{Arena, Piece, Registers};

const DEVICE_TABLE_BYTES: usize = 2 << 20;
/// Commands, and events: 256 of each.
const BUFFER_BYTES: usize = 4096;
const PAGE: usize = 4096;

/// Switches the unit on.
pub fn unit(
    env: &Startup,
    machine: &Machine,
    table: &[u8],
) -> Result<AmdViUnit<Registers, Piece>, String> {
    let table = Ivrs::parse(table).map_err(|error| error.to_string())?;
    // Where the platform remaps interrupts, the IO APIC has an id to find its own table by:
    // the registers do not say it.
    let io_apic = |unit: Ivhd<'_>| {
        let special = |devices| matches!(devices, Devices::Special { kind: Special::IoApic, .. });
        unit.entries().flatten().any(|entry| special(entry.devices))
    };
    if !table.units().any(io_apic) {
        return Err(
            "the IVRS table gives the IO APIC no id: the platform can not remap interrupts".into(),
        );
    }
    let ivhd = choose(&table).ok_or("the IVRS table names no IOMMU for segment 0")?;
    let others = table.units().count() - 1;
    if others > 0 {
        println!(
            "interrupt: {others} more AMD IOMMUs are left as firmware left them: messages of devices behind them are not remapped"
        );
    }
    let registers = registers(env, &ivhd)?;
    let arena = Arena::granted(env, "amdvi-memory")?;
    let cut = |bytes, what| {
        arena.cut(bytes, PAGE).ok_or_else(|| format!("no memory for the AMD IOMMU: {what}"))
    };
    let memory = AmdViMemory {
        device_table: cut(DEVICE_TABLE_BYTES, "device table")?,
        commands: cut(BUFFER_BYTES, "commands")?,
        events: cut(BUFFER_BYTES, "events")?,
        status: cut(PAGE, "status word")?,
        tables: Box::new(arena.clone()),
    };
    let config = AmdViConfig {
        extended_mode: machine.extended_mode(),
        writes_128: arch::writes_128(),
        wait_budget: WAIT_BUDGET,
        aliases: aliases(&ivhd),
        io_apics: io_apics(&ivhd),
    };
    let unit = AmdViUnit::new(registers, memory, config).map_err(|error| why(&error))?;
    let format = match unit.entry_format() {
        EntryFormat::Short => "32-bit entries",
        EntryFormat::Wide => "128-bit entries",
        EntryFormat::WideX2Apic => "128-bit entries, 32-bit APIC ids",
    };
    println!(
        "interrupt: AMD-Vi at {:#x}: {format}, {} for each device, other devices' messages blocked",
        ivhd.register_base,
        1 << unit.most_entries_log2(),
    );
    Ok(unit)
}

/// The first unit of segment 0.
pub fn choose<'a>(table: &Ivrs<'a>) -> Option<Ivhd<'a>> {
    table.units().find(|unit| unit.segment == 0)
}

/// The grant `amdvi<n>` whose registers are where the table says.
fn registers(env: &Startup, ivhd: &Ivhd<'_>) -> Result<Registers, String> {
    let is_unit = |name: &str| {
        name.strip_prefix("amdvi").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let entry = env
        .entries()
        .iter()
        .find(|entry| is_unit(entry.name()) && entry.value2 == ivhd.register_base)
        .ok_or_else(|| format!("no grant for the AMD IOMMU at {:#x}", ivhd.register_base))?;
    // Lent from the startup page: not this function's to close.
    let range = ManuallyDrop::new(Physical::own(entry.handle));
    let mapped =
        Mapping::of_physical(&range).map_err(|error| format!("AMD-Vi registers: {error}"))?;
    Ok(Registers(mapped))
}

/// The ids that IO APICs send with.
fn io_apics(ivhd: &Ivhd<'_>) -> Vec<RequesterId> {
    let source = |devices| match devices {
        Devices::Special { kind: Special::IoApic, source, .. } => {
            Some(RequesterId::from_bits(source.bits()))
        }
        _ => None,
    };
    ivhd.entries().flatten().filter_map(|entry| source(entry.devices)).collect()
}

fn aliases(ivhd: &Ivhd<'_>) -> Vec<Alias> {
    let id = |id: tocsin_firmware::RequesterId| RequesterId::from_bits(id.bits());
    let alias = |devices| match devices {
        Devices::Alias(device, arrives) => Some((device, device, arrives)),
        Devices::AliasRange(first, last, arrives) => Some((first, last, arrives)),
        _ => None,
    };
    let found = ivhd.entries().flatten().filter_map(|entry| alias(entry.devices));
    found
        .map(|(first, last, arrives)| Alias {
            first: id(first),
            last: id(last),
            arrives: id(arrives),
        })
        .collect()
}

fn why(error: &AmdViInitError) -> String {
    match error {
        AmdViInitError::NoExtendedMode => {
            "a CPU's id needs 32 bits and the AMD IOMMU takes 8 (EFR.XTSup is clear)".into()
        }
        AmdViInitError::BadDeviceTable
        | AmdViInitError::BadQueue
        | AmdViInitError::BadLog
        | AmdViInitError::BadStatus => {
            format!("memory for the AMD IOMMU does not fit: {error:?}")
        }
        AmdViInitError::NoMemory => "no memory for the AMD IOMMU's bookkeeping".into(),
        AmdViInitError::Hardware(error) => hardware(error),
    }
}

fn hardware(error: &HardwareError) -> String {
    format!("the AMD IOMMU failed: {error}")
}
