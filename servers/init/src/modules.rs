//! Boot modules by name, checked before anything reads them.

use alloc::format;
use alloc::vec::Vec;
use core::cell::RefCell;

use init_core::module::ModuleLine;
use libsys::println;
use libsys::startup::module_bytes;
use tocsin_abi::Handle;
use tocsin_abi::startup::{Entry, Startup};

use crate::fatal::{Context, Fatal};

struct Known {
    line: ModuleLine<'static>,
    entry: &'static Entry,
    /// Its bytes, once they were found intact.
    checked: Option<&'static [u8]>,
}

/// The modules that the loader brought.
pub struct Modules {
    known: RefCell<Vec<Known>>,
}

/// A module whose checksum is right.
#[derive(Clone, Copy)]
pub struct Module {
    /// Its bytes.
    pub bytes: &'static [u8],
    /// Its memory.
    pub handle: Handle,
}

impl Modules {
    /// Finds the modules on the startup page. One whose line makes no sense is left out and
    /// named.
    pub fn new(env: &'static Startup) -> Self {
        let mut known = Vec::new();
        for entry in env.entries() {
            let Some(line) = entry.name().strip_prefix("module:") else { continue };
            match ModuleLine::parse(line) {
                Ok(line) => known.push(Known { line, entry, checked: None }),
                Err(error) => println!("init: boot module `{line}`: {error}"),
            }
        }
        Self { known: RefCell::new(known) }
    }

    /// The module with this name, mapped and checked at its first use.
    pub fn open(&self, name: &str) -> Result<Module, Fatal> {
        let mut known = self.known.borrow_mut();
        let module = known
            .iter_mut()
            .find(|known| known.line.name == name)
            .ok_or_else(|| Fatal(format!("boot module `{name}` is missing")))?;
        let bytes = match module.checked {
            Some(bytes) => bytes,
            None => {
                let what = format!("boot module `{name}`");
                let bytes = module_bytes(module.entry).context(&what)?;
                module.line.verify(bytes).map_err(Fatal::new).context(&what)?;
                module.checked = Some(bytes);
                bytes
            }
        };
        Ok(Module { bytes, handle: module.entry.handle })
    }
}
