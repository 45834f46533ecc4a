//! The first process: `init`, with everything there is.

use core::fmt;

use kernel_core::objects::SlotId;
use kernel_core::{Cx, Frame as _, Id, Platform as _};
use tocsin_abi::limits::{PAGE_BYTES, PRIORITIES, STACK_BLOCK_BYTES};
use tocsin_abi::startup::{NAME_BYTES, Startup};
use tocsin_abi::{Error, Handle, Kind, Rights};
use xmas_elf::ElfFile;
use xmas_elf::program::Type;

use super::loader::{self, Module};
use crate::arch;
use crate::mm;
use crate::state;

/// Where init's stack block is.
const STACK_BLOCK: u64 = 0x7000_0000_0000;
/// Pages at the block's start that are not stack: IPC buffer and guard.
const BELOW_STACK: u64 = 2 * PAGE_BYTES;
/// Where init finds its startup page.
const STARTUP: u64 = 0x7100_0000_0000;

/// Why `init` can not start.
pub enum Reason {
    /// No such module.
    Missing,
    /// No checksum, or a wrong one.
    Corrupt,
    /// Not an ELF file that can be loaded.
    NotElf(&'static str),
    /// The kernel refused one of its own calls.
    Refused(Error),
    /// Too many modules or memory ranges for a page.
    PageFull,
}

impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        Reason::Refused(error)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Missing => f.write_str("boot module `init` is missing: add it to the image"),
            Reason::Corrupt => {
                f.write_str("boot module `init` is corrupt: its checksum is missing or wrong")
            }
            Reason::NotElf(why) => write!(f, "boot module `init` can not be loaded: {why}"),
            Reason::Refused(error) => write!(f, "can not start `init`: {error}"),
            Reason::PageFull => f.write_str("too many boot modules or memory ranges for `init`"),
        }
    }
}

/// Makes `init` ready to run. `device_tree`: where its copy is, and its bytes.
pub fn start(device_tree: Option<(u64, u64)>) -> Result<(), Reason> {
    let kernel = state::get();
    let module = find()?;
    let id = kernel.processes.alloc().ok_or(Error::NoMemory)?;
    assert!(id == super::INIT, "init comes first");
    let process = kernel.process(id);
    process.space.set(kernel.platform.space_create().ok_or(Error::NoMemory)?);
    process.budget.set(kernel.platform.free_bytes());
    let cx = Cx { cpu: 0, exclusive: true, thread: Id::NONE, process: id };
    let entry = load(cx, module.bytes)?;
    let stack = memory(cx, STACK_BLOCK_BYTES)?;
    let at = STACK_BLOCK + BELOW_STACK;
    map(cx, stack, at, STACK_BLOCK_BYTES - BELOW_STACK, Rights::READ | Rights::WRITE)?;
    let page = memory(cx, PAGE_BYTES)?;
    fill_page(cx, base(cx, page)?, device_tree)?;
    map(cx, page, STARTUP, PAGE_BYTES, Rights::READ)?;
    let priority = PRIORITIES as u8 - 1;
    let (_, thread) = kernel.new_thread(cx, id, STACK_BLOCK, priority, 0)?;
    kernel.thread(thread).frame.start(entry, STACK_BLOCK + STACK_BLOCK_BYTES - 8, STARTUP);
    kernel.wake(cx, thread);
    Ok(())
}

/// Finds and checks the module.
fn find() -> Result<Module, Reason> {
    let is_init = |module: &Module| module.cmdline.split(' ').next() == Some("init");
    let module = loader::modules().find(is_init).ok_or(Reason::Missing)?;
    let said = module
        .cmdline
        .split(' ')
        .find_map(|word| word.strip_prefix("crc32="))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    if said == Some(crc32fast::hash(module.bytes)) { Ok(module) } else { Err(Reason::Corrupt) }
}

/// Loads the segments. The file's checksum has been verified: it is what was built, so
/// the parser need not expect malice.
fn load(cx: Cx, bytes: &[u8]) -> Result<u64, Reason> {
    let elf = ElfFile::new(bytes).map_err(Reason::NotElf)?;
    for header in elf.program_iter() {
        if header.get_type() != Ok(Type::Load) || header.mem_size() == 0 {
            continue;
        }
        let start = header.virtual_addr() & !(PAGE_BYTES - 1);
        let skip = header.virtual_addr() - start;
        let size = (skip + header.mem_size()).next_multiple_of(PAGE_BYTES);
        let from = header.offset() as usize;
        let contents = bytes
            .get(from..from.saturating_add(header.file_size() as usize))
            .ok_or(Reason::NotElf("a segment lies outside the file"))?;
        if skip + contents.len() as u64 > size {
            return Err(Reason::NotElf("a segment is larger in the file than in memory"));
        }
        let memory = memory(cx, size)?;
        let target = mm::direct(base(cx, memory)? + skip);
        // SAFETY: the memory object is fresh and at least `size` bytes; checked above
        // that the contents fit.
        unsafe { target.copy_from_nonoverlapping(contents.as_ptr(), contents.len()) };
        let flags = header.flags();
        let mut rights = Rights::READ;
        rights.set(Rights::WRITE, flags.is_write());
        rights.set(Rights::EXECUTE, flags.is_execute());
        map(cx, memory, start, size, rights)?;
    }
    Ok(elf.header.pt2.entry_point())
}

fn refused(stop: kernel_core::Stop) -> Reason {
    match stop {
        kernel_core::Stop::Error(error) => Reason::Refused(error),
        _ => Reason::Refused(Error::BadState),
    }
}

fn memory(cx: Cx, bytes: u64) -> Result<Handle, Reason> {
    let handle = state::get().memory_create(cx, bytes).map_err(refused)?;
    Ok(Handle(handle as u32))
}

fn base(cx: Cx, memory: Handle) -> Result<u64, Reason> {
    let kernel = state::get();
    Ok(kernel.memories.get(kernel.slot(cx.process, memory)?.id()).base.get())
}

fn map(cx: Cx, memory: Handle, at: u64, bytes: u64, rights: Rights) -> Result<(), Reason> {
    let kernel = state::get();
    kernel.memory_map(cx, Handle::NONE, memory, at, 0, bytes, rights).map_err(refused)?;
    Ok(())
}

/// A handle of init's to an object that no call makes.
fn root(cx: Cx, kind: Kind, object: u32, rights: Rights) -> Result<Handle, Reason> {
    let kernel = state::get();
    kernel.slot_room(cx.process, 1)?;
    let slot = kernel.new_slot(cx.process, kind, object, rights, 0, SlotId::NONE);
    Ok(kernel.handle_of(slot))
}

/// A handle to memory or to a range that belongs to nobody's budget.
fn range(cx: Cx, kind: Kind, base: u64, size: u64, rights: Rights) -> Result<Handle, Reason> {
    let kernel = state::get();
    let id = kernel.memories.alloc().ok_or(Error::NoMemory)?;
    kernel.memories.get(id).base.set(base);
    kernel.memories.get(id).size.set(size);
    root(cx, kind, id.index(), rights)
}

/// Writes init's startup page: all authority there is.
fn fill_page(cx: Cx, physical: u64, device_tree: Option<(u64, u64)>) -> Result<(), Reason> {
    let kernel = state::get();
    let pointer = mm::direct(physical).cast::<Startup>();
    let count = kernel.cpu_count.get() as u32;
    // SAFETY: the page is a fresh memory object of one page, which is what this takes.
    unsafe { pointer.write(Startup::empty(count, arch::ticks_per_second())) };
    // SAFETY: just written, and nobody else has it yet.
    let page = unsafe { &mut *pointer };
    page.set_args(loader::cmdline());
    let mut push = |name: &str, handle, value, value2| {
        if page.push(name, handle, value, value2) { Ok(()) } else { Err(Reason::PageFull) }
    };
    let full = |kind: Kind| kind.all_rights();
    let own = root(cx, Kind::Process, cx.process.index(), full(Kind::Process))?;
    push("self", own, 0, 0)?;
    push("log", root(cx, Kind::DebugLog, 0, full(Kind::DebugLog))?, 0, 0)?;
    let control = root(cx, Kind::MessageControl, 0, full(Kind::MessageControl))?;
    push("message-control", control, 0, 0)?;
    push("machine", root(cx, Kind::Machine, 0, full(Kind::Machine))?, 0, 0)?;
    let bytes = arch::PHYSICAL_BYTES;
    let physical = range(cx, Kind::Physical, 0, bytes, full(Kind::Physical))?;
    push("physical", physical, bytes, 0)?;
    if arch::IO_PORTS != 0 {
        let ports = range(cx, Kind::IoPorts, 0, arch::IO_PORTS, full(Kind::IoPorts))?;
        push("ioports", ports, 0, arch::IO_PORTS)?;
    }
    if let Some(address) = loader::rsdp() {
        push("rsdp", Handle::NONE, address, 0)?;
    }
    for (start, end) in mm::ranges() {
        push("ram", Handle::NONE, end - start, start)?;
    }
    let readable = full(Kind::Memory).difference(Rights::WRITE);
    if let Some((address, bytes)) = device_tree {
        let size = bytes.next_multiple_of(PAGE_BYTES);
        push("dtb", range(cx, Kind::Memory, address, size, readable)?, bytes, 0)?;
    }
    for module in loader::modules() {
        let size = (module.bytes.len() as u64).next_multiple_of(PAGE_BYTES);
        let handle = range(cx, Kind::Memory, module.address, size, readable)?;
        let mut name = ModuleName { bytes: [0; NAME_BYTES], len: 0 };
        let _ = fmt::Write::write_fmt(&mut name, format_args!("module:{}", module.cmdline));
        push(name.text(), handle, module.bytes.len() as u64, 0)?;
    }
    Ok(())
}

/// `module:<command line>`, cut to what an entry holds.
struct ModuleName {
    bytes: [u8; NAME_BYTES],
    len: usize,
}

impl ModuleName {
    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("module:?")
    }
}

impl fmt::Write for ModuleName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let len = text.len().min(self.bytes.len() - self.len);
        self.bytes[self.len..self.len + len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}
