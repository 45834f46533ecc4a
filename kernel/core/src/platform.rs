//! What the core needs from the machine.

use tocsin_abi::{Error, Handle, Rights, Trigger};

/// A thread's saved registers.
pub trait Frame: Default {
    /// Sets the first result of the call that the thread is in.
    fn set_result(&self, value: u64);
    /// Sets values 0 to 3.
    fn set_values4(&self, values: [u64; 4]);
    /// Sets value `index` (0 to 5).
    fn set_value(&self, index: usize, value: u64);
    /// Makes the thread begin at `entry`.
    fn start(&self, entry: u64, stack: u64, argument: u64);
    /// Makes the thread issue the call it is in once more.
    fn restart(&self, number: u64, argument0: u64);
}

/// Which CPU events devices can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VectorSpace {
    /// Lowest number.
    pub first: u16,
    /// Highest number.
    pub last: u16,
    /// All CPUs have the same numbers, and an event can come on any CPU.
    pub is_shared: bool,
    /// Numbers that every CPU has for itself beside those (PPIs on aarch64), from the first to
    /// behind the last.
    pub private: (u16, u16),
    /// The one of them that is the kernel's; zero: none.
    pub own: u16,
}

impl VectorSpace {
    /// Whether each CPU has this number for itself. Zero is none.
    pub const fn is_private(&self, vector: u16) -> bool {
        vector != 0 && self.private.0 <= vector && vector < self.private.1
    }

    /// Whether a device can have it.
    pub const fn has(&self, vector: u16) -> bool {
        let in_range = self.first <= vector && vector <= self.last;
        in_range || self.is_private(vector) && vector != self.own
    }
}

/// The machine, as the core sees it.
pub trait Platform {
    /// Saved registers of a thread.
    type Frame: Frame + 'static;

    /// Counter ticks now. Never goes back; the same on every CPU.
    fn now(&self) -> u64;
    /// Ticks in so many nanoseconds, saturating.
    fn ticks(&self, ns: u64) -> u64;
    /// Nanoseconds in so many ticks.
    fn nanoseconds(&self, ticks: u64) -> u64;
    /// Asks for a timer interrupt on this CPU at `deadline` ticks; `u64::MAX`: none.
    fn arm_timer(&self, deadline: u64);
    /// Makes CPU `cpu` come into the kernel soon.
    fn poke(&self, cpu: usize);
    /// Makes CPU `cpu` leave user space and every address space, and waits for it.
    /// Only in an exclusive context.
    fn evict(&self, cpu: usize);

    /// A zeroed block of `pages` (a power of two) frames.
    fn alloc_frames(&self, pages: u64) -> Option<u64>;
    /// Gives a block back.
    fn free_frames(&self, address: u64, pages: u64);
    /// Bytes of free frames.
    fn free_bytes(&self) -> u64;

    /// Whether any of this range is RAM: then it is never mapped as a device's.
    fn is_ram(&self, address: u64, bytes: u64) -> bool;

    /// A new address space; `None` when out of frames.
    fn space_create(&self) -> Option<u64>;
    /// Frees up to `tables` tables of an address space in which nothing is mapped any
    /// more. Says whether that was all, the space itself included.
    fn space_shrink(&self, space: u64, tables: u64) -> bool;
    /// Table frames that mapping this range would take, or `AlreadyMapped`.
    ///
    /// # Errors
    /// `AlreadyMapped` when any page of the range is mapped.
    fn space_plan(&self, space: u64, address: u64, pages: u64) -> Result<u64, Error>;
    /// Maps a range that `space_plan` has accepted. Device memory is uncached.
    fn space_map(
        &self,
        space: u64,
        address: u64,
        physical: u64,
        pages: u64,
        protection: Rights,
        device: bool,
    );
    /// Unmaps a range on this CPU; others have been evicted.
    fn space_unmap(&self, space: u64, address: u64, pages: u64);

    /// Copies into user memory, all or nothing.
    ///
    /// # Errors
    /// `BadAddress` when part of it is not mapped writable.
    fn copy_to_user(&self, space: u64, address: u64, bytes: &[u8]) -> Result<(), Error>;
    /// Checks that user memory is mapped writable.
    ///
    /// # Errors
    /// `BadAddress` when part of it is not.
    fn check_user_writable(&self, space: u64, address: u64, bytes: u64) -> Result<(), Error>;
    /// Copies out of user memory.
    ///
    /// # Errors
    /// `BadAddress` when part of it is not mapped readable.
    fn copy_from_user(&self, space: u64, address: u64, bytes: &mut [u8]) -> Result<(), Error>;

    /// Copies words `4..count` from one IPC buffer (by physical address) to another.
    fn ipc_copy(&self, from: u64, to: u64, count: usize);
    /// Handle `index` that the sender put into its buffer, and the rights it keeps.
    fn ipc_handle(&self, buffer: u64, index: usize) -> (Handle, Rights);
    /// Puts handle `index` into a receiver's buffer.
    fn ipc_set_handle(&self, buffer: u64, index: usize, handle: Handle);

    /// Reads an I/O port.
    ///
    /// # Errors
    /// `NotSupported` on a machine without I/O ports.
    fn io_read(&self, port: u16, width: u64) -> Result<u64, Error>;
    /// Writes an I/O port.
    ///
    /// # Errors
    /// `NotSupported` on a machine without I/O ports.
    fn io_write(&self, port: u16, width: u64, value: u64) -> Result<(), Error>;
    /// Writes the kernel's log to where a person sees it before there are servers.
    fn early_print(&self, text: &[u8]);
    /// The numbers of CPU events that devices can have.
    fn vector_space(&self) -> VectorSpace;
    /// Where in the vector table an event on `cpu` is; past its end for a number that no
    /// device can have. The interrupt path asks this each time.
    fn vector_place(&self, cpu: usize, vector: u16) -> usize;
    /// Whether events of this vector can be level triggered.
    ///
    /// # Errors
    /// `NotSupported` where none can, `BadArgument` where others can.
    fn check_level(&self, vector: u16) -> Result<(), Error>;
    /// Lets the interrupt controller raise a vector again that it holds back since a CPU took
    /// it, which is `cpu` for a private one. Only for what `Kernel::held_event` was told of, and once.
    fn complete(&self, cpu: usize, vector: u16);
    /// Lets a private vector of a CPU come, edge or level, or no more. When it returns after
    /// the latter, the interrupt controller raises no new one.
    fn set_private(&self, cpu: usize, vector: u16, comes: Option<Trigger>);
    /// Powers the machine off; returns where nothing does that.
    fn machine_end(&self, success: bool);
    /// What a remapper calls CPU `cpu`.
    fn cpu_hardware_id(&self, cpu: usize) -> u64;
}
