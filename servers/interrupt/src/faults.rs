//! Faults: the remapper's own message, what it tells of, and who is told.

use alloc::collections::BTreeMap;

use interrupt_core::{BackEnd, Core, CpuSet, Error as CoreError, FaultOwner};
use libsys::object::{Port, now_ns};
use libsys::{println, sys};

use crate::kernel::Kernel;
use crate::policy::BACK_OFF_NS;

/// Fault records read at once. What is left is read when the timer fires.
const AT_ONCE: u32 = 16;
/// Key of the packets of the remapper's own message. Whatever else the server binds to its port
/// has another.
pub const KEY: u64 = u64::MAX;

/// What is known of faults beside what the core counts.
#[derive(Default)]
pub struct Faults {
    /// Faults of each sender, for the one line about it.
    by_sender: BTreeMap<u16, u64>,
    /// The last look found as many as it takes: there may be more.
    more: bool,
    /// The remapper's message is held back until then because of its rate.
    held_until_ns: Option<u64>,
    /// What was lost or stood still, and was said in a line.
    said: (bool, bool),
    /// A line is wanted when the message comes (`provoke-fault`).
    awaited: bool,
}

impl Faults {
    /// Lets the remapper tell of faults on the server's port. Where it can not, faults are read
    /// when a request is served, and a line says so unless this kind of remapper never can.
    pub fn open<B: BackEnd>(&mut self, core: &mut Core<B, Kernel>, port: &Port, provoke: bool) {
        let (handle, event) = match core.open_fault_event(CpuSet::ALL) {
            Ok(opened) => opened,
            Err(CoreError::NotSupported) => return,
            Err(error) => {
                println!("interrupt: faults are read with requests only: {error}");
                return;
            }
        };
        if let Err(error) = sys::message_bind(handle, port.handle(), KEY) {
            // Nobody would hear it: silent at its source.
            let _ = core.hold_fault_event();
            println!("interrupt: faults are read with requests only: {error}");
            return;
        }
        println!(
            "interrupt: the remapper tells of faults by vector {} of CPU {}",
            event.vector.bits(),
            event.cpu.index()
        );
        if provoke {
            self.awaited = true;
            if let Err(error) = core.provoke_fault_event() {
                println!("interrupt: FAILED to provoke a fault: {error}");
            }
        }
    }

    /// The remapper's message has come.
    #[cold]
    pub fn told<B: BackEnd>(&mut self, core: &mut Core<B, Kernel>) {
        let before = core.statistics();
        self.read(core);
        if core::mem::take(&mut self.awaited) {
            let stalls = core.statistics().stalls - before.stalls;
            let queue = if stalls > 0 { "the queue goes on" } else { "the queue had gone on" };
            println!("interrupt: the remapper told of the provoked fault by its message; {queue}");
        }
    }

    /// Reads what the unit recorded, a bounded part of it. The first fault of each sender is a
    /// line, the others are counted.
    pub fn read<B: BackEnd>(&mut self, core: &mut Core<B, Kernel>) {
        let by_sender = &mut self.by_sender;
        let seen = core.poll_faults(AT_ONCE, |fault, owner| {
            let count = by_sender.entry(fault.source.bits()).or_insert(0);
            *count += 1;
            if *count == 1 {
                let whose = match owner {
                    FaultOwner::Message(_) => "its own message, not active",
                    FaultOwner::Client(_) => "not its message",
                    FaultOwner::Unknown(_) => "no driver has this device",
                };
                println!(
                    "interrupt: a write of {} was blocked: {:?}, {whose}; later ones are counted",
                    fault.source, fault.reason
                );
            }
        });
        self.more = seen == AT_ONCE;
        let statistics = core.statistics();
        if statistics.faults_lost > 0 && !core::mem::replace(&mut self.said.0, true) {
            println!("interrupt: more faults than the remapper has records: some are not counted");
        }
        if statistics.stalls > 0 && !core::mem::replace(&mut self.said.1, true) {
            println!("interrupt: the remapper refused a command and stood still; it was set going");
        }
    }

    /// The remapper's message is past its rate budget: faults are read by the clock for a while.
    #[cold]
    pub fn storm<B: BackEnd>(&mut self, core: &mut Core<B, Kernel>) {
        match core.hold_fault_event() {
            Ok(()) => println!("interrupt: a storm of faults; they are read by the clock"),
            Err(error) => println!("interrupt: a storm of faults goes on: {error}"),
        }
        self.held_until_ns = Some(now_ns().saturating_add(BACK_OFF_NS));
    }

    /// The timer has fired.
    pub fn pulse<B: BackEnd>(&mut self, core: &mut Core<B, Kernel>) {
        self.read(core);
        if self.held_until_ns.is_some_and(|until| until <= now_ns()) {
            self.held_until_ns = None;
            if core.resume_fault_event().is_err() {
                // It stays silent; requests and the timer still read what is recorded.
                println!("interrupt: faults are read with requests only from here on");
            }
        }
    }

    /// Whether the timer is needed.
    pub fn waiting(&self) -> bool {
        self.more || self.held_until_ns.is_some()
    }
}
