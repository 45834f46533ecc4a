//! The console server: the machine's serial port, for the lines of everybody, the kernel
//! included.
#![no_std]
#![no_main]

mod log;
mod output;
mod page;
mod ports;

use console_core::Lines;
use libsys::ipc::{Answer, Handles, Request, Service, serve};
use libsys::object::{Endpoint, Port};
use libsys::startup::{self, Environment};
use log::Log;
use output::Output;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Packet};
use tocsin_proto::console::{self, Request as Asked};
use tocsin_proto::{DecodeError, Nothing};

libsys::entry!(main);

/// The kernel's pieces of text, among the callers' badges. No program has this badge:
/// badges are the programs' numbers, or a device's.
const KERNEL: u64 = u64::MAX;

/// Exit code when a capability that the console can not do without is missing.
const EXIT_NOT_GIVEN: u64 = 2;

struct Console {
    output: Output,
    lines: Lines,
    log: Option<Log>,
}

fn main(env: &'static Startup) -> u64 {
    let Some(endpoint) = startup::endpoint(env, "receive:console") else {
        libsys::log!("needs the grant `receive:console`");
        return EXIT_NOT_GIVEN;
    };
    let output = Output::find(env);
    // Without the log (`debug-log`) the kernel goes on writing to the port by itself.
    let log = env.handle("log").and_then(|log| take_over(log, &endpoint).ok());
    let mut console = Console { output, lines: Lines::new(), log };
    console.drain_log();
    serve(endpoint.handle(), &mut console);
    0
}

/// Takes the kernel's log over; its packets come in between the calls.
fn take_over(log: Handle, endpoint: &Endpoint) -> Result<Log, Error> {
    let port = Port::new()?;
    endpoint.bind(&port)?;
    Log::bind(log, port)
}

impl Console {
    /// Prints what the kernel's log holds. Before every call, too, so that what was written
    /// there first is printed first.
    fn drain_log(&mut self) {
        let Self { output, lines, log } = self;
        if let Some(log) = log {
            log.drain(|text| lines.write(KERNEL, text, |line| output.print(line)));
        }
    }
}

impl Service for Console {
    fn call(&mut self, request: Request, words: &[u64], handles: &mut Handles) -> Answer {
        self.drain_log();
        let asked = match Asked::decode(request.label, words, handles.len()) {
            Ok(asked) => asked,
            Err(error) => return Answer::refused(console::Error::from(error)),
        };
        let Self { output, lines, .. } = self;
        match asked {
            // The kernel's own badge is nobody else's to use.
            _ if request.badge == KERNEL => {
                return Answer::refused(console::Error::from(DecodeError::BadValue));
            }
            Asked::Write(write) => {
                lines.write(request.badge, write.text.as_str(), |line| output.print(line));
            }
            Asked::Flush(_) => {
                lines.flush(request.badge, |line| output.print(line));
                output.flush();
            }
        }
        Answer::ok(&Nothing)
    }

    fn packet(&mut self, _packet: Packet) {
        self.drain_log();
    }
}
