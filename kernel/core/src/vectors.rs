//! The vector space: which message each vector of each CPU leads to, and quarantine.
//!
//! A vector that a message gives up is not free: events may be in flight. It stays in
//! quarantine until its CPU has answered two pokes that were sent after the remapper was
//! told. The poke has the lowest vector of all, so the CPU has taken every device event
//! that arrived before it.

use core::cell::Cell;

use tocsin_abi::{Error, Handle, Kind, MessageState, Rights};

use crate::arena::Id;
use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::message::Message;
use crate::objects::MessageId;
use crate::platform::{Frame, Platform};

/// What a vector is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Use {
    /// Can be taken.
    #[default]
    Free,
    /// A message's.
    Live,
    /// In quarantine after a move: events in flight are still delivered.
    Moved,
    /// In quarantine after deactivation: events in flight are counted, not delivered.
    Retired,
}

/// One vector of one CPU.
#[derive(Default)]
pub struct Entry {
    /// The message that it is, or was, for.
    pub message: Cell<MessageId>,
    /// That message's generation, for the time in quarantine.
    pub generation: Cell<u32>,
    /// What it is.
    pub usage: Cell<Use>,
    /// The poke whose answer is waited for; zero: not asked yet.
    pub token: Cell<u64>,
    /// One poke has been answered since the quarantine began.
    pub answered: Cell<bool>,
}

impl<P: Platform> Kernel<P> {
    /// The interrupt path: a device event on `vector` of this CPU.
    ///
    /// # Errors
    /// `Escalate` when the message or its port is homed elsewhere; the event must then
    /// be given again in an exclusive context.
    #[inline(always)]
    pub fn device_event(&self, cx: Cx, vector: u8) -> Result<(), Stop> {
        let cpu = self.cpu(cx.cpu);
        let entry = &cpu.vectors[vector as usize];
        if entry.usage.get() == Use::Live {
            return self.message_event(cx, entry.message.get());
        }
        self.late_event(cx, entry)
    }

    /// An event on a vector that is not live: stray, or in flight during a change.
    #[cold]
    fn late_event(&self, cx: Cx, entry: &Entry) -> Result<(), Stop> {
        cx.need_exclusive()?;
        let id = entry.message.get();
        let known =
            id.is_some() && self.messages.item(id).generation.get() == entry.generation.get();
        // A move delivers what is in flight; a message deactivated since does not.
        let is_live = known && self.messages.get(id).state.get() != MessageState::Reserved;
        match entry.usage.get() {
            Use::Moved if is_live => self.message_event(cx, id),
            Use::Moved | Use::Retired if known => {
                let message = self.messages.get(id);
                message.blocked.set(message.blocked.get() + 1);
                Ok(())
            }
            _ => {
                let cpu = self.cpu(cx.cpu);
                cpu.strays.set(cpu.strays.get() + 1);
                Ok(())
            }
        }
    }

    /// The poke interrupt: everything in flight before it has been taken.
    pub fn poke_interrupt(&self, cx: Cx) {
        let cpu = self.cpu(cx.cpu);
        cpu.pokes_done.set(cpu.pokes_asked.get());
    }

    fn entry(&self, cpu: u64, vector: u64) -> Result<&Entry, Error> {
        if cpu >= self.cpu_count.get() as u64 {
            return Err(Error::BadCpu);
        }
        let (first, last) = self.platform.device_vectors();
        if vector < u64::from(first) || vector > u64::from(last) {
            return Err(Error::BadVector);
        }
        Ok(&self.cpu(cpu as usize).vectors[vector as usize & 0xff])
    }

    /// A free vector, for `message_activate`.
    ///
    /// # Errors
    /// `BadCpu`, `BadVector`, `VectorInUse`.
    pub fn free_entry(&self, cpu: u64, vector: u64) -> Result<&Entry, Error> {
        let entry = self.entry(cpu, vector)?;
        if entry.usage.get() == Use::Free { Ok(entry) } else { Err(Error::VectorInUse) }
    }

    /// Gives a vector to a message.
    pub fn take_entry(&self, entry: &Entry, id: MessageId) {
        entry.message.set(id);
        entry.generation.set(self.messages.item(id).generation.get());
        entry.usage.set(Use::Live);
        entry.token.set(0);
        entry.answered.set(false);
    }

    /// Puts a vector into quarantine.
    pub fn quarantine(&self, cpu: u8, vector: u8, usage: Use) {
        if vector != 0 {
            self.cpu(cpu as usize).vectors[vector as usize].usage.set(usage);
        }
    }

    /// Quarantines all vectors of a message.
    pub fn retire_vectors(&self, message: &Message) {
        self.quarantine(message.cpu.get(), message.vector.replace(0), Use::Retired);
        self.quarantine(message.old_cpu.get(), message.old_vector.replace(0), Use::Retired);
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
        let home = self.cpu(cpu as usize);
        let asked = entry.token.get() != 0;
        if asked && home.pokes_done.get() < entry.token.get() {
            return Err(Error::Busy.into());
        }
        // The first answer may be that to an older poke, which the CPU had accepted
        // before we asked: then events of that time are still pending behind it. To answer
        // a second one it must have let interrupts in between, and devices come first.
        if !asked || !entry.answered.replace(true) {
            home.pokes_asked.set(home.pokes_asked.get() + 1);
            entry.token.set(home.pokes_asked.get());
            self.platform.poke(cpu as usize);
            return Err(Error::Busy.into());
        }
        entry.usage.set(Use::Free);
        entry.message.set(Id::NONE);
        entry.token.set(0);
        entry.answered.set(false);
        Ok(0)
    }

    /// `control_info`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn control_info(&self, cx: Cx, handle: Handle, cpu: u64) -> Outcome {
        self.need(cx, handle, Kind::MessageControl, Rights::READ)?;
        if cpu >= self.cpu_count.get() as u64 {
            return Err(Error::BadCpu.into());
        }
        let (first, last) = self.platform.device_vectors();
        self.frame(cx).set_values4([
            self.cpu_count.get() as u64,
            u64::from(first),
            u64::from(last),
            self.platform.cpu_hardware_id(cpu as usize),
        ]);
        Ok(0)
    }
}
