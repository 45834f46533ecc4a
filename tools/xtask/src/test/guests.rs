//! What guests need, and running one of them.

use crate::arch::Arch;
use crate::build::{self, BareCrate, Profile, Programs};
use crate::image;
use crate::machine::Loader;
use crate::qemu;
use crate::scenario::judge::{Verdict, judge};
use crate::scenario::{Boot, Config, Variant, tree};
use crate::setup::compiler::Compiler;
use crate::setup::limine::Limine;
use crate::setup::{Firmware, Setup};
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

/// What the guests of one command share.
pub struct Guests<'a> {
    setup: &'a Setup<'a>,
    config: &'a Config,
    crates: Vec<BareCrate>,
    /// What the guests of one architecture share.
    kits: BTreeMap<Arch, Kit>,
    /// Media are made one at a time: they share Limine's tool, and are quick to make.
    making: Mutex<()>,
}

struct Kit {
    qemu: PathBuf,
    /// Limine, or why it cannot be had; `None` when no variant wants it.
    limine: Option<Result<Limine, String>>,
    firmware: Option<Firmware>,
    /// What each profile's build made, or why it failed.
    programs: BTreeMap<Profile, Result<Programs, String>>,
}

impl<'a> Guests<'a> {
    /// Guests of machines in `config`; [`Self::prepare`] comes before [`Self::run`].
    pub fn new(setup: &'a Setup, config: &'a Config) -> Result<Self> {
        let crates = build::bare_crates(setup)?;
        Ok(Self { setup, config, crates, kits: BTreeMap::new(), making: Mutex::new(()) })
    }

    /// Gets ready everything that those of `variants` need that are of `arch`.
    pub fn prepare(&mut self, arch: Arch, variants: &[Variant]) -> Result<()> {
        let setup = self.setup;
        let variants = || variants.iter().filter(|variant| variant.arch == arch);
        let wants = |loader| variants().any(|variant| variant.loader == loader);
        let limine = (wants(Loader::LimineUefi) || wants(Loader::LimineBios))
            .then(|| Limine::find(setup, arch))
            .transpose()?;
        let firmware = (wants(Loader::LimineUefi) && matches!(limine, Some(Ok(_))))
            .then(|| setup.firmware(arch))
            .transpose()?;
        let qemu = setup.tool(&arch.qemu())?;
        let compiler = Compiler::find(setup, arch)?;
        let mut programs = BTreeMap::new();
        for variant in variants() {
            programs.entry(variant.profile).or_insert_with(|| {
                build::build(setup, &compiler, &self.crates, variant.profile)
                    .map_err(|error| format!("{error:#}"))
            });
        }
        self.kits.insert(arch, Kit { qemu, limine, firmware, programs });
        Ok(())
    }

    /// Runs one variant. The inner `Err` says why it was skipped.
    pub fn run(&self, variant: &Variant, show: bool) -> Result<Result<Run, String>> {
        let kit = self.kit(variant.arch)?;
        let limine = match (&kit.limine, variant.loader.is_limine()) {
            (Some(Err(reason)), true) => return Ok(Err(reason.clone())),
            (Some(Ok(limine)), true) => Some(limine),
            _ => None,
        };
        let programs = self.programs(variant)?;
        let boot = match variant.loader {
            Loader::Direct => Boot::Direct { stub: programs.stub.clone() },
            Loader::LimineBios => Boot::Bios { limine: limine.context("no Limine")? },
            Loader::LimineUefi => Boot::Uefi {
                limine: limine.context("no Limine")?,
                firmware: kit.firmware.as_ref().context("no UEFI firmware")?,
            },
        };
        let machine = {
            let _one_at_a_time =
                self.making.lock().map_err(|_| anyhow!("another guest's media"))?;
            let scenario = &variant.scenario;
            let files = image::boot_files(
                self.setup,
                programs,
                &scenario.manifest,
                &scenario.args,
                &scenario.faults(),
            )?;
            let board = self.config.board(&variant.machine)?;
            let mut machine = variant.prepare(self.setup, board, &files, boot)?;
            if !board.tree.is_empty() {
                let dir =
                    self.setup.workspace.target_dir(format!("scenarios/{}", variant.name()))?;
                tree::replace(&kit.qemu, &mut machine, &board.tree, &dir)?;
            }
            machine
        };
        let log = variant.log(self.setup.workspace)?;
        let limit = (variant.scenario.timeout_s > 0)
            .then(|| Duration::from_secs(variant.scenario.timeout_s));
        let input = &variant.scenario.input;
        let options = qemu::Options { show, limit, log: &log, input };
        let ending = qemu::run(&kit.qemu, &machine.arguments(), &options)?;
        let verdict = judge(&variant.scenario, &ending);
        Ok(Ok(Run { verdict, ending, log }))
    }

    /// What `variant` runs; an error if the build failed.
    pub fn programs(&self, variant: &Variant) -> Result<&Programs> {
        match self.kit(variant.arch)?.programs.get(&variant.profile) {
            Some(Ok(programs)) => Ok(programs),
            Some(Err(error)) => Err(anyhow!("{error}")),
            None => Err(anyhow!("the {} programs were not built", variant.profile)),
        }
    }

    fn kit(&self, arch: Arch) -> Result<&Kit> {
        self.kits.get(&arch).with_context(|| format!("{arch} was not prepared"))
    }

    /// Why Limine cannot be had for `arch`, if it was wanted.
    pub fn limine(&self, arch: Arch) -> Option<&Result<Limine, String>> {
        self.kits.get(&arch)?.limine.as_ref()
    }

    pub fn setup(&self) -> &Setup<'a> {
        self.setup
    }
}

/// A variant that was run.
pub struct Run {
    pub verdict: Verdict,
    pub ending: qemu::Ending,
    pub log: PathBuf,
}
