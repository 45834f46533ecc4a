//! One round: the slots that are active at the same time.

use alloc::vec::Vec;
use core::iter::Peekable;

use demo_core::drill;
use demo_driver::{Reporter, Stop, counters};
use libsys::interrupt::InterruptError;
use libsys::proto::interrupt::Error as Refusal;
use libsys::proto::pci::Description;
use libsys::proto::report::Standing;
use lsi_core::{Plan, Store as Which};

use crate::demonstration::{Slots, kind};
use crate::device::{DeviceError, LsiRig};

type Result<T> = core::result::Result<T, Stop<DeviceError>>;

/// The keys that are active, and the one that was refused.
pub struct Round {
    plan: Plan,
    active: Vec<u64>,
    refused: Option<u64>,
}

impl Round {
    /// Activates slots in their order until all are active or no vector is left.
    pub fn activate(
        slots: &mut Slots,
        order: &mut Peekable<impl Iterator<Item = u64>>,
    ) -> Result<Round> {
        let mut round = Round { plan: slots.plan, active: Vec::new(), refused: None };
        while let Some(&key) = order.peek() {
            match slots.interrupt(key)?.activate() {
                Ok(route) => {
                    slots.routes[key as usize] = Some(route);
                    round.active.push(key);
                    order.next();
                }
                Err(InterruptError::Server(Refusal::NoVectors)) => {
                    round.refused = Some(key);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if round.active.is_empty() {
            return Err(Stop::Unexpected("not one vector is free"));
        }
        for which in [Which::Array, Which::Queue] {
            let most = &mut slots.most_active[which as usize];
            *most = (*most).max(round.count(which));
        }
        Ok(round)
    }

    fn keys(&self) -> impl Iterator<Item = u64> {
        self.active.iter().copied()
    }

    fn count(&self, which: Which) -> u64 {
        let keys = self.plan.keys(which);
        self.keys().filter(|key| keys.contains(key)).count() as u64
    }

    /// Says what is active, and who got `NoVectors`. A machine that has an interrupt number
    /// for every slot needs one round.
    pub fn tell(&self, reporter: &Reporter, round: u64) -> Result<()> {
        let (array, queue) = (self.count(Which::Array), self.count(Which::Queue));
        let round = round + 1;
        match self.refused.and_then(|key| self.plan.slot(key)) {
            Some(next) => reporter.line(format_args!(
                "round {round}: {array} + {queue} slots active, the next ({} slot {}) got NoVectors",
                kind(next.store),
                next.index
            ))?,
            None if round == 1 => {
                reporter.line(format_args!("{array} + {queue} slots active, all at once"))?
            }
            None => reporter.line(format_args!(
                "round {round}: {array} + {queue} slots active, the last ones"
            ))?,
        }
        Ok(())
    }

    /// Masks all at the device, then blocks one of each store at the remapper: nothing may
    /// come. An unblocked one brings one packet, for what was stopped.
    pub fn drill_masks(&self, slots: &mut Slots, rig: &mut LsiRig<'_>) -> Result<()> {
        for key in self.keys() {
            slots.interrupt(key)?.mask()?;
        }
        drill::masked(rig, self.keys())?;
        for key in self.keys() {
            slots.interrupt(key)?.unmask()?;
        }
        let blocked: Vec<u64> = [Which::Array, Which::Queue]
            .into_iter()
            .filter_map(|which| self.keys().find(|key| self.plan.keys(which).contains(key)))
            .collect();
        for &key in &blocked {
            slots.interrupt(key)?.block()?;
        }
        drill::blocked(rig, &mut slots.ledger, blocked.iter().copied())?;
        for &key in &blocked {
            slots.interrupt(key)?.unblock()?;
            drill::resumed(rig, &mut slots.ledger, key)?;
        }
        Ok(())
    }

    /// Fires every slot alone.
    pub fn drill_singles(&self, slots: &mut Slots, rig: &mut LsiRig<'_>) -> Result<()> {
        Ok(drill::singles(rig, &mut slots.ledger, self.keys())?)
    }

    /// Fires every slot in bursts.
    pub fn drill_bursts(&self, slots: &mut Slots, rig: &mut LsiRig<'_>) -> Result<()> {
        Ok(drill::bursts(rig, &mut slots.ledger, self.keys())?)
    }

    /// What one store holds now, with those that are not active.
    pub fn standing(&self, which: Which, identity: &Description, slots: &Slots) -> Standing {
        let keys = self.plan.keys(which);
        let books = slots.ledger.totals(keys.clone());
        Standing {
            requester: identity.requester,
            kind: kind(which),
            messages: keys.count() as u64,
            active: self.count(which),
            delivered: books.delivered,
            coalesced: books.coalesced,
        }
    }

    /// Gives all vectors back, and closes the books against the kernel's counters.
    pub fn release(self, slots: &mut Slots, rig: &mut LsiRig<'_>) -> Result<()> {
        for key in self.keys() {
            // When this returns none of its events is in flight any more.
            slots.interrupt(key)?.deactivate()?;
        }
        drill::settle(rig, &mut slots.ledger)?;
        drill::close(&mut slots.ledger, self.keys())?;
        for key in self.keys() {
            let status = slots.interrupt(key)?.status()?;
            slots.ledger.agree(key, counters(&status))?;
        }
        Ok(())
    }
}
