//! The system-call ABI of Tocsin, declared once.
//!
//! Kernel and `libsys` share this crate and nothing else, so a number, a right or a
//! layout can not differ between them. [`syscall`] holds the table of calls; the user
//! stubs, the kernel's dispatch numbers, the trace names and the reference page are
//! derived from it.
//!
//! # Registers (x86_64)
//!
//! | register | in | out |
//! | --- | --- | --- |
//! | `rax` | call number | first result (`>= 0`) or negated [`Error`] (`< 0`) |
//! | `rdi rsi rdx r10 r8 r9` | arguments 0 to 5 | values 0 to 5 |
//! | `rcx r11` | | destroyed by `syscall` itself |
//!
//! Callee-saved registers (`rbx rbp r12..r15 rsp`) survive; nothing else does.
//!
//! # Registers (aarch64, `svc #0`)
//!
//! | register | in | out |
//! | --- | --- | --- |
//! | `x8` | call number | first result (`>= 0`) or negated [`Error`] (`< 0`) |
//! | `x0` to `x5` | arguments 0 to 5 | values 0 to 5 |
//! | `x6 x7 x9`…`x18`, flags | | destroyed |
//!
//! `x19` to `x30` and `sp` survive.
//!
//! A call that fails has changed nothing, unless its own page says otherwise.
#![no_std]
#![forbid(unsafe_code)]

pub mod error;
pub mod ipc;
pub mod limits;
pub mod message;
pub mod packet;
pub mod rights;
pub mod startup;
pub mod syscall;

pub use error::Error;
pub use ipc::{IpcBuffer, Tag};
pub use message::{MessageState, MessageStatus, Trigger};
pub use packet::{Packet, PacketKind};
pub use rights::{Kind, Rights};
pub use syscall::Syscall;

/// A process's name for a capability: an index into its handle table and the
/// generation of that slot, so that a handle closed long ago is not somebody else's
/// today. Zero is never a handle; several calls read it as "myself".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Handle(pub u32);

impl Handle {
    /// "No handle", or "the calling process" where a call says so.
    pub const NONE: Handle = Handle(0);
    /// Bits of a handle that index the table; the others are the generation.
    pub const INDEX_BITS: u32 = 18;
    /// Generations that a handle tells apart.
    pub const GENERATION_MASK: u32 = (1 << (32 - Self::INDEX_BITS)) - 1;

    /// The handle for `index` in its `generation` (its low bits).
    #[must_use]
    pub const fn new(index: u32, generation: u32) -> Self {
        Handle(generation << Self::INDEX_BITS | index & ((1 << Self::INDEX_BITS) - 1))
    }

    /// Index into the handle table.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & ((1 << Self::INDEX_BITS) - 1)) as usize
    }

    /// Generation of the slot this handle was made for.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.0 >> Self::INDEX_BITS
    }

    /// True for [`Handle::NONE`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}
