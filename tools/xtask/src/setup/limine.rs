//! Limine's files: from `LIMINE_DIR`, from a system package, or downloaded and checked.

use super::{CC, Setup};
use crate::arch::Arch;
use crate::command;
use crate::ui::{Step, say};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The release that is downloaded, and that this project was tested with.
const VERSION: &str = "8.2.0";
const SOURCE: &str = "https://github.com/limine-bootloader/limine/raw";

/// The files of that release that each architecture uses, with their SHA-256.
const X86_64: [(&str, &str); 4] = [
    ("BOOTX64.EFI", "7bf99f9ffdbce1443bd7f148f01bee47d4a587f58fb170e42dab29790e6d831a"),
    ("limine-bios.sys", "8382e36ff9d51e52e9160842f834a346028edf9e0319b1c728d290e3044a44a7"),
    ("limine-bios-hdd.h", "95929ac04f603483f72781508f35f07854e1933188bc7558d89c0e7710c5749b"),
    ("limine.c", "201ac3e7f47b34305f2208066ebb204118a7debf90d6fd7d28f4799905ca7f70"),
];
const AARCH64: [(&str, &str); 1] =
    [("BOOTAA64.EFI", "6fced3f6123d9dcd5e6762d3e5cdd5cd00a9e5f9d39f60b56d1794ff811d4bef")];

fn files(arch: Arch) -> &'static [(&'static str, &'static str)] {
    match arch {
        Arch::X86_64 => &X86_64,
        Arch::Aarch64 => &AARCH64,
    }
}

/// Limine, ready to put on a disk image.
pub struct Limine {
    pub arch: Arch,
    dir: PathBuf,
    /// Where it came from, for people.
    pub origin: String,
}

impl Limine {
    /// Finds Limine for `arch`. The inner `Err` says why it cannot be had, which is no failure of
    /// ours.
    pub fn find(setup: &Setup, arch: Arch) -> Result<Result<Self, String>> {
        let found = |dir: PathBuf, origin: &str| Ok(Ok(Self { arch, dir, origin: origin.into() }));
        if let Some(dir) = std::env::var_os("LIMINE_DIR") {
            let dir = PathBuf::from(dir);
            // Somebody asked for exactly this one: do not quietly take another.
            if let Some(missing) = missing(&dir, arch) {
                bail!("LIMINE_DIR ({}) has no {missing}", dir.display());
            }
            return found(dir, "LIMINE_DIR");
        }
        let system = Path::new("/usr/share/limine");
        if missing(system, arch).is_none() {
            return found(system.into(), "the system's package");
        }
        let dir = setup.workspace.target(format!("limine-{VERSION}"));
        let origin = format!("the download of {VERSION}");
        if verify(&dir, arch).is_ok() {
            return found(dir, &origin);
        }
        if !setup.allowed {
            return Ok(Err(format!(
                "no Limine in LIMINE_DIR or /usr/share/limine, and --no-install forbids \
                 downloading {VERSION}"
            )));
        }
        let memory = setup.workspace.unavailable(&format!("limine-{arch}"));
        if let Some(reason) = memory.reason() {
            return Ok(Err(reason));
        }
        let step = Step::start(format!("downloading Limine {VERSION} for {arch}"));
        match download(&dir, arch) {
            Ok(()) => {
                step.done();
                found(dir, &origin)
            }
            Err(error) => {
                step.end("not available");
                let reason = format!(
                    "no Limine in LIMINE_DIR or /usr/share/limine, and {VERSION} could not be \
                     downloaded ({error:#})"
                );
                memory.remember(&reason);
                Ok(Err(reason))
            }
        }
    }

    /// One of Limine's files.
    pub fn file(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Puts the BIOS boot code on `image`, its second stage in GPT partition `partition`.
    pub fn install_bios(&self, setup: &Setup, image: &Path, partition: u32) -> Result<()> {
        let tool = self.host_tool(setup)?;
        let mut command = Command::new(tool);
        command.arg("bios-install").arg(image).arg(partition.to_string());
        let installed = command::capture(&mut command, Duration::from_secs(60))?;
        if !installed.success() {
            bail!("limine bios-install failed: {}", installed.reason());
        }
        Ok(())
    }

    /// The `limine` program of this release: built from its source, or the package's.
    fn host_tool(&self, setup: &Setup) -> Result<PathBuf> {
        if !self.dir.join("limine.c").is_file() {
            return command::find("limine")
                .context("Limine's files are there but its program is not");
        }
        // Named by the source, so that another LIMINE_DIR gets its own program.
        let source = [self.file("limine.c")?, self.file("limine-bios-hdd.h")?].concat();
        let tool =
            setup.workspace.target_dir("xtask")?.join(format!("limine-{}", &sha256(&source)[..16]));
        if !tool.is_file() {
            let cc = setup.tool(&CC)?;
            let part = tool.with_extension("part");
            let mut command = Command::new(cc);
            command
                .args(["-O2", "-w", "-o"])
                .arg(&part)
                .arg("-I")
                .arg(&self.dir)
                .arg(self.dir.join("limine.c"));
            let built = command::capture(&mut command, Duration::from_secs(120))?;
            if !built.success() {
                bail!("cc could not build limine.c: {}", built.reason());
            }
            fs::rename(&part, &tool)?;
        }
        Ok(tool)
    }
}

/// The first file that a Limine in `dir` lacks.
fn missing(dir: &Path, arch: Arch) -> Option<&'static str> {
    let has = |name: &str| dir.join(name).is_file();
    if !has(arch.limine_uefi()) {
        return Some(arch.limine_uefi());
    }
    // The rest is for BIOS.
    if arch != Arch::X86_64 {
        return None;
    }
    let tool = has("limine.c") && has("limine-bios-hdd.h") || command::find("limine").is_some();
    match (has("limine-bios.sys"), tool) {
        (false, _) => Some("limine-bios.sys"),
        (_, false) => Some("limine.c with limine-bios-hdd.h (nor is there a limine program)"),
        (true, true) => None,
    }
}

/// Checks that `dir` holds every file of the release, unchanged.
fn verify(dir: &Path, arch: Arch) -> Result<()> {
    for (name, digest) in files(arch) {
        check(name, &fs::read(dir.join(name))?, digest)?;
    }
    Ok(())
}

fn check(name: &str, bytes: &[u8], digest: &str) -> Result<()> {
    let found = sha256(bytes);
    if found != digest {
        bail!("{name} has SHA-256 {found}, not the pinned {digest}");
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn download(dir: &Path, arch: Arch) -> Result<()> {
    fs::create_dir_all(dir)?;
    for (name, digest) in files(arch) {
        let part = dir.join(format!("{name}.part"));
        fetch(&format!("{SOURCE}/v{VERSION}-binary/{name}"), &part)?;
        if let Err(error) = check(name, &fs::read(&part)?, digest) {
            fs::remove_file(&part)?;
            say(format!("a downloaded file was thrown away: {error:#}"));
            return Err(error);
        }
        fs::rename(&part, dir.join(name))?;
    }
    Ok(())
}

/// Fetches `url` by curl or wget. Quick to give up: Limine is a choice, not a need.
fn fetch(url: &str, to: &Path) -> Result<()> {
    let mut command = if let Some(curl) = command::find("curl") {
        let mut command = Command::new(curl);
        command
            .args(["-fsSL", "--connect-timeout", "5", "--max-time", "30", "-o"])
            .arg(to)
            .arg(url);
        command
    } else if let Some(wget) = command::find("wget") {
        let mut command = Command::new(wget);
        command.args(["-q", "--tries=1", "--timeout=5", "-O"]).arg(to).arg(url);
        command
    } else {
        bail!("there is neither curl nor wget");
    };
    let fetched = command::capture(&mut command, Duration::from_secs(40))?;
    if !fetched.success() {
        bail!("{}", fetched.reason());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_a_known_text() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn changed_file_is_refused() {
        let digest = sha256(b"limine");
        assert!(check("f", b"limine", &digest).is_ok());
        assert!(check("f", b"limin\0", &digest).is_err());
    }

    #[test]
    fn pinned_digests_are_whole() {
        for (name, digest) in Arch::ALL.into_iter().flat_map(files) {
            assert!(digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
        }
    }
}
