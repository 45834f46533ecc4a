//! Messages that this machine must not give.

use libsys::Startup;
use libsys::interrupt::{InterruptError, Interrupts};
use libsys::proto::interrupt::Error as Refusal;
use libsys::startup::Environment;
use libsys::store::Store;

use crate::{Reporter, Stop};

/// What a driver is to expect of the interrupt server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Its messages.
    Messages,
    /// `expect=refused`: `NotSupported`.
    Refusal,
}

impl Expected {
    /// From the program's arguments.
    ///
    /// # Errors
    /// `expect=` with another word.
    pub fn from_args<D>(env: &Startup) -> Result<Expected, Stop<D>> {
        match env.arg("expect") {
            None => Ok(Expected::Messages),
            Some("refused") => Ok(Expected::Refusal),
            Some(_) => Err(Stop::Unexpected("the argument `expect=` knows only `refused`")),
        }
    }
}

/// Asks for a message in this store, which must be refused and take nothing.
///
/// # Errors
/// It was granted, refused with something else, or a slot is taken.
pub fn refused<D>(
    reporter: &Reporter,
    interrupts: &Interrupts,
    store: &Store,
) -> Result<(), Stop<D>> {
    match interrupts.add(store, 0, 0) {
        Err(InterruptError::Server(Refusal::NotSupported)) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(Stop::Unexpected("a message was granted, and was to be refused")),
    }
    if store.used() != 0 {
        return Err(Stop::Unexpected("a refused slot is still taken"));
    }
    let kind = store.kind();
    let what = if kind.is_ims() { "IMS" } else { "message" };
    Ok(reporter.line(format_args!("{what} refused: NotSupported ({kind})"))?)
}
