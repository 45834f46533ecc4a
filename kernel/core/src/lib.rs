//! The kernel's objects and everything that happens to them, without hardware.
//!
//! All state lives in [`Kernel`]: arenas of objects whose fields are `Cell`s, linked by
//! typed indices. There is no lock and no unsafe code here. What needs the machine
//! (registers, page tables, frames, other CPUs) is behind [`Platform`], so the whole
//! crate runs on the host under `cargo test`.
//!
//! # Two ways in
//!
//! Every operation gets a [`Cx`]: the CPU it runs on and whether it has the kernel to
//! itself. An operation in a *local* context touches only what is homed on its own CPU
//! and never changes handles; when it finds that it must, it answers
//! [`Stop::Escalate`] before it has changed anything, and is run again in an
//! *exclusive* context, in which no other CPU is inside the kernel.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod arena;
pub mod asids;
pub mod budget;
pub mod caps;
pub mod clock;
pub mod cpu;
pub mod create;
pub mod drain;
pub mod fast;
pub mod ipc;
pub mod kernel;
pub mod level;
pub mod log;
pub mod memory;
pub mod message;
pub mod objects;
pub mod platform;
pub mod port;
pub mod process;
pub mod sched;
pub mod slot;
pub mod stage1;
pub mod thread;
pub mod vectors;

#[cfg(test)]
mod tests;

pub use arena::{Arena, Id, Item};
pub use kernel::{Cx, Kernel, Stop};
pub use platform::{Frame, Platform, VectorSpace};
