//! The serial port's wire, opened and acknowledged by a thread of its own: the interrupt server
//! prints, so while it does this server must not be waiting for it.

use alloc::sync::Arc;

use libsys::interrupt::InterruptError;
use libsys::log;
use libsys::object::{Port, now_ns};
use libsys::thread::{Placement, spawn};
use libsys::wire::{Line, Trigger, Wire, WireMode};
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle};
use tocsin_proto::interrupt::Error as Refusal;

/// Bits of the packet that says how the opening ended.
pub const OPEN: u64 = 1;
pub const REFUSED: u64 = 2;

/// Key of the wire's packets.
const KEY: u64 = 1;
/// Init says whose the line is once the interrupt server runs; how long that is waited for.
const TRIES: u32 = 50;
const PAUSE_NS: u64 = 100_000_000;

/// Below the console and above every driver: a person waits.
const WORKER: Placement = Placement { priority: 19, cpu: 0 };

/// What the console keeps of its wire.
pub struct Wired {
    is_level: bool,
    /// Tells the thread that a level's cause is gone.
    served: Port,
}

/// Starts opening the wire of the serial port. `port` hears how it ended, and of the wire. `None`:
/// there is none, and a line has said so.
pub fn open(env: &'static Startup, port: &Arc<Port>) -> Option<Arc<Wired>> {
    match start(env, port) {
        Ok(wired) => Some(wired),
        Err(why) => {
            log!("nothing can be typed: {why}");
            None
        }
    }
}

fn start(env: &'static Startup, port: &Arc<Port>) -> Result<Arc<Wired>, &'static str> {
    let (server, line) = Line::granted(env, "uart").ok_or("no interrupt line is granted")?;
    let served = Port::new().map_err(|_| "no memory for its line")?;
    let wired = Arc::new(Wired { is_level: line.wiring.trigger == Trigger::Level, served });
    let (own, port) = (wired.clone(), port.clone());
    let thread = spawn(WORKER, move || own.run(server, line, &port));
    // It runs as long as the console does.
    core::mem::forget(thread.map_err(|_| "no thread for its line")?);
    Ok(wired)
}

impl Wired {
    /// The serial port has been served.
    pub fn acknowledge(&self) {
        if self.is_level {
            // Can not fail: the port lives as long as this.
            let _ = self.served.signal(1);
        }
    }

    /// The thread: the wire is open as long as it runs.
    fn run(&self, server: Handle, line: Line, port: &Port) {
        let Line { id, wiring } = line;
        match take(server, line, port) {
            Ok(wire) => {
                log!("what is typed comes by {id} ({wiring})");
                let _ = port.signal(OPEN);
                while self.served.wait_one().is_ok() {
                    if let Err(error) = wire.acknowledge() {
                        log!("{id} stays held: {error:?}");
                    }
                }
            }
            Err(error) => {
                log!("nothing can be typed: {id}: {error}");
                let _ = port.signal(REFUSED);
            }
        }
    }
}

/// Opens it, once whoever has to has said that it is ours.
fn take(server: Handle, line: Line, port: &Port) -> Result<Wire, InterruptError> {
    let mut tries = 0;
    loop {
        match Wire::open(server, port.handle(), line, WireMode::Exclusive, KEY) {
            Err(InterruptError::Server(Refusal::NotYours)) if tries < TRIES => {
                tries += 1;
                pause()?;
            }
            other => return other,
        }
    }
}

fn pause() -> Result<(), Error> {
    match Port::new()?.wait_until(now_ns().saturating_add(PAUSE_NS)) {
        Ok(_) | Err(Error::TimedOut) => Ok(()),
        Err(error) => Err(error),
    }
}
