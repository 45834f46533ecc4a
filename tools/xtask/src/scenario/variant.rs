//! One run of a scenario: one value from each of its lists.

use super::board::Board;
use super::config::{Config, Scenario, words};
use crate::acpi;
use crate::arch::Arch;
use crate::build::Profile;
use crate::image::{self, BootFiles};
use crate::machine::{Loader, Machine, Media};
use crate::setup::limine::Limine;
use crate::setup::{Firmware, Setup};
use crate::workspace::Workspace;
use anyhow::Result;
use std::path::PathBuf;

/// A scenario with every choice made.
#[derive(Clone)]
pub struct Variant {
    /// As it is on this machine.
    pub scenario: Scenario,
    pub machine: String,
    pub arch: Arch,
    pub loader: Loader,
    pub smp: u32,
    pub profile: Profile,
}

/// The variants of `scenario` on its machines.
pub fn expand(config: &Config, scenario: &Scenario) -> Result<Vec<Variant>> {
    let mut variants = Vec::new();
    for machine in scenario.machine.as_slice() {
        variants.extend(expand_on(config, scenario, machine)?);
    }
    Ok(variants)
}

/// The variants of `scenario` on `machine`, which need not be one of its own: the product of its
/// lists there.
pub fn expand_on(config: &Config, scenario: &Scenario, machine: &str) -> Result<Vec<Variant>> {
    let arch = config.board(machine)?.arch;
    let scenario = scenario.on(machine, arch);
    let mut variants = Vec::new();
    for &loader in scenario.loader.as_slice() {
        for &profile in scenario.profile.as_slice() {
            for &smp in scenario.smp.as_slice() {
                let (scenario, machine) = (scenario.clone(), machine.to_string());
                variants.push(Variant { scenario, machine, arch, loader, smp, profile });
            }
        }
    }
    Ok(variants)
}

impl Variant {
    /// Its name, which is also the name of its folder and of its log.
    pub fn name(&self) -> String {
        let Self { scenario, machine, loader, smp, profile, .. } = self;
        // The machine is the scenario's own unless it lists several.
        let machine = match scenario.machine.as_slice().len() {
            1 => String::new(),
            _ => format!(".{machine}"),
        };
        format!("{}{machine}.{loader}.{profile}.smp{smp}", scenario.name)
    }

    /// Where its serial port is kept.
    pub fn log(&self, workspace: &Workspace) -> Result<PathBuf> {
        Ok(workspace.target_dir("scenarios")?.join(format!("{}.log", self.name())))
    }

    /// Writes what the guest boots from, and says how to run it.
    pub fn prepare(
        &self,
        setup: &Setup,
        board: &Board,
        files: &BootFiles,
        boot: Boot,
    ) -> Result<Machine> {
        let dir = setup.workspace.target_dir(format!("scenarios/{}", self.name()))?;
        let command_line = self.scenario.cmdline.as_str();
        let write_disk = |limine| {
            let disk = dir.join("disk.img");
            image::write_disk(setup, limine, files, command_line, &disk).map(|()| disk)
        };
        let media = match boot {
            Boot::Direct { stub } => {
                let bundle = dir.join("bundle.cpio");
                image::write_bundle(files, &bundle)?;
                Media::Direct { stub, bundle, command_line: command_line.into() }
            }
            Boot::Uefi { limine, firmware } => {
                Media::Uefi { image: write_disk(limine)?, firmware: firmware.clone() }
            }
            Boot::Bios { limine } => Media::Bios { image: write_disk(limine)? },
        };
        let mut extra: Vec<_> = words(&self.scenario.qemu).into_iter().map(Into::into).collect();
        if let Some(fault) = board.acpi {
            extra.extend(acpi::write(&dir, fault, self.smp)?);
        }
        Ok(Machine {
            arch: self.arch,
            board: board.words(self.smp),
            memory_mib: self.scenario.memory,
            media,
            tree: None,
            extra,
        })
    }
}

/// What the variant's loader needs.
pub enum Boot<'a> {
    Direct { stub: PathBuf },
    Uefi { limine: &'a Limine, firmware: &'a Firmware },
    Bios { limine: &'a Limine },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lists: &str) -> Vec<String> {
        let text = format!(
            "[machine.q35]\nabout=''\nqemu=''\n[machine.b]\nabout=''\nqemu=''\narch='aarch64'\n\
             [[scenario]]\nname='s'\nabout=''\ntimeout_s=1\n{lists}"
        );
        let config = Config::parse(&text).expect("good");
        let variants = expand(&config, &config.scenarios()[0]).expect("its machines are there");
        variants.iter().map(Variant::name).collect()
    }

    #[test]
    fn single_values_make_one_variant() {
        assert_eq!(names(""), ["s.direct.release.smp2"]);
        assert_eq!(names("machine = 'b'\nsmp = 4"), ["s.direct.release.smp4"]);
    }

    #[test]
    fn lists_make_the_product() {
        let all = names(
            "smp = [1, 2, 4]\nprofile = ['release', 'debug']\nloader = ['direct', 'limine-bios']",
        );
        assert_eq!(all.len(), 12);
        assert_eq!(all[0], "s.direct.release.smp1");
        assert_eq!(all[11], "s.limine-bios.debug.smp4");
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 12);
    }

    #[test]
    fn several_machines_show_in_the_name() {
        assert_eq!(
            names("machine = ['q35', 'b']"),
            ["s.q35.direct.release.smp2", "s.b.direct.release.smp2"]
        );
    }

    #[test]
    fn lists_may_be_others_on_one_machine() {
        let lists = "machine = ['q35', 'b']\nsmp = [1, 2]\n[scenario.only.aarch64]\nsmp = 4";
        assert_eq!(
            names(lists),
            ["s.q35.direct.release.smp1", "s.q35.direct.release.smp2", "s.b.direct.release.smp4"]
        );
    }
}
