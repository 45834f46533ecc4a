//! What the console decides, without hardware: which bytes belong together ([`Lines`]),
//! what was typed ([`Input`]),
//! and how to talk to a UART and how long to wait for it ([`Uart`], [`Pl011`]).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod input;
mod lines;
mod pl011;
mod uart;
mod wait;

pub use input::{INPUT_BYTES, INPUT_LINES, Input};
pub use lines::{LINE_BYTES, Lines, WRITERS};
pub use pl011::{Pl011, Pl011Registers, Variant};
pub use uart::{Registers, Uart};
pub use wait::{Clock, UartState};
