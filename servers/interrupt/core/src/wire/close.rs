//! Giving a line back: by its owner, or because that is gone.

use super::table::State;
use super::{KernelLines, LineHardware, Mode, Outcome, WireId, Wires};
use crate::{BackEnd, ClientId, Core, MessageId};

impl<L: LineHardware, K: KernelLines> Wires<L, K> {
    /// Ends an owner's line. When it returns, no packet of it comes any more; the last owner's end
    /// masks the line and ends it.
    ///
    /// # Errors
    /// That the wire is not the client's.
    pub fn close<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        client: ClientId,
        id: WireId,
    ) -> Outcome<(), K> {
        let owner = self.own(client, id)?;
        self.close_owner(core, owner);
        Ok(())
    }

    /// The kernel says that nobody but the server holds this message any more. Says whose it was,
    /// if it was a wire's: such a packet is nobody else's.
    pub fn orphaned<B: BackEnd>(&mut self, core: &mut Core<B, K>, key: u64) -> Option<ClientId> {
        let owner = self.owner_of(key)?;
        let client = self.owners.get(owner).client;
        self.close_owner(core, owner);
        Some(client)
    }

    /// Nobody drives this client's device any more: ends all its wires, and returns how many.
    pub fn client_gone<B: BackEnd>(&mut self, core: &mut Core<B, K>, client: ClientId) -> u32 {
        let mut ended = 0;
        for place in 0..self.owners.end() {
            if self.owners.used(place).is_some_and(|owner| owner.client == client) {
                self.close_owner(core, place);
                ended += 1;
            }
        }
        ended
    }

    /// The owner that a notice of the kernel's is about.
    fn owner_of(&self, key: u64) -> Option<u32> {
        if let Some(id) = WireId::from_bits(key) {
            return self.owners.find(id);
        }
        let line = self.line_of_message(MessageId::from_bits(key))?;
        let (owner, _) = self.owners.of_line(line).next()?;
        Some(owner)
    }

    /// The line whose message at the core this is.
    pub(super) fn line_of_message(&self, id: MessageId) -> Option<u32> {
        let is_it = |(_, line): &(u32, &super::table::Line<K::Handle>)| line.message.id == Some(id);
        self.lines.iter().find(is_it).map(|(slot, _)| slot)
    }

    pub(super) fn close_owner<B: BackEnd>(&mut self, core: &mut Core<B, K>, place: u32) {
        let Some(owner) = self.owners.take(place) else { return };
        let line = self.lines.get_mut(owner.line);
        if line.mode == Mode::Shared {
            // It counts as one that has answered.
            line.waiting -= u32::from(owner.told);
            let last_told = owner.told && line.waiting == 0;
            self.refused += u64::from(core.kernel_mut().destroy(owner.handle).is_err());
            if self.owners.of_line(owner.line).next().is_some() {
                if last_told {
                    let fired_ns = self.lines.get(owner.line).fired_ns;
                    self.let_go(core, owner.line, fired_ns);
                }
                return;
            }
        }
        self.close_line(core, owner.line);
    }

    /// A line that has no owner any more, or never got one.
    pub(super) fn close_line<B: BackEnd>(&mut self, core: &mut Core<B, K>, slot: u32) {
        let is_shared = self.lines.get(slot).mode == Mode::Shared;
        for place in 0..self.owners.end() {
            let is_its = self.owners.used(place).is_some_and(|owner| owner.line == slot);
            let owner = if is_its { self.owners.take(place) } else { None };
            if let Some(owner) = owner.filter(|_| is_shared) {
                self.refused += u64::from(core.kernel_mut().destroy(owner.handle).is_err());
            }
        }
        let line = self.lines.get_mut(slot);
        line.state = State::Closing;
        line.waiting = 0;
        line.owed.mask = true;
        if self.end_step(core, slot) {
            self.lines.take(slot);
        }
    }
}
