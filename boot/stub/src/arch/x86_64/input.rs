//! What the virtual machine monitor passes, read, checked and ordered.

use super::REACH;
use crate::input::{CommandLine, Input};
use crate::physical;
use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::{Claim, Kind, MAX_REGIONS, Memory};
use boot_stub_core::pc::rsdp;
use boot_stub_core::pc::start_info::{self, MapEntry, Module, StartInfo, StartInfoError};
use boot_stub_core::placement::place_of_bundle;
use core::ops::Range;
use heapless::Vec;

/// Reads the start info at `address`.
pub fn read_input(address: u64) -> Result<Input, Fatal> {
    let bytes = physical::read::<{ start_info::SIZE }>(address).map_err(|_| Fatal::NoStartInfo)?;
    let info = StartInfo::decode(&bytes).map_err(|error| match error {
        StartInfoError::BadMagic => Fatal::NoStartInfo,
        StartInfoError::NoMemoryMapVersion => Fatal::NoMemoryMap,
    })?;
    let mut memory = memory_map(&info)?;
    let stub = physical::stub();
    let place = find_bundle(&info, &memory, &stub)?;
    memory.assign(stub.start, stub.end, Kind::BootloaderReclaimable)?;
    memory.assign(place.start, place.end, Kind::BootloaderReclaimable)?;
    // SAFETY: the bundle is in memory that the map does not hand out any more.
    let bundle = unsafe { physical::bytes(place.start, place.end - place.start)? };
    Ok(Input {
        memory,
        borrowed: [place, 0..0],
        bundle,
        command_line: command_line(info.command_line)?,
        rsdp: find_rsdp(info.rsdp),
        device_tree: None,
    })
}

fn memory_map(info: &StartInfo) -> Result<Memory, Fatal> {
    if info.memory_map == 0 || info.memory_map_entries == 0 {
        return Err(Fatal::NoMemoryMap);
    }
    let mut entries = Vec::<Claim, MAX_REGIONS>::new();
    for index in 0..u64::from(info.memory_map_entries) {
        let at = index
            .checked_mul(MapEntry::SIZE as u64)
            .and_then(|offset| info.memory_map.checked_add(offset))
            .ok_or(Fatal::BadAddress)?;
        let entry = MapEntry::decode(&physical::read(at)?);
        entries.push(entry.claim()).map_err(|_| Fatal::MemoryMapTooLong)?;
    }
    let memory = Memory::new(REACH, entries)?;
    if memory.allocatable() == 0 { Err(Fatal::NoMemoryMap) } else { Ok(memory) }
}

/// The first module is what QEMU's `-initrd` names.
fn find_bundle(info: &StartInfo, memory: &Memory, stub: &Range<u64>) -> Result<Range<u64>, Fatal> {
    if info.modules == 0 || info.module_list == 0 {
        return Err(Fatal::NoModules);
    }
    let module = Module::decode(&physical::read(info.module_list)?);
    place_of_bundle(memory, module.base, module.size, stub)
}

fn command_line(address: u64) -> Result<CommandLine, Fatal> {
    let mut text = CommandLine::new();
    if address == 0 {
        return Ok(text);
    }
    for at in address.. {
        let [byte] = physical::read(at)?;
        if byte == 0 {
            break;
        }
        text.push(byte).map_err(|_| Fatal::CommandLineTooLong)?;
    }
    Ok(text)
}

/// The root pointer that the start info names, if there is one at that place, or the one that the
/// firmware has left in its own memory.
fn find_rsdp(address: u64) -> Option<u64> {
    let named = physical::read::<{ rsdp::SIZE }>(address).is_ok_and(|bytes| rsdp::is_rsdp(&bytes));
    if named {
        return Some(address);
    }
    let area = rsdp::BIOS_AREA;
    // SAFETY: the firmware's memory, which nobody writes to.
    let bytes = unsafe { physical::bytes(area.start, area.end - area.start).ok()? };
    rsdp::find(bytes).map(|offset| area.start + offset as u64)
}
