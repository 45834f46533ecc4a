//! `cargo xtask`: the project's commands, the same for a person and for CI.
//!
//! | folder or file | what it does |
//! | --- | --- |
//! | `arch` | the architectures, and what each needs |
//! | `cli` | the command line, and which module answers each command |
//! | `setup/` | finds or installs what a command needs: bare-metal compiler, QEMU, Limine |
//! | `build`, `elf` | builds the kernel, the servers and the boot stub; makes of them what is booted |
//! | `image/` | boot modules, the direct stub's bundle, the Limine disk image |
//! | `machine`, `qemu`, `plain` | a guest's command line; running it under a hard time limit; its serial port as plain text |
//! | `inspect/` | the domain tree of a guest as text, JSON and SVG |
//! | `scenario/` | `ci/scenarios.toml`: its format, its variants, judging what a guest printed |
//! | `run`, `test/`, `bench/`, `check/`, `clippy`, `graph`, `syscalls` | one command each |
#![forbid(unsafe_code)]

mod acpi;
mod arch;
mod bench;
mod build;
mod check;
mod cli;
mod clippy;
mod command;
mod elf;
mod graph;
mod image;
mod inspect;
mod machine;
mod plain;
mod qemu;
mod run;
mod scenario;
mod setup;
mod syscalls;
mod test;
mod ui;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::dispatch() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // One line: what is wrong, then what was being done, innermost last.
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
