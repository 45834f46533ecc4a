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

use crate::arch::Arch;
use crate::workspace::Workspace;
use anyhow::Result;

/// `cargo xtask machines`: what `--machine` can name, and what each is.
pub fn machines(workspace: &Workspace) -> Result<bool> {
    let config = Config::read(workspace)?;
    for arch in Arch::ALL {
        for name in config.machines_of(arch) {
            let runs_on = |scenario: &&config::Scenario| {
                scenario.machine.as_slice().iter().any(|machine| machine == name)
            };
            let scenarios = config.scenarios().iter().filter(runs_on).count();
            let about = config.board(name)?.about();
            println!("{name:16} {arch:8} {scenarios:3} scenarios  {about}");
        }
    }
    Ok(true)
}
