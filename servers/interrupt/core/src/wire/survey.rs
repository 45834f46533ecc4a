//! Lines in pieces, for whoever reads them over many requests.
//!
//! As with the core's walk, it goes by the places of records: a wire that lives through all of
//! it is met exactly once, and a step costs the same wherever it starts.

use super::table::{Line, Owner, State};
use super::{
    KernelLines, LineHardware, LineId, Mode, OWNERS, Standing, Way, WireState, Wires, Wiring,
};
use crate::{BackEnd, ClientId, Core, CpuEvent, MessageId};

/// An owner's line, or one that closes and is nobody's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireNode<H> {
    /// Its name, or what the line's packets to the server carry: no two are the same.
    pub id: u64,
    /// The line.
    pub line: LineId,
    /// How it is wired.
    pub wiring: Wiring,
    /// Whether others may have it.
    pub mode: Mode,
    /// What it does for this owner; `None`: it closes.
    pub state: Option<WireState>,
    /// Whose it is, and whether that answers.
    pub owner: Option<(ClientId, Standing)>,
    /// It is a CPU event itself.
    pub direct: bool,
    /// Its message, where a chip makes one of it.
    pub message: Option<MessageId>,
    /// Where it arrives.
    pub event: CpuEvent,
    /// The kernel's object that the owner has; where nobody has one any more, the line's.
    pub handle: Option<H>,
}

/// A step of a walk: a wire, and the place behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireStep<H> {
    /// A wire.
    Wire(WireNode<H>, u32),
    /// None in as many places as were to be looked at; it goes on here.
    Later(u32),
    /// There is nothing more.
    End,
}

impl<L: LineHardware, K: KernelLines> Wires<L, K> {
    /// How many steps with a wire a whole walk has.
    pub fn count(&self) -> u32 {
        let closing = self.lines.iter().filter(|(_, line)| line.state == State::Closing);
        (self.owners.iter().count() + closing.count()) as u32
    }

    /// The first wire at `place` or behind it: of everybody, or of one client's own. Looks at
    /// `looks` places at most, and counts them down.
    pub fn survey<B: BackEnd>(
        &self,
        core: &Core<B, K>,
        only: Option<ClientId>,
        mut place: u32,
        looks: &mut u32,
    ) -> WireStep<K::Handle> {
        let owners = OWNERS as u32;
        while *looks > 0 {
            *looks -= 1;
            let number = place;
            place = place.saturating_add(1);
            let node = if number < owners {
                if number >= self.owners.end() {
                    place = owners;
                }
                let owner = self.owners.peek(number).map(|owner| self.owned(core, number, owner));
                owner.filter(|(client, _)| only.is_none_or(|only| only == *client)).map(|it| it.1)
            } else if number - owners < self.lines.end() {
                let slot = number - owners;
                let line = self.lines.peek(slot).filter(|line| line.state == State::Closing);
                line.filter(|_| only.is_none()).map(|line| self.closing(slot, line))
            } else {
                return WireStep::End;
            };
            if let Some(node) = node {
                return WireStep::Wire(node, place);
            }
        }
        WireStep::Later(place)
    }

    fn owned<B: BackEnd>(
        &self,
        core: &Core<B, K>,
        place: u32,
        owner: &Owner<K::Handle>,
    ) -> (ClientId, WireNode<K::Handle>) {
        let line = self.lines.get(owner.line);
        let node = WireNode {
            id: self.owners.id(place).bits(),
            state: line.state_for(owner),
            owner: Some((owner.client, owner.standing)),
            event: line.arrives(core),
            handle: Some(owner.handle),
            ..self.closing(owner.line, line)
        };
        (owner.client, node)
    }

    fn closing(&self, slot: u32, line: &Line<K::Handle>) -> WireNode<K::Handle> {
        WireNode {
            id: self.lines.key(slot).bits(),
            line: line.id,
            wiring: line.wiring,
            mode: line.mode,
            state: None,
            owner: None,
            direct: matches!(line.way, Way::Event(_)),
            message: line.message.id,
            event: line.message.event,
            handle: line.message.handle,
        }
    }
}

impl<H> Line<H> {
    /// What it does as far as this owner is concerned; `None`: it closes.
    pub(super) fn state_for(&self, owner: &Owner<H>) -> Option<WireState> {
        match self.state {
            State::HeldOff { .. } => Some(WireState::HeldOff),
            State::Open if owner.told => Some(WireState::Told),
            State::Open => Some(WireState::Open),
            State::Closing => None,
        }
    }

    /// Where it arrives now: the core may have moved its message.
    pub(super) fn arrives<B: BackEnd, K>(&self, core: &Core<B, K>) -> CpuEvent
    where
        K: KernelLines<Handle = H>,
    {
        let message = match (self.message.id, self.way) {
            (Some(id), Way::Message(source)) => core.info(ClientId::line_chip(source), id).ok(),
            _ => None,
        };
        message.and_then(|info| info.event).unwrap_or(self.message.event)
    }
}
