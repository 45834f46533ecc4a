//! What this server asks of a CPU beyond system calls.
//!
//! | item | contract |
//! | --- | --- |
//! | `write_back(address)` | the cache line that holds `address`, which is mapped, is in memory for devices that do not snoop when this returns |
//! | `writes_128()` | whether this CPU can write 128 bits so that nobody sees half of it |
//! | `write_128(address, value)` | does it, where it can |
//! | `publish()` | whatever was written to memory before is seen by every device before it sees a register write that comes after |

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod machine;

pub use machine::{publish, write_128, write_back, writes_128};
