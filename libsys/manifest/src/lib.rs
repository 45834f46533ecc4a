//! The system manifest: which programs run, and what each of them may touch.
//!
//! One TOML file (`boot/manifest.toml`) names the servers and drivers, their budgets and places, and every capability that
//! they get. Nothing else grants authority: `init` holds everything, reads the manifest, hands out exactly what it says,
//! and starts nothing that it does not name.
//!
//! Beside it a second file (`boot/quirks.toml`) says where devices differ from what firmware says of them, and where the
//! interrupt pins of boards lead whose firmware says it in AML only, once for all manifests.
//!
//! On the host `from_toml` (feature `std`) reads the files and `Manifest::to_bytes` turns it into the boot module
//! `manifest`; on the target [`Manifest::from_bytes`] reads that again. Both check the same rules ([`Manifest::problems`]),
//! because a module is input like any other.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod check;
mod grant;
mod model;
mod pins;
mod problem;
#[cfg(feature = "std")]
mod source;
mod wire;

pub use grant::{BadGrant, COM1, Grant};
pub use model::{
    DeviceKind, DeviceMatch, Driver, InterruptPolicy, Manifest, Program, Quirk, System,
};
pub use pins::{BoardIds, PinController, PinPolarity, PinTable, PinTrigger, PinTurn, Slots};
pub use problem::{Invalid, Problem};
#[cfg(feature = "std")]
pub use source::{Quirks, SourceError, from_toml, quirks_from_toml};
pub use wire::{MAGIC, WireError};
