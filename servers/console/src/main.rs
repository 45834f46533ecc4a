//! The console server: the machine's serial port, for the lines of everybody, the kernel
//! included, and for what is typed.
#![no_std]
#![no_main]

extern crate alloc;

mod keyboard;
mod log;
mod output;
mod page;
mod ports;
mod wire;

use console_core::Lines;
use keyboard::Keyboard;
use libsys::ipc::{Answer, Handles, Request, Service, serve};
use libsys::object::{Endpoint, Port};
use libsys::startup::{self, Environment};
use log::Log;
use output::Output;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Packet, PacketKind};
use tocsin_proto::console::{self, Request as Asked};
use tocsin_proto::{DecodeError, Nothing};

libsys::entry!(main);

/// The kernel's pieces of text, among the callers' badges. No program has this badge:
/// badges are the programs' numbers, or a device's.
const KERNEL: u64 = u64::MAX;

/// Exit codes: a capability that the console can not do without is missing; the kernel refused
/// what it needs.
const EXIT_NOT_GIVEN: u64 = 2;
const EXIT_REFUSED: u64 = 3;

struct Console {
    output: Output,
    lines: Lines,
    log: Option<Log>,
    keyboard: Keyboard,
}

fn main(env: &'static Startup) -> u64 {
    let Some(endpoint) = startup::endpoint(env, "receive:console") else {
        libsys::log!("needs the grant `receive:console`");
        return EXIT_NOT_GIVEN;
    };
    match Console::new(env, &endpoint) {
        Ok(mut console) => {
            console.drain_log();
            serve(endpoint.handle(), &mut console);
            0
        }
        Err(error) => {
            libsys::log!("can not start: {error}");
            EXIT_REFUSED
        }
    }
}

impl Console {
    /// Takes the serial port and the kernel's log over. The packets of both come in between the
    /// calls.
    fn new(env: &'static Startup, endpoint: &Endpoint) -> Result<Self, Error> {
        let output = Output::find(env);
        let port = Port::new()?;
        endpoint.bind(&port)?;
        // Without the log (`debug-log`) the kernel goes on writing to the port by itself.
        let log = env.handle("log").and_then(|log| Log::bind(log, &port).ok());
        let keyboard = Keyboard::new(env, &output, port);
        Ok(Self { output, lines: Lines::new(), log, keyboard })
    }

    /// Prints what the kernel's log holds. Before every call, too, so that what was written
    /// there first is printed first.
    fn drain_log(&mut self) {
        let Self { output, lines, log, keyboard } = self;
        if let Some(log) = log {
            log.drain(|text| lines.write(KERNEL, text, |line| keyboard.print(output, line)));
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
        let Self { output, lines, keyboard, .. } = self;
        match asked {
            // The kernel's own badge is nobody else's to use.
            _ if request.badge == KERNEL => {
                return Answer::refused(console::Error::from(DecodeError::BadValue));
            }
            Asked::Write(write) => {
                let text = write.text.as_str();
                lines.write(request.badge, text, |line| keyboard.print(output, line));
            }
            Asked::Flush(_) => {
                lines.flush(request.badge, |line| keyboard.print(output, line));
                output.flush();
            }
            Asked::Listen(_) => {
                return Answer::from_result(keyboard.listen(request.badge, handles.pop()));
            }
            Asked::Read(_) => return Answer::from_result(keyboard.read(output, request.badge)),
        }
        Answer::ok(&Nothing)
    }

    fn packet(&mut self, packet: Packet) {
        let Self { output, keyboard, .. } = self;
        match PacketKind::from_code(packet.kind) {
            Some(PacketKind::Message) => keyboard.heard(output),
            Some(PacketKind::Signal) => keyboard.wired(output, packet.value),
            _ => self.drain_log(),
        }
    }
}
