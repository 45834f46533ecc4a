//! The steps of a life where the remapper is another interrupt server ([`crate::parent`]).
//!
//! The parent decides: no state is looked at here before it is asked, because it knows better
//! (a storm blocks a message up there, a driver's death ends one). What it answers is written
//! down, so that this server can say what it said last.

use super::table::{NONE, State};
use super::{Core, Error, MessageId, MessageState, Outcome};
use crate::parent::{Refusal, Step};
use crate::{BackEnd, Binding, ClientId, EntryIndex, KernelMessages};

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Has the parent take a step, and follows. A message that is no more up there is no more
    /// here either, and its client hears `BadId`, as it would up there.
    pub(super) fn step_above(&mut self, slot: u32, step: Step) -> Outcome<(), K> {
        let Some(entry) = &self.table.get(slot).entry else { return Err(Error::BadState) };
        match self.back_end.forward(entry, step) {
            Ok(above) if above.state.is_none() => self.ended_above(slot),
            Ok(above) => self.note(slot, above.state, above.event),
            Err(Refusal::Gone) => {
                self.ended_above(slot);
                return Err(Error::BadId);
            }
            Err(refusal) => return Err(Error::Parent(refusal)),
        }
        Ok(())
    }

    /// Asks the parent about all messages of a client, and of those who share a quota with it:
    /// what the parent has ended counts no more. Work: what they hold, so it is done only before
    /// something says no.
    #[cold]
    pub(super) fn catch_up(&mut self, client: u16) {
        let Some(number) = self.clients.get(client).subsystem else {
            return self.look_above(client);
        };
        let mut at = 0;
        while let Some(member) = self.member(number, at) {
            self.look_above(member);
            at += 1;
        }
    }

    /// Asks the parent about everybody's messages: something has ended up there.
    pub fn catch_up_all(&mut self) {
        if B::BINDING != Binding::Parent {
            return;
        }
        let mut client = 0;
        while self.clients.at(client.into()).is_some() {
            self.look_above(client);
            client += 1;
        }
    }

    /// Whose message an entry is above, and what it is called there.
    pub fn name_above(&self, entry: EntryIndex) -> Option<(ClientId, u64)> {
        self.back_end.name_above(entry)
    }

    fn look_above(&mut self, client: u16) {
        let mut slot = self.clients.get(client).first;
        while slot != NONE {
            let next = self.table.next(slot);
            // What is withheld nobody can have ended.
            if !matches!(self.table.get(slot).state, State::Dying | State::Withheld) {
                // What it will not say stays as it was known.
                let _ = self.step_above(slot, Step::Look);
            }
            slot = next;
        }
    }

    /// Looks at one of a client's messages: with a parent, what is known of it is refreshed.
    pub fn look(&mut self, client: impl Into<ClientId>, id: MessageId) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        match B::BINDING {
            Binding::Parent => self.step_above(slot, Step::Look),
            _ => Ok(()),
        }
    }

    /// A client has its handle to a message: where that is another server's, this one keeps
    /// none, so that the client's are the last.
    pub fn handed_on(&mut self, id: MessageId) {
        if B::BINDING == Binding::Parent
            && let Some(slot) = self.table.find(id)
            && let Some(entry) = &self.table.get(slot).entry
        {
            self.back_end.handed_on(entry);
        }
    }

    fn note(&mut self, slot: u32, state: Option<MessageState>, event: Option<B::Lease>) {
        let record = self.table.get_mut(slot);
        record.state = match state {
            Some(MessageState::Active) => State::Active,
            Some(MessageState::Blocked) => State::Blocked,
            Some(MessageState::Reserved) | None => State::Reserved,
        };
        if let Some(before) = core::mem::replace(&mut record.lease, event) {
            self.back_end.cancel(before);
        }
    }

    /// Nothing of it is left up there: nothing has to wait here.
    fn ended_above(&mut self, slot: u32) {
        let rest = self.table.get(slot).rest;
        self.table.get_mut(slot).handle = None;
        self.table.kill(slot);
        self.bury_when_quiet(slot);
        self.end_withheld(rest);
    }
}
