//! The kernel's side of a message: event table, states, packets, failures on demand.

mod lines;

use crate::gicd::Ppi;
use crate::{CpuEvent, CpuIndex, EventNumber, KernelMessages, Pair};
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
    /// No device can have this vector: the kernel's timer.
    BadVector,
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
    /// `blocked_events`.
    BlockedEvents,
    /// `signal`.
    Signal,
    /// `destroy`.
    Destroy,
    /// `activate_line`.
    ActivateLine,
    /// `acknowledge`.
    Acknowledge,
    /// `listen`.
    Listen,
}

/// An event's place in the table: with vectors each CPU has its own, with INTIDs there is one
/// for the machine.
type Place = (Option<CpuIndex>, EventNumber);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    /// Its line is a level: held back from when it is taken.
    level: bool,
    held: bool,
    /// It was taken while the message was blocked, so nobody was told.
    muted: bool,
    /// The server hears of it under this key.
    listening: Option<u64>,
}

#[derive(Default)]
struct State {
    intids: bool,
    objects: Vec<Object>,
    /// Whom an event concerns, and whether it is delivered. One that drains after a move
    /// delivers what is in flight; after anything else it only counts.
    table: BTreeMap<Place, (usize, Use)>,
    /// Events that were asked about: the CPUs have been poked.
    asked: BTreeSet<Place>,
    /// In a CPU, not yet dealt with.
    pending: BTreeSet<(CpuIndex, EventNumber)>,
    /// Those of them that lines have raised.
    lines: BTreeSet<(CpuIndex, EventNumber)>,
    /// Lines that do not come before they are completed.
    active: BTreeSet<Place>,
    /// Packets on the server's port.
    packets: Vec<u64>,
    /// Calls that fail, each after so many more that do not.
    fail: BTreeMap<KernelCall, u32>,
    spurious: u64,
    violations: Vec<String>,
}

/// A kernel; clones are the same kernel.
#[derive(Clone, Default)]
pub struct FakeKernel(Rc<RefCell<State>>);

impl FakeKernel {
    /// A kernel without messages, each of whose CPUs has vectors of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// One in which an event is the whole machine's, and only comes by some CPU.
    pub fn with_intids() -> Self {
        let kernel = Self::default();
        kernel.0.borrow_mut().intids = true;
        kernel
    }

    /// Makes a call fail until it is allowed again.
    pub fn fail(&self, call: KernelCall) {
        self.fail_after(call, 0);
    }

    /// The same, from the call after `good` others on.
    pub fn fail_after(&self, call: KernelCall, good: u32) {
        self.0.borrow_mut().fail.insert(call, good);
    }

    /// Lets all calls succeed.
    pub fn heal(&self) {
        self.0.borrow_mut().fail.clear();
    }

    /// An event reaches a CPU and stays there.
    pub fn raise(&self, event: CpuEvent) {
        self.0.borrow_mut().pending.insert((event.cpu, event.vector));
    }

    /// The CPUs deal with all events that have reached them.
    pub fn take_events(&self) {
        let mut state = self.0.borrow_mut();
        for (cpu, vector) in core::mem::take(&mut state.pending) {
            let place = state.place(CpuEvent { cpu, vector });
            let is_line = state.lines.remove(&(cpu, vector));
            state.dispatch(place, is_line);
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
    fn place(&self, event: CpuEvent) -> Place {
        let is_own = !self.intids || lines::is_private(event.vector);
        (is_own.then_some(event.cpu), event.vector)
    }

    fn in_flight(&self, (cpu, vector): Place) -> bool {
        self.pending.iter().any(|held| held.1 == vector && cpu.is_none_or(|cpu| cpu == held.0))
    }

    /// A line that is nobody's stays active, so that it can not storm.
    fn dispatch(&mut self, place: Place, is_line: bool) {
        let Some((index, usage)) = self.table.get(&place) else {
            self.spurious += 1;
            if is_line {
                self.active.insert(place);
            }
            return;
        };
        let object = &mut self.objects[*index];
        if is_line && (object.level || *usage != Use::Live) {
            self.active.insert(place);
            object.held = *usage == Use::Live;
            object.muted = object.state == FakeState::Blocked;
        }
        match (object.state, usage) {
            (FakeState::Dead, _) => self.spurious += 1,
            (FakeState::Active, Use::Live | Use::Moved) => {
                object.delivered += 1;
                // One packet a message: another event is counted on it.
                if let Some(key) = object.listening.filter(|key| !self.packets.contains(key)) {
                    self.packets.push(key);
                }
            }
            _ => object.blocked += 1,
        }
    }

    fn fate(&mut self, call: KernelCall) -> Result<(), FakeError> {
        match self.fail.get_mut(&call) {
            Some(0) => Err(FakeError::Injected),
            Some(good) => {
                *good -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn complete(&mut self, index: usize) {
        let object = &mut self.objects[index];
        if core::mem::take(&mut object.held)
            && let Some(place) = object.vector
        {
            self.active.remove(&place);
        }
    }

    /// The object, if the call may go on.
    fn enter(&mut self, call: KernelCall, handle: FakeHandle) -> Result<usize, FakeError> {
        self.fate(call)?;
        match self.objects.get(handle.0) {
            Some(object) if object.state != FakeState::Dead => Ok(handle.0),
            _ => {
                self.violations.push(alloc::format!("{call:?} on a dead object"));
                Err(FakeError::BadHandle)
            }
        }
    }

    fn claim(&mut self, index: usize, place: Place) -> Result<(), FakeError> {
        // An INTID that drains may be its last owner's again at once.
        let own = self.intids && self.table.get(&place) == Some(&(index, Use::Retired));
        if self.table.contains_key(&place) && !own {
            self.violations.push(alloc::format!("{place:?} was given out too early"));
            return Err(FakeError::VectorInUse);
        }
        self.table.insert(place, (index, Use::Live));
        self.asked.remove(&place);
        self.active.remove(&place);
        Ok(())
    }

    fn drain(&mut self, place: Place, usage: Use) {
        if let Some(entry) = self.table.get_mut(&place) {
            entry.1 = usage;
        }
    }

    fn drop_vectors(&mut self, index: usize) {
        self.complete(index);
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
        state.fate(KernelCall::Create)?;
        state.objects.push(Object {
            pair,
            cookie,
            state: FakeState::Reserved,
            vector: None,
            former: None,
            delivered: 0,
            blocked: 0,
            level: false,
            held: false,
            muted: false,
            listening: None,
        });
        Ok(FakeHandle(state.objects.len() - 1))
    }

    fn activate(&mut self, handle: FakeHandle, event: CpuEvent) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Activate, handle)?;
        if state.objects[index].state != FakeState::Reserved {
            return Err(FakeError::BadState);
        }
        if state.intids && u32::from(event.vector.bits()) == Ppi::TIMER {
            return Err(FakeError::BadVector);
        }
        let place = state.place(event);
        state.claim(index, place)?;
        state.objects[index].vector = Some(place);
        state.objects[index].state = FakeState::Active;
        Ok(())
    }

    fn move_to(&mut self, handle: FakeHandle, event: CpuEvent) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::MoveTo, handle)?;
        if state.intids && lines::is_private(event.vector) {
            state.violations.push(alloc::format!("a move of what is one CPU's: {event:?}"));
            return Err(FakeError::BadState);
        }
        let object = &state.objects[index];
        if object.state == FakeState::Reserved || object.former.is_some() {
            return Err(FakeError::BadState);
        }
        let place = state.place(event);
        if !state.intids {
            state.claim(index, place)?;
        } else if state.objects[index].vector != Some(place) {
            state.violations.push(alloc::format!("a move from one INTID to another: {event:?}"));
            return Err(FakeError::BadState);
        }
        let object = &mut state.objects[index];
        object.former = object.vector.replace(place);
        Ok(())
    }

    fn settle(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Settle, handle)?;
        let former = state.objects[index].former.take().ok_or(FakeError::BadState)?;
        if !state.intids {
            state.drain(former, Use::Moved);
        }
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
        // A level that came meanwhile was told to nobody.
        if state.objects[index].muted {
            state.complete(index);
        }
        Ok(())
    }

    fn blocked_events(&mut self, handle: FakeHandle) -> Result<u64, FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::BlockedEvents, handle)?;
        Ok(state.objects[index].blocked)
    }

    fn signal(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Signal, handle)?;
        // A message without a CPU event is raised by software as well.
        let object = &mut state.objects[index];
        if object.state != FakeState::Blocked {
            object.delivered += 1;
            if let Some(key) = object.listening
                && !state.packets.contains(&key)
            {
                state.packets.push(key);
            }
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

    fn vector_drained(&mut self, event: CpuEvent) -> bool {
        let mut state = self.0.borrow_mut();
        let place = state.place(event);
        match state.table.get(&place) {
            None | Some((_, Use::Live)) => return false,
            Some(_) => {}
        }
        // The first question pokes the CPU; it has answered by the second, if it has taken
        // its events.
        if state.asked.insert(place) || state.in_flight(place) {
            return false;
        }
        state.asked.remove(&place);
        state.table.remove(&place);
        true
    }
}
