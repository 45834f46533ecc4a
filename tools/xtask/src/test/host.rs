//! The tests that run on this machine: `cargo test` on the workspace's default members.

use crate::scenario::judge::Counts;
use crate::setup::Setup;
use crate::setup::compiler::cargo;
use crate::ui::say;
use anyhow::{Context, Result};
use std::fs;
use std::process::{Command, Stdio};

/// Runs the tests whose name contains `filter`, and counts them.
pub fn run(setup: &Setup, filter: Option<&str>) -> Result<Counts> {
    say("host tests (cargo test)");
    let mut command = Command::new(cargo());
    command.current_dir(setup.workspace.source(".")).args(["test", "--no-fail-fast"]);
    command.args(filter);
    // Cargo's progress stays visible; what the tests print is kept and counted.
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let log = setup.workspace.target_dir("xtask")?.join("host-tests.log");
    fs::write(&log, &*text).context("cannot keep the log of cargo test")?;
    let mut counts = count(&text);
    if !output.status.success() {
        println!("{text}");
        // A test program that did not compile, or died, has no result line.
        counts.failed = counts.failed.max(1);
    }
    for test in ignored(&text) {
        println!("skip  {test}");
    }
    println!(
        "host tests: {} passed, {} failed, {} skipped ({})",
        counts.passed,
        counts.failed,
        counts.skipped,
        setup.workspace.shown(&log)
    );
    Ok(counts)
}

/// The sums of libtest's lines: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines() {
        let Some(result) = line.strip_prefix("test result: ") else { continue };
        let Some((_, numbers)) = result.split_once(". ") else { continue };
        for part in numbers.split(';') {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match what {
                "passed" => counts.passed += number,
                "failed" => counts.failed += number,
                "ignored" => counts.skipped += number,
                _ => {}
            }
        }
    }
    counts
}

/// The tests that were skipped, with their reason: `test NAME ... ignored, REASON`.
fn ignored(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("test "))
        .filter(|line| line.contains(" ... ignored"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
running 3 tests
test a ... ok
test b ... ignored, needs a network
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s

running 2 tests
test c ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    #[test]
    fn result_lines_are_summed() {
        assert_eq!(count(TEXT), Counts { passed: 3, failed: 1, skipped: 1 });
        assert_eq!(count("error: could not compile"), Counts::default());
    }

    #[test]
    fn skips_keep_their_reason() {
        assert_eq!(ignored(TEXT), ["b ... ignored, needs a network"]);
    }
}
