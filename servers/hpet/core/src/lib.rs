//! An HPET (IA-PC HPET specification 1.0a) without hardware: what its registers mean, how a
//! comparator is armed, and how all of them are made silent whoever used them before.
//!
//! `hpet` drives the block by it; `init` silences the block by it when that driver has died.
#![no_std]
#![forbid(unsafe_code)]

mod block;
mod registers;

pub use block::{ArmError, Block, BlockError, HpetRegisters, Silenced, silence};
pub use registers::{Capabilities, Malformed, TimerConfiguration, timer};
