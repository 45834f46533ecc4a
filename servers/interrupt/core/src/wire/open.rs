//! Having a line.

use super::message::Wanted;
use super::table::{Line, Owed, Owner, State};
use super::{
    Acknowledge, KernelLines, LineHardware, Mode, OpenRequest, OpenedWire, Outcome, Standing,
    Trigger, Way, WireError, WireInfo, Wires,
};
use crate::{BackEnd, ClientId, Core, Pair};

/// How often a line that closes is asked about before its next owner hears that it is busy. A
/// kernel wants to be asked a few times: each answer of a CPU to a poke is one.
const DRAIN_POLLS: u32 = 8;

impl<L: LineHardware, K: KernelLines> Wires<L, K> {
    /// Gives a line to a client that may have it. After the answer events come; what the device
    /// wants at that moment is the first.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn open<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        client: ClientId,
        request: &OpenRequest,
    ) -> Outcome<OpenedWire<K::Handle>, K> {
        let is_it = |grant: &&super::Grant| grant.client == client && grant.line == request.line;
        let grant = self.grants.iter().find(is_it).ok_or(WireError::NotYours)?;
        if grant.wiring != request.wiring {
            return Err(WireError::WrongWiring);
        }
        let cpus = request.cpus.intersect(core.cpus());
        if cpus.is_empty() {
            return Err(WireError::BadArgument);
        }
        if request.mode == Mode::Shared && request.wiring.trigger == Trigger::Edge {
            return Err(WireError::NotSupported);
        }
        match self.lines.of(request.line) {
            Some(slot) if self.lines.get(slot).state == State::Closing => {
                if !(0..DRAIN_POLLS).any(|_| self.end_step(core, slot)) {
                    return Err(WireError::Busy);
                }
                self.lines.take(slot);
            }
            Some(slot) => return self.join(core, client, slot, request),
            None => {}
        }
        self.open_first(core, client, &OpenRequest { cpus, ..*request })
    }

    fn open_first<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        client: ClientId,
        request: &OpenRequest,
    ) -> Outcome<OpenedWire<K::Handle>, K> {
        let OpenRequest { line, wiring, mode, cpus } = *request;
        let way = self.hardware.check(line, wiring).map_err(WireError::Line)?;
        let (slot, _) = self.lines.reserve().ok_or(WireError::NoMemory)?;
        let (place, _) = self.owners.reserve().ok_or(WireError::NoMemory)?;
        let (id, key) = (self.owners.id(place), self.lines.key(slot).bits());
        let cookie = if mode == Mode::Shared { key } else { id.bits() };
        let message = self.make(core, way, Wanted { line, wiring, cpus, cookie })?;
        self.lines.put(
            slot,
            Line {
                id: line,
                wiring,
                mode,
                way,
                state: State::Open,
                message,
                waiting: 0,
                fired_ns: 0,
                patience_ns: 0,
                owed: Owed::default(),
            },
        );
        let added = self.first_owner(core, client, slot).and_then(|opened| {
            // Heard only now: its message is active, and there is somebody to tell.
            match self.hardware.unmask(line) {
                Ok(()) => Ok(opened),
                Err(error) => Err(WireError::Line(error)),
            }
        });
        if added.is_err() {
            self.close_line(core, slot);
        }
        added
    }

    fn first_owner<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        client: ClientId,
        slot: u32,
    ) -> Outcome<OpenedWire<K::Handle>, K> {
        let line = self.lines.get(slot);
        let Some(handle) = line.message.handle else { return Err(WireError::BadState) };
        if line.mode == Mode::Shared {
            let key = self.lines.key(slot).bits();
            core.kernel_mut().listen(handle, key).map_err(WireError::Kernel)?;
            return self.add_sharer(core, client, slot);
        }
        self.add_owner(client, slot, handle)
    }

    /// One more owner of a line that others have.
    fn join<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        client: ClientId,
        slot: u32,
        request: &OpenRequest,
    ) -> Outcome<OpenedWire<K::Handle>, K> {
        let line = self.lines.get(slot);
        let is_own = self.owners.of_line(slot).any(|(_, owner)| owner.client == client);
        if is_own || line.mode == Mode::Exclusive || request.mode == Mode::Exclusive {
            return Err(WireError::InUse);
        }
        if line.wiring != request.wiring {
            return Err(WireError::Conflict);
        }
        self.add_sharer(core, client, slot)
    }

    fn add_sharer<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        client: ClientId,
        slot: u32,
    ) -> Outcome<OpenedWire<K::Handle>, K> {
        let (place, _) = self.owners.reserve().ok_or(WireError::NoMemory)?;
        let cookie = self.owners.id(place).bits();
        let pair = Pair { address: 0, data: 0 };
        let handle = core.kernel_mut().create(pair, cookie).map_err(WireError::Kernel)?;
        self.add_owner(client, slot, handle)
    }

    fn add_owner(
        &mut self,
        client: ClientId,
        slot: u32,
        handle: K::Handle,
    ) -> Outcome<OpenedWire<K::Handle>, K> {
        let (place, _) = self.owners.reserve().ok_or(WireError::NoMemory)?;
        self.owners.put(
            place,
            Owner { client, line: slot, handle, told: false, standing: Standing::Good },
        );
        let line = self.lines.get(slot);
        let acknowledge = match (line.wiring.trigger, line.mode, line.way) {
            (Trigger::Edge, ..) => Acknowledge::Nobody,
            (Trigger::Level, Mode::Exclusive, Way::Event(_) | Way::Private(_)) => {
                Acknowledge::Kernel
            }
            (Trigger::Level, ..) => Acknowledge::Server,
        };
        let (id, event) = (self.owners.id(place), line.message.event);
        Ok(OpenedWire { id, handle, acknowledge, event })
    }

    /// What an owner sees of its line.
    pub(super) fn info<B: BackEnd>(&self, core: &Core<B, K>, owner: u32) -> Option<WireInfo> {
        let own = self.owners.get(owner);
        let line = self.lines.get(own.line);
        let state = line.state_for(own)?;
        let event = line.arrives(core);
        Some(WireInfo {
            id: self.owners.id(owner),
            client: own.client,
            line: line.id,
            wiring: line.wiring,
            mode: line.mode,
            state,
            event,
            message: line.message.id,
            owners: self.owners.of_line(own.line).count() as u32,
            standing: own.standing,
        })
    }
}
