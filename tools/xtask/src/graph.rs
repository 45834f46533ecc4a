//! `cargo xtask graph`: the authority that a manifest grants.

use crate::cli::GraphOptions;
use crate::workspace::Workspace;
use anyhow::Result;

pub fn run(_workspace: &Workspace, _options: &GraphOptions) -> Result<bool> {
    anyhow::bail!("not yet")
}
