//! Moving a message to another CPU, without the device (invariant 7).

use super::table::State;
use super::{Core, Error, MessageId, Outcome, target};
use crate::{CpuSet, KernelMessages, PairKind, Remapper, RequesterId, Unrouted, Written};

impl<R: Remapper, K: KernelMessages> Core<R, K> {
    /// Where a message may be delivered from now on. It moves only if its CPU is not in the
    /// new set, and then in two phases, so that no event falls between (DESIGN §5):
    ///
    /// 1. a vector on the new CPU; the kernel accepts both;
    /// 2. the entry points at the new one; hardware forgets the old; the old CPU drains; the
    ///    old vector is free.
    ///
    /// The first phase can fail and then nothing has changed. The second cannot: if hardware
    /// is late, the kernel accepts both for longer.
    pub fn set_affinity(
        &mut self,
        client: RequesterId,
        id: MessageId,
        cpus: CpuSet,
    ) -> Outcome<(), K> {
        let slot = self.own(client, id)?;
        let cpus = self.usable(cpus)?;
        if self.pair == PairKind::Direct {
            // The pair names the CPU, and the pair is in the device.
            return Err(Error::NotSupported);
        }
        let record = self.table.get(slot);
        let stays = record.vector.as_ref().is_none_or(|lease| cpus.contains(lease.cpu()));
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
        let lease = self.take_vector(cpus)?;
        let aim = target(&self.apics, &lease);
        if let Err(error) = self.kernel.move_to(handle, aim.cpu, aim.vector) {
            self.vectors.cancel(lease);
            return Err(Error::Kernel(error));
        }
        let record = self.table.get_mut(slot);
        record.moving = true;
        let old = record.vector.replace(lease);
        let Some(entry) = &record.entry else { return Ok(()) };
        let unrouted = if record.state == State::Active {
            match self.remapper.route(entry, aim) {
                Written::Stale(unrouted) => unrouted,
                Written::Visible => Unrouted::new(entry.index()),
            }
        } else {
            // Blocked: not present, and it stays so.
            self.remapper.unroute(entry)
        };
        self.set_aside(slot, unrouted, old);
        Ok(())
    }

    /// A kernel accepts one former vector at a time: hardware has to forget the last one
    /// before the next move.
    fn finish_move(&mut self, slot: u32) -> Outcome<(), K> {
        if let Some(entry) = &self.table.get(slot).entry {
            let again = Unrouted::new(entry.index());
            if let Err((_, error)) = self.remapper.flush(again) {
                return Err(Error::Hardware(error));
            }
        }
        self.settle(slot);
        if self.table.get(slot).moving { Err(Error::BadState) } else { Ok(()) }
    }
}
