//! Debian packages, installed without questions.

use crate::command::{self, Captured};
use crate::ui::Step;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The slowest mirror we wait for.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The command a person would type to get `packages`.
pub fn command_line(packages: &[&str]) -> String {
    format!("sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Installs `packages` to get `what`.
pub fn install(workspace: &Workspace, what: &str, packages: &[&str]) -> Result<()> {
    let by_hand = command_line(packages);
    if command::find("apt-get").is_none() {
        bail!(
            "{what} is missing and there is no apt-get here; on Debian this brings it: {by_hand}"
        );
    }
    let Some(prefix) = become_root() else {
        bail!("{what} is missing, and sudo wants a password; this brings it: {by_hand}");
    };
    let list = packages.join(" ");
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);

    let step = Step::start(format!("installing {list} by apt-get, for {what}"));
    let mut result = apt_get(prefix, &install)?;
    if !result.success() {
        // The package lists may be missing or old: a fresh container image has none.
        step.end("not with the present package lists, refreshing them");
        update()?;
        let step = Step::start(format!("installing {list} by apt-get, for {what}"));
        result = apt_get(prefix, &install)?;
        step.end(if result.success() { "done" } else { "failed" });
    } else {
        step.done();
    }
    if !result.success() {
        let log = workspace.target_dir("xtask")?.join("apt.log");
        fs::write(&log, &result.text).context("cannot write apt.log")?;
        bail!(
            "{what} is missing and apt-get could not install it: {} (all of it: {}); by hand: {by_hand}",
            result.reason(),
            workspace.shown(&log)
        );
    }
    Ok(())
}

/// Refreshes the package lists. That it failed shows in what is installed after it.
pub fn update() -> Result<()> {
    let step = Step::start("apt-get update");
    let updated = apt_get(become_root().unwrap_or_default(), &["update"])?;
    step.end(if updated.success() { "done" } else { "failed" });
    Ok(())
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Result<Captured> {
    let mut words = prefix.to_vec();
    // `env` rather than `Command::env`: sudo drops the caller's environment.
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    // Another apt may be running; wait for it instead of failing.
    words.extend(["-o", "DPkg::Lock::Timeout=300"]);
    words.extend(arguments);
    command::capture(Command::new(words[0]).args(&words[1..]), LIMIT)
}

/// The words to put before a command to run it as root; `None` if that needs a password.
fn become_root() -> Option<&'static [&'static str]> {
    let user = command::capture(Command::new("id").arg("-u"), Duration::from_secs(5)).ok()?;
    if user.text.trim() == "0" {
        return Some(&[]);
    }
    command::find("sudo")?;
    command::capture(Command::new("sudo").args(["-n", "true"]), Duration::from_secs(10))
        .ok()?
        .success()
        .then_some(&["sudo", "-n"])
}
