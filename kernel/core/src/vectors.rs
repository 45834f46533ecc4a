//! The vector space: which message each CPU event leads to.
//!
//! On x86 each CPU has vectors of its own. On aarch64 a vector is an INTID, a number that
//! all CPUs share, and an event can come on any CPU that it is routed to. Both are places in
//! one table; [`Platform::vector_place`] finds them.
//!
//! What happens to a vector that a message gives up is in `drain`.

use core::cell::Cell;

use tocsin_abi::{Error, Handle, Kind, MessageState, Rights};

use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::level::Held;
use crate::message::Message;
use crate::objects::MessageId;
use crate::platform::{Frame, Platform};

pub use crate::drain::Round;

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

/// One vector.
#[derive(Default)]
pub struct Entry {
    /// The message that it is, or was, for.
    pub message: Cell<MessageId>,
    /// That message's generation, for the time in quarantine.
    pub generation: Cell<u32>,
    /// What it is.
    pub usage: Cell<Use>,
    /// One poke has been answered since the quarantine began (vectors of one CPU).
    pub answered: Cell<bool>,
    /// The interrupt controller holds it back for nobody: an event came while it was no
    /// message's. Ends when it becomes one's.
    pub left: Cell<bool>,
    /// The poke, or the round, whose end is waited for; zero: not asked yet.
    pub token: Cell<u64>,
}

impl<P: Platform> Kernel<P> {
    /// The interrupt path: a device event on `vector` of this CPU.
    ///
    /// # Errors
    /// `Escalate` when the message or its port is homed elsewhere; the event must then
    /// be given again in an exclusive context.
    #[inline(always)]
    pub fn device_event(&self, cx: Cx, vector: u16) -> Result<(), Stop> {
        let Some(entry) = self.vectors.get(self.platform.vector_place(cx.cpu, vector)) else {
            return self.stray(cx);
        };
        if entry.usage.get() == Use::Live {
            return self.message_event(cx, entry.message.get());
        }
        self.late_event(cx, entry)
    }

    /// A device event that the interrupt controller holds back from now on (an SPI on
    /// aarch64): it can not come again before it is completed. An edge is completed at once,
    /// a level when its owner says so. One that is no message's (any more) stays, so that it
    /// can not storm, until `message_activate`.
    ///
    /// # Errors
    /// As [`Kernel::device_event`].
    pub fn held_event(&self, cx: Cx, vector: u16) -> Result<(), Stop> {
        let Some(entry) = self.vectors.get(self.platform.vector_place(cx.cpu, vector)) else {
            return self.stray(cx);
        };
        if entry.usage.get() != Use::Live {
            self.late_event(cx, entry)?;
            entry.left.set(true);
            return Ok(());
        }
        let message = self.messages.get(entry.message.get());
        let blocked = message.state.get() == MessageState::Blocked;
        self.message_event(cx, entry.message.get())?;
        if message.is_level.get() {
            message.held.set(if blocked { Held::Muted } else { Held::Owner });
        } else {
            self.platform.complete(cx.cpu, vector);
        }
        Ok(())
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
            _ => self.stray(cx),
        }
    }

    /// An event that belongs to nobody.
    #[cold]
    fn stray(&self, cx: Cx) -> Result<(), Stop> {
        let cpu = self.cpu(cx.cpu);
        cpu.strays.set(cpu.strays.get() + 1);
        Ok(())
    }

    /// The vector that a server names.
    pub(crate) fn entry(&self, cpu: u64, vector: u64) -> Result<&'static Entry, Error> {
        if cpu >= self.cpu_count.get() as u64 {
            return Err(Error::BadCpu);
        }
        let space = self.platform.vector_space();
        let number = u16::try_from(vector).map_err(|_| Error::BadVector)?;
        if !space.has(number) {
            return Err(Error::BadVector);
        }
        let place = self.platform.vector_place(cpu as usize, number);
        self.vectors.get(place).ok_or(Error::BadVector)
    }

    /// The vector of a message, or of a CPU in quarantine. Zero is none.
    fn held_entry(&self, cpu: u8, vector: u16) -> Option<&'static Entry> {
        if vector == 0 {
            return None;
        }
        self.vectors.get(self.platform.vector_place(cpu as usize, vector))
    }

    /// Gives a vector to a message. What is held back of the time before may come again: a
    /// wire that is still asserted is the message's first event.
    pub fn take_entry(&self, entry: &Entry, id: MessageId, cpu: usize, vector: u16) {
        entry.message.set(id);
        entry.generation.set(self.messages.item(id).generation.get());
        entry.usage.set(Use::Live);
        entry.token.set(0);
        entry.answered.set(false);
        if entry.left.replace(false) {
            self.platform.complete(cpu, vector);
        }
    }

    /// Whether a vector in quarantine was this message's, and so can be its again: what is
    /// still in flight is its own. Only where a message keeps its vector for good, that is
    /// where CPUs share vectors; elsewhere the remapper may still name another CPU's.
    pub fn was_own(&self, entry: &Entry, id: MessageId) -> bool {
        self.platform.vector_space().is_shared
            && entry.usage.get() == Use::Retired
            && entry.message.get() == id
            && entry.generation.get() == self.messages.item(id).generation.get()
    }

    /// Puts a vector into quarantine.
    pub fn quarantine(&self, cpu: u8, vector: u16, usage: Use) {
        if let Some(entry) = self.held_entry(cpu, vector) {
            entry.usage.set(usage);
        }
    }

    /// Quarantines all vectors of a message.
    pub fn retire_vectors(&self, message: &Message) {
        let (vector, old) = (message.vector.replace(0), message.old_vector.replace(0));
        if self.platform.vector_space().is_private(vector) {
            self.platform.set_private(message.cpu.get().into(), vector, None);
        }
        self.quarantine(message.cpu.get(), vector, Use::Retired);
        self.quarantine(message.old_cpu.get(), old, Use::Retired);
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
        let space = self.platform.vector_space();
        let frame = self.frame(cx);
        frame.set_values4([
            self.cpu_count.get() as u64,
            u64::from(space.first),
            u64::from(space.last),
            self.platform.cpu_hardware_id(cpu as usize),
        ]);
        frame.set_value(4, u64::from(space.is_shared));
        Ok(0)
    }

    /// `machine_end`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn machine_end(&self, cx: Cx, handle: Handle, code: u64) -> Outcome {
        self.need(cx, handle, Kind::Machine, Rights::CONTROL)?;
        self.platform.machine_end(code == 0);
        Ok(0)
    }
}
