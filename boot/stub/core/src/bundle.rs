//! The bundle: the archive that `qemu -initrd` passes, with the kernel first and the boot modules
//! after it. The name of a file in the archive is the command line of the module, which starts with
//! the module's name: `init crc32=1234abcd`.

use crate::cpio::{CpioError, Entry, Files};
use core::fmt;
use heapless::Vec;

/// The most modules that a bundle may have.
pub const MAX_MODULES: usize = 64;

/// What is wrong with a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// The archive is damaged.
    Archive(CpioError),
    /// The first file is not the kernel, or there is no file.
    NoKernel,
    /// More than [`MAX_MODULES`] modules.
    TooManyModules,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(error) => write!(f, "the bundle is damaged: {error}; make it again"),
            Self::NoKernel => f.write_str(
                "the bundle has no kernel; its first file must be `kernel`, make it again",
            ),
            Self::TooManyModules => {
                write!(f, "the bundle has more than {MAX_MODULES} modules; leave some out")
            }
        }
    }
}

/// A checked bundle.
#[derive(Debug)]
pub struct Bundle<'a> {
    /// The kernel's ELF file.
    pub kernel: Entry<'a>,
    /// The boot modules in the order of the archive.
    pub modules: Vec<Entry<'a>, MAX_MODULES>,
}

impl<'a> Bundle<'a> {
    /// Reads the whole archive, so that damage anywhere in it is found before anything starts.
    pub fn parse(archive: &'a [u8]) -> Result<Self, BundleError> {
        let mut files = Files::new(archive);
        let kernel =
            files.next().transpose().map_err(BundleError::Archive)?.ok_or(BundleError::NoKernel)?;
        if module_name(kernel.name) != "kernel" {
            return Err(BundleError::NoKernel);
        }
        let mut modules = Vec::new();
        for file in files {
            let file = file.map_err(BundleError::Archive)?;
            modules.push(file).map_err(|_| BundleError::TooManyModules)?;
        }
        Ok(Self { kernel, modules })
    }
}

/// The name of a module: the first word of its command line.
pub fn module_name(command_line: &str) -> &str {
    command_line.split(' ').next().unwrap_or(command_line)
}
