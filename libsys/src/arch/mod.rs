//! What libsys needs of a machine; the only folder that knows which one it is.
//!
//! An architecture supplies, in a file of its own:
//!
//! | item | contract |
//! | --- | --- |
//! | `syscall0` … `syscall6` | one system call with so many arguments; returns the result register and values 0 to 5; every register that the ABI does not preserve is declared clobbered, memory too |
//! | `ipc_buffer()` | address of the calling thread's IPC buffer, found from the stack pointer (`STACK_BLOCK_BYTES`) |
//! | `map()`, `unmap()` | a part of a memory object or physical range at a free address |
//! | `map_stack()` | a stack at the end of a free stack block |
//! | `ordering()` | no memory access moves across it, as devices see them |
//! | `thread_entry()` | address where a thread made by `thread::spawn` starts |
//! | `ELF_MACHINE` | `e_machine` of its programs |
//! | `_start` | calls `runtime::start` with the startup page on an aligned stack |
//!
//! On the host there is no machine: `fake` supplies the same items over its model.

#[cfg(target_os = "none")]
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod machine;
#[cfg(target_os = "none")]
mod space;

#[cfg(not(target_os = "none"))]
use crate::fake::machine;

pub(crate) use machine::{
    ELF_MACHINE, ipc_buffer, map, map_stack, ordering, syscall0, syscall1, syscall2, syscall3,
    syscall4, syscall5, syscall6, thread_entry, unmap,
};
