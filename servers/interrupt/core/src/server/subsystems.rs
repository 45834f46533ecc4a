//! Subsystems: sets of devices that another interrupt server, a child, looks after.
//!
//! A child speaks for each device of its set as that device's driver would, so nothing of a
//! message's life is different. What is different is counted here: the sum of what the devices
//! hold has a limit of its own, and all of them can end together. Who belongs to a set is said
//! by `init`; a child can not add to its own.

use super::table::{NONE, State};
use super::{Core, Error, Outcome};
use crate::{BackEnd, ClientId, KernelMessages};
use alloc::vec::Vec;

/// Subsystems that a server has at most.
const MOST: u16 = 64;
/// Devices of one. The sum over them is made at each of their allocations.
const MEMBERS: usize = 32;

/// One set.
#[derive(Default)]
pub(super) struct Subsystem {
    /// Messages of all its devices at a time, those in quarantine included; `None` while
    /// nobody has said, and then it has no devices either.
    quota: Option<u32>,
    /// Client records.
    members: Vec<u16>,
}

/// What a subsystem may have, and has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubsystemInfo {
    /// Messages at most.
    pub quota: u32,
    /// Messages that count against it.
    pub held: u32,
    /// Devices.
    pub devices: u16,
}

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Makes a subsystem known, or gives it another quota. Its devices join afterwards.
    pub fn set_subsystem(&mut self, number: u16, quota: u32) -> Outcome<(), K> {
        if number >= MOST {
            return Err(Error::BadArgument);
        }
        let needed = usize::from(number) + 1;
        if self.subsystems.len() < needed {
            let more = needed - self.subsystems.len();
            self.subsystems.try_reserve(more).map_err(|_| Error::NoMemory)?;
            self.subsystems.resize_with(needed, Subsystem::default);
        }
        let subsystem = self.subsystem_mut(number)?;
        if subsystem.members.capacity() == 0 {
            subsystem.members.try_reserve_exact(MEMBERS).map_err(|_| Error::NoMemory)?;
        }
        subsystem.quota = Some(quota);
        Ok(())
    }

    /// A device becomes a subsystem's. `BadId` for a subsystem that is not known, `NotYours`
    /// for a device of another one, `BadState` for one that holds messages already: those are
    /// somebody else's.
    pub fn join(&mut self, number: u16, client: impl Into<ClientId>) -> Outcome<(), K> {
        self.known(number)?;
        let index = self.clients.find_or_add(client.into()).ok_or(Error::NoMemory)?;
        let record = self.clients.get(index);
        match record.subsystem {
            Some(own) if own == number => return Ok(()),
            Some(_) => return Err(Error::NotYours),
            None if self.has_live(index) => return Err(Error::BadState),
            None => {}
        }
        let subsystem = self.subsystem_mut(number)?;
        if subsystem.members.len() >= MEMBERS {
            return Err(Error::NoMemory);
        }
        subsystem.members.push(index);
        self.clients.get_mut(index).subsystem = Some(number);
        Ok(())
    }

    /// Whether a subsystem may speak for a client. `NotYours` for all but its own.
    pub fn speaks_for(&self, number: u16, client: impl Into<ClientId>) -> Outcome<(), K> {
        let index = self.clients.find(client.into()).ok_or(Error::NotYours)?;
        match self.clients.get(index).subsystem {
            Some(own) if own == number => Ok(()),
            _ => Err(Error::NotYours),
        }
    }

    /// The subsystem that a client belongs to.
    pub fn subsystem_of(&self, client: impl Into<ClientId>) -> Option<u16> {
        self.clients.get(self.clients.find(client.into())?).subsystem
    }

    /// Ends a subsystem with all that its devices hold, and says of each which it was. Returns
    /// how many messages that were. It is not known any more.
    pub fn subsystem_gone(&mut self, number: u16, mut tell: impl FnMut(ClientId)) -> u32 {
        let mut ended = 0;
        // Each one leaves as it ends.
        while let Some(index) = self.member(number, 0) {
            let client = self.clients.get(index).id;
            ended += self.client_gone(client);
            tell(client);
        }
        if let Some(subsystem) = self.subsystems.get_mut(usize::from(number)) {
            subsystem.quota = None;
        }
        ended
    }

    /// What a subsystem may have and has. `BadId` for one that is not known.
    pub fn subsystem(&self, number: u16) -> Outcome<SubsystemInfo, K> {
        let quota = self.known(number)?;
        let subsystem = &self.subsystems[usize::from(number)];
        let held = self.held_by(subsystem);
        Ok(SubsystemInfo { quota, held, devices: subsystem.members.len() as u16 })
    }

    /// Room in the subsystem's own quota.
    pub(super) fn subsystem_room(&self, number: u16, count: u32) -> Outcome<(), K> {
        let Some(subsystem) = self.subsystems.get(usize::from(number)) else { return Ok(()) };
        let quota = subsystem.quota.unwrap_or(0);
        if quota.saturating_sub(self.held_by(subsystem)) < count {
            return Err(Error::QuotaExceeded);
        }
        Ok(())
    }

    /// A client that is gone belongs to nobody: whoever drives its device next starts anew.
    pub(super) fn leave(&mut self, client: u16) {
        if let Some(number) = self.clients.get_mut(client).subsystem.take()
            && let Some(subsystem) = self.subsystems.get_mut(usize::from(number))
        {
            subsystem.members.retain(|member| *member != client);
        }
    }

    fn held_by(&self, subsystem: &Subsystem) -> u32 {
        let each = subsystem.members.iter().map(|member| self.clients.get(*member).held);
        each.fold(0, u32::saturating_add)
    }

    /// Whether a client holds messages that are not dead: a dead one's numbers may still be
    /// in quarantine.
    fn has_live(&self, client: u16) -> bool {
        let mut slot = self.clients.get(client).first;
        while slot != NONE {
            if self.table.get(slot).state != State::Dying {
                return true;
            }
            slot = self.table.next(slot);
        }
        false
    }

    /// A subsystem's device.
    pub(super) fn member(&self, number: u16, at: usize) -> Option<u16> {
        self.subsystems.get(usize::from(number))?.members.get(at).copied()
    }

    fn known(&self, number: u16) -> Outcome<u32, K> {
        let subsystem = self.subsystems.get(usize::from(number));
        subsystem.and_then(|it| it.quota).ok_or(Error::BadId)
    }

    fn subsystem_mut(&mut self, number: u16) -> Outcome<&mut Subsystem, K> {
        self.subsystems.get_mut(usize::from(number)).ok_or(Error::BadId)
    }
}
