//! Reading the TOML file (host only).
//!
//! The file's shape differs from the model in three ways, so it has types of its own: a driver's keys stand beside the
//! program's (postcard has no flattening), most keys have defaults, and a grant is a string.

use core::fmt;

use serde::Deserialize;
use toml::Spanned;

use crate::{
    DeviceMatch, Driver, Grant, InterruptPolicy, Invalid, Manifest, PinTable, Program, Quirk,
    System,
};

/// Why a file is no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceError {
    /// It is not TOML of the right shape; the text has line, column and reason.
    Toml(String),
    /// A grant cannot be understood.
    Grant {
        /// Line in the file, from 1.
        line: usize,
        /// The program that it is in.
        program: String,
        /// Grant and reason.
        reason: String,
    },
    /// It can be read, but breaks the rules.
    Invalid(Invalid),
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::Toml(text) => write!(f, "manifest: {}", text.trim_end()),
            SourceError::Grant { line, program, reason } => {
                write!(f, "manifest: line {line}: {program}: {reason}")
            }
            SourceError::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

impl std::error::Error for SourceError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    system: SystemSection,
    #[serde(default)]
    interrupt: InterruptSection,
    #[serde(default)]
    server: Vec<ServerSection>,
    #[serde(default)]
    driver: Vec<DriverSection>,
}

/// The file beside the manifests, the same for all of them: what machines are like and firmware does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirks {
    /// Where devices differ from what firmware says of them.
    #[serde(default, rename = "quirk")]
    pub quirks: Vec<Quirk>,
    /// Where interrupt pins lead on boards whose firmware says it in AML only.
    #[serde(default)]
    pub pins: Vec<PinTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemSection {
    main: String,
    #[serde(default)]
    cpus: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct InterruptSection {
    allow_unisolated: bool,
    quota: u32,
    storm_events: u32,
    storm_window_ms: u32,
    hpet_past_remapper: bool,
}

impl Default for InterruptSection {
    fn default() -> Self {
        Self {
            allow_unisolated: false,
            quota: DEFAULT_QUOTA,
            storm_events: 0,
            storm_window_ms: 100,
            hpet_past_remapper: false,
        }
    }
}

/// Messages of a client that has no quota of its own, unless the manifest says otherwise.
const DEFAULT_QUOTA: u32 = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerSection {
    name: String,
    module: Option<String>,
    budget_kib: u32,
    priority: u8,
    #[serde(default)]
    cpu: u32,
    #[serde(default)]
    args: String,
    #[serde(default)]
    quota: u32,
    #[serde(default)]
    restarts: u32,
    #[serde(default)]
    grants: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DriverSection {
    name: String,
    module: Option<String>,
    #[serde(rename = "match")]
    device: DeviceMatch,
    budget_kib: u32,
    priority: u8,
    #[serde(default)]
    cpu: u32,
    #[serde(default)]
    dma_kib: u32,
    quota: Option<u32>,
    interrupt: Option<String>,
    #[serde(default)]
    args: String,
    #[serde(default)]
    grants: Vec<Spanned<String>>,
}

/// Reads the file with the quirks. They are checked as parts of a manifest.
pub fn quirks_from_toml(text: &str) -> Result<Quirks, SourceError> {
    toml::from_str(text).map_err(|error| SourceError::Toml(error.to_string()))
}

/// Reads a manifest file, and checks it together with the quirks of the file beside it.
pub fn from_toml(text: &str, beside: Quirks) -> Result<Manifest, SourceError> {
    let file: File = toml::from_str(text).map_err(|error| SourceError::Toml(error.to_string()))?;
    let servers = file
        .server
        .into_iter()
        .map(|section| section.into_program(text))
        .collect::<Result<_, _>>()?;
    let quota = file.interrupt.quota;
    let drivers = file
        .driver
        .into_iter()
        .map(|section| section.into_driver(text, quota))
        .collect::<Result<_, _>>()?;
    let manifest = Manifest {
        system: System { main: file.system.main, cpus: file.system.cpus },
        interrupt: InterruptPolicy {
            allow_unisolated: file.interrupt.allow_unisolated,
            quota,
            storm_events: file.interrupt.storm_events,
            storm_window_ms: file.interrupt.storm_window_ms,
            hpet_past_remapper: file.interrupt.hpet_past_remapper,
        },
        servers,
        drivers,
        quirks: beside.quirks,
        pins: beside.pins,
    };
    manifest.check().map_err(SourceError::Invalid)?;
    Ok(manifest)
}

impl ServerSection {
    fn into_program(self, text: &str) -> Result<Program, SourceError> {
        Ok(Program {
            module: self.module.unwrap_or_else(|| self.name.clone()),
            budget_kib: self.budget_kib,
            priority: self.priority,
            cpu: self.cpu,
            args: self.args,
            grants: grants(text, &self.name, self.grants)?,
            name: self.name,
            quota: self.quota,
            restarts: self.restarts,
        })
    }
}

impl DriverSection {
    fn into_driver(self, text: &str, default_quota: u32) -> Result<Driver, SourceError> {
        let program = ServerSection {
            name: self.name,
            module: self.module,
            budget_kib: self.budget_kib,
            priority: self.priority,
            cpu: self.cpu,
            args: self.args,
            quota: 0,
            restarts: 0,
            grants: self.grants,
        };
        Ok(Driver {
            program: program.into_program(text)?,
            device: self.device,
            dma_kib: self.dma_kib,
            quota: self.quota.unwrap_or(default_quota),
            interrupt: self.interrupt,
        })
    }
}

fn grants(
    text: &str,
    program: &str,
    sources: Vec<Spanned<String>>,
) -> Result<Vec<Grant>, SourceError> {
    let one = |source: Spanned<String>| {
        source.get_ref().parse().map_err(|bad: crate::BadGrant| SourceError::Grant {
            line: 1 + text[..source.span().start].matches('\n').count(),
            program: program.to_owned(),
            reason: bad.to_string(),
        })
    };
    sources.into_iter().map(one).collect()
}
