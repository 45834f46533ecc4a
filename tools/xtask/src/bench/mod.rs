//! `cargo xtask bench`: the scenario `bench`, its figures beside the design's targets.

mod figures;
mod table;

use crate::cli::BenchOptions;
use crate::scenario::serial::{self, BenchLine, Line};
use crate::scenario::{Config, expand};
use crate::setup::Setup;
use crate::test::guests::Guests;
use crate::ui::{Step, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;

/// Measures; `false` if a figure is missing or not to be believed. A missed target is not a
/// failure of the command, but the table says it.
pub fn run(workspace: &Workspace, setup: &Setup, options: &BenchOptions) -> Result<bool> {
    let config = Config::read(workspace)?;
    let arch = options.arch;
    let variant = expand(&config, config.scenario("bench")?)?
        .into_iter()
        .find(|variant| variant.arch == arch)
        .with_context(|| format!("scenario bench has no machine for {arch}"))?;
    let mut guests = Guests::new(setup, &config)?;
    guests.prepare(arch, std::slice::from_ref(&variant))?;
    let step = Step::start(format!("measuring on {arch}, in a guest that counts instructions"));
    let run = match guests.run(&variant, false)? {
        Ok(run) => run,
        Err(reason) => bail!("{reason}"),
    };
    step.done();
    say(format!("serial log: {}", workspace.shown(&run.log)));
    let lines: Vec<BenchLine> =
        run.verdict.lines.iter().filter_map(|line| bench_line(line)).collect();
    let rows = match table::rows(&lines) {
        Ok(rows) => rows,
        Err(wrong) => {
            for problem in wrong.iter().chain(&run.verdict.problems) {
                say(problem);
            }
            bail!("the figures are not complete");
        }
    };
    print!("{}", table::text(&rows, arch));
    println!("{}", table::summary(&rows));
    if let Some(path) = &options.json {
        let calibration = lines.iter().find(|line| line.key == figures::CALIBRATION);
        let text = serde_json::to_string_pretty(&table::json(&rows, calibration, arch))? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for problem in &run.verdict.problems {
        say(problem);
    }
    Ok(run.verdict.counts().failed == 0)
}

fn bench_line(line: &str) -> Option<BenchLine> {
    match serial::parse(line) {
        Line::Bench(line) => Some(line),
        _ => None,
    }
}
