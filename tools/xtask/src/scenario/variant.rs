//! One run of a scenario: one value from each of its lists.

use super::config::{Scenario, words};
use crate::build::Profile;
use crate::image::{self, BootFiles};
use crate::machine::{Loader, Machine, Media};
use crate::setup::limine::Limine;
use crate::setup::{Ovmf, Setup};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

/// A scenario with every choice made.
#[derive(Clone)]
pub struct Variant {
    pub scenario: Scenario,
    pub machine: String,
    pub loader: Loader,
    pub smp: u32,
    pub profile: Profile,
}

/// The variants of `scenario`: the product of its lists.
pub fn expand(scenario: &Scenario) -> Vec<Variant> {
    let mut variants = Vec::new();
    for machine in scenario.machine.as_slice() {
        for &loader in scenario.loader.as_slice() {
            for &profile in scenario.profile.as_slice() {
                for &smp in scenario.smp.as_slice() {
                    variants.push(Variant {
                        scenario: scenario.clone(),
                        machine: machine.clone(),
                        loader,
                        smp,
                        profile,
                    });
                }
            }
        }
    }
    variants
}

impl Variant {
    /// Its name, which is also the name of its folder and of its log.
    pub fn name(&self) -> String {
        let Self { scenario, machine, loader, smp, profile } = self;
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
        board: Vec<String>,
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
                // The firmware writes its variables: each guest has its own.
                let variables = dir.join("ovmf-variables.fd");
                fs::copy(&firmware.variables, &variables)
                    .context("cannot copy OVMF's variables")?;
                let firmware = Ovmf { code: firmware.code.clone(), variables };
                Media::Uefi { image: write_disk(limine)?, firmware }
            }
            Boot::Bios { limine } => Media::Bios { image: write_disk(limine)? },
        };
        Ok(Machine {
            board,
            smp: self.smp,
            memory_mib: self.scenario.memory,
            media,
            extra: words(&self.scenario.qemu),
        })
    }
}

/// What the variant's loader needs.
pub enum Boot<'a> {
    Direct { stub: PathBuf },
    Uefi { limine: &'a Limine, firmware: &'a Ovmf },
    Bios { limine: &'a Limine },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::config::Config;

    fn names(lists: &str) -> Vec<String> {
        let text = format!(
            "[machine.q35]\nabout=''\nqemu=''\n[machine.b]\nabout=''\nqemu=''\n\
             [[scenario]]\nname='s'\nabout=''\ntimeout_s=1\n{lists}"
        );
        let config = Config::parse(&text).expect("good");
        config.scenarios().iter().flat_map(expand).map(|variant| variant.name()).collect()
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
}
