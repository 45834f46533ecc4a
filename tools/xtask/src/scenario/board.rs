//! `[machine.NAME]` tables: boards with their devices.

use super::config::words;
use super::tree::Edits;
use crate::acpi::Fault;
use crate::arch::Arch;
use crate::machine::Loader;
use anyhow::{Result, bail};
use serde::Deserialize;
use std::fmt::Display;

/// A board with its devices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// What is special about it, for people.
    about: String,
    #[serde(default = "default_arch")]
    pub arch: Arch,
    /// QEMU arguments, separated by spaces.
    qemu: String,
    /// As many CPUs as it always has; absent where that is QEMU's choice (`-smp`).
    cpus: Option<u32>,
    /// ACPI tables of our own, with this fault; QEMU must make none (`acpi=off`).
    pub acpi: Option<Fault>,
    /// Whether there is UEFI firmware for it.
    #[serde(default = "default_uefi")]
    uefi: bool,
    /// What its device tree says otherwise than QEMU's. Firmware makes a tree or tables of its
    /// own, so such a board starts by the stub alone.
    #[serde(default, rename = "device-tree")]
    pub tree: Edits,
}

fn default_arch() -> Arch {
    Arch::X86_64
}

fn default_uefi() -> bool {
    true
}

impl Board {
    /// What is special about it.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// QEMU's words for this machine with `smp` CPUs.
    pub fn words(&self, smp: u32) -> Vec<String> {
        let mut words = words(&self.qemu);
        if self.cpus.is_none() {
            words.extend(["-smp".into(), smp.to_string()]);
        }
        words
    }

    /// The loaders that it can start from.
    fn loaders(&self) -> impl Iterator<Item = Loader> {
        let uefi = (self.uefi && self.tree.is_empty()).then_some(Loader::LimineUefi);
        let bios = (self.arch == Arch::X86_64).then_some(Loader::LimineBios);
        [Some(Loader::Direct), uefi, bios].into_iter().flatten()
    }

    /// Whether it can start from `loader`.
    pub fn takes(&self, loader: Loader) -> bool {
        self.loaders().any(|known| known == loader)
    }

    /// Refuses what machine `name` cannot do.
    pub fn accept(&self, name: &str, loader: Loader, smp: u32) -> Result<()> {
        if let Some(cpus) = self.cpus.filter(|&cpus| cpus != smp) {
            bail!("machine {name} always has {cpus} CPUs, not {smp}");
        }
        if !self.takes(loader) {
            let known = self.loaders().map(|loader| loader.to_string()).collect::<Vec<_>>();
            bail!("machine {name} cannot boot by {loader}, but by {}", known.join(", "));
        }
        Ok(())
    }
}

/// The names of things, as an error lists them.
pub fn listed<T: Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(text: &str) -> Board {
        toml::from_str(&format!("about = ''\nqemu = '-M m'\n{text}")).expect("good")
    }

    #[test]
    fn a_pc_is_the_default() {
        let board = board("");
        assert_eq!(board.arch, Arch::X86_64);
        for loader in [Loader::Direct, Loader::LimineUefi, Loader::LimineBios] {
            assert!(board.accept("m", loader, 8).is_ok(), "{loader}");
        }
    }

    #[test]
    fn what_a_board_lacks_is_refused_by_name() {
        let board = board("arch = 'aarch64'\ncpus = 2\nuefi = false");
        assert!(board.accept("m", Loader::Direct, 2).is_ok());
        let why = |loader, smp| board.accept("m", loader, smp).expect_err("refused").to_string();
        assert_eq!(why(Loader::Direct, 4), "machine m always has 2 CPUs, not 4");
        let loaders = "but by direct";
        assert_eq!(
            why(Loader::LimineUefi, 2),
            format!("machine m cannot boot by limine-uefi, {loaders}")
        );
        assert_eq!(
            why(Loader::LimineBios, 2),
            format!("machine m cannot boot by limine-bios, {loaders}")
        );
    }

    #[test]
    fn a_changed_tree_is_for_the_stub_alone() {
        let board = board("arch = 'aarch64'\n[device-tree.'/intc']\nmsi-controller = true");
        assert!(board.takes(Loader::Direct) && !board.takes(Loader::LimineUefi));
    }

    #[test]
    fn qemu_is_told_the_number_of_cpus_where_it_can_choose() {
        let words = |text| board(text).words(4).join(" ");
        assert_eq!(words(""), "-M m -smp 4");
        assert_eq!(words("cpus = 2"), "-M m");
    }
}
