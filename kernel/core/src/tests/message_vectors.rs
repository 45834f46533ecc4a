//! Vectors against the model: activation, moves, events, quarantine, of either kind of space.

use tocsin_abi::{Error, MessageState, Syscall, Trigger};

use super::message::Rig;
use super::message_model::{Entry, Vector};
use super::platform::{FIRST_VECTOR, FIRST_WIRE, HOLE, LAST_VECTOR};
use crate::vectors::Use;

impl Rig {
    pub(super) fn poke(&mut self, cpu: usize) {
        let poked = self.world.k.platform.poked[cpu].get();
        self.world.take_poke(cpu);
        for entry in self.model.vectors.values_mut() {
            entry.answers[cpu] += u32::from(entry.asked && poked);
        }
    }

    pub(super) fn activate(&mut self, message: usize, cpu: u64, vector: u64, trigger: u64) {
        let rest = [cpu, vector, trigger];
        let Some((id, result)) = self.about(message, Syscall::MessageActivate, &rest) else {
            return;
        };
        let at = (cpu as usize, vector as u16);
        let (shared, key) = (self.model.shared, self.model.key(at));
        let device = (u64::from(FIRST_VECTOR)..=u64::from(LAST_VECTOR)).contains(&vector);
        let is_free = !self.model.vectors.contains_key(&key) || self.model.was_own(at, id);
        let message = &mut self.model.messages[id];
        let stays = shared && message.vector.is_some_and(|old| old.1 == at.1);
        let moves = message.vector.is_some();
        let is_level = trigger == 1;
        let expected = match () {
            () if cpu >= 2 => Err(Error::BadCpu),
            () if !device || shared && at.1 == HOLE => Err(Error::BadVector),
            () if trigger > 1 => Err(Error::BadArgument),
            () if is_level && !shared => Err(Error::NotSupported),
            () if is_level && at.1 < FIRST_WIRE => Err(Error::BadArgument),
            () if !stays && !is_free => Err(Error::VectorInUse),
            () if message.old.is_some() => Err(Error::BadState),
            () if moves && trigger != message.trigger as u64 => Err(Error::BadArgument),
            () if moves && is_level && !stays => Err(Error::BadArgument),
            () => Ok(0),
        };
        assert_eq!(result, expected);
        if result.is_ok() {
            message.old = message.vector.replace(at);
            message.trigger = if is_level { Trigger::Level } else { Trigger::Edge };
            if message.state == MessageState::Reserved {
                message.state = MessageState::Active;
            }
            let entry = Entry { usage: Use::Live, message: id, asked: false, answers: [0; 2] };
            self.model.vectors.insert(key, entry);
            self.model.left.remove(&key);
        }
    }

    pub(super) fn move_to(&mut self, message: usize, cpu: u64) {
        let message = message % self.served.len().max(1);
        let known = self.model.messages.get(message).filter(|message| message.alive);
        if let Some((vector, trigger)) = known.and_then(|m| Some((m.vector?.1, m.trigger))) {
            self.activate(message, cpu, vector.into(), trigger as u64);
        }
    }

    pub(super) fn event(&mut self, at: Vector) {
        self.model.device_event(at);
        self.world.device_event(at.0, at.1);
    }

    /// A number comes back only after its CPU has answered two pokes since this was first
    /// asked; where it is the machine's, all CPUs. (When exactly, is the kernel's affair.)
    pub(super) fn drain(&mut self, at: Vector) {
        let arguments = [self.world.roots.control, at.0 as u64, at.1.into()];
        let result = self.server(Syscall::VectorDrain, &arguments);
        let (shared, key) = (self.model.shared, self.model.key(at));
        if shared && at.1 == HOLE {
            assert_eq!(result, Err(Error::BadVector));
            return;
        }
        match self.model.vectors.get_mut(&key).filter(|entry| entry.usage != Use::Live) {
            None => assert_eq!(result, Err(Error::BadState), "drain of {at:?}"),
            Some(entry) if result.is_ok() => {
                let answers = if shared { &entry.answers[..] } else { &entry.answers[at.0..][..1] };
                let enough = answers.iter().all(|answers| *answers >= 2);
                assert!(entry.asked && enough, "{at:?} is free too early: {entry:?}");
                self.model.vectors.remove(&key);
            }
            Some(entry) => {
                assert_eq!(result, Err(Error::Busy), "drain of {at:?}");
                entry.asked = true;
            }
        }
    }

    /// Until it is free, while all CPUs answer.
    pub(super) fn drain_all(&mut self, which: usize) {
        let which = which % self.model.vectors.len().max(1);
        if let Some((&at, entry)) = self.model.vectors.iter().nth(which)
            && entry.usage != Use::Live
        {
            // A round under way, and one of its own, of two answers each.
            for round in 0.. {
                assert!(round <= 5, "the quarantine of {at:?} does not end");
                if !self.model.vectors.contains_key(&at) {
                    break;
                }
                self.drain(at);
                (0..2).for_each(|cpu| self.poke(cpu));
            }
        }
    }
}
