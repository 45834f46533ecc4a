//! The system manifest: which programs run, and what each of them may touch.
//!
//! One TOML file (`boot/manifest.toml`) names the servers and drivers, their budgets and places, and every capability that
//! they get. Nothing else grants authority: `init` holds everything, reads the manifest, hands out exactly what it says,
//! and starts nothing that it does not name.
//!
//! On the host `from_toml` (feature `std`) reads the file and `Manifest::to_bytes` turns it into the boot module
//! `manifest`; on the target [`Manifest::from_bytes`] reads that again. Both check the same rules ([`Manifest::problems`]),
//! because a module is input like any other.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod check;
mod grant;
mod model;
mod problem;
#[cfg(feature = "std")]
mod source;
mod wire;

pub use grant::{BadGrant, Grant};
pub use model::{DeviceMatch, Driver, InterruptPolicy, Manifest, Program, System};
pub use problem::{Invalid, Problem};
#[cfg(feature = "std")]
pub use source::{SourceError, from_toml};
pub use wire::{MAGIC, WireError};
