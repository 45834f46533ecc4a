//! Scenarios: what `ci/scenarios.toml` says, the variants it makes, and what their guests printed.

pub mod config;
pub mod judge;
pub mod serial;
pub mod variant;

pub use config::Config;
pub use variant::{Boot, Variant, expand};
