//! The format of `ci/scenarios.toml`.

use super::board::{Board, listed};
use super::input::{Input, Typist};
use super::only::Only;
use super::variant::expand_on;
use crate::arch::Arch;
use crate::build::Profile;
use crate::image::{Faults, manifest};
use crate::machine::Loader;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const FILE: &str = "ci/scenarios.toml";

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    machine: BTreeMap<String, Board>,
    scenario: Vec<Scenario>,
}

/// A `[[scenario]]` table. Lists stand for one variant per value.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// What it shows.
    pub about: String,
    #[serde(default = "default_machine")]
    pub machine: OneOrMany<String>,
    #[serde(default = "default_loader")]
    pub loader: OneOrMany<Loader>,
    #[serde(default = "default_smp")]
    pub smp: OneOrMany<u32>,
    #[serde(default = "default_profile")]
    pub profile: OneOrMany<Profile>,
    /// Memory in MiB.
    #[serde(default = "default_memory")]
    pub memory: u32,
    /// `default` is boot/manifest.toml, another name is boot/manifests/NAME.toml.
    #[serde(default = "default_manifest")]
    pub manifest: String,
    /// Words that are added to the arguments of these programs of the manifest.
    #[serde(default)]
    pub args: BTreeMap<String, String>,
    /// Kernel command line.
    #[serde(default)]
    pub cmdline: String,
    /// More QEMU arguments, separated by spaces.
    #[serde(default)]
    pub qemu: String,
    /// The guest is killed after this long, and the scenario has failed.
    pub timeout_s: u64,
    /// How the guest has to end.
    #[serde(default)]
    pub end: End,
    /// QEMU's exit status, if not the one that `end` implies.
    exit: Option<i32>,
    /// Regular expressions that lines of the serial port must match, in this order.
    #[serde(default)]
    pub expect: Vec<String>,
    /// Regular expressions that lines must match, anywhere: what several CPUs print has no order.
    #[serde(default)]
    pub require: Vec<String>,
    /// Regular expressions that no line may match.
    #[serde(default)]
    pub forbid: Vec<String>,
    /// What is typed at the serial port.
    #[serde(default)]
    pub input: Vec<Input>,
    /// How many `@test` lines there must be at least.
    #[serde(default)]
    pub min_tests: usize,
    /// This module's bytes are changed after its checksum was computed.
    corrupt_module: Option<String>,
    /// This module is left out.
    omit_module: Option<String>,
    /// What is different on the machine, or the architecture, of that name.
    #[serde(default)]
    pub only: BTreeMap<String, Only>,
}

/// How a guest has to end.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// `init` prints `@exit` and reports success.
    #[default]
    Exit,
    /// The kernel gives up before user space: its last line says why.
    Fatal,
}

/// A value, or a list of them.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

fn default_machine() -> OneOrMany<String> {
    OneOrMany::One("q35".into())
}

fn default_loader() -> OneOrMany<Loader> {
    OneOrMany::One(Loader::Direct)
}

fn default_smp() -> OneOrMany<u32> {
    OneOrMany::One(2)
}

fn default_profile() -> OneOrMany<Profile> {
    OneOrMany::One(Profile::Release)
}

fn default_memory() -> u32 {
    128
}

fn default_manifest() -> String {
    manifest::DEFAULT.into()
}

impl Scenario {
    /// The exit status that QEMU must end with: 33 is the guest's success, 35 its failure.
    pub fn exit_status(&self) -> i32 {
        self.exit.unwrap_or(match self.end {
            End::Exit => 33,
            End::Fatal => 35,
        })
    }

    pub fn faults(&self) -> Faults {
        Faults {
            corrupt_module: self.corrupt_module.clone(),
            omit_module: self.omit_module.clone(),
        }
    }
}

impl Config {
    /// Reads and checks the file.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        let text = fs::read_to_string(workspace.source(FILE))
            .with_context(|| format!("cannot read {FILE}"))?;
        Self::parse(&text).with_context(|| format!("{FILE} is wrong"))
    }

    /// Parses `text`, and refuses what could not run as written.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        for name in config.machine.keys() {
            let plain = Arch::ALL.iter().all(|arch| arch.to_string() != *name);
            ensure!(plain, "a machine may not be named {name}, like an architecture");
        }
        let mut names = BTreeSet::new();
        for scenario in &config.scenario {
            let name = &scenario.name;
            ensure!(names.insert(name), "two scenarios are named {name}");
            config.check(scenario).with_context(|| format!("scenario {name}"))?;
        }
        Ok(config)
    }

    fn check(&self, scenario: &Scenario) -> Result<()> {
        let name = scenario.name.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        ensure!(!name.is_empty() && name.chars().all(plain), "the name is also a file name");
        ensure!(!scenario.machine.as_slice().is_empty(), "an empty list leaves no variant");
        let mut useful = BTreeSet::new();
        for machine in scenario.machine.as_slice() {
            let arch = self.board(machine)?.arch;
            useful.extend([machine.clone(), arch.to_string()]);
            self.check_on(machine, &scenario.on(machine, arch))
                .with_context(|| format!("on machine {machine}"))?;
        }
        for only in scenario.only.keys() {
            ensure!(useful.contains(only), "only.{only} fits none of its machines");
        }
        Ok(())
    }

    /// Checks `scenario` as it is on `machine`.
    fn check_on(&self, machine: &str, scenario: &Scenario) -> Result<()> {
        for smp in scenario.smp.as_slice() {
            ensure!((1..=8).contains(smp), "smp must be 1 to 8, not {smp}");
        }
        for variant in expand_on(self, scenario, machine)? {
            self.board(machine)?.accept(machine, variant.loader, variant.smp)?;
        }
        let axes = [
            scenario.loader.as_slice().len(),
            scenario.smp.as_slice().len(),
            scenario.profile.as_slice().len(),
        ];
        ensure!(!axes.contains(&0), "an empty list leaves no variant");
        ensure!(scenario.timeout_s > 0, "timeout_s must not be 0");
        let patterns = [&scenario.expect, &scenario.require, &scenario.forbid];
        for pattern in patterns.into_iter().flatten() {
            Regex::new(pattern).with_context(|| format!("pattern `{pattern}`"))?;
        }
        Typist::new(&scenario.input).context("input")?;
        Ok(())
    }

    pub fn scenarios(&self) -> &[Scenario] {
        &self.scenario
    }

    /// The scenario called `name`.
    pub fn scenario(&self, name: &str) -> Result<&Scenario> {
        let known = self.scenario.iter().map(|scenario| scenario.name.as_str());
        match self.scenario.iter().find(|scenario| scenario.name == name) {
            Some(scenario) => Ok(scenario),
            None => bail!("no scenario {name}; there are: {}", listed(known)),
        }
    }

    /// The machine called `name`.
    pub fn board(&self, name: &str) -> Result<&Board> {
        match self.machine.get(name) {
            Some(board) => Ok(board),
            None => bail!("no machine {name}; there are: {}", listed(self.machine.keys())),
        }
    }

    /// The names of the machines of `arch`.
    pub fn machines_of(&self, arch: Arch) -> impl Iterator<Item = &str> {
        let of_arch = move |(_, board): &(&String, &Board)| board.arch == arch;
        self.machine.iter().filter(of_arch).map(|(name, _)| name.as_str())
    }
}

/// The words of QEMU arguments written in one string.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
        [machine.q35]
        about = 'x'
        qemu = '-M q35'
        [[scenario]]
        name = 'a'
        about = 'x'
        timeout_s = 1
    ";

    #[test]
    fn the_committed_file_is_good() {
        let workspace = Workspace::find().expect("the tree");
        let config = Config::read(&workspace).expect("ci/scenarios.toml parses");
        for scenario in ["boot-demo", "bench"] {
            assert!(
                config.scenario(scenario).is_ok(),
                "the commands run and bench boot {scenario}"
            );
        }
    }

    #[test]
    fn defaults_are_filled_in() {
        let config = Config::parse(SMALL).expect("good");
        let scenario = config.scenario("a").expect("there");
        assert_eq!(scenario.smp.as_slice(), [2]);
        assert_eq!((scenario.memory, scenario.end, scenario.exit_status()), (128, End::Exit, 33));
        let board = config.board("q35").expect("there");
        assert_eq!((board.words(1).len(), board.arch), (4, Arch::X86_64));
        assert!(config.board("q36").is_err() && config.scenario("b").is_err());
    }

    #[test]
    fn fatal_end_implies_the_failure_status() {
        let text = format!("{SMALL}\nend = 'fatal'");
        assert_eq!(Config::parse(&text).expect("good").scenarios()[0].exit_status(), 35);
    }

    #[test]
    fn mistakes_are_refused() {
        for mistake in [
            "smp = [0]",
            "smp = 9",
            "smp = []",
            "machine = 'no'",
            "expect = ['(']",
            "expected = []",
            "loader = 'grub'",
            "[scenario.only.virt]",
            "[scenario.only.aarch64]",
            "[scenario.only.q35]\nsmp = 9",
            "[scenario.only.q35]\nmachine = 'q35'",
            "[scenario.only.x86_64]\nexpect = ['(']",
            "[machine.aarch64]\nabout=''\nqemu=''",
            "name = 'a'",
        ] {
            assert!(Config::parse(&format!("{SMALL}\n{mistake}")).is_err(), "{mistake}");
        }
        assert!(
            Config::parse(&format!("{SMALL}\n[[scenario]]\nname='a'\nabout='y'\ntimeout_s=1"))
                .is_err()
        );
    }
}
