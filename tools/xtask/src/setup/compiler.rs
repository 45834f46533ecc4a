//! The compiler for bare metal.
//!
//! Two can build it. Rustup's own, once it has the target's core library; and, where rustup has no
//! server to get that from, Debian's `rustc-web` with the library's source (`rust-web-src`), which
//! cargo then compiles itself (`-Zbuild-std`).

use super::Setup;
use crate::arch::Arch;
use crate::command;
use crate::ui::{Step, say};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";
/// Edition 2024's `if let` chains need it. Debian 12 brings newer ones by its security archive.
const OLDEST_MINOR: u32 = 88;

/// What builds for an architecture.
pub struct Compiler {
    pub arch: Arch,
    kind: Kind,
}

enum Kind {
    /// The compiler that cargo uses for the host too; the target's library is installed.
    Host,
    /// Debian's, building the library from its source.
    Debian { linker: PathBuf },
}

impl Compiler {
    /// Finds a compiler for `arch`, after installing one if need be.
    pub fn find(setup: &Setup, arch: Arch) -> Result<Self> {
        let sysroot = sysroot(Path::new("rustc"))?;
        let host = Self { arch, kind: Kind::Host };
        if has_target(&sysroot, arch) {
            return Ok(host);
        }
        let debian = || {
            debian_compiler()?;
            Some(Self { arch, kind: Kind::Debian { linker: debian_linker(&sysroot)? } })
        };
        // A target by rustup is quicker to build with, but not worth asking a server for.
        if let Some(debian) = debian() {
            return Ok(debian);
        }
        let why_not = match rustup_adds_target(setup, &sysroot, arch)? {
            None => return Ok(host),
            Some(reason) => reason,
        };
        let target = arch.target();
        let packages = ["rustc-web", "rust-web-src", "lld"];
        if !setup.allowed {
            bail!(
                "the Rust target {target} is missing; one of these brings it: rustup {}; {}",
                add_target(arch).join(" "),
                super::apt::command_line(&packages)
            );
        }
        say(format!("rustup cannot add {target} ({why_not}); using Debian's compiler instead"));
        setup.installed(&format!("a Rust compiler for {target}"), &packages, debian)
    }

    /// `cargo <subcommand>` for bare metal, with its own target directory.
    pub fn cargo(&self, setup: &Setup, subcommand: &str) -> Command {
        let mut command = Command::new(cargo());
        command.arg(subcommand);
        self.configure(setup, &mut command);
        command
    }

    /// `cargo clippy` for bare metal, after installing the clippy that fits this compiler.
    pub fn clippy(&self, setup: &Setup) -> Result<Command> {
        let Kind::Debian { .. } = self.kind else { return Ok(self.cargo(setup, "clippy")) };
        let find = || Path::new(DEBIAN_CLIPPY).is_file().then(|| PathBuf::from(DEBIAN_CLIPPY));
        let clippy = setup.installed("clippy for bare metal", &["rust-web-clippy"], find)?;
        // It runs `$CARGO check` with the clippy-driver beside it, which belongs to this rustc;
        // rustup's clippy-driver would refuse the library that this rustc compiles.
        let mut command = Command::new(clippy);
        command.env("CARGO", cargo()).arg("clippy");
        self.configure(setup, &mut command);
        Ok(command)
    }

    fn configure(&self, setup: &Setup, command: &mut Command) {
        command.current_dir(setup.workspace.source("."));
        let target = self.arch.target();
        command.args(["--target", target, "--target-dir"]).arg(setup.workspace.target("bare"));
        if let Kind::Debian { linker } = &self.kind {
            let name = target.to_uppercase().replace('-', "_");
            command
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env(format!("CARGO_TARGET_{name}_LINKER"), linker)
                // `cargo run` puts rustup's libraries in front; they are another compiler's.
                .env_remove("LD_LIBRARY_PATH")
                .args(["-Zbuild-std=core,alloc,compiler_builtins"])
                .args(["-Zbuild-std-features=compiler-builtins-mem"]);
        }
    }

    /// The compiler in a few words.
    pub fn description(&self) -> &'static str {
        match self.kind {
            Kind::Host => "rustup's compiler",
            Kind::Debian { .. } => "Debian's compiler",
        }
    }
}

/// The cargo that runs us.
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

fn sysroot(rustc: &Path) -> Result<PathBuf> {
    let found = command::capture(
        Command::new(rustc).args(["--print", "sysroot"]),
        Duration::from_secs(30),
    )?;
    if !found.success() {
        bail!("{} does not run: {}", rustc.display(), found.reason());
    }
    Ok(found.text.trim().into())
}

fn has_target(sysroot: &Path, arch: Arch) -> bool {
    sysroot.join("lib/rustlib").join(arch.target()).join("lib").is_dir()
}

/// Rustup's words.
fn add_target(arch: Arch) -> [&'static str; 3] {
    ["target", "add", arch.target()]
}

/// Asks rustup to add the target; the reason if it did not.
fn rustup_adds_target(setup: &Setup, sysroot: &Path, arch: Arch) -> Result<Option<String>> {
    if command::find("rustup").is_none() {
        return Ok(Some("there is no rustup".into()));
    }
    if !setup.allowed {
        return Ok(Some("--no-install".into()));
    }
    let memory = setup.workspace.unavailable(&format!("rustup-target-{arch}"));
    if let Some(reason) = memory.reason() {
        return Ok(Some(reason));
    }
    let words = add_target(arch);
    let step = Step::start(format!("rustup {}", words.join(" ")));
    let added = command::capture(Command::new("rustup").args(words), Duration::from_secs(120))
        .context("cannot run rustup")?;
    // Rustup adds to its active toolchain: believe it only when this compiler has the target now.
    if added.success() && has_target(sysroot, arch) {
        step.done();
        return Ok(None);
    }
    let reason = match added.success() {
        true => "rustup added it to a toolchain other than rustc's".to_string(),
        false => added.reason(),
    };
    step.end(&reason);
    memory.remember(&reason);
    Ok(Some(reason))
}

/// Debian's compiler, if it is there, new enough, and has the library's source beside it.
fn debian_compiler() -> Option<()> {
    let rustc = Path::new(DEBIAN_RUSTC);
    if !rustc.is_file() {
        return None;
    }
    let version =
        command::capture(Command::new(rustc).arg("--version"), Duration::from_secs(30)).ok()?;
    if minor_version(&version.text)? < OLDEST_MINOR {
        return None;
    }
    let source = sysroot(rustc).ok()?.join("lib/rustlib/src/rust/library/core/Cargo.toml");
    source.is_file().then_some(())
}

/// The `96` in "rustc 1.96.0 (...)".
fn minor_version(text: &str) -> Option<u32> {
    text.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}

/// LLVM's linker: Debian's, or the one that rustup's toolchain carries.
fn debian_linker(host_sysroot: &Path) -> Option<PathBuf> {
    let carried = host_sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld");
    command::find("ld.lld").or_else(|| carried.is_file().then_some(carried))
}

#[cfg(test)]
mod tests {
    use super::minor_version;

    #[test]
    fn reads_the_compiler_version() {
        assert_eq!(minor_version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some(96));
        assert_eq!(minor_version("rustc 2.0.0"), None);
        assert_eq!(minor_version("gcc 12"), None);
    }
}
