//! `cargo xtask syscalls`: the reference page of system calls, from the table in `tocsin-abi`.

use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use tocsin_abi::Error;
use tocsin_abi::syscall::{SYSCALLS, SyscallInfo};

/// Where the page is, below the workspace.
const PAGE: &str = "kernel/doc/syscalls.md";

const HEAD: &str = "# System calls

Printed by `cargo xtask syscalls` from the table in `libsys/abi/src/syscall.rs`; do not edit.
Registers: see `libsys/abi/src/lib.rs`. Values are numbered as they come back: the first
result, then value 0, 1, and so on. A call that fails has changed nothing, unless it says
otherwise. Every call with a handle can answer `BadHandle`, `WrongType` and `MissingRight`.

";

/// Writes the page.
///
/// # Errors
/// The file can not be written.
pub fn write(workspace: &Workspace) -> Result<bool> {
    let path = workspace.source(PAGE);
    fs::write(&path, page()).with_context(|| format!("writing {}", path.display()))?;
    println!("{} calls: {}", SYSCALLS.len(), workspace.shown(&path));
    Ok(true)
}

/// What is wrong with the page that is there, if anything.
pub fn check(workspace: &Workspace) -> Option<String> {
    let found = fs::read_to_string(workspace.source(PAGE)).unwrap_or_default();
    (found != page()).then(|| format!("{PAGE}: out of date: run `cargo xtask syscalls`"))
}

fn page() -> String {
    let mut page = HEAD.to_string();
    for call in SYSCALLS {
        describe(&mut page, call);
    }
    page.push_str("## Errors\n\n| code | name | meaning |\n| --- | --- | --- |\n");
    for error in Error::ALL {
        let _ = writeln!(page, "| {} | `{error:?}` | {error} |", *error as u8);
    }
    page
}

fn describe(page: &mut String, call: &SyscallInfo) {
    let arguments: Vec<_> =
        call.arguments.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    let _ = writeln!(page, "## {} `{}({})`\n", call.number, call.name, arguments.join(", "));
    for line in call.doc.lines() {
        let _ = writeln!(page, "{}", line.trim());
    }
    let _ = writeln!(page, "\nReturns: {}.", list(call.results, "does not return"));
    let errors: Vec<_> = call.errors.iter().map(|error| format!("`{error:?}`")).collect();
    let errors: Vec<_> = errors.iter().map(String::as_str).collect();
    let _ = writeln!(page, "Errors: {}.\n", list(&errors, "none of its own"));
}

fn list(items: &[&str], none: &str) -> String {
    if items.is_empty() { none.to_string() } else { items.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_and_every_error_is_on_the_page() {
        let page = page();
        for call in SYSCALLS {
            assert!(page.contains(&format!("## {} `{}(", call.number, call.name)));
        }
        for error in Error::ALL {
            assert!(page.contains(&format!("`{error:?}`")));
        }
    }
}
