//! What is typed: taken from the serial port when its wire says so, shown, and given to who
//! listens.

use alloc::sync::Arc;

use console_core::Input;
use libsys::object::{Capability, Port};
use tocsin_abi::startup::Startup;
use tocsin_proto::console::{Error, Typed};
use tocsin_proto::{DecodeError, Nothing, Text};

use crate::output::Output;
use crate::wire::{self, OPEN, REFUSED, Wired};

/// Bytes that are taken for one packet. More than any FIFO holds; a flood goes on after whoever
/// else wants something.
const BYTES_AT_ONCE: usize = 64;

/// Whether anything can be typed.
enum State {
    /// No: there is no wire.
    Deaf,
    /// Nobody knows yet: the wire is being opened.
    Waiting,
    /// The serial port has been asked for interrupts.
    Listening,
    /// It was asked to stop, until somebody reads: there is no room.
    Full,
}

/// The keyboard.
pub struct Keyboard {
    input: Input,
    state: State,
    wire: Option<Arc<Wired>>,
    /// Who reads, by badge, and where it is told.
    listener: Option<(u64, Port)>,
    /// What everything is told on.
    _port: Arc<Port>,
}

impl Keyboard {
    /// Opens the wire, beside everything else: its server may be waiting for this one.
    pub fn new(env: &'static Startup, output: &Output, port: Port) -> Self {
        let port = Arc::new(port);
        let wire = if output.is_there() { wire::open(env, &port) } else { None };
        let state = if wire.is_some() { State::Waiting } else { State::Deaf };
        Self { input: Input::new(), state, wire, listener: None, _port: port }
    }

    /// The wire is open, or can not be.
    pub fn wired(&mut self, output: &mut Output, bits: u64) {
        if bits & REFUSED != 0 {
            self.state = State::Deaf;
            self.tell();
        } else if bits & OPEN != 0 {
            self.state = State::Listening;
            output.listen();
        }
    }

    /// The wire says that something was typed.
    pub fn heard(&mut self, output: &mut Output) {
        let mut is_whole = false;
        for _ in 0..BYTES_AT_ONCE {
            if self.input.is_full() {
                // Whoever types goes on when somebody has read.
                self.state = State::Full;
                break;
            }
            let Some(byte) = output.receive() else { break };
            is_whole |= self.input.take(byte, |text| output.send(text));
        }
        match self.state {
            // A byte that is there still, or came meanwhile, makes a new interrupt.
            State::Listening => output.listen(),
            _ => output.ignore(),
        }
        if let Some(wire) = &self.wire {
            wire.acknowledge();
        }
        if is_whole {
            self.tell();
        }
    }

    /// From now on `badge` reads.
    pub fn listen(&mut self, badge: u64, port: Option<Capability>) -> Result<Nothing, Error> {
        if let State::Deaf = self.state {
            return Err(Error::NoInput);
        }
        let port = port.ok_or(DecodeError::WrongHandles)?;
        // Not a port, or none that may be signalled: then nobody is told.
        let former = self.listener.replace((badge, Port::own(port.leak())));
        drop(former);
        if self.input.has_line() {
            self.tell();
        }
        Ok(Nothing)
    }

    /// A line, if there is one.
    pub fn read(&mut self, output: &mut Output, badge: u64) -> Result<Typed, Error> {
        if self.listener.as_ref().is_none_or(|(listener, _)| *listener != badge) {
            return Err(Error::NotListening);
        }
        let line = self.input.read().map(|line| Text::split(&line).0);
        if line.is_none()
            && let State::Deaf = self.state
        {
            return Err(Error::NoInput);
        }
        if let State::Full = self.state {
            self.state = State::Listening;
            output.listen();
        }
        Ok(Typed { line })
    }

    /// Prints a line, on a line of its own, and what is being typed once more below it.
    pub fn print(&self, output: &mut Output, line: &str) {
        let typing = self.input.typing();
        if !typing.is_empty() {
            output.send(b"\r\n");
        }
        output.print(line);
        output.send(typing);
    }

    fn tell(&self) {
        if let Some((_, port)) = &self.listener {
            // Who does not want to be told any more reads no more either.
            let _ = port.signal(1);
        }
    }
}
