//! `cargo xtask check`: rules that the compiler cannot check.

mod dependencies;
mod invariants;
mod sources;

use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path from the root of the tree, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// Runs every check; `false` if one found something.
pub fn run(workspace: &Workspace) -> Result<bool> {
    let root = workspace.source(".");
    let rust = sources(&root, "rs")?;
    // A check of nothing would find nothing.
    ensure!(!rust.is_empty(), "no Rust source below {}", root.display());
    let mut found = Vec::new();
    found.extend(sources::check(&rust));
    found.extend(invariants::check(workspace, &rust)?);
    found.extend(crate::syscalls::check(workspace));
    found.extend(dependencies::check(workspace, &sources(&root, "toml")?)?);
    for problem in &found {
        println!("{problem}");
    }
    println!("check: {} Rust files, {} problems", rust.len(), found.len());
    Ok(found.is_empty())
}

/// Every file below `root` with this extension, in order.
fn sources(root: &Path, extension: &str) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    walk(root, &mut paths).context("cannot read the tree")?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let path = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            Ok(Source { path, text })
        })
        .collect()
}

fn walk(dir: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Hidden folders hold no sources of ours; `target` is what cargo made.
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            walk(&path, paths)?;
        } else if path.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}
