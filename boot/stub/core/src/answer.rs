//! Answering the kernel's requests. The responses are built as words in an [`Arena`]; every layout
//! here is that of the feature's section in the Limine protocol. A feature that is not answered
//! keeps the null pointer that the kernel put there.

use crate::arena::{Arena, ArenaFull};
use crate::bundle::module_name;
use crate::limine::{BASE_REVISION_TAG, Feature, word};
use crate::memory::{MAX_REGIONS, Region};
use crate::requests::Requests;

/// A file that was put into memory for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedFile<'a> {
    /// Its physical address, on a page boundary.
    pub base: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its name and parameters.
    pub command_line: &'a str,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The memory map.
    pub regions: &'a [Region],
    /// The boot modules.
    pub modules: &'a [LoadedFile<'a>],
    /// The kernel's file, if it is in memory.
    pub executable: Option<LoadedFile<'a>>,
    /// The kernel's command line.
    pub command_line: &'a [u8],
    /// Physical address of the ACPI root pointer, if there is one.
    pub rsdp: Option<u64>,
    /// Physical address of the device tree, if there is one.
    pub device_tree: Option<u64>,
    /// Where the direct map of physical memory starts.
    pub direct_map: u64,
    /// Where the kernel's image lies.
    pub physical_base: u64,
    /// Where it is mapped.
    pub virtual_base: u64,
}

/// Words of a `limine_file`.
const FILE: usize = 14;

/// An upper bound of the bytes that the answers need.
pub fn arena_size<'a>(command_lines: impl Iterator<Item = &'a str>, command_line: &[u8]) -> u64 {
    // A text needs its bytes, up to a word of NUL, and sometimes one more byte for a slash.
    let text = |length: usize| length / 8 + 2;
    // Every response, rounded up generously, with the texts of the bootloader feature.
    let fixed = 8 * Feature::ALL.len();
    let map = MAX_REGIONS * 4;
    let files: usize = command_lines.map(|line| FILE + 1 + 2 * text(line.len())).sum();
    // The command line may be wanted twice: by itself and in the kernel's file.
    let words = fixed + map + files + 2 * (FILE + 2 * text(command_line.len()));
    words as u64 * 8
}

/// Fills in the answers to `requests` in `image`, the loaded kernel.
pub fn answer(
    image: &mut [u64],
    requests: &Requests,
    facts: &Facts<'_>,
    arena: &mut Arena<'_>,
) -> Result<(), ArenaFull> {
    if let Some((at, known)) = requests.base_revision_tag() {
        // From base revision 3 on, the loader says in the second word which one it used.
        image[at + BASE_REVISION_TAG.len() - 1] = requests.base_revision();
        if known {
            image[at + BASE_REVISION_TAG.len()] = 0;
        }
    }
    for feature in Feature::ALL {
        if let Some(at) = requests.find(feature)
            && let Some(response) = respond(feature, requests.base_revision(), facts, arena)?
        {
            image[at + word::RESPONSE] = response;
        }
    }
    Ok(())
}

/// Builds one response and returns its address. Each starts with its own revision, 0 throughout.
fn respond(
    feature: Feature,
    base_revision: u64,
    facts: &Facts<'_>,
    arena: &mut Arena<'_>,
) -> Result<Option<u64>, ArenaFull> {
    let response = match feature {
        Feature::BootloaderInfo => {
            let name = arena.put_text(&[b"tocsin-direct"])?;
            let version = arena.put_text(&[env!("CARGO_PKG_VERSION").as_bytes()])?;
            arena.put(&[0, name, version])?
        }
        // That they are answered is the answer.
        Feature::StackSize | Feature::EntryPoint => arena.put(&[0])?,
        Feature::DirectMap => arena.put(&[0, facts.direct_map])?,
        // Mode 0: four levels.
        Feature::PagingMode => arena.put(&[0, 0])?,
        Feature::MemoryMap => memory_map(facts.regions, arena)?,
        Feature::ExecutableFile => {
            let Some(executable) = facts.executable else { return Ok(None) };
            let file = put_file(&executable, facts.command_line, facts.direct_map, arena)?;
            arena.put(&[0, file])?
        }
        Feature::Modules => modules(facts, arena)?,
        Feature::Rsdp => {
            let Some(rsdp) = facts.rsdp else { return Ok(None) };
            // A physical address from base revision 3 on, an address in the direct map before.
            let rsdp = if base_revision >= 3 { rsdp } else { facts.direct_map + rsdp };
            arena.put(&[0, rsdp])?
        }
        Feature::ExecutableAddress => arena.put(&[0, facts.physical_base, facts.virtual_base])?,
        Feature::ExecutableCommandLine => {
            let text = arena.put_text(&[facts.command_line])?;
            arena.put(&[0, text])?
        }
        Feature::DeviceTree => {
            let Some(tree) = facts.device_tree else { return Ok(None) };
            arena.put(&[0, facts.direct_map + tree])?
        }
    };
    Ok(Some(response))
}

fn memory_map(regions: &[Region], arena: &mut Arena<'_>) -> Result<u64, ArenaFull> {
    put_list(regions.len(), arena, |index, arena| {
        let region = &regions[index];
        arena.put(&[region.base, region.length(), region.kind as u64])
    })
}

fn modules(facts: &Facts<'_>, arena: &mut Arena<'_>) -> Result<u64, ArenaFull> {
    put_list(facts.modules.len(), arena, |index, arena| {
        let module = &facts.modules[index];
        put_file(module, module.command_line.as_bytes(), facts.direct_map, arena)
    })
}

/// A response that is a list: count, and an array of pointers to the `count` structures.
fn put_list(
    count: usize,
    arena: &mut Arena<'_>,
    mut put: impl FnMut(usize, &mut Arena<'_>) -> Result<u64, ArenaFull>,
) -> Result<u64, ArenaFull> {
    // More than any list has: regions and modules are bounded by smaller numbers.
    let mut pointers = [0; MAX_REGIONS];
    let pointers = pointers.get_mut(..count).ok_or(ArenaFull)?;
    for (index, pointer) in pointers.iter_mut().enumerate() {
        *pointer = put(index, arena)?;
    }
    let list = arena.put(pointers)?;
    arena.put(&[0, count as u64, list])
}

/// A `limine_file`. What it says about disks stays zero: there was none.
fn put_file(
    file: &LoadedFile<'_>,
    command_line: &[u8],
    direct_map: u64,
    arena: &mut Arena<'_>,
) -> Result<u64, ArenaFull> {
    let path = arena.put_text(&[b"/", module_name(file.command_line).as_bytes()])?;
    let text = arena.put_text(&[command_line])?;
    let mut words = [0; FILE];
    words[1] = direct_map + file.base;
    words[2] = file.size;
    words[3] = path;
    words[4] = text;
    arena.put(&words)
}
