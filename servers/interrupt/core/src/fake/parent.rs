//! A parent without IPC: a server's core, asked directly, as another server's remapper.

use super::{FakeError, FakeHandle};
use crate::parent::{Connection, FaultsAbove, Given, Refusal, Seen, Step};
use crate::{AllocRequest, BackEnd, ClientId, Core, Error, HardwareError, KernelMessages};
use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// The way to a core. Clones lead to the same one, as another subsystem if so told.
pub struct ModelParent<B: BackEnd, K: KernelMessages> {
    core: Rc<RefCell<Core<B, K>>>,
    subsystem: u16,
    /// Handles that the child has and has not closed.
    kept: Rc<RefCell<BTreeSet<FakeHandle>>>,
    fault: Rc<Cell<Option<Refusal>>>,
    calls: Rc<Cell<u64>>,
}

impl<B: BackEnd, K: KernelMessages> Clone for ModelParent<B, K> {
    fn clone(&self) -> Self {
        let Self { core, subsystem, kept, fault, calls } = self;
        let (core, kept, fault, calls) = (core.clone(), kept.clone(), fault.clone(), calls.clone());
        Self { core, subsystem: *subsystem, kept, fault, calls }
    }
}

impl<B: BackEnd, K: KernelMessages> ModelParent<B, K> {
    /// To this core, speaking as this subsystem.
    pub fn new(core: Rc<RefCell<Core<B, K>>>, subsystem: u16) -> Self {
        let (kept, fault, calls) = (Rc::default(), Rc::default(), Rc::default());
        Self { core, subsystem, kept, fault, calls }
    }

    /// From now on every call ends so, and does nothing; `None`: no more.
    pub fn fail(&self, refusal: Option<Refusal>) {
        self.fault.set(refusal);
    }

    /// Handles that the child has not closed.
    pub fn kept(&self) -> usize {
        self.kept.borrow().len()
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// What every call begins with.
    fn enter(&self) -> Result<(), Refusal> {
        self.calls.set(self.calls.get() + 1);
        self.fault.get().map_or(Ok(()), Err)
    }

    fn speak_for(&self, client: ClientId) -> Result<(), Refusal> {
        self.core.borrow().speaks_for(self.subsystem, client).map_err(refusal)
    }
}

/// A core's error as its clients would hear it: a code for each.
pub fn refusal<E>(error: Error<E>) -> Refusal {
    Refusal::Code(match error {
        Error::BadId => return Refusal::Gone,
        Error::Parent(refusal) | Error::Hardware(HardwareError::Parent(refusal)) => return refusal,
        Error::NoVectors => 3,
        Error::NoEntries => 4,
        Error::QuotaExceeded => 5,
        Error::NotSupported => 6,
        Error::NotYours => 7,
        Error::BadState => 9,
        Error::BadArgument => 10,
        Error::NoContiguous => 11,
        Error::NoMessages | Error::NoMemory => 12,
        Error::Hardware(_) => 13,
        Error::Kernel(_) => 100,
    })
}

impl<B: BackEnd, K: KernelMessages<Handle = FakeHandle>> Connection for ModelParent<B, K> {
    type Handle = FakeHandle;
    type Error = FakeError;

    const NO_CONTROL: FakeError = FakeError::BadHandle;

    fn alloc(
        &mut self,
        client: ClientId,
        request: &AllocRequest,
        out: &mut [Option<Given<FakeHandle>>],
    ) -> Result<(), Refusal> {
        self.enter()?;
        self.speak_for(client)?;
        let mut made = vec![None; out.len()];
        let mut core = self.core.borrow_mut();
        core.alloc(client, request, &mut made).map_err(refusal)?;
        let made: Vec<_> = made.into_iter().flatten().collect();
        for (place, message) in out.iter_mut().zip(made) {
            let fresh = self.kept.borrow_mut().insert(message.handle);
            debug_assert!(fresh, "a handle is made once");
            core.handed_on(message.id);
            let (id, pair, handle) = (message.id.bits(), message.pair, message.handle);
            *place = Some(Given { id, pair, handle });
        }
        Ok(())
    }

    fn step(&mut self, client: ClientId, id: u64, step: Step) -> Result<Option<Seen>, Refusal> {
        // A device that is not of the set (any more) has no messages for this child.
        self.enter()?;
        self.speak_for(client).map_err(|_| Refusal::Gone)?;
        let id = crate::MessageId::from_bits(id);
        let mut core = self.core.borrow_mut();
        match step {
            Step::Activate => core.activate(client, id).map(drop),
            Step::Deactivate => core.deactivate(client, id),
            Step::SetAffinity(cpus) => match core.info(client, id).map_err(refusal)?.event {
                // As the protocol has it: a message without an event has none to answer with.
                None => Err(Error::BadState),
                Some(_) => core.set_affinity(client, id, cpus),
            },
            Step::Block => core.block(client, id),
            Step::Unblock => core.unblock(client, id),
            Step::Free => core.free(client, id),
            Step::Look => core.look(client, id),
        }
        .map_err(refusal)?;
        let answers = matches!(step, Step::Activate | Step::SetAffinity(_) | Step::Look);
        if !answers {
            return Ok(None);
        }
        let info = core.info(client, id).map_err(refusal)?;
        let state = (step == Step::Look).then_some(info.state);
        let entry = info.name.map(|name| name.number);
        Ok(Some(Seen { state, event: info.event, entry }))
    }

    fn faults(&mut self, client: ClientId) -> Result<FaultsAbove, Refusal> {
        self.enter()?;
        self.speak_for(client)?;
        Ok(FaultsAbove::default())
    }

    fn close(&mut self, handle: FakeHandle) {
        self.kept.borrow_mut().remove(&handle);
    }
}
