//! `cargo xtask inspect`: boots a machine, has its inspector read the domain tree while the
//! drivers hold their messages, and writes it as text, JSON and SVG.

mod json;
pub mod parse;
mod svg;

use crate::cli::InspectOptions;
use crate::run::chosen;
use crate::scenario::{Config, Variant};
use crate::setup::Setup;
use crate::test::guests::{Guests, Run};
use crate::ui::{Step, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use inspect_core::text::{Expand, is_named, print};
use json::Origin;
use parse::Snapshot;
use std::fs;
use std::path::Path;

/// The scenario that is booted when none is named.
pub const SCENARIO: &str = "inspect";
/// The program that is told to write rows.
const PROGRAM: &str = "inspect";
/// How long a guest has when nobody says: machines with many messages write for a while.
const TIMEOUT_S: u64 = 600;
/// Lines of a guest that failed that are shown.
const TAIL: usize = 30;

/// Does what `options` ask for; `true` if the guest reports success and its rows are whole.
pub fn run(workspace: &Workspace, setup: &Setup, options: &InspectOptions) -> Result<bool> {
    let (snapshots, origin, success) = match &options.from {
        Some(log) => (read(log)?, None, true),
        None => {
            let (variant, run) = boot(workspace, setup, options)?;
            let success = run.verdict.problems.is_empty();
            if !success {
                complain(&run);
            }
            let lines = run.verdict.lines.iter().map(String::as_str);
            let snapshots = parse::snapshots(lines).context("the guest's rows")?;
            let (scenario, machine) = (variant.scenario.name, variant.machine);
            let origin = Origin { scenario, machine, arch: variant.arch.to_string() };
            (snapshots, Some(origin), success)
        }
    };
    ensure!(!snapshots.is_empty(), "no interrupt server described itself: is there a `{PROGRAM}`?");
    let expand = expand(options, &snapshots)?;
    if options.text || (options.json.is_none() && options.svg.is_none()) {
        write_text(&snapshots, expand);
    }
    if let Some(path) = &options.json {
        let document = json::document(&snapshots, origin.as_ref())?;
        match path.as_os_str() == "-" {
            true => print!("{document}"),
            false => write(workspace, path, &document)?,
        }
    }
    if let Some(path) = &options.svg {
        let drawing = svg::drawing(&snapshots, &title(&snapshots, origin.as_ref()), expand);
        write(workspace, path, &drawing)?;
    }
    Ok(success)
}

/// Boots the guest with an inspector that writes rows.
fn boot(workspace: &Workspace, setup: &Setup, options: &InspectOptions) -> Result<(Variant, Run)> {
    let config = Config::read(workspace)?;
    let mut variant = chosen(setup, &config, &options.guest, SCENARIO)?;
    if let Some(manifest) = &options.manifest {
        variant.scenario.manifest.clone_from(manifest);
    }
    variant.scenario.timeout_s = options.guest.timeout.unwrap_or(TIMEOUT_S);
    variant.scenario.args.insert(PROGRAM.into(), "rows".into());
    let mut guests = Guests::new(setup, &config)?;
    guests.prepare(variant.arch, std::slice::from_ref(&variant))?;
    guests.programs(&variant)?;
    let what = format!(
        "booting {} ({}: {}, {}, {} CPUs)",
        variant.scenario.name, variant.arch, variant.machine, variant.loader, variant.smp
    );
    let step = Step::start(what);
    let run = match guests.run(&variant, false)? {
        Ok(run) => run,
        Err(reason) => bail!("--loader limine was asked for: {reason}"),
    };
    step.done();
    say(format!("serial log: {}", workspace.shown(&run.log)));
    Ok((variant, run))
}

/// What was wrong with a guest, and its last lines for people.
fn complain(run: &Run) {
    for problem in &run.verdict.problems {
        say(problem);
    }
    let is_for_people =
        |line: &&String| !line.is_empty() && !line.starts_with(inspect_core::line::PREFIX);
    let lines: Vec<&String> = run.verdict.lines.iter().filter(is_for_people).collect();
    for line in &lines[lines.len().saturating_sub(TAIL)..] {
        say(format!("| {line}"));
    }
}

/// The snapshots in a serial log.
fn read(log: &Path) -> Result<Vec<Snapshot>> {
    let text = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    parse::snapshots(text.lines().map(str::trim_end)).with_context(|| log.display().to_string())
}

/// Whose messages are shown one by one. A name that nothing has is a mistake.
fn expand<'a>(options: &'a InspectOptions, snapshots: &[Snapshot]) -> Result<Expand<'a>> {
    let clients = || snapshots.iter().flat_map(|snapshot| &snapshot.tree.clients);
    if options.expand.iter().any(|name| name == "all") {
        return Ok(Expand::Everything);
    }
    for name in &options.expand {
        if !clients().any(|client| is_named(client, name)) {
            let known = clients().map(|client| {
                let place = inspect_core::names::ClientName(client.row.client);
                format!("{place} ({})", client.row.owner.as_str())
            });
            bail!("--expand {name}: there are {}", known.collect::<Vec<_>>().join(", "));
        }
    }
    Ok(if options.expand.is_empty() { Expand::Nothing } else { Expand::Named(&options.expand) })
}

fn write_text(snapshots: &[Snapshot], expand: Expand) {
    for snapshot in snapshots {
        let changed = if snapshot.steady { "" } else { " (something changed while it was read)" };
        println!("server `{}`{changed}", snapshot.server);
        print(&snapshot.tree, expand, |line| println!("{line}"));
    }
}

fn title(snapshots: &[Snapshot], origin: Option<&Origin>) -> String {
    let messages: u64 = snapshots.iter().map(|it| it.tree.sums().messages()).sum();
    match origin {
        Some(Origin { scenario, machine, arch }) => {
            format!("Tocsin on {machine} ({arch}), scenario {scenario}: {messages} messages")
        }
        None => format!("Tocsin: {messages} messages"),
    }
}

fn write(workspace: &Workspace, path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say(format!("written: {}", workspace.shown(path)));
    Ok(())
}
