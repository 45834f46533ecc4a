//! Building the bare-metal programs: kernel, boot stub and every server.

use crate::arch::Arch;
use crate::command;
use crate::elf;
use crate::setup::Setup;
use crate::setup::compiler::{Compiler, cargo};
use crate::ui::say;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How the programs are optimised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    Release,
    Debug,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Release => "release",
            Self::Debug => "debug",
        })
    }
}

/// What a build produced, without debug sections (those stay in `target/bare`).
pub struct Programs {
    pub kernel: PathBuf,
    /// What `qemu -kernel` takes: an ELF file on x86_64 (PVH), a raw Linux `Image` on aarch64.
    pub stub: PathBuf,
    servers: BTreeMap<String, PathBuf>,
}

impl Programs {
    /// The program of the server called `name`.
    pub fn server(&self, name: &str) -> Result<&Path> {
        let known = || self.servers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.servers.get(name) {
            Some(path) => Ok(path),
            None => bail!("there is no server `{name}`; there are: {}", known()),
        }
    }
}

/// A crate with a bare-metal program.
pub struct BareCrate {
    pub package: String,
    binary: String,
}

/// The crates that build for bare metal only: the kernel, the stub, and `server-*`.
pub fn bare_crates(setup: &Setup) -> Result<Vec<BareCrate>> {
    let mut command = Command::new(cargo());
    command.current_dir(setup.workspace.source("."));
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    // Only standard output is JSON: leave standard error to the user.
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    Ok(metadata.packages.into_iter().filter_map(bare_crate).collect())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

fn bare_crate(package: Package) -> Option<BareCrate> {
    let ours = matches!(package.name.as_str(), "kernel" | "boot-stub")
        || package.name.starts_with("server-");
    let binary = package.targets.into_iter().find(|target| target.kind == ["bin"])?.name;
    ours.then_some(BareCrate { package: package.name, binary })
}

/// Builds everything that runs on the machine: `crates`, for the compiler's architecture.
pub fn build(
    setup: &Setup,
    compiler: &Compiler,
    crates: &[BareCrate],
    profile: Profile,
) -> Result<Programs> {
    let start = Instant::now();
    let arch = compiler.arch;
    say(format!("building kernel and servers ({arch}, {profile}, {})", compiler.description()));
    let mut command = compiler.cargo(setup, "build");
    if profile == Profile::Release {
        command.arg("--release");
    }
    for bare in crates {
        command.args(["-p", &bare.package]);
    }
    command::run(&mut command, &format!("the bare-metal build for {arch}"))?;

    let built = setup.workspace.target("bare").join(arch.target()).join(profile.to_string());
    let bootable = setup.workspace.target_dir(format!("programs/{arch}/{profile}"))?;
    let mut programs =
        Programs { kernel: PathBuf::new(), stub: PathBuf::new(), servers: BTreeMap::new() };
    for BareCrate { package, binary } in crates {
        let (from, to) = (built.join(binary), bootable.join(binary));
        let convert = match (package.as_str(), arch) {
            ("boot-stub", Arch::Aarch64) => elf::flatten,
            _ => elf::strip,
        };
        make(&from, &to, convert)?;
        match package.as_str() {
            "kernel" => programs.kernel = to,
            "boot-stub" => programs.stub = to,
            _ => {
                programs.servers.insert(binary.clone(), to);
            }
        }
    }
    say(format!("built in {:.1} s", start.elapsed().as_secs_f64()));
    Ok(programs)
}

/// Makes `to` from `from` by `convert`, unless that was done already.
fn make(from: &Path, to: &Path, convert: fn(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let made = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let source = made(from).with_context(|| format!("the build left no {}", from.display()))?;
    if made(to).is_ok_and(|copy| copy > source) {
        return Ok(());
    }
    let program = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let program =
        convert(&program).with_context(|| format!("{} cannot be booted", from.display()))?;
    fs::write(to, program).with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, kind: &str) -> Package {
        Package {
            name: name.into(),
            targets: vec![Target { name: "program".into(), kind: vec![kind.into()] }],
        }
    }

    #[test]
    fn bare_metal_crates_are_told_by_name() {
        assert!(bare_crate(package("kernel", "bin")).is_some());
        assert!(
            bare_crate(package("server-init", "bin"))
                .is_some_and(|found| found.binary == "program")
        );
        assert!(bare_crate(package("xtask", "bin")).is_none());
        assert!(bare_crate(package("kernel-core", "lib")).is_none());
    }
}
