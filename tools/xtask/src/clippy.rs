//! `cargo xtask clippy`: the crates that `cargo clippy` on the host cannot reach.

use crate::build::bare_crates;
use crate::command;
use crate::setup::Setup;
use crate::setup::compiler::Compiler;
use crate::ui::say;
use anyhow::Result;

/// Runs clippy on the bare-metal crates, warnings denied.
pub fn run(setup: &Setup) -> Result<bool> {
    let compiler = Compiler::find(setup)?;
    say(format!("clippy on the bare-metal crates ({})", compiler.description()));
    let mut clippy = compiler.clippy(setup)?;
    for bare in bare_crates(setup)? {
        clippy.args(["-p", &bare.package]);
    }
    command::run(clippy.args(["--", "-D", "warnings"]), "clippy")?;
    Ok(true)
}
