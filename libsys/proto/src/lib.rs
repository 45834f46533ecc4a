//! The IPC protocols of Tocsin's servers.
//!
//! One module per server. Each request is a struct that implements [`Operation`]: it knows
//! its label, its reply, its server's errors, and how it looks as IPC words. A server
//! decodes into its module's `Request` enum; a client sends the struct and gets the reply's
//! type back (`libsys::ipc::ask`). Every decode is total and strict: any words from anybody
//! give a value or a [`DecodeError`], never a panic, and a value that decodes encodes to
//! the same words again.
//!
//! | module | server | badge of the caller |
//! | --- | --- | --- |
//! | [`interrupt`] | interrupt | requester id, or'ed with `CLIENT` |
//! | [`pci`] | pci | zero: init; requester id, or'ed with `CLIENT`: that device's driver |
//! | [`console`] | console | whatever init gave, names the program |
//! | [`inspect`] | inspect | whatever init gave, names the program |
//! | [`report`] | demo | whatever init gave, names the program |
//!
//! A reply with label 0 is a success; any other label is the protocol's error code.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod badge;
pub mod console;
pub mod inspect;
pub mod interrupt;
pub mod pci;
pub mod report;
pub mod store;
pub mod text;
pub mod wire;

#[cfg(test)]
mod tests;

pub use store::StoreKind;
pub use text::{ProgramName, TEXT_BYTES, Text};
pub use wire::{DecodeError, ErrorCode, Frame, Nothing, Operation, Refusal, Reply, Words};
