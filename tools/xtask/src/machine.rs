//! A guest's command line: the machine, what it boots, and how many CPUs it has.

use crate::arch::Arch;
use crate::setup::Firmware;
use serde::Deserialize;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// What starts the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    Direct,
    LimineUefi,
    LimineBios,
}

impl Loader {
    /// Whether it needs Limine's files.
    pub fn is_limine(self) -> bool {
        self != Self::Direct
    }
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::LimineUefi => "limine-uefi",
            Self::LimineBios => "limine-bios",
        })
    }
}

/// What a guest boots from.
pub enum Media {
    Direct { stub: PathBuf, bundle: PathBuf, command_line: String },
    Uefi { image: PathBuf, firmware: Firmware },
    Bios { image: PathBuf },
}

/// One guest.
pub struct Machine {
    pub arch: Arch,
    /// The board, its devices and CPUs, in QEMU's words (a `[machine.*]` table of
    /// ci/scenarios.toml).
    pub board: Vec<String>,
    pub memory_mib: u32,
    pub media: Media,
    /// A device tree instead of QEMU's own.
    pub tree: Option<PathBuf>,
    /// What a scenario adds.
    pub extra: Vec<OsString>,
}

impl Machine {
    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.board.iter().map(OsString::from).collect();
        let mut add = |text: &str| words.extend(text.split(' ').map(OsString::from));
        add(&format!("-m {}", self.memory_mib));
        self.arch.exit_device().into_iter().for_each(&mut add);
        add("-nodefaults -no-user-config -display none -monitor none -serial stdio -no-reboot");
        match &self.media {
            Media::Direct { stub, bundle, command_line } => {
                words.extend(["-kernel".into(), stub.into(), "-initrd".into(), bundle.into()]);
                words.extend(["-append".into(), command_line.into()]);
            }
            Media::Uefi { image, firmware } => {
                words.extend(pflash(&firmware.code, ",readonly=on"));
                // What firmware writes to its variables goes nowhere: no guest changes another's.
                words.extend(pflash(&firmware.variables, ",snapshot=on"));
                words.extend(self.disk(image));
            }
            Media::Bios { image } => words.extend(self.disk(image)),
        }
        if let Some(tree) = &self.tree {
            words.extend(["-dtb".into(), tree.into()]);
        }
        words.extend(self.extra.iter().cloned());
        words
    }

    /// The image as a disk to boot from. The guest's writes go nowhere.
    fn disk(&self, image: &std::path::Path) -> [OsString; 4] {
        let head = "if=none,id=boot,format=raw,snapshot=on";
        ["-drive".into(), drive(head, image, ""), "-device".into(), self.arch.boot_disk().into()]
    }
}

fn pflash(file: &std::path::Path, options: &str) -> [OsString; 2] {
    ["-drive".into(), drive("if=pflash,format=raw", file, options)]
}

fn drive(head: &str, file: &std::path::Path, tail: &str) -> OsString {
    let mut word = OsString::from(head);
    word.push(",file=");
    // QEMU reads a doubled comma as one.
    word.push(file.to_string_lossy().replace(',', ",,"));
    word.push(tail);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(arch: Arch, media: Media) -> Vec<String> {
        let machine = Machine {
            arch,
            board: vec!["-M".into(), "q35".into()],
            memory_mib: 128,
            media,
            tree: None,
            extra: vec!["-icount".into(), "shift=0".into()],
        };
        machine.arguments().into_iter().map(|word| word.into_string().expect("text")).collect()
    }

    fn has(words: &[String], pair: [&str; 2]) -> bool {
        words.windows(2).any(|window| window == pair)
    }

    #[test]
    fn direct_boot_passes_the_command_line_as_one_word() {
        let media = Media::Direct {
            stub: "stub".into(),
            bundle: "bundle".into(),
            command_line: "stay quiet".into(),
        };
        let words = machine(Arch::X86_64, media);
        assert!(has(&words, ["-append", "stay quiet"]) && has(&words, ["-m", "128"]));
        assert!(has(&words, ["-icount", "shift=0"]) && has(&words, ["-M", "q35"]));
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        let words = machine(Arch::X86_64, Media::Bios { image: "a,b".into() });
        assert!(has(&words, ["-drive", "if=none,id=boot,format=raw,snapshot=on,file=a,,b"]));
        assert!(has(&words, ["-device", "ide-hd,drive=boot"]));
    }

    #[test]
    fn each_architecture_ends_and_boots_in_its_own_way() {
        let firmware = || Firmware { code: "code".into(), variables: "variables".into() };
        let media = || Media::Uefi { image: "image".into(), firmware: firmware() };
        let words = machine(Arch::X86_64, media());
        assert!(has(&words, ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]));
        let words = machine(Arch::Aarch64, media());
        assert!(has(&words, ["-semihosting-config", "enable=on,target=native"]));
        assert!(has(&words, ["-device", "virtio-blk-device,drive=boot"]));
        assert!(has(&words, ["-drive", "if=pflash,format=raw,file=code,readonly=on"]));
    }
}
