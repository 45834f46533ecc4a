//! Scenarios: what `ci/scenarios.toml` says, the variants it makes, and what their guests printed.

mod board;
pub mod config;
pub mod input;
pub mod judge;
mod only;
pub mod serial;
pub mod tree;
pub mod variant;

pub use config::Config;
pub use variant::{Boot, Variant, expand, expand_on};
