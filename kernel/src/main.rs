//! The Tocsin kernel.
//!
//! What it decides is in `kernel-core`, without hardware. Here is the machine: start-up
//! (`boot`), frames and address spaces (`mm`), the CPU (`arch`), who may be inside the
//! kernel (`sync`), and the two ways in (`syscall`, `irq`).
#![no_std]
#![no_main]

mod arch;
mod boot;
mod fatal;
mod irq;
mod machine;
mod mm;
mod state;
mod sync;
mod syscall;
