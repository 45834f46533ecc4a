//! What an NVMe controller is told and what it answers, without hardware (NVM Express Base
//! Specification 1.4; section numbers are that revision's).
//!
//! | module | what |
//! | --- | --- |
//! | [`registers`] | offsets, capabilities, configuration, doorbells |
//! | [`command`] | the submission queue entries that the driver sends |
//! | [`completion`] | what comes back, and where in the ring the next one is |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod command;
pub mod completion;
pub mod registers;

pub use command::Command;
pub use completion::{Completion, Ring};
