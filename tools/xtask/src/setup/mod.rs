//! Finding what a command needs and installing what is missing: says what it does, never asks.

pub mod apt;
pub mod compiler;
pub mod limine;

use crate::arch::Arch;
use crate::command;
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// A program that a command needs, and the Debian packages that bring it.
pub struct Tool {
    pub program: &'static str,
    pub packages: &'static [&'static str],
}

pub const CC: Tool = Tool { program: "cc", packages: &["gcc", "libc6-dev"] };
pub const DOT: Tool = Tool { program: "dot", packages: &["graphviz"] };

/// UEFI firmware for QEMU: the code, and the variables that each guest starts with.
#[derive(Clone)]
pub struct Firmware {
    pub code: PathBuf,
    pub variables: PathBuf,
}

/// How to get what is missing, for one command.
pub struct Setup<'a> {
    pub workspace: &'a Workspace,
    /// Whether installing and downloading is allowed (`--no-install` forbids it).
    pub allowed: bool,
}

impl<'a> Setup<'a> {
    pub fn new(workspace: &'a Workspace, allowed: bool) -> Self {
        Self { workspace, allowed }
    }

    /// Where `tool` is, after installing it if need be.
    pub fn tool(&self, tool: &Tool) -> Result<PathBuf> {
        self.installed(tool.program, tool.packages, || command::find(tool.program))
    }

    /// UEFI firmware for `arch`, after installing it if need be.
    pub fn firmware(&self, arch: Arch) -> Result<Firmware> {
        let (places, package) = arch.firmware();
        let find = || {
            places
                .iter()
                .map(|(code, variables)| Firmware {
                    code: code.into(),
                    variables: variables.into(),
                })
                .find(|firmware| firmware.code.is_file() && firmware.variables.is_file())
        };
        self.installed(&format!("UEFI firmware for {arch} in QEMU"), &[package], find)
    }

    /// What `find` finds, before or after installing `packages`.
    fn installed<T>(
        &self,
        what: &str,
        packages: &[&str],
        find: impl Fn() -> Option<T>,
    ) -> Result<T> {
        if let Some(found) = find() {
            return Ok(found);
        }
        if !self.allowed {
            bail!("{what} is missing; this brings it: {}", apt::command_line(packages));
        }
        apt::install(self.workspace, what, packages)?;
        if let Some(found) = find() {
            return Ok(found);
        }
        // Old package lists may have brought an old version.
        apt::update()?;
        apt::install(self.workspace, what, packages)?;
        match find() {
            Some(found) => Ok(found),
            None => bail!("{what} is still missing after {}", apt::command_line(packages)),
        }
    }
}
