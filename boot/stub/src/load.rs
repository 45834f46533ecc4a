//! Puts the kernel, the modules, the answers and the page tables into memory.

use crate::arch::{AddressSpace, DIRECT_MAP, MACHINE};
use crate::handoff::Handoff;
use crate::input::Input;
use crate::physical;
use boot_stub_core::answer::{Facts, LoadedFile, answer, arena_size};
use boot_stub_core::arena::Arena;
use boot_stub_core::bundle::{Bundle, MAX_MODULES};
use boot_stub_core::cpio::Entry;
use boot_stub_core::elf::Kernel;
use boot_stub_core::fatal::Fatal;
use boot_stub_core::limine::{Feature, STACK_SIZE};
use boot_stub_core::memory::{Kind, Memory};
use boot_stub_core::page_up;
use boot_stub_core::placement::Needs;
use boot_stub_core::requests::Requests;
use core::fmt::Write;
use heapless::Vec;

/// Hands out memory, and when there is none says how much would have been enough.
struct Allocator<'a> {
    memory: &'a mut Memory,
    needs: Needs,
    free: u64,
}

impl Allocator<'_> {
    fn take(&mut self, size: u64, kind: Kind) -> Result<u64, Fatal> {
        let reach = self.memory.reach();
        let too_little =
            Fatal::TooLittleMemory { needed: self.needs.total(), free: self.free, reach };
        self.memory.allocate(size, kind)?.ok_or(too_little)
    }

    /// Copies a file to pages of its own, as the protocol wants it; the rest of the last page is
    /// zero.
    fn copy<'b>(&mut self, file: &Entry<'b>) -> Result<LoadedFile<'b>, Fatal> {
        let size = file.data.len() as u64;
        let base = self.take(size, Kind::ExecutableAndModules)?;
        let length = page_up(size.max(1)).unwrap_or(size);
        // SAFETY: just allocated in whole pages, and nothing else refers to it.
        let room = unsafe { physical::bytes_mut(base, length) };
        let (head, tail) = room.split_at_mut(file.data.len());
        head.copy_from_slice(file.data);
        tail.fill(0);
        Ok(LoadedFile { base, size, command_line: file.name })
    }
}

/// Loads everything and returns the state to enter the kernel with.
pub fn load(input: &mut Input, bundle: &Bundle<'_>) -> Result<Handoff, Fatal> {
    let kernel = Kernel::parse(bundle.kernel.data, MACHINE)?;
    let command_lines = || bundle.modules.iter().chain([&bundle.kernel]).map(|file| file.name);
    let mut needs = Needs {
        image: kernel.image_size(),
        stack: STACK_SIZE,
        arena: arena_size(command_lines(), &input.command_line),
        ..Needs::default()
    };
    needs.set_table_frames(AddressSpace::frames(&input.memory, &kernel));
    bundle.modules.iter().for_each(|module| needs.add_file(module.data.len()));
    let free = input.memory.allocatable();
    let mut allocator = Allocator { memory: &mut input.memory, needs, free };

    // The kernel's image comes first: what else is needed depends on the requests in it.
    let physical_base = allocator.take(kernel.image_size(), Kind::ExecutableAndModules)?;
    // SAFETY: just allocated, and nothing else refers to it.
    let image = unsafe { physical::bytes_mut(physical_base, kernel.image_size()) };
    kernel.load(bundle.kernel.data, image)?;
    // SAFETY: the same memory; the slice of bytes is not used any more.
    let image = unsafe { physical::words_mut(physical_base, kernel.image_size()) };
    let requests = Requests::scan(image)?;
    requests.check_paging_mode(image)?;
    let entry = requests.entry_point(image).unwrap_or(kernel.entry);
    kernel.check_entry(entry)?;

    allocator.needs.stack = requests.stack_size(image);
    let wants_file = requests.find(Feature::ExecutableFile).is_some();
    if wants_file {
        allocator.needs.add_file(bundle.kernel.data.len());
    }
    let needs = allocator.needs;
    let mut modules = Vec::<LoadedFile<'_>, MAX_MODULES>::new();
    for module in &bundle.modules {
        let module = allocator.copy(module)?;
        modules.push(module).map_err(|_| Fatal::Internal("more modules than the bundle has"))?;
    }
    let executable = if wants_file { Some(allocator.copy(&bundle.kernel)?) } else { None };
    let stack = allocator.take(needs.stack, Kind::BootloaderReclaimable)?;
    let tables = allocator.take(needs.tables, Kind::BootloaderReclaimable)?;
    let arena = allocator.take(needs.arena, Kind::BootloaderReclaimable)?;
    // The bundle has been copied and is free for the kernel. It is not overwritten before that.
    for place in &input.borrowed {
        let used = Kind::BootloaderReclaimable;
        input.memory.change(place.start, place.end, used, Kind::Usable)?;
    }

    // SAFETY: just allocated for page tables, and nothing else refers to it.
    let space = unsafe {
        AddressSpace::build(tables, needs.tables, &input.memory, &kernel, physical_base)?
    };

    // SAFETY: just allocated, and nothing else refers to it.
    let words = unsafe { physical::words_mut(arena, needs.arena) };
    let facts = Facts {
        regions: input.memory.regions(),
        modules: &modules,
        executable,
        command_line: &input.command_line,
        rsdp: input.rsdp,
        device_tree: input.device_tree,
        direct_map: DIRECT_MAP,
        physical_base,
        virtual_base: kernel.image().start,
    };
    answer(image, &requests, &facts, &mut Arena::new(words, DIRECT_MAP + arena))
        .map_err(|_| Fatal::Internal("the answers to the kernel do not fit"))?;
    let stack_top = DIRECT_MAP + stack + page_up(needs.stack).unwrap_or(needs.stack);
    Ok(Handoff { space, stack_top, entry })
}

/// One line for people: which loader this was, and what it found.
pub fn say(serial: &mut impl Write, input: &Input, bundle: &Bundle<'_>) {
    // The console swallows all errors: there is no one else to tell.
    let _ = write!(
        serial,
        "tocsin-direct: kernel and {} modules, {} KiB free\r\n",
        bundle.modules.len(),
        input.memory.allocatable() / 1024
    );
}
