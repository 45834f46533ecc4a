//! `cargo xtask test`: host tests, then guests; one line at the end says how many.

pub mod guests;
mod host;
mod progress;

use crate::cli::{TestKind, TestOptions};
use crate::scenario::judge::Counts;
use crate::scenario::{Config, Variant, expand};
use crate::setup::Setup;
use crate::ui::say;
use crate::workspace::Workspace;
use anyhow::Result;
use guests::Guests;

/// Runs the tests that `options` choose; `false` if one failed or none was run.
pub fn run(workspace: &Workspace, setup: &Setup, options: &TestOptions) -> Result<bool> {
    let config = Config::read(workspace)?;
    let filter = options.filter.as_deref();
    let variants: Vec<Variant> = config
        .scenarios()
        .iter()
        .flat_map(expand)
        .filter(|variant| filter.is_none_or(|filter| variant.name().contains(filter)))
        .collect();
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
        total.add(match Guests::set_up(setup, &config, &variants) {
            Ok(guests) => guests::run_all(&guests, &variants, options.jobs as usize),
            Err(error) => {
                // Without its tools no guest runs, and a test that did not run has not passed.
                say(format!("no guest can run: {error:#}"));
                Counts { failed: variants.len(), ..Counts::default() }
            }
        });
    }
    let Counts { passed, failed, skipped } = total;
    if passed + failed == 0 {
        say("no test was run");
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0 && passed > 0)
}
