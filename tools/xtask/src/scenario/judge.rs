//! Whether a guest did what its scenario asks.

use super::config::{End, Scenario};
use super::serial::{self, Line, Outcome, TestLine};
use crate::inspect::parse;
use crate::qemu::Ending;
use regex::Regex;

/// What a guest's run is worth.
#[derive(Default)]
pub struct Verdict {
    /// Its `@test` lines.
    pub tests: Vec<TestLine>,
    /// What was wrong apart from those, in words; empty if nothing was.
    pub problems: Vec<String>,
    /// The serial port's lines.
    pub lines: Vec<String>,
}

/// Tests by outcome.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Verdict {
    /// A guest without `@test` lines is one test; with them, each line is one, and what was wrong
    /// apart from them is one more that failed.
    pub fn counts(&self) -> Counts {
        let count = |outcome| self.tests.iter().filter(|test| test.outcome == outcome).count();
        let itself = usize::from(self.tests.is_empty() && self.problems.is_empty());
        Counts {
            passed: count(Outcome::Ok) + itself,
            failed: count(Outcome::Fail) + usize::from(!self.problems.is_empty()),
            skipped: count(Outcome::Skip),
        }
    }
}

/// Compares how a guest ended with what `scenario` asks.
pub fn judge(scenario: &Scenario, ending: &Ending) -> Verdict {
    let lines: Vec<String> = ending.serial.lines().map(|line| line.trim_end().into()).collect();
    let mut verdict = Verdict::default();
    let problems = &mut verdict.problems;
    let mut exited = false;
    for line in &lines {
        match serial::parse(line) {
            Line::Test(test) => verdict.tests.push(test),
            Line::Exit(_) => exited = true,
            Line::Malformed => problems.push(format!("malformed line: {line}")),
            Line::Bench(_) | Line::Text => {}
        }
    }
    if ending.timed_out {
        problems.push(format!("killed after {} s", scenario.timeout_s));
    } else if ending.status != Some(scenario.exit_status()) {
        let status = ending.status.map_or("a signal".into(), |status| format!("status {status}"));
        problems.push(format!("QEMU ended with {status}, not {}", scenario.exit_status()));
    }
    match scenario.end {
        End::Exit if !exited => problems.push("the guest printed no @exit line".into()),
        End::Exit => {}
        End::Fatal => {
            let last = lines.iter().rfind(|line| !line.is_empty()).map_or("", String::as_str);
            if !last.starts_with("tocsin: fatal: ") {
                problems.push(format!("the last line is no `tocsin: fatal: ` line: {last}"));
            }
        }
    }
    if verdict.tests.len() < scenario.min_tests {
        let (found, wanted) = (verdict.tests.len(), scenario.min_tests);
        problems.push(format!("{found} @test lines, at least {wanted} are wanted"));
    }
    if !ending.all_typed {
        problems.push("it ended before all of its input was typed".into());
    }
    // Rows of the inspector are whole, or it had better say nothing.
    let rows = parse::snapshots(lines.iter().map(String::as_str));
    problems.extend(rows.err().map(|error| format!("the inspector's rows: {error:#}")));
    problems.extend(missing_pattern(&scenario.expect, &lines));
    for pattern in &scenario.require {
        problems.extend(missing_pattern(std::slice::from_ref(pattern), &lines));
    }
    problems.extend(forbidden_lines(scenario, &lines));
    verdict.lines = lines;
    verdict
}

/// The first of `patterns` that no line matches after the line that the one before it matched.
fn missing_pattern(patterns: &[String], lines: &[String]) -> Option<String> {
    let mut rest = lines.iter();
    patterns.iter().find_map(|pattern| {
        let regex = match Regex::new(pattern) {
            Ok(regex) => regex,
            Err(error) => return Some(error.to_string()),
        };
        let found = rest.any(|line| regex.is_match(line));
        (!found).then(|| format!("no line matches `{pattern}` in its place"))
    })
}

fn forbidden_lines(scenario: &Scenario, lines: &[String]) -> Vec<String> {
    // No scenario may make the kernel panic, and only some may make it give up.
    let mut patterns = vec!["tocsin: panic: "];
    if scenario.end == End::Exit {
        patterns.push("tocsin: fatal: ");
    }
    patterns.extend(scenario.forbid.iter().map(String::as_str));
    let mut found = Vec::new();
    for pattern in patterns {
        match Regex::new(pattern) {
            Ok(regex) => found.extend(
                lines
                    .iter()
                    .find(|line| regex.is_match(line))
                    .map(|line| format!("forbidden line (`{pattern}`): {line}")),
            ),
            Err(error) => found.push(error.to_string()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::config::Config;
    use std::time::Duration;

    fn scenario(more: &str) -> Scenario {
        let text = format!(
            "[machine.q35]\nabout=''\nqemu=''\n[[scenario]]\nname='s'\nabout=''\ntimeout_s=1\n{more}"
        );
        Config::parse(&text).expect("good").scenarios()[0].clone()
    }

    fn ending(status: i32, serial: &str) -> Ending {
        Ending {
            status: Some(status),
            timed_out: false,
            all_typed: true,
            serial: serial.into(),
            errors: String::new(),
            elapsed: Duration::ZERO,
        }
    }

    fn counts(more: &str, status: i32, serial: &str) -> (usize, usize, usize) {
        let Counts { passed, failed, skipped } =
            judge(&scenario(more), &ending(status, serial)).counts();
        (passed, failed, skipped)
    }

    #[test]
    fn a_quiet_guest_is_one_test() {
        assert_eq!(counts("", 33, "hello\r\n@exit 0\r\n"), (1, 0, 0));
    }

    #[test]
    fn wrong_endings_fail() {
        assert_eq!(counts("", 35, "@exit 1\n"), (0, 1, 0));
        assert_eq!(counts("", 33, "hello\n"), (0, 1, 0), "no @exit line");
        let killed = Ending { status: None, timed_out: true, ..ending(0, "@exit 0\n") };
        assert_eq!(judge(&scenario(""), &killed).counts().failed, 1);
        let silent = Ending { all_typed: false, ..ending(33, "@exit 0\n") };
        assert_eq!(judge(&scenario(""), &silent).counts().failed, 1);
        assert_eq!(counts("", 33, "@exit 0\ntocsin: panic: no\n"), (0, 1, 0));
        assert_eq!(counts("", 33, "@exit 0\ntocsin: fatal: no\n"), (0, 1, 0));
    }

    #[test]
    fn each_test_line_counts() {
        let serial = "@test a ok\n@test b skip why\n@test c fail\n@test d ok x\n@exit 0\n";
        assert_eq!(counts("", 33, serial), (2, 1, 1));
        // A bad end is one more failure.
        assert_eq!(counts("", 35, serial), (2, 2, 1));
        assert_eq!(counts("min_tests = 5", 33, serial), (2, 2, 1));
        assert_eq!(counts("", 33, "@test a ok\n@test b\n@exit 0\n"), (1, 1, 0), "malformed");
    }

    #[test]
    fn patterns_match_in_order() {
        let serial = "one 1\ntwo 2\n@exit 0\n";
        assert_eq!(counts("expect = ['^one \\d$', 'two']", 33, serial), (1, 0, 0));
        assert_eq!(counts("expect = ['two', 'one']", 33, serial), (0, 1, 0));
        assert_eq!(counts("expect = ['one', 'one']", 33, serial), (0, 1, 0), "one line, one match");
        assert_eq!(counts("require = ['two', 'one']", 33, serial), (1, 0, 0), "in any order");
        assert_eq!(counts("require = ['two', 'ten']", 33, serial), (0, 1, 0));
        assert_eq!(counts("forbid = ['tw.']", 33, serial), (0, 1, 0));
    }

    #[test]
    fn fatal_end_needs_its_last_line() {
        let end = "end = 'fatal'";
        assert_eq!(counts(end, 35, "tocsin: fatal: module init is missing\n\n"), (1, 0, 0));
        assert_eq!(counts(end, 35, "tocsin: fatal: x\nmore\n"), (0, 1, 0));
        assert_eq!(counts(end, 33, "tocsin: fatal: x\n"), (0, 1, 0));
    }
}
