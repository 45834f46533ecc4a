//! Lines at the model of the kernel: levels that it holds back, and the server's own packets.

use super::{FakeError, FakeHandle, FakeKernel, FakeState, KernelCall, Use};
use crate::gicd::Ppi;
use crate::wire::{KernelLines, Trigger};
use crate::{CpuEvent, EventNumber, KernelMessages};
use alloc::vec::Vec;

impl FakeKernel {
    /// A line's event reaches a CPU, unless it is held back or in one's hands already.
    pub fn raise_line(&self, event: CpuEvent) -> bool {
        let mut state = self.0.borrow_mut();
        let place = state.place(event);
        if state.active.contains(&place) || state.in_flight(place) {
            return false;
        }
        state.pending.insert((event.cpu, event.vector));
        state.lines.insert((event.cpu, event.vector));
        true
    }

    /// Whether the kernel has turned on what a CPU has for itself.
    pub fn is_on(&self, event: CpuEvent) -> bool {
        let state = self.0.borrow();
        matches!(state.table.get(&state.place(event)), Some((_, Use::Live)))
    }

    /// Keys of the packets on the server's port, which are taken.
    pub fn packets(&self) -> Vec<u64> {
        core::mem::take(&mut self.0.borrow_mut().packets)
    }

    /// Whether a level is held back for somebody.
    pub fn holds(&self, handle: FakeHandle) -> bool {
        self.0.borrow().objects[handle.0].held
    }

    /// An owner lets a level go by itself: `message_acknowledge`.
    pub fn let_go(&self, handle: FakeHandle) -> bool {
        self.clone().acknowledge(handle).is_ok()
    }
}

/// Whether each CPU has this INTID for itself.
pub(super) fn is_private(vector: EventNumber) -> bool {
    Ppi::new(vector.bits().into()).is_some()
}

impl KernelLines for FakeKernel {
    fn activate_line(
        &mut self,
        handle: FakeHandle,
        event: CpuEvent,
        trigger: Trigger,
    ) -> Result<(), FakeError> {
        self.0.borrow_mut().fate(KernelCall::ActivateLine)?;
        let state = self.0.borrow().objects.get(handle.0).map(|object| object.state);
        match state {
            Some(FakeState::Active | FakeState::Blocked) => self.move_to(handle, event)?,
            _ => self.activate(handle, event)?,
        }
        self.0.borrow_mut().objects[handle.0].level = trigger == Trigger::Level;
        Ok(())
    }

    fn acknowledge(&mut self, handle: FakeHandle) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Acknowledge, handle)?;
        if !state.objects[index].held {
            return Err(FakeError::BadState);
        }
        state.complete(index);
        Ok(())
    }

    fn listen(&mut self, handle: FakeHandle, key: u64) -> Result<(), FakeError> {
        let mut state = self.0.borrow_mut();
        let index = state.enter(KernelCall::Listen, handle)?;
        state.objects[index].listening = Some(key);
        Ok(())
    }
}
