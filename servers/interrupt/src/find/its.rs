//! The ITS: tables cut out of the granted memory, switched on.
//!
//! | table | where it is cut | how large |
//! | --- | --- | --- |
//! | commands | 64 KiB, aligned to it | 64 KiB |
//! | properties | 4 KiB | a byte for each LPI |
//! | pending | 64 KiB, one for each CPU | a bit for each INTID |
//! | devices, collections, vPEs | their page size | as GITS_BASER<n> says |
//! | a device's events | 256 bytes, when it asks for its first message | what its quota needs |

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use interrupt_core::its::{
    DeviceTable, ItsConfig, ItsError, ItsInitError, ItsMemory, ItsProbe, ItsUnit, Lpi,
    RedistributorTarget, TableKind, TableNeed,
};
use libsys::println;
use tocsin_abi::startup::Startup;

use super::{WAIT_BUDGET, gic};
use crate::machine::Machine;
use crate::memory::{Arena, Frame, Piece};

/// Commands in flight: what one server can ever have, and the most that makes sense to wait
/// for.
const QUEUE_BYTES: usize = 64 << 10;
/// The queue's alignment: hardware may take address bits 15:12 as zero (GITS_CBASER).
const QUEUE_ALIGN: usize = 64 << 10;
/// DeviceIDs of the smallest device table that is of any use: the functions of one bus.
const LEAST_IDS: u64 = 256;
/// Flat device tables of more pages than these are not made where there can be two levels.
const FLAT_PAGES: usize = 2;

/// Switches the ITS on.
pub fn unit(
    env: &Startup,
    machine: &Machine,
    arena: &Arena,
    lpis: u32,
) -> Result<ItsUnit<Frame, Piece>, String> {
    let lpis = gic::lpis(machine, lpis)?;
    if env.find("its1").is_some() {
        println!("interrupt: only the first ITS is used: messages that go to another are refused");
    }
    let entry = env.find("its0").ok_or("no grant `its0`")?;
    let (mut frame, address) = gic::frame(entry)?;
    let probe = ItsProbe::new(&mut frame, WAIT_BUDGET).map_err(|error| why(&error))?;
    let devices = device_table(arena, probe.devices)?;
    let table = |need: Option<TableNeed>, what, numbers| match need {
        None => Ok(None),
        Some(need) => cut_table(arena, need, what, numbers).map(Some),
    };
    let mut memory = ItsMemory {
        queue: cut(arena, QUEUE_BYTES, QUEUE_ALIGN, "commands")?,
        collections: table(probe.collections, "collections", machine.cpus().into())?,
        // Not used: the smallest there can be.
        virtual_processors: table(probe.virtual_processors, "virtual processors", 1)?,
        properties: gic::properties(arena, lpis)?,
        tables: Box::new(arena.clone()),
        devices: devices.table,
    };
    let redistributors = gic::redistributors(env, machine)?;
    let enabled = gic::enable(redistributors, arena, &mut memory.properties)?;
    let cpus: Vec<RedistributorTarget> = enabled.iter().map(|each| each.target).collect();
    let config = ItsConfig {
        control_frame: address,
        cpus: &cpus,
        lpis,
        priority: gic::priority(),
        wait_budget: WAIT_BUDGET,
    };
    let unit = ItsUnit::new(frame, &probe, memory, config).map_err(|error| why(&error))?;
    // An SError for a dropped write (GITS_TYPER.SEIS) would be nobody's here.
    println!(
        "interrupt: GICv3 ITS at {address:#x}: {} LPIs from {}, {}, {} KiB for all tables; what it drops is not reported",
        config.lpis,
        Lpi::FIRST,
        devices.text,
        arena.size_bytes() >> 10,
    );
    Ok(unit)
}

/// The device table, and words about it.
struct Devices {
    table: DeviceTable<Piece>,
    text: String,
}

/// For all DeviceIDs that the ITS has: flat where that is small, in two levels where it offers
/// them; else flat for as many as memory and register allow.
fn device_table(arena: &Arena, need: TableNeed) -> Result<Devices, String> {
    let page = need.page.bytes();
    let whole = need.flat_bytes(need.all_ids());
    let small = whole.is_some_and(|bytes| bytes <= FLAT_PAGES * page);
    if need.two_level && !small {
        let bytes = need.level_one_bytes(need.all_ids());
        let bytes = bytes.ok_or("its DeviceIDs are too many even for a table in two levels")?;
        let table = DeviceTable::TwoLevel(cut(arena, bytes, page, "device table, level one")?);
        let text = format!("DeviceIDs of {} bits in two levels", need.id_bits);
        return Ok(Devices { table, text });
    }
    let mut ids = need.all_ids();
    loop {
        let memory = need.flat_bytes(ids).and_then(|bytes| arena.cut(bytes, page));
        if let Some(memory) = memory {
            let text = format!("DeviceIDs up to {:#x}", ids - 1);
            return Ok(Devices { table: DeviceTable::Flat(memory), text });
        }
        if ids <= LEAST_IDS {
            return Err("no memory for its device table".into());
        }
        ids /= 2;
    }
}

fn cut_table(arena: &Arena, need: TableNeed, what: &str, numbers: u64) -> Result<Piece, String> {
    let bytes = need.flat_bytes(numbers).ok_or_else(|| format!("its {what} are too many"))?;
    cut(arena, bytes, need.page.bytes(), what)
}

fn cut(arena: &Arena, bytes: usize, align: usize, what: &str) -> Result<Piece, String> {
    arena.cut(bytes, align).ok_or_else(|| format!("no memory for the ITS: {what}"))
}

fn why(error: &ItsInitError) -> String {
    let table = |kind: &TableKind| match kind {
        TableKind::Devices => "device table",
        TableKind::Collections => "collection table",
        TableKind::VirtualProcessors => "vPE table",
        TableKind::None => "table",
    };
    match error {
        ItsInitError::NoPhysicalLpis => {
            "the ITS knows no physical LPIs (GITS_TYPER.Physical is clear)".into()
        }
        ItsInitError::NoDeviceTable => "the ITS has no device table (GITS_BASER<n>)".into(),
        ItsInitError::Malformed(malformed) => {
            format!("an ITS register holds what is reserved: {}", malformed.field)
        }
        ItsInitError::MissingTable(kind) | ItsInitError::BadTable(kind) => {
            format!("memory for the ITS does not fit: {}", table(kind))
        }
        ItsInitError::TableRefused(kind) => format!("the ITS does not take its {}", table(kind)),
        ItsInitError::BadQueue => "memory for the ITS does not fit: commands".into(),
        ItsInitError::QueueRefused => {
            "the ITS does not take its command queue (GITS_CBASER)".into()
        }
        ItsInitError::BadCpus => "the ITS can not name the redistributors".into(),
        ItsInitError::TooFewCollections => {
            "the ITS has fewer collections than there are CPUs".into()
        }
        ItsInitError::BadLpiCount => "there are fewer LPIs than the server was to manage".into(),
        ItsInitError::NoMemory => "no memory for the ITS's bookkeeping".into(),
        ItsInitError::NotEnabled => "the ITS stays off (GITS_CTLR.Enabled)".into(),
        ItsInitError::Its(error) => hardware(error),
    }
}

fn hardware(error: &ItsError) -> String {
    format!("the ITS failed: {error}")
}
