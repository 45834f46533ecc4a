//! A guest's command line: the machine, what it boots, and how many CPUs it has.

use crate::setup::Ovmf;
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
    Direct {
        stub: PathBuf,
        bundle: PathBuf,
        command_line: String,
    },
    /// `firmware` has its own copy of the variables.
    Uefi {
        image: PathBuf,
        firmware: Ovmf,
    },
    Bios {
        image: PathBuf,
    },
}

/// One guest.
pub struct Machine {
    /// The board and its devices, in QEMU's words (a `[machine.*]` table of ci/scenarios.toml).
    pub board: Vec<String>,
    pub smp: u32,
    pub memory_mib: u32,
    pub media: Media,
    /// What a scenario adds.
    pub extra: Vec<String>,
}

/// The guest ends QEMU by writing to this port; `(value << 1) | 1` is QEMU's exit status.
const EXIT_DEVICE: &str = "isa-debug-exit,iobase=0xf4,iosize=0x04";

impl Machine {
    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.board.iter().map(OsString::from).collect();
        let mut add = |text: &str| words.extend(text.split(' ').map(OsString::from));
        add(&format!("-smp {} -m {}", self.smp, self.memory_mib));
        add(&format!("-device {EXIT_DEVICE}"));
        add("-nodefaults -no-user-config -display none -monitor none -serial stdio -no-reboot");
        match &self.media {
            Media::Direct { stub, bundle, command_line } => {
                words.extend(["-kernel".into(), stub.into(), "-initrd".into(), bundle.into()]);
                words.extend(["-append".into(), command_line.into()]);
            }
            Media::Uefi { image, firmware } => {
                words.extend(pflash(&firmware.code, ",readonly=on"));
                words.extend(pflash(&firmware.variables, ""));
                words.extend(disk(image));
            }
            Media::Bios { image } => words.extend(disk(image)),
        }
        words.extend(self.extra.iter().map(OsString::from));
        words
    }
}

fn pflash(file: &std::path::Path, options: &str) -> [OsString; 2] {
    ["-drive".into(), drive("if=pflash,format=raw", file, options)]
}

/// The image as a disk of the board's AHCI controller. The guest's writes go nowhere.
fn disk(image: &std::path::Path) -> [OsString; 2] {
    ["-drive".into(), drive("if=ide,format=raw,snapshot=on", image, "")]
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

    fn machine(media: Media) -> Vec<String> {
        let machine = Machine {
            board: vec!["-M".into(), "q35".into()],
            smp: 4,
            memory_mib: 128,
            media,
            extra: vec!["-icount".into(), "shift=0".into()],
        };
        machine.arguments().into_iter().map(|word| word.into_string().expect("text")).collect()
    }

    fn has(words: &[String], pair: [&str; 2]) -> bool {
        words.windows(2).any(|window| window == pair)
    }

    #[test]
    fn direct_boot_passes_the_command_line_as_one_word() {
        let words = machine(Media::Direct {
            stub: "stub".into(),
            bundle: "bundle".into(),
            command_line: "stay quiet".into(),
        });
        assert!(has(&words, ["-append", "stay quiet"]) && has(&words, ["-smp", "4"]));
        assert!(has(&words, ["-icount", "shift=0"]) && has(&words, ["-M", "q35"]));
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        let words = machine(Media::Bios { image: "a,b".into() });
        assert!(has(&words, ["-drive", "if=ide,format=raw,snapshot=on,file=a,,b"]));
    }
}
