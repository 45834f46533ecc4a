//! Running guests several at a time, and telling how each ended.

use super::guests::{Guests, Run};
use super::progress::Progress;
use crate::scenario::Variant;
use crate::scenario::judge::Counts;
use crate::scenario::serial::Outcome;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

/// How many lines of a failed guest's serial port are shown.
const TAIL: usize = 40;

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
        guests.setup().workspace.shown(&run.log)
    );
    for line in shown {
        text += &format!("\n      | {line}");
    }
    text
}
