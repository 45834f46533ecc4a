//! What a driver or server of Tocsin is written with.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`sys`] | one stub per system call, made from the ABI's table |
//! | [`object`] | owned handles: drop closes |
//! | [`map`] | memory and device registers in this address space, bounds-checked |
//! | [`ipc`], [`server`] | calling and serving endpoints |
//! | [`print`](mod@print) | `println!` to the console server |
//! | [`pci`] | a driver's device: BARs, configuration space, DMA memory |
//! | [`store`] | where a device keeps its messages: the trait, its checks, the ready stores |
//! | [`interrupt`] | [`Interrupt`](interrupt::Interrupt): slot, message and binding, owned |
//! | [`wire`] | [`Wire`](wire::Wire): a line, owned |
//! | [`wait`] | waiting on ports, plainly or `async` |
//! | [`driver`] | one error type for a driver |
//! | [`thread`] | more threads |
//! | [`spawn`], [`elf`] | starting other programs |
//!
//! A program is `libsys::entry!(main)` and `fn main(env: &'static Startup) -> u64`; see
//! `guide/driver.md`.
//!
//! On the host (`cargo test`) everything is the same except below [`arch`], where a model
//! of the kernel (`fake`) takes the place of the machine.
#![no_std]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

mod arch;
pub mod driver;
pub mod elf;
pub mod input;
pub mod interrupt;
pub mod ipc;
pub mod map;
pub mod object;
pub mod pci;
pub mod print;
pub mod server;
pub mod spawn;
pub mod startup;
pub mod store;
pub mod sys;
pub mod thread;
pub mod wait;
pub mod wire;

#[cfg(target_os = "none")]
pub mod heap;
#[cfg(target_os = "none")]
mod runtime;

#[cfg(not(target_os = "none"))]
pub mod fake;

pub use tocsin_abi as abi;
pub use tocsin_proto as proto;

pub use abi::startup::Startup;
pub use abi::{Error, Handle, Packet, PacketKind, Rights};

pub use startup::exit;

/// How to write a driver.
#[doc = include_str!("../guide/driver.md")]
pub mod guide {}
