//! The boot files: the kernel and its modules, each module with the checksum of what it should be.

use super::{cpio, manifest};
use crate::build::Programs;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use tocsin_manifest::Manifest;

/// The module that the kernel starts, and that no manifest names.
const INIT: &str = "init";
/// The module that holds the compiled manifest.
const MANIFEST: &str = "manifest";

/// One boot module.
pub struct Module {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Of the bytes as built, also when they are damaged on purpose afterwards.
    crc32: u32,
}

impl Module {
    pub fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let crc32 = crc32fast::hash(&bytes);
        Self { name: name.into(), bytes, crc32 }
    }

    /// What the loader passes to the kernel beside the module's bytes.
    pub fn command_line(&self) -> String {
        format!("{} crc32={:08x}", self.name, self.crc32)
    }
}

/// Faults that a scenario puts into the boot files, to see them found.
#[derive(Clone, Default)]
pub struct Faults {
    /// A byte of this module is changed after its checksum was computed.
    pub corrupt_module: Option<String>,
    /// This module is left out.
    pub omit_module: Option<String>,
}

/// The kernel and everything that travels with it.
pub struct BootFiles {
    pub kernel: Vec<u8>,
    pub modules: Vec<Module>,
}

impl BootFiles {
    /// Reads `init` and the programs that `manifest` names from their files.
    pub fn read(programs: &Programs, manifest: &Manifest) -> Result<Self> {
        let mut modules = Vec::new();
        for name in std::iter::once(INIT).chain(manifest.modules()) {
            modules.push(Module::new(name, read(programs.server(name)?)?));
        }
        modules.push(Module::new(MANIFEST, manifest::compile(manifest)?));
        Ok(Self { kernel: read(&programs.kernel)?, modules })
    }

    /// Puts `faults` in. A fault in a module that does not exist would test nothing: an error.
    pub fn apply(&mut self, faults: &Faults) -> Result<()> {
        let place = |modules: &[Module], name: &str| {
            modules
                .iter()
                .position(|module| module.name == name)
                .with_context(|| format!("there is no boot module `{name}` to damage"))
        };
        if let Some(name) = &faults.corrupt_module {
            let index = place(&self.modules, name)?;
            let bytes = &mut self.modules[index].bytes;
            let middle = bytes.len() / 2;
            match bytes.get_mut(middle) {
                Some(byte) => *byte ^= 0x01,
                None => bail!("boot module `{name}` is empty"),
            }
        }
        if let Some(name) = &faults.omit_module {
            let index = place(&self.modules, name)?;
            self.modules.remove(index);
        }
        Ok(())
    }

    /// The archive for the direct stub: `kernel` first, each module named by its command line.
    pub fn bundle(&self) -> Vec<u8> {
        let lines: Vec<String> = self.modules.iter().map(Module::command_line).collect();
        let modules = lines.iter().zip(&self.modules);
        let files = modules.map(|(line, module)| (line.as_str(), module.bytes.as_slice()));
        cpio::archive(std::iter::once(("kernel", self.kernel.as_slice())).chain(files))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BootFiles {
        let modules = vec![Module::new("init", b"123456789".to_vec()), Module::new("pci", vec![1])];
        BootFiles { kernel: b"kernel".to_vec(), modules }
    }

    #[test]
    fn command_line_carries_the_ieee_checksum() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(files().modules[0].command_line(), "init crc32=cbf43926");
    }

    #[test]
    fn corruption_keeps_the_good_checksum() {
        let mut damaged = files();
        let faults = Faults { corrupt_module: Some("init".into()), omit_module: None };
        damaged.apply(&faults).expect("init is there");
        assert_eq!(damaged.modules[0].command_line(), files().modules[0].command_line());
        assert_ne!(crc32fast::hash(&damaged.modules[0].bytes), 0xcbf4_3926);
        assert_eq!(damaged.modules[0].bytes.len(), 9);
    }

    #[test]
    fn omission_removes_one_module() {
        let mut damaged = files();
        let faults = Faults { omit_module: Some("init".into()), corrupt_module: None };
        damaged.apply(&faults).expect("init is there");
        assert_eq!(damaged.modules.len(), 1);
        assert_eq!(damaged.modules[0].name, "pci");
    }

    #[test]
    fn fault_in_an_unknown_module_is_an_error() {
        let faults = Faults { omit_module: Some("inti".into()), corrupt_module: None };
        assert!(files().apply(&faults).is_err());
    }
}
