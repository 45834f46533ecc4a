//! `cargo xtask clippy`: the crates that `cargo clippy` on the host cannot reach.

use crate::arch::Arch;
use crate::build::bare_crates;
use crate::cli::ClippyOptions;
use crate::command;
use crate::setup::Setup;
use crate::setup::compiler::Compiler;
use crate::ui::say;
use anyhow::Result;

/// Runs clippy on the bare-metal crates, warnings denied, for one architecture or for each.
pub fn run(setup: &Setup, options: &ClippyOptions) -> Result<bool> {
    let crates = bare_crates(setup)?;
    for arch in Arch::ALL {
        if options.arch.is_some_and(|chosen| chosen != arch) {
            continue;
        }
        let compiler = Compiler::find(setup, arch)?;
        say(format!("clippy on the bare-metal crates ({arch}, {})", compiler.description()));
        let mut clippy = compiler.clippy(setup)?;
        for bare in &crates {
            clippy.args(["-p", &bare.package]);
        }
        clippy.args(["--", "-D", "warnings"]);
        command::run(&mut clippy, &format!("clippy for {arch}"))?;
    }
    Ok(true)
}
