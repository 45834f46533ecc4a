//! Lines for people: to the console server, or to the kernel's log where there is none yet.

use crate::ipc::ask;
use crate::startup::Environment;
use crate::sys;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};
use tocsin_abi::limits::MAX_DEBUG_BYTES;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle};
use tocsin_proto::{Text, console};

/// The console server's endpoint; zero before there is one.
static CONSOLE: AtomicU32 = AtomicU32::new(0);
/// The kernel's log; zero where the program may not write there.
static LOG: AtomicU32 = AtomicU32::new(0);

/// Takes the program's console and log from its startup page. `entry!` does this.
pub fn init(env: &Startup) {
    set_console(env.handle("console").unwrap_or(Handle::NONE));
    LOG.store(env.handle("log").unwrap_or(Handle::NONE).0, Ordering::Relaxed);
}

/// Sends what is printed from now on to this console ([`Handle::NONE`]: to the log). For
/// `init`, which is there before its console.
pub fn set_console(endpoint: Handle) {
    CONSOLE.store(endpoint.0, Ordering::Relaxed);
}

/// Collects a line, so that it travels in one piece when it fits into one message.
struct Line {
    text: Text,
}

impl Line {
    fn send(&mut self) {
        let text = core::mem::take(&mut self.text);
        if text.as_str().is_empty() {
            return;
        }
        let console = Handle(CONSOLE.load(Ordering::Relaxed));
        let request = console::Write { text };
        if !console.is_none() && ask(console, &request).is_ok() {
            return;
        }
        let _ = log(request.text.as_str());
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.write_str(text).is_ok() {
            return Ok(());
        }
        self.send();
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = Text::split(rest);
            self.text = piece;
            if !after.is_empty() {
                self.send();
            }
            rest = after;
        }
        Ok(())
    }
}

/// Writes to the kernel's log.
///
/// # Errors
/// `BadHandle` where the program has none, or as `debug_write`.
pub fn log(text: &str) -> Result<(), Error> {
    let log = Handle(LOG.load(Ordering::Relaxed));
    if log.is_none() {
        return Err(Error::BadHandle);
    }
    for piece in text.as_bytes().chunks(MAX_DEBUG_BYTES) {
        sys::debug_write(log, piece.as_ptr().expose_provenance() as u64, piece.len() as u64)?;
    }
    Ok(())
}

/// What the macros call.
pub fn print(arguments: fmt::Arguments<'_>) {
    let mut line = Line { text: Text::default() };
    // A value that fails to format itself loses its own text only.
    let _ = line.write_fmt(arguments);
    line.send();
}

/// Waits until everything printed has left the serial port.
pub fn flush() {
    let console = Handle(CONSOLE.load(Ordering::Relaxed));
    if !console.is_none() {
        let _ = ask(console, &console::Flush);
    }
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::print::print(::core::format_args!($($arg)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::print::print(::core::format_args!("{}\n", ::core::format_args!($($arg)*))) };
}

/// Prints a line that starts with the program's name.
#[macro_export]
macro_rules! log {
    ($($arg:tt)*) => {
        $crate::print::print(::core::format_args!(
            "{}: {}\n", ::core::env!("CARGO_CRATE_NAME"), ::core::format_args!($($arg)*)
        ))
    };
}

#[cfg(test)]
mod tests;
