//! `cargo xtask test`: host tests, then guests; one line at the end says how many.

pub mod guests;
mod host;
mod progress;
mod report;

use crate::arch::Arch;
use crate::cli::{TestKind, TestOptions};
use crate::scenario::judge::Counts;
use crate::scenario::{Config, Variant, expand};
use crate::setup::Setup;
use crate::ui::say;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use guests::Guests;

/// Runs the tests that `options` choose; `false` if one failed or none was run.
pub fn run(workspace: &Workspace, setup: &Setup, options: &TestOptions) -> Result<bool> {
    let config = Config::read(workspace)?;
    let filter = options.filter.as_deref();
    let machine = options.machine.as_deref();
    if let Some(machine) = machine {
        config.board(machine).context("--machine")?;
    }
    let mut variants: Vec<Variant> = Vec::new();
    for scenario in config.scenarios() {
        variants.extend(expand(&config, scenario)?);
    }
    variants.retain(|variant| {
        options.arch.is_none_or(|arch| variant.arch == arch)
            && machine.is_none_or(|machine| variant.machine == machine)
            && filter.is_none_or(|filter| variant.name().contains(filter))
    });
    if options.list {
        for variant in &variants {
            println!("{:40} {}", variant.name(), variant.scenario.about);
        }
        return Ok(true);
    }
    let mut total = Counts::default();
    if options.only != Some(TestKind::Qemu) {
        total.add(host::run(setup, filter)?);
    }
    if options.only != Some(TestKind::Host) && !variants.is_empty() {
        total.add(run_guests(setup, &config, variants, options.jobs as usize)?);
    }
    let Counts { passed, failed, skipped } = total;
    if passed + failed == 0 {
        say("no test was run");
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0 && passed > 0)
}

/// Runs `variants`. Without its tools no guest of an architecture runs, and a test that did not
/// run has not passed.
fn run_guests(
    setup: &Setup,
    config: &Config,
    mut variants: Vec<Variant>,
    jobs: usize,
) -> Result<Counts> {
    let mut guests = Guests::new(setup, config)?;
    let mut counts = Counts::default();
    for arch in Arch::ALL {
        if !variants.iter().any(|variant| variant.arch == arch) {
            continue;
        }
        if let Err(error) = guests.prepare(arch, &variants) {
            say(format!("no {arch} guest can run: {error:#}"));
            let before = variants.len();
            variants.retain(|variant| variant.arch != arch);
            counts.failed += before - variants.len();
        }
    }
    if !variants.is_empty() {
        counts.add(report::run_all(&guests, &variants, jobs));
    }
    Ok(counts)
}
