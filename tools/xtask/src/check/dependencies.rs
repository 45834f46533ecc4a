//! Every crate that we depend on directly must be approved, with a reason, in
//! `ci/dependencies.md`; and nothing may be approved that we do not use.

use super::Source;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use toml::{Table, Value};

const FILE: &str = "ci/dependencies.md";
const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub fn check(workspace: &Workspace, manifests: &[Source]) -> Result<Vec<String>> {
    let text = fs::read_to_string(workspace.source(FILE))
        .with_context(|| format!("cannot read {FILE}"))?;
    let approved = approved(&text)?;
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    for manifest in manifests.iter().filter(|source| source.path.ends_with("Cargo.toml")) {
        let table: Table =
            manifest.text.parse().with_context(|| format!("cannot read {}", manifest.path))?;
        for name in direct(&table) {
            used.entry(name).or_insert_with(|| manifest.path.clone());
        }
    }
    // Our own crates depend on each other by name through the workspace's table.
    let ours: BTreeSet<String> = manifests.iter().filter_map(own_name).collect();
    used.retain(|name, _| !ours.contains(name));
    let mut found: Vec<String> = used
        .iter()
        .filter(|(name, _)| !approved.contains(*name))
        .map(|(name, path)| format!("{path}: dependency {name} is not listed in {FILE}"))
        .collect();
    found.extend(
        approved
            .iter()
            .filter(|name| !used.contains_key(*name))
            .map(|name| format!("{FILE}: {name} is listed and nothing uses it")),
    );
    Ok(found)
}

/// The crates in the first column of the list's tables, in backticks.
fn approved(text: &str) -> Result<BTreeSet<String>> {
    let row = Regex::new(r"(?m)^\|\s*`([^`]+)`\s*\|")?;
    Ok(row.captures_iter(text).map(|found| found[1].to_string()).collect())
}

fn own_name(source: &Source) -> Option<String> {
    let table: Table = source.text.parse().ok()?;
    Some(table.get("package")?.get("name")?.as_str()?.to_string())
}

/// The crates that a Cargo.toml depends on, without those it takes by path.
fn direct(table: &Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut places = vec![table];
    places.extend(table.get("workspace").and_then(Value::as_table));
    if let Some(targets) = table.get("target").and_then(Value::as_table) {
        places.extend(targets.values().filter_map(Value::as_table));
    }
    for place in places {
        for kind in KINDS {
            let Some(list) = place.get(kind).and_then(Value::as_table) else { continue };
            for (name, value) in list.iter().filter(|(_, value)| value.get("path").is_none()) {
                let renamed = value.get("package").and_then(Value::as_str);
                names.insert(renamed.unwrap_or(name).to_string());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_dependency_is_seen() {
        let text = "
            [dependencies]
            a = '1'
            own = { path = '../own' }
            renamed = { package = 'real', version = '1' }
            [dev-dependencies]
            b.workspace = true
            [target.'cfg(unix)'.build-dependencies]
            c = { version = '1' }
            [workspace.dependencies]
            d = '1'
        ";
        let names = direct(&text.parse().expect("TOML"));
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d", "real"]);
    }

    #[test]
    fn only_table_rows_approve() {
        let text =
            "| crate | why |\n| --- | --- |\n| `a` | x |\n| `b-c` | instead of `d` |\nand `e`\n";
        let names = approved(text).expect("pattern");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b-c"]);
    }
}
