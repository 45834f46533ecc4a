//! Moving a message to another CPU, without the device (invariant 7).

use super::table::State;
use super::{Core, Error, MessageId, Outcome};
use crate::parent::Step;
use crate::{
    BackEnd, Binding, ClientId, CpuSet, EventLease, KernelMessages, RemapEntry, Unrouted, Written,
};

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Where a message may be delivered from now on. It moves only if its CPU is not in the
    /// new set, and then in two phases, so that no event falls between (DESIGN §5):
    ///
    /// 1. an event on the new CPU; the kernel accepts both;
    /// 2. the entry points at the new one; hardware forgets the old; the old CPU drains; the
    ///    old vector is free. With an LPI both are the same number, and what was pending for
    ///    the old CPU is pending for the new one.
    ///
    /// The first phase can fail and then nothing has changed. The second cannot: if hardware
    /// is late, the kernel accepts both for longer.
    pub fn set_affinity(
        &mut self,
        client: impl Into<ClientId>,
        id: MessageId,
        cpus: CpuSet,
    ) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        let cpus = self.usable(cpus)?;
        if B::BINDING == Binding::Parent {
            self.step_above(slot, Step::SetAffinity(cpus))?;
            self.table.get_mut(slot).cpus = cpus;
            return Ok(());
        }
        if self.binding(slot).pair_names_cpu() {
            // The pair names the CPU, and the pair is in the device.
            return Err(Error::NotSupported);
        }
        let record = self.table.get(slot);
        let stays = record.lease.as_ref().is_none_or(|lease| cpus.contains(lease.event().cpu));
        if !stays {
            self.relocate(slot, cpus)?;
        }
        self.table.get_mut(slot).cpus = cpus;
        Ok(())
    }

    fn relocate(&mut self, slot: u32, cpus: CpuSet) -> Outcome<(), K> {
        let Some(handle) = self.table.get(slot).handle else { return Err(Error::BadState) };
        if self.table.get(slot).moving {
            self.finish_move(slot)?;
        }
        let lease = self.take_event_of(slot, cpus)?;
        let event = lease.event();
        if let Err(error) = self.kernel.move_to(handle, event) {
            self.back_end.cancel(lease);
            return Err(Error::Kernel(error));
        }
        let record = self.table.get_mut(slot);
        record.moving = true;
        let mut old = record.lease.replace(lease);
        let Some(entry) = &record.entry else { return Ok(()) };
        let unrouted = if record.state == State::Active {
            match self.back_end.route(entry, event) {
                Written::Stale(unrouted) => unrouted,
                Written::Visible => Unrouted::new(entry.index()),
            }
        } else {
            // It stays blocked. Where it then is, `open` says when it is unblocked.
            self.back_end.block(entry)
        };
        if B::BINDING == Binding::Entry
            && let Some(cpu) = old.take()
        {
            // Only the CPU is given back: the event goes along.
            self.back_end.cancel(cpu);
        }
        self.set_aside(slot, unrouted, old);
        Ok(())
    }

    /// A kernel accepts one former event at a time: hardware has to forget the last one
    /// before the next move.
    fn finish_move(&mut self, slot: u32) -> Outcome<(), K> {
        self.flush_again(slot)?;
        self.settle(slot);
        if self.table.get(slot).moving { Err(Error::BadState) } else { Ok(()) }
    }
}
