//! The system manifest: TOML in `boot/`, postcard on the machine.

use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

/// The manifest that `run` boots.
pub const DEFAULT: &str = "default";

/// Where the manifest `name` is: `boot/manifest.toml` or `boot/manifests/<name>.toml`.
pub fn path(workspace: &Workspace, name: &str) -> PathBuf {
    match name {
        DEFAULT => workspace.source("boot/manifest.toml"),
        _ => workspace.source(format!("boot/manifests/{name}.toml")),
    }
}

/// The text of the manifest `name`.
pub fn read(workspace: &Workspace, name: &str) -> Result<String> {
    let path = path(workspace, name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", workspace.shown(&path)))
}

/// The manifest `name`, compiled for the machine.
pub fn compile(workspace: &Workspace, name: &str) -> Result<Vec<u8>> {
    Ok(read(workspace, name)?.into_bytes())
}
