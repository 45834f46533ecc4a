//! Everything that a loader reads: boot files, the direct stub's bundle, the disk image.

mod conf;
mod cpio;
mod disk;
pub mod manifest;
mod modules;

pub use modules::{BootFiles, Faults};

use crate::arch::Arch;
use crate::build::{self, Profile, Programs};
use crate::cli::ImageOptions;
use crate::setup::Setup;
use crate::setup::compiler::Compiler;
use crate::setup::limine::Limine;
use crate::ui::{Step, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Reads the built programs and compiles the manifest `manifest`.
pub fn boot_files(
    setup: &Setup,
    programs: &Programs,
    manifest: &str,
    args: &BTreeMap<String, String>,
    faults: &Faults,
) -> Result<BootFiles> {
    let name = manifest;
    let mut manifest = manifest::read(setup.workspace, name)?;
    manifest::add_args(&mut manifest, name, args)?;
    let mut files = BootFiles::read(programs, &manifest)?;
    files.apply(faults)?;
    Ok(files)
}

/// Writes the direct stub's bundle to `path`.
pub fn write_bundle(files: &BootFiles, path: &Path) -> Result<()> {
    fs::write(path, files.bundle()).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes the Limine disk image to `path`.
pub fn write_disk(
    setup: &Setup,
    limine: &Limine,
    files: &BootFiles,
    command_line: &str,
    path: &Path,
) -> Result<()> {
    let conf = conf::limine_conf(setup.workspace, command_line, &files.modules)?;
    disk::write(setup, limine, files, &conf, path)
}

/// Writes what starts the system without a boot loader of its own into `directory`: the stub, which is
/// called `Image` where it is one, and the bundle.
fn write_direct(
    arch: Arch,
    programs: &Programs,
    files: &BootFiles,
    directory: &Path,
) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let stub = directory.join(match arch {
        Arch::X86_64 => "boot-stub",
        Arch::Aarch64 => "Image",
    });
    fs::copy(&programs.stub, &stub).with_context(|| format!("cannot write {}", stub.display()))?;
    write_bundle(files, &directory.join("bundle.cpio"))
}

/// `cargo xtask image`.
pub fn write(workspace: &Workspace, setup: &Setup, options: &ImageOptions) -> Result<bool> {
    let arch = options.arch;
    let build = || {
        let compiler = Compiler::find(setup, arch)?;
        let profile = if options.debug { Profile::Debug } else { Profile::Release };
        let programs = build::build(setup, &compiler, &build::bare_crates(setup)?, profile)?;
        let files =
            boot_files(setup, &programs, manifest::DEFAULT, &BTreeMap::new(), &Faults::default())?;
        anyhow::Ok((programs, files))
    };
    if options.direct {
        let (programs, files) = build()?;
        let name = format!("direct-{arch}");
        let directory = options.out.clone().unwrap_or_else(|| workspace.target(name));
        write_direct(arch, &programs, &files, &directory)?;
        println!("{}", directory.display());
        return Ok(true);
    }
    let limine = match Limine::find(setup, arch)? {
        Ok(limine) => limine,
        Err(reason) => bail!("no image without Limine: {reason}"),
    };
    say(format!("Limine from {}", limine.origin));
    let (_, files) = build()?;
    let name = match arch {
        Arch::X86_64 => "tocsin.img".to_string(),
        Arch::Aarch64 => format!("tocsin-{arch}.img"),
    };
    let path = options.out.clone().unwrap_or_else(|| workspace.target(name));
    let step = Step::start(format!("making the disk image for {arch}"));
    write_disk(setup, &limine, &files, &options.cmdline, &path)?;
    step.done();
    println!("{}", path.display());
    Ok(true)
}
