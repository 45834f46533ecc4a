//! Messages of the server's own, past the remapper.
//!
//! The remapper's own events (a fault, a completed invalidation) are not remapped: their
//! registers hold a compatibility-format pair (VT-d §7.3). No client ever gets one.

use super::{Core, Error, Outcome};
use crate::numbers::VectorLease;
use crate::vtd::CompatibilityMessage;
use crate::{BackEnd, CpuSet, EventLease, KernelMessages, Pair, Remapper, Target, Vectored};

/// An active message whose pair names its vector. It lives as long as the server.
#[must_use = "its vector is not given back"]
#[derive(Debug)]
pub struct DirectMessage<H> {
    /// The kernel object: bind it to a port.
    pub handle: H,
    /// For the remapper's event registers.
    pub pair: Pair,
    /// Its CPU event.
    pub target: Target,
    /// Keeps the vector from others.
    pub vector: VectorLease,
}

impl<R: Remapper, K: KernelMessages> Core<Vectored<R>, K> {
    /// A message for the server itself. `cookie` comes back in the kernel's packets about
    /// it; an id that no client can have is `u64::MAX`.
    pub fn direct_message(
        &mut self,
        cpus: CpuSet,
        cookie: u64,
    ) -> Outcome<DirectMessage<K::Handle>, K> {
        let cpus = self.usable(cpus)?;
        let taken = self.back_end.take_direct(cpus).or_else(|_| {
            self.make_room();
            self.back_end.take_direct(cpus)
        });
        let vector = taken.map_err(|_| Error::NoVectors)?;
        let aim = self.back_end.target(vector.cpu(), vector.vector());
        // 8 bits, of which 0xff is everyone.
        let destination = match u8::try_from(aim.apic.bits()) {
            Ok(id) if id < 0xff => id,
            _ => return self.direct_failed(vector, Error::NotSupported),
        };
        let pair = CompatibilityMessage { destination, vector: aim.vector }.encode();
        let handle = match self.kernel.create(pair, cookie) {
            Ok(handle) => handle,
            Err(error) => return self.direct_failed(vector, Error::Kernel(error)),
        };
        if let Err(error) = self.kernel.activate(handle, vector.event()) {
            if self.kernel.destroy(handle).is_err() {
                self.statistics.undo_failures += 1;
            }
            return self.direct_failed(vector, Error::Kernel(error));
        }
        Ok(DirectMessage { handle, pair, target: aim, vector })
    }

    fn direct_failed<T>(&mut self, vector: VectorLease, error: Error<K::Error>) -> Outcome<T, K> {
        self.back_end.cancel(vector);
        Err(error)
    }
}
