//! Every test that the list of invariants names must exist.

use super::Source;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use regex::Regex;
use std::collections::BTreeSet;
use std::fs;

/// The list. A line `test: ...` names tests in backticks.
const FILE: &str = "kernel/doc/invariants.md";

pub fn check(workspace: &Workspace, rust: &[Source]) -> Result<Vec<String>> {
    let path = workspace.source(FILE);
    if !path.is_file() {
        return Ok(vec![format!("{FILE} is missing: no invariant has a test")]);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let scenarios = fs::read_to_string(workspace.source("ci/scenarios.toml")).unwrap_or_default();
    let known = known_tests(rust, &scenarios)?;
    let named = named_tests(&text)?;
    if named.is_empty() {
        return Ok(vec![format!("{FILE} names no test")]);
    }
    Ok(named
        .into_iter()
        .filter(|(_, name)| !known.contains(name))
        .map(|(line, name)| format!("{FILE}:{line}: there is no test `{name}`"))
        .collect())
}

/// The names in backticks after `test:` or `tests:`, with their line numbers.
fn named_tests(text: &str) -> Result<Vec<(usize, String)>> {
    let marker = Regex::new(r"\b[Tt]ests?:")?;
    let name = Regex::new(r"`([^`]+)`")?;
    let mut named = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(start) = marker.find(line).map(|found| found.end()) else { continue };
        named.extend(
            name.captures_iter(&line[start..]).map(|found| (index + 1, found[1].to_string())),
        );
    }
    Ok(named)
}

/// What counts as a test: a function of the tree, a string in a server (the NAME of a `@test`
/// line), or a scenario.
fn known_tests(rust: &[Source], scenarios: &str) -> Result<BTreeSet<String>> {
    let function = Regex::new(r"\bfn ([a-z0-9_]+)")?;
    let string = Regex::new(r#""([A-Za-z0-9_.-]+)""#)?;
    let scenario = Regex::new(r#"(?m)^name\s*=\s*"([^"]+)""#)?;
    let mut known = BTreeSet::new();
    let mut add = |regex: &Regex, text: &str| {
        known.extend(regex.captures_iter(text).map(|found| found[1].to_string()));
    };
    for source in rust {
        add(&function, &source.text);
        if source.path.starts_with("servers/") {
            add(&string, &source.text);
        }
    }
    add(&scenario, scenarios);
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_after_the_marker_are_read() {
        let text = "1. `not this`\n   test: `one`, `two_b`\nTests: `three`\nlatest: `no`\n";
        let named = named_tests(text).expect("patterns");
        let named: Vec<(usize, &str)> =
            named.iter().map(|(line, name)| (*line, name.as_str())).collect();
        assert_eq!(named, [(2, "one"), (2, "two_b"), (3, "three")]);
    }

    #[test]
    fn functions_server_strings_and_scenarios_are_tests() {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let rust = [
            source("kernel/core/src/a.rs", "fn in_core() { \"text\" }"),
            source("servers/testd/src/a.rs", "report(\"revoke_kills\", ok)"),
        ];
        let known = known_tests(&rust, "[[scenario]]\nname = \"hostile\"\n").expect("patterns");
        for name in ["in_core", "revoke_kills", "hostile"] {
            assert!(known.contains(name), "{name}");
        }
        assert!(!known.contains("text"));
    }
}
