//! What a driver is to do: its arguments.

use libsys::Startup;
use libsys::startup::Environment;
use libsys::wire::WireMode;

/// Interrupts one after another, unless the arguments say otherwise.
const EVENTS: u64 = 1000;

/// How a driver ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Gives its wire back.
    Close,
    /// Dies when it has been told, without an answer.
    Die,
    /// Lives on and never answers.
    Hang,
}

/// `wire=shared` or `wire=exclusive`, `events=<number>`, `end=close`, `die` or `hang`; or
/// `expect=no-wire`.
pub struct Plan {
    /// Whether others have the line too.
    pub mode: WireMode,
    /// Interrupts one after another.
    pub events: u64,
    /// What comes then.
    pub end: End,
    /// Nobody says where the pin leads.
    pub no_wire: bool,
}

impl Plan {
    /// From the arguments. `None`: the device is to be driven by its message.
    ///
    /// # Errors
    /// What makes no sense.
    pub fn from_args(env: &Startup) -> Result<Option<Plan>, &'static str> {
        let mode = match env.arg("wire") {
            None => return Ok(None),
            Some("shared") => WireMode::Shared,
            Some("exclusive") => WireMode::Exclusive,
            Some(_) => return Err("the argument `wire=` knows `shared` and `exclusive`"),
        };
        let events = match env.arg("events").map(str::parse) {
            None => EVENTS,
            Some(Ok(events)) => events,
            Some(Err(_)) => return Err("the argument `events=` is a number"),
        };
        let end = match env.arg("end") {
            None | Some("close") => End::Close,
            Some("die") => End::Die,
            Some("hang") => End::Hang,
            Some(_) => return Err("the argument `end=` knows `close`, `die` and `hang`"),
        };
        let no_wire = match env.arg("expect") {
            None => false,
            Some("no-wire") => true,
            Some(_) => return Err("with `wire=` the argument `expect=` knows `no-wire`"),
        };
        Ok(Some(Plan { mode, events, end, no_wire }))
    }

    /// Whether somebody else is on the line.
    pub fn meets_others(&self) -> bool {
        self.mode == WireMode::Shared
    }
}
