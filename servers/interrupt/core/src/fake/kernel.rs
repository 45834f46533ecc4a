//! The kernel's side of a message: vector table, states, packets, failures on demand.

use crate::{CpuIndex, KernelMessages, Pair, Vector};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

/// A message object of the fake kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FakeHandle(pub usize);

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FakeError {
    /// The test asked for it.
    Injected,
    /// No such object, or a dead one.
    BadHandle,
    /// Not in this state.
    BadState,
    /// Another message has the vector, or it drains.
    VectorInUse,
}

/// An object's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FakeState {
    /// Without a vector.
    Reserved,
    /// Delivered.
    Active,
    /// Counted.
    Blocked,
    /// Gone.
    Dead,
}

/// Calls that can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KernelCall {
    /// `create`.
    Create,
    /// `activate`.
    Activate,
    /// `move_to`.
    MoveTo,
    /// `settle`.
    Settle,
    /// `deactivate`.
    Deactivate,
    /// `block`.
    Block,
    /// `unblock`.
    Unblock,
    /// `signal`.
    Signal,
    /// `destroy`.
    Destroy,
}

type Place = (CpuIndex, Vector);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Live,
    Moved,
    Retired,
}

struct Object {
    pair: Pair,
    cookie: u64,
    state: FakeState,
    vector: Option<Place>,
    former: Option<Place>,
    delivered: u64,
    blocked: u64,
}

#[derive(Default)]
struct State {
    objects: Vec<Object>,
    /// Whom a vector's events concern, and whether they are delivered. A vector that drains
    /// after a move delivers what is in flight; after anything else it only counts.
    table: BTreeMap<Place, (usize, Use)>,
    /// Vectors that were asked about: the CPU has been poked.
    asked: BTreeSet<Place>,
    /// Set in the CPU's request register, not yet taken.
    pending: BTreeSet<Place>,
    fail: BTreeSet<KernelCall>,
    spurious: u64,
    violations: Vec<String>,
}

/// A kernel; clones are the same kernel.
#[derive(Clone, Default)]
pub struct FakeKernel(Rc<RefCell<State>>);

impl FakeKernel {
    /// A kernel without messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a call fail until it is allowed again.
    pub fn fail(&self, call: KernelCall) {
        self.0.borrow_mut().fail.insert(call);
    }

    /// Lets all calls succeed.
    pub fn heal(&self) {
        self.0.borrow_mut().fail.clear();
    }

    /// An event reaches a CPU and stays pending there.
    pub fn raise(&self, cpu: CpuIndex, vector: Vector) {
        self.0.borrow_mut().pending.insert((cpu, vector));
    }

    /// The CPUs take all pending events.
    pub fn take_events(&self) {
        let mut state = self.0.borrow_mut();
        for place in core::mem::take(&mut state.pending) {
            state.dispatch(place);
        }
    }

    /// Packets delivered for an object.
    pub fn delivered(&self, handle: FakeHandle) -> u64 {
        self.0.borrow().objects[handle.0].delivered
    }

    /// Events counted while it was blocked or had no vector.
    pub fn blocked(&self, handle: FakeHandle) -> u64 {
        self.0.borrow().objects[handle.0].blocked
    }

    /// An object's state.
    pub fn state(&self, handle: FakeHandle) -> FakeState {
        self.0.borrow().objects[handle.0].state
    }

    /// An object's pair and cookie.
    pub fn identity(&self, handle: FakeHandle) -> (Pair, u64) {
        let state = self.0.borrow();
        (state.objects[handle.0].pair, state.objects[handle.0].cookie)
    }

    /// Whether an object still accepts its former vector.
    pub fn moving(&self, handle: FakeHandle) -> bool {
        self.0.borrow().objects[handle.0].former.is_some()
    }

    /// Objects that are not dead.
    pub fn live(&self) -> usize {
        let state = self.0.borrow();
        state.objects.iter().filter(|object| object.state != FakeState::Dead).count()
    }

    /// Objects ever made.
    pub fn made(&self) -> usize {
        self.0.borrow().objects.len()
    }

    /// Events that concerned nobody.
    pub fn spurious(&self) -> u64 {
        self.0.borrow().spurious
    }

    /// What the server asked for that it should not have.
    pub fn violations(&self) -> Vec<String> {
        self.0.borrow().violations.clone()
    }
}

impl State {
    fn dispatch(&mut self, place: Place) {
        let Some((index, usage)) = self.table.get(&place) else {
            self.spurious += 1;
            return;
        };
        let object = &mut self.objects[*index];
        match (object.state, usage) {
            (FakeState::Dead, _) => self.spurious += 1,
            (FakeState::Active, Use::Live | Use::Moved) => object.delivered += 1,
            _ => object.blocked += 1,
        }
    }

    /// The object, if the call may go on.
    fn enter(&mut self, call: KernelCall, handle: FakeHandle) -> Result<usize, FakeError> {
        if self.fail.contains(&call) {
            return Err(FakeError::Injected);
        }
        match self.objects.get(handle.0) {
            Some(object) if object.state != FakeState::Dead => Ok(handle.0),
            _ => {
                self.violations.push(alloc::format!("{call:?} on a dead object"));
                Err(FakeError::BadHandle)
            }
        }
    }

    fn claim(&mut self, index: usize, place: Place) -> Result<(), FakeError> {
        if self.table.contains_key(&place) {
            self.violations.push(alloc::format!("{place:?} was given out too early"));
            return Err(FakeError::VectorInUse);
        }
        self.table.insert(place, (index, Use::Live));
        Ok(())
    }

    fn drain(&mut self, place: Place, usage: Use) {
        if let Some(entry) = self.table.get_mut(&place) {
            entry.1 = usage;
        }
    }

    fn drop_vectors(&mut self, index: usize) {
        let object = &mut self.objects[index];
        let places = [object.vector.take(), object.former.take()];
        for place in places.into_iter().flatten() {
            self.drain(place, Use::Retired);
        }
    }
}

impl KernelMessages for FakeKernel {
    type Handle = FakeHandle;
    type Error = FakeError;

    fn create(&mut self, pair: Pair, cookie: u64) -> Result<FakeHandle, FakeError> {
        let mut state = self.0.borrow_mut();
        if state.fail.contains(&KernelCall::Create) {
            return Err(FakeError::Injected);
        }
        state.objects.push(Object {
            pair,
            cookie,
            state: FakeState::Reserved,
            vector: None,
            former: None,
            delivered: 0,
            blocked: 0,
        });
        Ok(FakeHandle(state.objects.len() - 1))
    }

    fn activate(
        &mut self,
        handle: FakeHandle,
        cpu: CpuIndex,
        vector: Vector,
    ) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Activate, handle)?;
        if state.objects[index].state != FakeState::Reserved {
            return Err(FakeError::BadState);
        }
        state.claim(index, (cpu, vector))?;
        state.objects[index].vector = Some((cpu, vector));
        state.objects[index].state = FakeState::Active;
        Ok(())
    }

    fn move_to(
        &mut self,
        handle: FakeHandle,
        cpu: CpuIndex,
        vector: Vector,
    ) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::MoveTo, handle)?;
        let object = &state.objects[index];
        if object.state == FakeState::Reserved || object.former.is_some() {
            return Err(FakeError::BadState);
        }
        state.claim(index, (cpu, vector))?;
        let object = &mut state.objects[index];
        object.former = object.vector.replace((cpu, vector));
        Ok(())
    }

    fn settle(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Settle, handle)?;
        let former = state.objects[index].former.take().ok_or(FakeError::BadState)?;
        state.drain(former, Use::Moved);
        Ok(())
    }

    fn deactivate(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Deactivate, handle)?;
        if state.objects[index].state == FakeState::Reserved {
            return Err(FakeError::BadState);
        }
        state.objects[index].state = FakeState::Reserved;
        state.drop_vectors(index);
        Ok(())
    }

    fn block(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Block, handle)?;
        if state.objects[index].state != FakeState::Active {
            return Err(FakeError::BadState);
        }
        state.objects[index].state = FakeState::Blocked;
        Ok(())
    }

    fn unblock(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Unblock, handle)?;
        if state.objects[index].state != FakeState::Blocked {
            return Err(FakeError::BadState);
        }
        state.objects[index].state = FakeState::Active;
        Ok(())
    }

    fn signal(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Signal, handle)?;
        if state.objects[index].state == FakeState::Active {
            state.objects[index].delivered += 1;
        }
        Ok(())
    }

    fn destroy(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Destroy, handle)?;
        state.objects[index].state = FakeState::Dead;
        state.drop_vectors(index);
        Ok(())
    }

    fn vector_drained(&mut self, cpu: CpuIndex, vector: Vector) -> bool {
        let mut state = self.0.borrow_mut();
        let place = (cpu, vector);
        match state.table.get(&place) {
            None | Some((_, Use::Live)) => return false,
            Some(_) => {}
        }
        // The first question pokes the CPU; it has answered by the second, if it has taken
        // its events.
        if state.asked.insert(place) || state.pending.contains(&place) {
            return false;
        }
        state.asked.remove(&place);
        state.table.remove(&place);
        true
    }
}
