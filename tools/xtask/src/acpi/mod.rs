//! ACPI tables of our own for a PC, with faults in them: what bad firmware would say.
//!
//! QEMU makes its tables itself; with `acpi=off` it makes none, and the firmware (SeaBIOS) installs
//! those that it finds in fw_cfg, as it does with QEMU's: a file of tables, the root pointer, and a
//! script that says what to allocate, which pointers to fill in and which checksums to make.

mod script;
mod tables;

use anyhow::{Context, Result};
use serde::Deserialize;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// What is wrong with the tables of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing: to see that the tables are good without one.
    None,
    /// The DMAR gives the IOAPIC no device scope.
    NoIoapicScope,
    /// The MADT puts the IOAPIC where there is RAM.
    IoapicInRam,
    /// The MADT puts the IOAPIC where nothing answers.
    IoapicNowhere,
    /// The MADT names a second IOAPIC, whose GSIs overlap the first one's.
    IoapicsOverlap,
    /// The MADT's override of the serial port's interrupt has reserved flags.
    BadOverride,
    /// The root table's pointer to the DMAR leads outside of memory.
    DmarOutsideMemory,
}

/// Writes the files for a q35 machine with `cpus` CPUs and a VT-d unit into `dir`, and returns
/// QEMU's arguments for them.
pub fn write(dir: &Path, fault: Fault, cpus: u32) -> Result<Vec<OsString>> {
    let set = tables::q35(fault, cpus);
    let mut words = Vec::new();
    for (name, bytes) in [
        ("etc/acpi/tables", set.tables),
        ("etc/acpi/rsdp", set.root),
        ("etc/table-loader", set.script),
    ] {
        let file = dir.join(name.replace('/', "-"));
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        let mut word = OsString::from(format!("name={name},file="));
        // QEMU reads a doubled comma as one.
        word.push(file.to_string_lossy().replace(',', ",,"));
        words.extend(["-fw_cfg".into(), word]);
    }
    Ok(words)
}
