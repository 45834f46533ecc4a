//! What the drivers share: reporting to `demo`, the port as a drill sees
//! it, and the device's own interrupt pin, which must stay quiet.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod books;
mod refusal;
mod stop;

pub use books::{close_books, standing};
pub use refusal::{Expected, refused};
pub use stop::{RigError, Stop};

use alloc::format;
use core::fmt;

use demo_core::{Account, Arrival, Counters};
use libsys::abi::MessageStatus;
use libsys::interrupt::{Activated, Interrupt, InterruptError};
use libsys::ipc::{AskError, ask};
use libsys::object::{Port, now_ns};
use libsys::pci::{Device, PciError};
use libsys::proto::interrupt::Error as Refusal;
use libsys::proto::pci::{Description, Error as PciRefusal, PinSet};
use libsys::proto::report::{self, Done, Held, Hold, Line, Row, Standing, Summary};
use libsys::proto::{Operation, StoreKind, Text};
use libsys::startup::Environment;
use libsys::{Error, Handle, PacketKind, Startup, println};

/// Why a report did not get through.
pub type ReportError = AskError<report::Error>;

/// How long a driver stands still at most, and how often it asks. Longer than `demo` waits:
/// what goes wrong, `demo` says.
const HOLD_NS: u64 = 600_000_000_000;
const ASK_NS: u64 = 2_000_000;

/// Why a driver does not stand still any more.
#[derive(Debug)]
pub enum HoldError {
    /// `demo` did not take it.
    Report(ReportError),
    /// The kernel refused a port to wait on.
    Kernel(Error),
    /// `demo` does not let go.
    TooLong,
}

impl From<ReportError> for HoldError {
    fn from(error: ReportError) -> Self {
        HoldError::Report(error)
    }
}

impl From<Error> for HoldError {
    fn from(error: Error) -> Self {
        HoldError::Kernel(error)
    }
}

/// A driver's way to `demo`.
#[derive(Clone, Copy, Debug)]
pub struct Reporter {
    endpoint: Handle,
    name: &'static str,
}

impl Reporter {
    /// For the driver `name`, over the startup entry `report`.
    ///
    /// # Errors
    /// `BadHandle` when there is no such entry.
    pub fn new(env: &Startup, name: &'static str) -> Result<Reporter, Error> {
        let endpoint = env.handle("report").ok_or(Error::BadHandle)?;
        Ok(Reporter { endpoint, name })
    }

    /// A line for people. Every one starts with the driver's name; `demo` reads it there.
    ///
    /// # Errors
    /// When `demo` does not take it.
    pub fn line(&self, text: fmt::Arguments<'_>) -> Result<(), ReportError> {
        let text = format!("{}: {text}", self.name);
        // What does not fit into one message is cut: a line is for people.
        self.send(&Line { text: Text::split(&text).0 })
    }

    /// One slot.
    ///
    /// # Errors
    /// When `demo` does not take it.
    pub fn row(&self, row: &Row) -> Result<(), ReportError> {
        self.send(row)
    }

    /// One store's sums, after its rows.
    ///
    /// # Errors
    /// When `demo` does not take it.
    pub fn summary(&self, summary: &Summary) -> Result<(), ReportError> {
        self.send(summary)
    }

    /// Stands still until everything that all drivers hold has been looked at, and says what
    /// of it is this one's. Nothing may happen to its messages meanwhile.
    ///
    /// # Errors
    /// When `demo` does not take it, or does not let go.
    pub fn stand(&self, holds: &[Standing]) -> Result<(), HoldError> {
        let sum = |of: fn(&Standing) -> u64| holds.iter().map(of).sum::<u64>();
        let (messages, active) = (sum(|it| it.messages), sum(|it| it.active));
        self.line(format_args!("stands still with {messages} messages, {active} of them active"))?;
        for standing in holds {
            self.send(standing)?;
        }
        self.hold(Hold::UntilSeen)
    }

    /// Waits until the other drivers stand still, for one that takes all that is left.
    ///
    /// # Errors
    /// When `demo` does not take it, or does not let go.
    pub fn let_others_stand(&self) -> Result<(), HoldError> {
        self.hold(Hold::UntilOthersStand)
    }

    fn hold(&self, hold: Hold) -> Result<(), HoldError> {
        let deadline_ns = now_ns().saturating_add(HOLD_NS);
        // Nobody sends it anything: this only waits.
        let bed = Port::new()?;
        while ask(self.endpoint, &hold).map_err(HoldError::Report)? == Held::NotYet {
            if now_ns() > deadline_ns {
                return Err(HoldError::TooLong);
            }
            match bed.wait_until(now_ns().saturating_add(ASK_NS)) {
                Ok(_) | Err(Error::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The last word.
    ///
    /// # Errors
    /// When `demo` does not take it.
    pub fn done(&self, done: &Done) -> Result<(), ReportError> {
        self.send(done)
    }

    fn send<O: Operation<Error = report::Error>>(&self, request: &O) -> Result<(), ReportError> {
        ask(self.endpoint, request).map(drop)
    }
}

/// Ends the driver's run: sends its last word and gives its exit code. A run that failed
/// says why, and counts for nothing.
pub fn finish<E: fmt::Display>(reporter: &Reporter, run: Result<Done, E>, kind: StoreKind) -> u64 {
    let done = run.or_else(|failure| {
        reporter.line(format_args!("FAILED: {failure}"))?;
        Ok(Done { ok: false, slots: 0, fired: 0, delivered: 0, kind })
    });
    match done.and_then(|done| reporter.done(&done).map(|()| done.ok)) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err::<_, ReportError>(error) => {
            println!("{}: the last word was not taken: {error}", reporter.name);
            1
        }
    }
}

/// The next packet on a port of messages, or `None` after `patience_ns`; zero polls.
///
/// # Errors
/// As `port_wait`; `WrongType` for a packet that is no message's.
pub fn hear(port: &Port, patience_ns: u64) -> Result<Option<Arrival>, Error> {
    let deadline_ns = match patience_ns {
        0 => 0,
        patience => now_ns().saturating_add(patience),
    };
    match port.wait_until(deadline_ns) {
        Ok(packet) if packet.kind == PacketKind::Message as u32 => {
            Ok(Some(Arrival { key: packet.key, events: packet.count.into() }))
        }
        Ok(_) => Err(Error::WrongType),
        Err(Error::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long a vector is asked for, and how long between two times.
const VECTOR_NS: u64 = 10_000_000_000;
const RETRY_NS: u64 = 2_000_000;

/// Activates a message. `lsi` takes every vector of the machine, again and again, to show what
/// happens then; whoever needs one has to come back when some are free.
///
/// # Errors
/// Any other refusal, `NoVectors` for ten seconds, or a packet: none can come yet.
pub fn activate<D>(interrupt: &mut Interrupt, port: &Port) -> Result<Activated, Stop<D>> {
    patiently(port, || interrupt.activate())
}

/// Moves a message to these CPUs (one bit each), while nothing raises it. Another vector is
/// needed for that, as for [`activate`].
///
/// # Errors
/// As [`activate`].
pub fn move_to<D>(interrupt: &mut Interrupt, port: &Port, cpus: u64) -> Result<Activated, Stop<D>> {
    patiently(port, || interrupt.set_affinity(cpus))
}

fn patiently<D>(
    port: &Port,
    mut ask: impl FnMut() -> Result<Activated, InterruptError>,
) -> Result<Activated, Stop<D>> {
    let deadline_ns = now_ns().saturating_add(VECTOR_NS);
    loop {
        match ask() {
            Err(InterruptError::Server(Refusal::NoVectors)) if now_ns() < deadline_ns => {}
            other => return Ok(other?),
        }
        if hear(port, RETRY_NS)?.is_some() {
            return Err(Stop::Unexpected("a packet came that nothing has raised"));
        }
    }
}

/// The row of a slot: where it went, and its books.
#[must_use]
pub fn row(device: &Description, slot: &Interrupt, route: Activated, books: &Account) -> Row {
    let pair = slot.pair();
    Row {
        requester: device.requester,
        vendor: device.vendor,
        device: device.device,
        kind: slot.store().kind(),
        slot: slot.slot(),
        entry: route.entry,
        vector: route.vector,
        cpu: route.cpu,
        address: pair.address,
        data: pair.data,
        fired: books.fired(),
        delivered: books.delivered(),
        coalesced: books.coalesced(),
    }
}

/// The kernel's counters of a message.
#[must_use]
pub fn counters(status: &MessageStatus) -> Counters {
    Counters { delivered: status.delivered, coalesced: status.coalesced, blocked: status.blocked }
}

/// Makes sure that the device can not use its pin, whatever happens to its messages.
///
/// # Errors
/// The PCI server's.
pub fn silence_pin(device: Device) -> Result<(), PciError> {
    match device.set_pin(PinSet::Off) {
        // Silent as it is.
        Err(AskError::Refused(PciRefusal::NoPin)) => Ok(()),
        other => other,
    }
}
