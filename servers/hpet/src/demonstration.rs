//! What the comparators are made to do, and what must come of it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use hpet_core::Block;
use libsys::interrupt::{Interrupt, InterruptError, Interrupts};
use libsys::object::{Port, now_ns};
use libsys::proto::interrupt::Error as Refusal;
use libsys::startup::Environment;
use libsys::store::Store;
use libsys::{Error, PacketKind, Startup, println};

use crate::comparators::{Registers, layout};

/// One-shot matches of each comparator.
const ROUNDS: u64 = 8;
/// Matches of each comparator while all of them are periodic.
const PERIODS: u64 = 20;
/// From arming to the match.
const DELAY_US: u32 = 1_000;
/// From match to match.
const PERIOD_US: u32 = 2_000;
/// A match that is not there by then does not come.
const PATIENCE_NS: u64 = 2_000_000_000;
/// For so long nothing must come.
const SILENCE_NS: u64 = 20_000_000;

/// How it ended.
pub enum Ending {
    /// Everything came.
    Shown {
        /// By so many comparators.
        comparators: usize,
        /// So many events.
        events: u64,
    },
    /// There is nothing that could be shown, and that is as it should be.
    Nothing(String),
    /// `die`: the comparators tick, and nobody is there any more.
    Abandoned,
}

/// Runs it.
pub fn run(env: &Startup) -> Result<Ending, String> {
    let expects_refusal = match env.arg("expect") {
        None => false,
        Some("refused") => true,
        Some(_) => return Err("the argument `expect=` knows only `refused`".into()),
    };
    let registers = Registers::granted(env).map_err(|error| format!("its page: {error}"))?;
    let Some(registers) = registers else {
        return Ok(Ending::Nothing("this machine has no HPET".into()));
    };
    let block = Block::new(registers.clone()).map_err(text)?;
    let found = block.capabilities();
    let timers: Vec<u8> = block.message_timers().collect();
    println!(
        "hpet: {} comparators, {} of them by message, {} ps a tick",
        found.timers,
        timers.len(),
        found.period_fs / 1000
    );
    if timers.is_empty() {
        // FSB_INT_DEL_CAP: their wires are the IO APIC's.
        return Ok(Ending::Nothing("no comparator can send messages".into()));
    }
    let store = Store::registers(registers, &layout(&timers)).map_err(text)?;
    let server = env.handle("interrupt").ok_or("no grant `interrupt`")?;
    let port = Port::new().map_err(text)?;
    let interrupts = Interrupts::new(server, port.handle());
    let mut slots = Vec::new();
    for slot in 0..timers.len() as u32 {
        match interrupts.add(&store, slot, slot.into()) {
            Ok(interrupt) => slots.push(interrupt),
            Err(InterruptError::Server(Refusal::NotSupported)) if expects_refusal => {
                if store.used() != 0 {
                    return Err("a refused slot is still taken".into());
                }
                let why = "its messages are refused: NotSupported (Registers)";
                return Ok(Ending::Nothing(why.into()));
            }
            Err(error) => return Err(text(error)),
        }
    }
    if expects_refusal {
        return Err("messages were granted, and were to be refused".into());
    }
    let bench = Bench { block, port, timers };
    bench.show(slots, env.has_arg("die"))
}

struct Bench {
    block: Block<Registers>,
    port: Port,
    /// By slot.
    timers: Vec<u8>,
}

impl Bench {
    fn show(&self, mut slots: Vec<Interrupt>, dies: bool) -> Result<Ending, String> {
        for slot in &mut slots {
            // A match in the past would come at once.
            self.once(slot.slot(), u32::MAX / 4)?;
            let route = slot.activate().map_err(text)?;
            println!(
                "hpet: comparator {}: {:#x}/{:#x}, vector {} of CPU {}, {}",
                self.timers[slot.slot() as usize],
                slot.pair().address,
                slot.pair().data,
                route.vector,
                route.cpu,
                route.entry.map_or("past the remapper: not isolated".to_string(), |entry| {
                    format!("entry {entry}")
                }),
            );
        }
        let mut events = alloc::vec![0; slots.len()];
        for _ in 0..ROUNDS {
            for slot in &slots {
                self.once(slot.slot(), self.block.ticks(DELAY_US).map_err(text)?)?;
                let (key, count) =
                    self.hear(PATIENCE_NS)?.ok_or("a one-shot match did not come")?;
                if (key, count) != (slot.slot().into(), 1) {
                    return Err(format!(
                        "{count} events of comparator {key}, wanted 1 of {}",
                        slot.slot()
                    ));
                }
                events[key as usize] += 1;
            }
        }
        self.masked_is_silent(&slots[0])?;
        let period = self.block.ticks(PERIOD_US).map_err(text)?;
        for slot in &slots {
            let timer = self.timers[slot.slot() as usize];
            self.block.arm_periodic(timer, period).map_err(text)?;
        }
        if dies {
            self.hear(PATIENCE_NS)?.ok_or("a periodic match did not come")?;
            println!("hpet: gone, with {} comparators running", slots.len());
            slots.into_iter().for_each(core::mem::forget);
            return Ok(Ending::Abandoned);
        }
        let before = events.clone();
        while events.iter().zip(&before).any(|(now, then)| now - then < PERIODS) {
            let (key, count) = self.hear(PATIENCE_NS)?.ok_or("a periodic match did not come")?;
            *events.get_mut(key as usize).ok_or("an event of no comparator")? += count;
        }
        self.close_the_books(slots, events)
    }

    /// A match of a masked comparator is nobody's.
    fn masked_is_silent(&self, slot: &Interrupt) -> Result<(), String> {
        slot.mask().map_err(text)?;
        self.once(slot.slot(), self.block.ticks(DELAY_US).map_err(text)?)?;
        if self.hear(SILENCE_NS)?.is_some() {
            return Err("a masked comparator was heard".into());
        }
        self.once(slot.slot(), u32::MAX / 4)?;
        slot.unmask().map_err(text)
    }

    /// Silences them one by one; what was heard is what the kernel counted, and then nothing.
    fn close_the_books(
        &self,
        slots: Vec<Interrupt>,
        mut events: Vec<u64>,
    ) -> Result<Ending, String> {
        for slot in &slots {
            slot.mask().map_err(text)?;
        }
        while let Some((key, count)) = self.hear(SILENCE_NS)? {
            *events.get_mut(key as usize).ok_or("an event of no comparator")? += count;
        }
        let comparators = slots.len();
        for (slot, heard) in slots.into_iter().zip(&events) {
            let counted = slot.status().map_err(text)?;
            let counted = counted.delivered + counted.coalesced;
            if counted != *heard {
                return Err(format!("{counted} events counted, {heard} heard"));
            }
            slot.release().map_err(text)?;
        }
        let left = self.block.silence().map_err(|why| format!("{why:?}"))?;
        if left.running > 0 {
            return Err(format!("{} comparators were still enabled", left.running));
        }
        Ok(Ending::Shown { comparators, events: events.iter().sum() })
    }

    fn once(&self, slot: u32, ticks: u32) -> Result<(), String> {
        self.block.arm_once(self.timers[slot as usize], ticks).map_err(text)
    }

    /// Key and count of the next packet; `None` when there is none in so long.
    fn hear(&self, patience_ns: u64) -> Result<Option<(u64, u64)>, String> {
        match self.port.wait_until(now_ns().saturating_add(patience_ns)) {
            Ok(packet) if packet.kind == PacketKind::Message as u32 => {
                Ok(Some((packet.key, packet.count.into())))
            }
            Ok(packet) => Err(format!("a packet of kind {}", packet.kind)),
            Err(Error::TimedOut) => Ok(None),
            Err(error) => Err(text(error)),
        }
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}
