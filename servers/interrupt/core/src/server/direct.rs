//! Messages of a device whose writes go past the remapper, as a quirk in the machine's manifest
//! says (QEMU's HPET). Their pairs name CPU and vector, so both are taken when the message is
//! reserved, and the pair can not follow a change of affinity: the life of a message on a
//! machine without a remapper, for this device alone. Nobody checks who writes such a pair.
//!
//! Nothing but the device itself stops it. So when its driver dies, the vector stays in
//! quarantine until somebody has silenced the device and says so (`client_gone`); when the
//! driver frees the message, it has silenced its slot itself.

use super::table::State;
use super::{AllocRequest, Allocated, Contiguity, Core, Error, Kind, Outcome};
use crate::{BackEnd, Binding, CpuSet, DirectError, EntryIndex, KernelMessages, Unrouted};

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Whether these messages of a client go past the remapper.
    #[inline]
    pub(super) fn goes_past(&self, client: crate::ClientId, kind: Kind) -> bool {
        kind == Kind::Registers
            && self
                .clients
                .find(client)
                .is_some_and(|index| self.clients.get(index).policy.past_remapper)
    }

    /// When this message gets its CPU event.
    #[inline]
    pub(super) fn binding(&self, slot: u32) -> Binding {
        if self.table.get(slot).direct { Binding::Pair } else { B::BINDING }
    }

    /// Reserves messages past the remapper; on failure none of them.
    #[cold]
    pub(super) fn alloc_direct(
        &mut self,
        client: crate::ClientId,
        request: &AllocRequest,
        cpus: CpuSet,
        out: &mut [Option<Allocated<K::Handle>>],
    ) -> Outcome<(), K> {
        if out.is_empty() {
            return Err(Error::BadArgument);
        }
        if request.contiguity != Contiguity::Single {
            return Err(Error::NoContiguous);
        }
        let index = self.clients.find(client).ok_or(Error::NotSupported)?;
        let count = u32::try_from(out.len()).map_err(|_| Error::BadArgument)?;
        self.check_quota(index, count)?;
        let mut made = Ok(());
        for place in out.iter_mut() {
            match self.make_direct_message(index, request, cpus) {
                Ok(message) => *place = Some(message),
                Err(error) => {
                    made = Err(error);
                    break;
                }
            }
        }
        if made.is_err() {
            for message in out.iter_mut().filter_map(Option::take) {
                self.undo(message.id.slot());
            }
        }
        made
    }

    fn make_direct_message(
        &mut self,
        client: u16,
        request: &AllocRequest,
        cpus: CpuSet,
    ) -> Outcome<Allocated<K::Handle>, K> {
        let (lease, pair) = self.take_direct(cpus)?;
        let Some(slot) = self.table.take(client, self.clients.get_mut(client)) else {
            self.back_end.cancel(lease);
            return Err(Error::NoMessages);
        };
        let id = self.table.id(slot);
        let handle = match self.kernel.create(pair, id.bits()) {
            Ok(handle) => handle,
            Err(error) => {
                self.back_end.cancel(lease);
                self.table.kill(slot);
                self.table.put(slot, self.clients.get_mut(client));
                return Err(Error::Kernel(error));
            }
        };
        let record = self.table.get_mut(slot);
        record.kind = request.kind;
        record.cpus = cpus;
        record.pair = pair;
        record.direct = true;
        record.lease = Some(lease);
        record.handle = Some(handle);
        Ok(Allocated { id, handle, pair })
    }

    /// A CPU event past the remapper. Looks into the quarantine before it says no.
    pub(super) fn take_direct(&mut self, cpus: CpuSet) -> Outcome<(B::Lease, crate::Pair), K> {
        let taken = match self.back_end.take_direct(cpus) {
            Err(DirectError::NoVectors) => {
                self.make_room();
                self.back_end.take_direct(cpus)
            }
            taken => taken,
        };
        taken.map_err(|error| match error {
            DirectError::NoVectors => Error::NoVectors,
            DirectError::NotSupported => Error::NotSupported,
        })
    }

    /// The device is silent: a dead record's vector may drain, and be anybody's then.
    pub(super) fn bury_direct(&mut self, slot: u32) {
        let record = self.table.get_mut(slot);
        debug_assert!(record.direct && record.state == State::Dying);
        record.loud = false;
        let lease = record.lease.take();
        let (armed, waiting, alive) = (record.armed, record.waiting, record.handle.is_some());
        let lease = match lease {
            Some(lease) if !armed => {
                // No event of it was ever accepted, or the last one has drained.
                self.back_end.cancel(lease);
                None
            }
            lease => lease,
        };
        if lease.is_some() || alive {
            // No entry leads there, so there is none to be forgotten by hardware.
            let flushed = Unrouted::new(EntryIndex::new(0)).flushed();
            self.quarantine_flushed(slot, lease, flushed);
        } else if waiting == 0 {
            let client = self.table.get(slot).client;
            self.table.put(slot, self.clients.get_mut(client));
        }
    }

    /// The driver of a dead record's device died, and the device may still write.
    pub(super) fn is_loud(&self, slot: u32) -> bool {
        let record = self.table.get(slot);
        record.state == State::Dying && record.loud
    }
}
