//! A line as a value: an interrupt that comes by a wire.
//!
//! ```text
//! open         asked at the interrupt server, message bound to the port
//! packet       the device wants something
//! acknowledge  a level's cause is gone: it may come again
//! drop         unbound → closed at the server, which masks the line after its last owner
//! ```
//!
//! Which line a driver has, the system says: `pci` for its device's interrupt pin, the startup page
//! for a device of the platform's (`wire:<name>`). With `libsys::wait` a packet is awaited like a
//! message's, by [`Wire::key`].

use crate::interrupt::InterruptError;
use crate::ipc::{ask, ask_with};
use crate::object::{Message, now_ns};
use crate::sys;
use tocsin_abi::message::MessageStatus;
use tocsin_abi::startup::{Entry, Startup};
use tocsin_abi::{Error, Handle};
use tocsin_proto::DecodeError;
use tocsin_proto::interrupt as protocol;

pub use tocsin_proto::interrupt::{
    ANY_CPU, Acknowledge, Activated, LineId, MessageId, Polarity, Trigger, WireMode, Wiring,
};

/// How long an opener waits for what its line's former owner had on its way. It is gone in
/// microseconds, as a rule.
const PATIENCE_NS: u64 = 100_000_000;

/// A line of the machine, and how it is wired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its number.
    pub id: LineId,
    /// Edge or level, high or low.
    pub wiring: Wiring,
}

impl Line {
    /// What the manifest grants this program as `wire:<name>`: the line, and the endpoint at which
    /// to open it. `None` when it grants none, or this machine has none.
    #[must_use]
    pub fn granted(env: &Startup, name: &str) -> Option<(Handle, Line)> {
        let is_it = |entry: &&Entry| entry.name().strip_prefix("wire:") == Some(name);
        let entry = env.entries().iter().find(is_it)?;
        let id = LineId(u32::try_from(entry.value).ok()?);
        let wiring = Wiring::from_bits(u8::try_from(entry.value2).ok()?)?;
        Some((entry.handle, Line { id, wiring }))
    }
}

/// A line that this program has. Dropping it gives it back.
#[must_use = "dropping it closes the line"]
#[derive(Debug)]
pub struct Wire {
    server: Handle,
    id: MessageId,
    line: Line,
    key: u64,
    acknowledge: Acknowledge,
    cpu: u8,
    vector: u16,
    message: Message,
}

impl Wire {
    /// Opens a line for the client whose endpoint `server` is, and binds it to `port` under `key`.
    /// A level that stands is the first packet. An edge that came before is not told: look at
    /// the device once.
    ///
    /// # Errors
    /// The server's or the kernel's; nothing is held then.
    pub fn open(
        server: Handle,
        port: Handle,
        line: Line,
        mode: WireMode,
        key: u64,
    ) -> Result<Wire, InterruptError> {
        Wire::open_on(server, port, line, mode, key, ANY_CPU)
    }

    /// The same, on these CPUs only (one bit each).
    ///
    /// # Errors
    /// As [`Wire::open`].
    pub fn open_on(
        server: Handle,
        port: Handle,
        line: Line,
        mode: WireMode,
        key: u64,
        cpus: u64,
    ) -> Result<Wire, InterruptError> {
        let request = protocol::WireOpen { line: line.id, wiring: line.wiring, mode, cpus };
        let deadline = now_ns().saturating_add(PATIENCE_NS);
        let (opened, mut handles) = loop {
            match ask_with(server, &request, &[]).map_err(InterruptError::from) {
                Err(InterruptError::Server(protocol::Error::LineBusy)) if now_ns() < deadline => {
                    // What is waited for needs a CPU, perhaps this one.
                    let _ = sys::thread_yield();
                }
                other => break other?,
            }
        };
        let none = InterruptError::Malformed(DecodeError::WrongHandles);
        let message: Message = handles.pop().ok_or(none)?.into();
        let protocol::WireOpened { id, acknowledge, cpu, vector } = opened;
        // From here on a failure gives it back.
        let mut wire = Wire { server, id, line, key, acknowledge, cpu, vector, message };
        wire.bind(port, key)?;
        Ok(wire)
    }

    fn bind(&mut self, port: Handle, key: u64) -> Result<(), Error> {
        self.message.bind(port, key).map(drop)
    }

    /// Its line.
    #[must_use]
    pub const fn line(&self) -> Line {
        self.line
    }

    /// Key of its packets.
    #[must_use]
    pub const fn key(&self) -> u64 {
        self.key
    }

    /// The interrupt server's name for it.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// CPU and vector at which the line arrived when it was opened or last moved.
    #[must_use]
    pub const fn route(&self) -> (u8, u16) {
        (self.cpu, self.vector)
    }

    /// The message.
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// State and counters as the kernel has them. It has no pair.
    ///
    /// # Errors
    /// As `message_read`.
    pub fn status(&self) -> Result<MessageStatus, Error> {
        self.message.status()
    }

    /// The device has been served, or wanted nothing: as far as this owner is concerned, the
    /// level may come again, and does if it still stands. Does nothing for an edge, and nothing
    /// when nothing is held.
    ///
    /// # Errors
    /// The server's or the kernel's.
    pub fn acknowledge(&self) -> Result<(), InterruptError> {
        match self.acknowledge {
            Acknowledge::Nobody => Ok(()),
            Acknowledge::Server => {
                ask(self.server, &protocol::WireAcknowledge { id: self.id })?;
                Ok(())
            }
            Acknowledge::Kernel => match sys::message_acknowledge(self.message.handle()) {
                // It was let go meanwhile, or what came was a signal.
                Ok(_) | Err(Error::BadState) => Ok(()),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Moves the line to a CPU of this set, for all who share it.
    ///
    /// # Errors
    /// The server's; it is where it was then.
    pub fn set_affinity(&mut self, cpus: u64) -> Result<Activated, InterruptError> {
        let route = ask(self.server, &protocol::SetAffinity { id: self.id, cpus })?;
        (self.cpu, self.vector) = (route.cpu, route.vector);
        Ok(route)
    }

    /// Gives it back, and says what went wrong with it; dropping does the same silently.
    ///
    /// # Errors
    /// The first of the kernel's and the server's.
    pub fn close(mut self) -> Result<(), InterruptError> {
        self.give_back()
    }

    pub(crate) fn give_back(&mut self) -> Result<(), InterruptError> {
        if self.server.is_none() {
            return Ok(());
        }
        let unbound = self.message.unbind();
        let closed = ask(self.server, &protocol::WireClose { id: self.id });
        self.server = Handle::NONE;
        closed?;
        match unbound {
            Ok(()) | Err(Error::NotBound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // What can be said to somebody was said by `close`.
        let _ = self.give_back();
    }
}

#[cfg(test)]
mod tests;
