//! Quarantine: a vector that a message gives up is not free, for events may be in flight.
//!
//! It stays in quarantine until the CPUs have dealt with them. What proves that is a poke,
//! an interrupt of the lowest priority of all: a CPU that takes one has taken every device
//! event that was pending before it. The remapper must have been told before.
//!
//! A vector of one CPU (x86) asks that CPU, and needs two answers: the first may be that to
//! an older poke, which the CPU had accepted before we asked; then events of that time are
//! still pending behind it. To answer a second one it must have let interrupts in between,
//! and devices come first.
//!
//! A shared vector (aarch64) may be in the hands of any CPU that it was ever routed to: one
//! that has acknowledged it and waits for its lock while the message is moved, given up and
//! its number reused elsewhere would deliver an old event as the new owner's. So all CPUs are
//! asked, in rounds, as in the grace periods of read-copy-update: a vector waits for the end
//! of a round that began after it was first asked for. One round serves all vectors that
//! wait, and each question is constant work.

use core::cell::Cell;

use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::arena::Id;
use crate::kernel::{Cx, Kernel, Outcome};
use crate::platform::Platform;
use crate::vectors::{Entry, Use};

/// Pokes to all CPUs, each of which answers twice.
#[derive(Default)]
pub struct Round {
    /// Rounds that have begun. One is under way while this is more than `done`.
    pub begun: Cell<u64>,
    /// Rounds that have ended.
    pub done: Cell<u64>,
    /// Every CPU has answered once in the round under way.
    pub answered: Cell<bool>,
}

impl<P: Platform> Kernel<P> {
    /// The poke interrupt: everything in flight before it has been taken.
    pub fn poke_interrupt(&self, cx: Cx) {
        let cpu = self.cpu(cx.cpu);
        cpu.pokes_done.set(cpu.pokes_asked.get());
    }

    /// `vector_drain`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn vector_drain(&self, cx: Cx, handle: Handle, cpu: u64, vector: u64) -> Outcome {
        cx.need_exclusive()?;
        self.need(cx, handle, Kind::MessageControl, Rights::CONTROL)?;
        let entry = self.entry(cpu, vector)?;
        if !matches!(entry.usage.get(), Use::Moved | Use::Retired) {
            return Err(Error::BadState.into());
        }
        let drained = if self.platform.vector_space().is_shared {
            self.drained_everywhere(entry)
        } else {
            self.drained_on(entry, cpu as usize)
        };
        if !drained {
            return Err(Error::Busy.into());
        }
        entry.usage.set(Use::Free);
        entry.message.set(Id::NONE);
        entry.token.set(0);
        entry.answered.set(false);
        Ok(0)
    }

    fn drained_on(&self, entry: &Entry, cpu: usize) -> bool {
        let home = self.cpu(cpu);
        let asked = entry.token.get() != 0;
        if asked && home.pokes_done.get() < entry.token.get() {
            return false;
        }
        if asked && entry.answered.replace(true) {
            return true;
        }
        home.pokes_asked.set(home.pokes_asked.get() + 1);
        entry.token.set(home.pokes_asked.get());
        self.platform.poke(cpu);
        false
    }

    fn drained_everywhere(&self, entry: &Entry) -> bool {
        self.go_on_with_round();
        let round = &self.round;
        let (begun, done) = (round.begun.get(), round.done.get());
        if entry.token.get() == 0 {
            // The round under way, if there is one, may have begun too early.
            entry.token.set(begun + 1);
        }
        let wanted = entry.token.get();
        if wanted <= done {
            return true;
        }
        if begun == done {
            round.begun.set(begun + 1);
            round.answered.set(false);
            self.poke_all();
        }
        false
    }

    /// Ends a phase of the round under way, if every CPU has answered.
    fn go_on_with_round(&self) {
        let round = &self.round;
        let mut cpus = (0..self.cpu_count.get()).map(|index| self.cpu(index));
        let under_way = round.begun.get() > round.done.get();
        if !under_way || cpus.any(|cpu| cpu.pokes_done.get() < cpu.round_poke.get()) {
            return;
        }
        if round.answered.replace(true) {
            round.done.set(round.begun.get());
        } else {
            self.poke_all();
        }
    }

    fn poke_all(&self) {
        for index in 0..self.cpu_count.get() {
            let cpu = self.cpu(index);
            cpu.pokes_asked.set(cpu.pokes_asked.get() + 1);
            cpu.round_poke.set(cpu.pokes_asked.get());
            self.platform.poke(index);
        }
    }
}
