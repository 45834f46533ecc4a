//! Starting a program in a process of its own: segments, stack, startup page, first
//! thread.
//!
//! Used by `init` for every server and by `testd` for its victims. The order is fixed:
//! the process is made empty, its memory is filled through the spawner's own mapping and
//! then mapped over there with the segment's protection only, capabilities are granted
//! and named on the startup page, and at the very end the thread is started. A step that
//! fails drops the half-made process, which takes everything back.

use alloc::boxed::Box;
use alloc::vec::Vec;
use tocsin_abi::limits::{PAGE_BYTES, STACK_BLOCK_BYTES};
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights};

use crate::elf::{ElfError, Image, Segment};
use crate::map::Mapping;
use crate::sys;

/// Where the startup page of every program is mapped.
pub const STARTUP_ADDRESS: u64 = 0x20_0000;
/// The stack block of a program's first thread: IPC buffer page, guard, stack.
pub const STACK_BLOCK: u64 = 0x7f_0000_0000;
/// Bytes of a first thread's stack.
pub const STACK_BYTES: u64 = 32 * 1024;

/// Why a program could not be started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpawnError {
    /// The file is not a program.
    Elf(ElfError),
    /// The kernel refused a step.
    System(Error),
    /// More capabilities than the startup page has entries, or a name too long.
    PageFull,
}

impl From<Error> for SpawnError {
    fn from(error: Error) -> Self {
        SpawnError::System(error)
    }
}

/// Where and how urgently the first thread runs.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Fixed priority, at most the spawner's own.
    pub priority: u8,
    /// CPU that the thread stays on.
    pub cpu: u8,
}

/// A process under construction.
#[must_use = "a spawner that is dropped kills its process"]
pub struct Spawner {
    process: Child,
    entry: u64,
    page: Box<Startup>,
}

/// A process that was started. Dropping it kills the process; [`Child::leak`] keeps it.
#[must_use = "a child that is dropped is killed"]
pub struct Child {
    process: Handle,
    thread: Handle,
    /// Its segments, stack and startup page: the mappings over there live as long as
    /// these handles.
    memories: Vec<Handle>,
}

impl Spawner {
    /// Makes an empty process with `budget_bytes` of kernel memory and loads `file`.
    /// `env` is the spawner's own startup page: the new one says the same of the machine.
    ///
    /// # Errors
    /// The file is no program, or the kernel refused memory or a mapping.
    pub fn new(env: &Startup, file: &[u8], budget_bytes: u64) -> Result<Spawner, SpawnError> {
        let image = Image::parse(file).map_err(SpawnError::Elf)?;
        let mut spawner = Spawner::empty(env, budget_bytes)?;
        for segment in &image.segments {
            spawner.load(file, segment)?;
        }
        spawner.entry = image.entry;
        Ok(spawner)
    }

    /// Makes a process with nothing in its address space.
    ///
    /// # Errors
    /// `NoMemory` or `NoHandles`, as the kernel says.
    pub fn empty(env: &Startup, budget_bytes: u64) -> Result<Spawner, SpawnError> {
        let handle = Handle(sys::process_create(budget_bytes)?.result as u32);
        let process = Child { process: handle, thread: Handle::NONE, memories: Vec::new() };
        let page = Box::new(Startup::empty(env.cpus, env.ticks_per_second));
        Ok(Spawner { process, entry: 0, page })
    }

    /// The process, for calls that this type does not wrap.
    #[must_use]
    pub fn process(&self) -> Handle {
        self.process.process
    }

    /// Sets the argument text.
    pub fn args(&mut self, text: &str) -> &mut Self {
        self.page.set_args(text);
        self
    }

    /// Gives the process a capability and names it on its startup page.
    ///
    /// # Errors
    /// The kernel refused the grant, or the page is full.
    pub fn grant(
        &mut self,
        name: &str,
        handle: Handle,
        rights: Rights,
        badge: u64,
    ) -> Result<Handle, SpawnError> {
        self.grant_with(name, handle, rights, badge, (0, 0))
    }

    /// As [`Spawner::grant`], with the two values of the entry.
    ///
    /// # Errors
    /// The kernel refused the grant, or the page is full.
    pub fn grant_with(
        &mut self,
        name: &str,
        handle: Handle,
        rights: Rights,
        badge: u64,
        values: (u64, u64),
    ) -> Result<Handle, SpawnError> {
        let over_there = sys::process_grant(self.process.process, handle, rights, badge)?.result;
        let over_there = Handle(over_there as u32);
        if self.page.push(name, over_there, values.0, values.1) {
            Ok(over_there)
        } else {
            Err(SpawnError::PageFull)
        }
    }

    /// Names a value that is no capability.
    ///
    /// # Errors
    /// The page is full.
    pub fn value(&mut self, name: &str, value: u64, value2: u64) -> Result<(), SpawnError> {
        let pushed = self.page.push(name, Handle::NONE, value, value2);
        if pushed { Ok(()) } else { Err(SpawnError::PageFull) }
    }

    /// Maps the stack and the startup page and lets the first thread run.
    ///
    /// # Errors
    /// The kernel refused memory, a mapping or the thread.
    pub fn start(mut self, placement: Placement) -> Result<Child, SpawnError> {
        let end = STACK_BLOCK + STACK_BLOCK_BYTES;
        let stack = self.memory(STACK_BYTES)?;
        self.map(stack, end - STACK_BYTES, STACK_BYTES, Rights::READ | Rights::WRITE)?;
        let page = self.memory(PAGE_BYTES)?;
        Mapping::new(page, 0, PAGE_BYTES, Rights::READ | Rights::WRITE)?.write_startup(&self.page);
        self.map(page, STARTUP_ADDRESS, PAGE_BYTES, Rights::READ)?;
        // As after a `call`: the System V ABI wants rsp + 8 to be a multiple of 16 at a
        // function's first instruction, and the stack pointer must lie inside its block.
        let stack_pointer = end - 8;
        let placement = u64::from(placement.priority) | u64::from(placement.cpu) << 8;
        let thread = sys::thread_create(
            self.process.process,
            self.entry,
            stack_pointer,
            STARTUP_ADDRESS,
            placement,
            STACK_BLOCK,
        )?;
        self.process.thread = Handle(thread.result as u32);
        sys::thread_start(self.process.thread)?;
        Ok(self.process)
    }

    /// Fills the pages of one segment and maps them with its protection.
    fn load(&mut self, file: &[u8], segment: &Segment) -> Result<(), SpawnError> {
        let memory = self.memory(segment.size_bytes)?;
        let (from, bytes) = (segment.file_offset as usize, segment.file_bytes as usize);
        let contents = file.get(from..from + bytes).ok_or(SpawnError::Elf(ElfError::BadSegment))?;
        let window = Mapping::new(memory, 0, segment.size_bytes, Rights::READ | Rights::WRITE)?;
        window.copy_from(segment.skip_bytes, contents);
        drop(window);
        self.map(memory, segment.address, segment.size_bytes, segment.protection)
    }

    /// Makes memory that lives as long as the process.
    fn memory(&mut self, size_bytes: u64) -> Result<Handle, SpawnError> {
        let memory = Handle(sys::memory_create(size_bytes)?.result as u32);
        self.process.memories.push(memory);
        Ok(memory)
    }

    /// Maps memory into the process.
    fn map(&self, memory: Handle, address: u64, size: u64, how: Rights) -> Result<(), SpawnError> {
        sys::memory_map(self.process.process, memory, address, 0, size, how)?;
        Ok(())
    }
}

impl Child {
    /// The process.
    #[must_use]
    pub fn process(&self) -> Handle {
        self.process
    }

    /// Its first thread.
    #[must_use]
    pub fn thread(&self) -> Handle {
        self.thread
    }

    /// Asks for a `Death` packet under `key`.
    ///
    /// # Errors
    /// As `process_bind`.
    pub fn bind(&self, port: Handle, key: u64) -> Result<(), Error> {
        sys::process_bind(self.process, port, key).map(|_| ())
    }

    /// Lets the process live on for as long as this one does.
    pub fn leak(self) {
        core::mem::forget(self);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be dead already, and a thread may never have been made: both are fine.
        let _ = sys::process_kill(self.process);
        if !self.thread.is_none() {
            let _ = sys::handle_close(self.thread);
        }
        for memory in self.memories.drain(..) {
            let _ = sys::handle_close(memory);
        }
        let _ = sys::handle_close(self.process);
    }
}
