//! The system manifest: TOML in `boot/`, postcard on the machine.

use crate::workspace::Workspace;
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tocsin_manifest::{Manifest, SourceError, from_toml, quirks_from_toml};

/// The manifest that `run` boots.
pub const DEFAULT: &str = "default";

/// The manifest `name`: `boot/manifest.toml`, or `boot/manifests/<name>.toml`, with `boot/quirks.toml`.
pub fn read(workspace: &Workspace, name: &str) -> Result<Manifest> {
    let path = match name {
        DEFAULT => workspace.source("boot/manifest.toml"),
        _ => workspace.source(format!("boot/manifests/{name}.toml")),
    };
    let quirks = parse(workspace, &workspace.source("boot/quirks.toml"), quirks_from_toml)?;
    parse(workspace, &path, |text| from_toml(text, quirks))
}

/// Reads a file; its name is part of what is wrong with it.
fn parse<T>(
    workspace: &Workspace,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, SourceError>,
) -> Result<T> {
    let shown = workspace.shown(path);
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    parse(&text).map_err(|error| anyhow!("{shown}: {error}"))
}

/// Adds words to the arguments of programs; `name` is the manifest's.
pub fn add_args(
    manifest: &mut Manifest,
    name: &str,
    args: &BTreeMap<String, String>,
) -> Result<()> {
    for (wanted, words) in args {
        let drivers = manifest.drivers.iter_mut().map(|driver| &mut driver.program);
        let mut programs = manifest.servers.iter_mut().chain(drivers);
        let program = programs.find(|program| program.name == *wanted);
        let program =
            program.with_context(|| format!("manifest {name} has no program `{wanted}`"))?;
        program.args = format!("{} {words}", program.args).trim().into();
    }
    Ok(())
}

/// `manifest` as `init` reads it.
pub fn compile(manifest: &Manifest) -> Result<Vec<u8>> {
    manifest.to_bytes().map_err(|error| anyhow!("the manifest cannot be compiled: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_added_to_who_is_there() {
        let workspace = Workspace::find().expect("the tree");
        let mut manifest = read(&workspace, DEFAULT).expect("it is good");
        let args = |name: &str| BTreeMap::from([(name.to_string(), "rows".to_string())]);
        add_args(&mut manifest, DEFAULT, &args("inspect")).expect("it is there");
        add_args(&mut manifest, DEFAULT, &args("demo")).expect("it is there");
        let of = |name: &str| manifest.program(name).map(|program| program.args.clone());
        assert_eq!(of("inspect").as_deref(), Some("rows"));
        assert_eq!(of("demo").as_deref(), Some("edu lsi rows"));
        let why = add_args(&mut manifest, DEFAULT, &args("nobody")).expect_err("not there");
        assert_eq!(why.to_string(), "manifest default has no program `nobody`");
    }

    #[test]
    fn every_committed_manifest_compiles() {
        let workspace = Workspace::find().expect("the tree");
        let mut names = vec![DEFAULT.to_string()];
        for entry in fs::read_dir(workspace.source("boot/manifests")).expect("the folder") {
            let path = entry.expect("an entry").path();
            names.push(path.file_stem().expect("a name").to_string_lossy().into_owned());
        }
        assert!(names.len() > 1);
        for name in names {
            let manifest = read(&workspace, &name).expect("it is good");
            let bytes = compile(&manifest).expect("it compiles");
            assert_eq!(Manifest::from_bytes(&bytes).ok(), Some(manifest), "{name}");
        }
    }
}
