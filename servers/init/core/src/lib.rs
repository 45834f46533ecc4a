//! What `init` decides, without a system call: whether a boot module is intact, and which
//! physical ranges the servers may have. (Which parts of a program go where is
//! `libsys::elf`, which the tests' loader shares.)
//!
//! All of it runs under plain `cargo test`. The binary binds it to the machine.
#![no_std]
#![forbid(unsafe_code)]

pub mod gic;
pub mod module;
pub mod windows;
