//! The counter of instructions.
//!
//! An architecture supplies:
//!
//! | item | contract |
//! | --- | --- |
//! | `may_count()` | why this program can not read the counter, if so |
//! | `counter()` | the counter; under `-icount shift=0` it advances by one for each instruction |
//! | `spin(iterations)` | executes so many times [`PER_ITERATION`] instructions that depend on nothing |

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod machine;

pub use machine::{counter, may_count, spin};

/// Instructions of one iteration of `spin`: 98 times `nop`, then count and branch.
pub const PER_ITERATION: u64 = 100;
