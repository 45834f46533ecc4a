//! What the virtual machine monitor passes, read, checked and ordered.

use crate::physical;
use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::{self, Kind, Memory};
use boot_stub_core::placement::place_of_bundle;
use boot_stub_core::rsdp;
use boot_stub_core::start_info::{self, MapEntry, Module, StartInfo, StartInfoError};
use core::ops::Range;
use heapless::Vec;

/// The longest command line that is passed on; QEMU's option ROM has a buffer of this size.
const COMMAND_LINE: usize = 4096;

/// Everything that the stub starts from. The start info and what it points to may lie in memory
/// that the stub hands out later, so all of it but the bundle is copied.
pub struct Input {
    /// The memory map; the stub and the bundle are marked as in use.
    pub memory: Memory,
    /// Where the bundle is.
    pub bundle_range: Range<u64>,
    /// The bundle.
    pub bundle: &'static [u8],
    /// The kernel's command line, without its NUL.
    pub command_line: Vec<u8, COMMAND_LINE>,
    /// Physical address of the ACPI root pointer.
    pub rsdp: Option<u64>,
}

impl Input {
    /// Reads the start info at `address`.
    pub fn read(address: u64) -> Result<Self, Fatal> {
        let bytes =
            physical::read::<{ start_info::SIZE }>(address).map_err(|_| Fatal::NoStartInfo)?;
        let info = StartInfo::decode(&bytes).map_err(|error| match error {
            StartInfoError::BadMagic => Fatal::NoStartInfo,
            StartInfoError::NoMemoryMapVersion => Fatal::NoMemoryMap,
        })?;
        let mut memory = memory_map(&info)?;
        let stub = physical::stub();
        let bundle_range = find_bundle(&info, &memory, &stub)?;
        memory.assign(stub.start, stub.end, Kind::BootloaderReclaimable)?;
        let Range { start, end } = bundle_range;
        memory.assign(start, end, Kind::BootloaderReclaimable)?;
        // SAFETY: the bundle is in memory that the map does not hand out any more.
        let bundle = unsafe { physical::bytes(start, end - start)? };
        let command_line = command_line(info.command_line)?;
        Ok(Self { memory, bundle_range, bundle, command_line, rsdp: find_rsdp(info.rsdp) })
    }
}

fn memory_map(info: &StartInfo) -> Result<Memory, Fatal> {
    if info.memory_map == 0 || info.memory_map_entries == 0 {
        return Err(Fatal::NoMemoryMap);
    }
    let mut entries = Vec::<MapEntry, { memory::MAX_REGIONS }>::new();
    for index in 0..u64::from(info.memory_map_entries) {
        let at = index
            .checked_mul(MapEntry::SIZE as u64)
            .and_then(|offset| info.memory_map.checked_add(offset))
            .ok_or(Fatal::BadAddress)?;
        let entry = MapEntry::decode(&physical::read(at)?);
        entries.push(entry).map_err(|_| Fatal::MemoryMapTooLong)?;
    }
    let memory = Memory::new(entries)?;
    if memory.allocatable() == 0 { Err(Fatal::NoMemoryMap) } else { Ok(memory) }
}

/// The first module is what QEMU's `-initrd` names.
fn find_bundle(info: &StartInfo, memory: &Memory, stub: &Range<u64>) -> Result<Range<u64>, Fatal> {
    if info.modules == 0 || info.module_list == 0 {
        return Err(Fatal::NoModules);
    }
    let module = Module::decode(&physical::read(info.module_list)?);
    place_of_bundle(memory, module, stub)
}

fn command_line(address: u64) -> Result<Vec<u8, COMMAND_LINE>, Fatal> {
    let mut text = Vec::new();
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
