//! The domain tree, out of the rows that an interrupt server describes itself with.
//!
//! * [`tree`]: rows put in order: server, clients, stores, messages; refused unless whole
//! * [`sums`]: what a branch adds up to
//! * [`ranges`], [`names`]: many numbers, and ids, for people
//! * [`text`]: the tree as text, many messages in few lines
//! * [`line`]: rows as lines of a serial port, for `cargo xtask inspect`
//!
//! The program in the guest and the tool on the host use the same code, so that they count
//! the same.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod line;
pub mod names;
pub mod ranges;
pub mod sums;
pub mod text;
pub mod tree;

#[cfg(any(test, feature = "samples"))]
pub mod samples;

pub use sums::Sums;
pub use tree::{Client, Problem, Store, Tree};
