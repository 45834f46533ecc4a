//! The server's timer: runs only while something waits.

use libsys::object::{Port, Timer, now_ns};
use tocsin_abi::Error;

/// First look at numbers in quarantine: they drain in microseconds, as a rule.
const FIRST_NS: u64 = 200_000;
/// Longest time between two looks.
const LAST_NS: u64 = 50_000_000;

/// One timer whose period doubles while nothing changes.
pub struct Pulse {
    timer: Timer,
    wait_ns: u64,
    set: bool,
}

impl Pulse {
    /// The timer's packets come in beside the calls.
    pub fn new(port: &Port) -> Result<Self, Error> {
        // Messages have their id as a key; the kind of packet tells them from this.
        Ok(Self { timer: Timer::new(port, 0)?, wait_ns: FIRST_NS, set: false })
    }

    /// Something waits: look again soon.
    pub fn start(&mut self) {
        if !self.set {
            self.wait_ns = FIRST_NS;
            self.arm();
        }
    }

    /// The timer has fired, and `waiting` says whether something still waits.
    pub fn fired(&mut self, waiting: bool, progress: bool) {
        self.set = false;
        self.wait_ns = if progress { FIRST_NS } else { (self.wait_ns * 2).min(LAST_NS) };
        if waiting {
            self.arm();
        }
    }

    fn arm(&mut self) {
        // A live timer of our own: there is nothing that setting it could fail for.
        self.set = self.timer.set(now_ns().saturating_add(self.wait_ns)).is_ok();
    }
}
