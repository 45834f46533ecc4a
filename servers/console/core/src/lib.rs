//! What the console decides, without hardware: which bytes belong together ([`Lines`]),
//! and how long to wait for a UART ([`Uart`]).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod lines;
mod uart;

pub use lines::{LINE_BYTES, Lines, WRITERS};
pub use uart::{Registers, Uart, UartState};
