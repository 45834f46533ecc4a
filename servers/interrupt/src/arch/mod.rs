//! The one thing that this server asks of a CPU beyond system calls.
//!
//! | item | contract |
//! | --- | --- |
//! | `write_back(address)` | the cache line that holds `address`, which is mapped, is in memory for devices that do not snoop when this returns |

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
mod machine;

pub use machine::write_back;
