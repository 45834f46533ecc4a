//! Errors that end the run, as text for the last line.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Display;

use libsys::spawn::SpawnError;
use tocsin_abi::Error;

/// Why the machine can not be brought up.
#[derive(Debug)]
pub struct Fatal(pub String);

impl Fatal {
    /// From anything that says what is wrong.
    pub fn new(why: impl Display) -> Self {
        Self(why.to_string())
    }
}

/// Says what was being done when an error came.
pub trait Context<T> {
    /// Puts `what` in front of the error's text.
    fn context(self, what: &str) -> Result<T, Fatal>;
}

impl<T> Context<T> for Result<T, Error> {
    fn context(self, what: &str) -> Result<T, Fatal> {
        self.map_err(|error| Fatal(format!("{what}: {error}")))
    }
}

impl<T> Context<T> for Result<T, Fatal> {
    fn context(self, what: &str) -> Result<T, Fatal> {
        self.map_err(|Fatal(why)| Fatal(format!("{what}: {why}")))
    }
}

impl<T> Context<T> for Result<T, SpawnError> {
    fn context(self, what: &str) -> Result<T, Fatal> {
        self.map_err(|error| match error {
            SpawnError::Elf(error) => Fatal(format!("{what}: not a program: {error:?}")),
            SpawnError::System(error) => Fatal(format!("{what}: {error}")),
            SpawnError::PageFull => Fatal(format!("{what}: too many capabilities for one page")),
        })
    }
}
