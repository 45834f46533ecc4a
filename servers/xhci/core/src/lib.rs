//! An xHCI host controller as far as its interrupters go: registers, and the one structure in
//! memory that they need.
//!
//! *xHCI* is eXtensible Host Controller Interface for USB, revision 1.2.
#![no_std]
#![forbid(unsafe_code)]

pub mod registers;
mod ring;

pub use registers::{Capabilities, NotAController};
pub use ring::{RingError, Segment};
