//! What an architecture supplies; the only place that chooses between them.
//!
//! | item | meaning |
//! | --- | --- |
//! | `MACHINE` | which kernel files it runs |
//! | `REACH` | which addresses the stub may use; the memory there is mapped at its physical address |
//! | `DIRECT_MAP` | where the kernel sees physical memory |
//! | `read_input` | reads what the firmware passes |
//! | `console` | where to write lines for people; silent where there is none |
//! | `fail` | writes the last line, and ends |
//! | `AddressSpace` | the kernel's first address space: `frames` bounds its tables, `build` fills them |
//! | `enter` | makes the kernel's memory visible to all processors, sets the state of the protocol, jumps |
//!
//! Each has its own entry code, which ends in `crate::run`.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
