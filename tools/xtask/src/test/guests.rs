//! Running scenario variants, several at a time.

use crate::build::{self, Profile, Programs};
use crate::image;
use crate::machine::Loader;
use crate::qemu;
use crate::scenario::judge::{Counts, Verdict, judge};
use crate::scenario::serial::Outcome;
use crate::scenario::{Boot, Config, Variant};
use crate::setup::compiler::Compiler;
use crate::setup::limine::Limine;
use crate::setup::{Ovmf, QEMU, Setup};
use crate::test::progress::Progress;
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// How many lines of a failed guest's serial port are shown.
const TAIL: usize = 40;

/// What the guests of one command share.
pub struct Guests<'a> {
    setup: &'a Setup<'a>,
    config: &'a Config,
    qemu: PathBuf,
    /// Limine, or why it cannot be had; `None` when no variant wants it.
    limine: Option<Result<Limine, String>>,
    firmware: Option<Ovmf>,
    /// What each profile's build made, or why it failed.
    programs: BTreeMap<Profile, Result<Programs, String>>,
    /// Media are made one at a time: they share Limine's tool, and are quick to make.
    making: Mutex<()>,
}

impl<'a> Guests<'a> {
    /// Gets ready everything that `variants` need.
    pub fn set_up(setup: &'a Setup, config: &'a Config, variants: &[Variant]) -> Result<Self> {
        let wants = |loader| variants.iter().any(|variant| variant.loader == loader);
        let limine = (wants(Loader::LimineUefi) || wants(Loader::LimineBios))
            .then(|| Limine::find(setup))
            .transpose()?;
        let firmware = (wants(Loader::LimineUefi) && matches!(limine, Some(Ok(_))))
            .then(|| setup.ovmf())
            .transpose()?;
        let qemu = setup.tool(&QEMU)?;
        let compiler = Compiler::find(setup)?;
        let mut programs = BTreeMap::new();
        for variant in variants {
            programs.entry(variant.profile).or_insert_with(|| {
                build::build(setup, &compiler, variant.profile)
                    .map_err(|error| format!("{error:#}"))
            });
        }
        Ok(Self { setup, config, qemu, limine, firmware, programs, making: Mutex::new(()) })
    }

    /// Runs one variant. The inner `Err` says why it was skipped.
    pub fn run(&self, variant: &Variant, show: bool) -> Result<Result<Run, String>> {
        let limine = match (&self.limine, variant.loader.is_limine()) {
            (Some(Err(reason)), true) => return Ok(Err(reason.clone())),
            (Some(Ok(limine)), true) => Some(limine),
            _ => None,
        };
        let programs = match self.programs.get(&variant.profile) {
            Some(Ok(programs)) => programs,
            Some(Err(error)) => return Err(anyhow!("{error}")),
            None => return Err(anyhow!("the {} programs were not built", variant.profile)),
        };
        let boot = match variant.loader {
            Loader::Direct => Boot::Direct { stub: programs.stub.clone() },
            Loader::LimineBios => Boot::Bios { limine: limine.context("no Limine")? },
            Loader::LimineUefi => Boot::Uefi {
                limine: limine.context("no Limine")?,
                firmware: self.firmware.as_ref().context("no UEFI firmware")?,
            },
        };
        let machine = {
            let _one_at_a_time =
                self.making.lock().map_err(|_| anyhow!("another guest's media"))?;
            let scenario = &variant.scenario;
            let files =
                image::boot_files(self.setup, programs, &scenario.manifest, &scenario.faults())?;
            variant.prepare(self.setup, self.config.board(&variant.machine)?, &files, boot)?
        };
        let log = variant.log(self.setup.workspace)?;
        let limit = (variant.scenario.timeout_s > 0)
            .then(|| Duration::from_secs(variant.scenario.timeout_s));
        let options = qemu::Options { show, limit, log: &log };
        let ending = qemu::run(&self.qemu, &machine.arguments(), &options)?;
        let verdict = judge(&variant.scenario, &ending);
        Ok(Ok(Run { verdict, ending, log }))
    }

    /// Why Limine cannot be had, if it was wanted.
    pub fn limine(&self) -> Option<&Result<Limine, String>> {
        self.limine.as_ref()
    }
}

/// A variant that was run.
pub struct Run {
    pub verdict: Verdict,
    pub ending: qemu::Ending,
    pub log: PathBuf,
}

/// Runs `variants`, up to `jobs` side by side, and prints how each ended.
pub fn run_all(guests: &Guests, variants: &[Variant], jobs: usize) -> Counts {
    let progress = Progress::new(variants.len());
    let waiting = Mutex::new(variants.iter());
    let total = Mutex::new(Counts::default());
    thread::scope(|scope| {
        for _ in 0..jobs.min(variants.len()) {
            scope.spawn(|| {
                // The lock is held only while the next variant is taken.
                while let Some(variant) = waiting.lock().ok().and_then(|mut list| list.next()) {
                    let bar = progress.start(&variant.name());
                    let (text, counts) = report(guests, variant);
                    progress.end(bar, &text);
                    if let Ok(mut total) = total.lock() {
                        total.add(counts);
                    }
                }
            });
        }
    });
    progress.finish();
    // A worker that died took its lock with it, and its tests with them: that is a failure.
    total.into_inner().unwrap_or(Counts { failed: 1, ..Counts::default() })
}

/// Runs one variant: what to print about it, and how it counts.
fn report(guests: &Guests, variant: &Variant) -> (String, Counts) {
    let name = variant.name();
    let failed = Counts { failed: 1, ..Counts::default() };
    let run = match guests.run(variant, false) {
        Err(error) => return (format!("FAIL  {name}: {error:#}"), failed),
        Ok(Err(reason)) => {
            return (format!("skip  {name}: {reason}"), Counts { skipped: 1, ..Counts::default() });
        }
        Ok(Ok(run)) => run,
    };
    let counts = run.verdict.counts();
    let word = if counts.failed == 0 { "ok  " } else { "FAIL" };
    let tests = match run.verdict.tests.len() {
        0 => String::new(),
        _ => {
            format!("{} ok, {} failed, {} skipped, ", counts.passed, counts.failed, counts.skipped)
        }
    };
    let mut text = format!("{word}  {name} ({tests}{:.1} s)", run.ending.elapsed.as_secs_f64());
    text += &details(guests, &run, counts.failed > 0);
    (text, counts)
}

/// The lines below a variant's own: what failed and why, what was skipped and why.
fn details(guests: &Guests, run: &Run, failed: bool) -> String {
    let mut text = String::new();
    // Tests that were skipped for the same reason share a line.
    let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for test in &run.verdict.tests {
        match test.outcome {
            Outcome::Ok => {}
            Outcome::Fail => text += &format!("\n      FAIL {}: {}", test.name, test.text),
            Outcome::Skip => skipped.entry(&test.text).or_default().push(&test.name),
        }
    }
    for (reason, names) in skipped {
        text += &format!("\n      skip, {reason}: {}", names.join(", "));
    }
    for problem in &run.verdict.problems {
        text += &format!("\n      {problem}");
    }
    if failed {
        text += &tail(guests, run);
    }
    text
}

fn tail(guests: &Guests, run: &Run) -> String {
    let mut text = String::new();
    for line in run.ending.errors.lines() {
        text += &format!("\n      qemu: {line}");
    }
    let lines: Vec<&String> = run.verdict.lines.iter().filter(|line| !line.is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(TAIL)..];
    text += &format!(
        "\n      last {} of {} serial lines (all in {}):",
        shown.len(),
        lines.len(),
        guests.setup.workspace.shown(&run.log)
    );
    for line in shown {
        text += &format!("\n      | {line}");
    }
    text
}
