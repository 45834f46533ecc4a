//! Owners that do not answer.
//!
//! ```text
//!        told, patience over           whoever can, takes its device off the line
//! ─────▶ good ─────────────▶ late ────────────────────────────────────▶ dropped
//!          ▲     answers      │                                      opens it anew: a new owner
//!          └──────────────────┘
//! ```
//!
//! A late owner is told and not waited for. Its device still asserts the line, so that the line
//! would come again at once, for ever, and leave the others no time: while one of its owners is
//! late, and while nobody answers for it at all, a line comes no more often than once in
//! [`BACK_OFF_NS`]. That ends when the device has let go of the line, which only somebody else can
//! see to ([`Wires::next_late`]): the owner counts no more then, and is told nothing.

use super::table::State;
use super::{BACK_OFF_NS, KernelLines, LineHardware, Wires};
use crate::{BackEnd, ClientId, Core};

/// How an owner of a shared line stands with the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// It answers.
    Good,
    /// It did not answer in time, and is not waited for until it does.
    Late,
    /// Its device was taken off the line. It is told nothing any more.
    Dropped,
}

impl<L: LineHardware, K: KernelLines> Wires<L, K> {
    /// Whether [`Wires::next_late`] has something to say.
    pub fn has_late(&self) -> bool {
        self.owners.iter().any(|(_, owner)| is_removable(owner.standing, owner.client))
    }

    /// The next client whose device is to be taken off its line, by whoever can do that to a
    /// PCI device. Its owners count no more from here on.
    pub fn next_late(&mut self) -> Option<ClientId> {
        let is_it = |(_, owner): &(u32, &super::table::Owner<K::Handle>)| {
            is_removable(owner.standing, owner.client)
        };
        let (_, first) = self.owners.iter().find(is_it)?;
        let client = first.client;
        for place in 0..self.owners.end() {
            if let Some(owner) = self.owners.used(place).filter(|owner| owner.client == client)
                && owner.standing == Standing::Late
            {
                owner.standing = Standing::Dropped;
            }
        }
        Some(client)
    }

    /// Who has not answered is not waited for any longer.
    pub(super) fn give_up_on<B: BackEnd>(&mut self, core: &mut Core<B, K>, slot: u32, now_ns: u64) {
        for place in 0..self.owners.end() {
            let owner = self.owners.used(place).filter(|owner| owner.line == slot);
            if let Some(owner) = owner
                && core::mem::take(&mut owner.told)
            {
                owner.standing = Standing::Late;
            }
        }
        self.let_go(core, slot, now_ns);
    }

    /// Nobody is waited for any more. `fired_ns`: when the line came.
    pub(super) fn let_go<B: BackEnd>(&mut self, core: &mut Core<B, K>, slot: u32, fired_ns: u64) {
        let owners = || self.owners.of_line(slot).map(|(_, owner)| owner.standing);
        let troubled = owners().any(|standing| standing == Standing::Late)
            || owners().all(|standing| standing == Standing::Dropped);
        if troubled && self.lines.get(slot).state == State::Open {
            self.hold_off(core, slot, fired_ns.saturating_add(BACK_OFF_NS));
        }
        self.release(core, slot);
    }
}

/// A platform's device has no pin that could be switched off.
fn is_removable(standing: Standing, client: ClientId) -> bool {
    standing == Standing::Late && client.requester().is_some()
}
