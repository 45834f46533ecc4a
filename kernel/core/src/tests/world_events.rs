//! What happens to a [`World`] by itself: interrupts, time, teardown.

use super::platform::FIRST_WIRE;
use super::world::World;
use crate::kernel::{Cx, Stop};
use crate::platform::Platform;

impl World {
    /// A device raises `vector` on `cpu`.
    pub fn device_event(&self, cpu: usize, vector: u16) {
        if self.k.platform.shared.get() && vector >= FIRST_WIRE {
            // A wire that is held back does not come.
            if self.k.platform.held.borrow_mut().insert(vector) {
                self.interrupt(cpu, |cx| self.k.held_event(cx, vector).map(|()| 0));
            }
            return;
        }
        if self.k.platform.vector_space().is_private(vector) {
            let on = self.k.platform.private.borrow().contains_key(&(cpu, vector));
            if on && self.k.platform.held_private.borrow_mut().insert((cpu, vector)) {
                self.interrupt(cpu, |cx| self.k.held_event(cx, vector).map(|()| 0));
            }
            return;
        }
        let short = || self.k.device_event_fast(cpu, vector);
        if !self.fast.get() || !self.try_short(3, cpu, false, short) {
            let event = |cx| self.k.device_event(cx, vector).map(|()| 0);
            self.interrupt(cpu, event);
        }
    }

    /// An interrupt's body, as the binary's `irq` runs it.
    fn interrupt(&self, cpu: usize, body: impl Fn(Cx) -> Result<u64, Stop>) {
        self.enter(cpu, |cx| {
            if self.checked(cx, &body).is_err() {
                let result = self.alone(cx, |cx| self.checked(cx, &body));
                assert_eq!(result, Ok(0));
            }
        });
    }

    /// CPU `cpu`'s timer interrupt. It does one thing after the other, so an escalation
    /// may come after some of them.
    pub fn timer_tick(&self, cpu: usize) {
        // It fires once.
        self.k.platform.timers[cpu].set(u64::MAX);
        self.enter(cpu, |cx| {
            if self.k.timer_interrupt(cx).is_err() {
                let result = self.alone(cx, |cx| self.k.timer_interrupt(cx));
                assert_eq!(result, Ok(()));
            }
        });
    }

    /// CPU `cpu` takes a poke, if one is on its way.
    pub fn take_poke(&self, cpu: usize) {
        if self.k.platform.poked[cpu].replace(false) {
            self.enter(cpu, |cx| self.k.poke_interrupt(cx));
        }
    }

    /// Time passes; timers that are due fire.
    pub fn advance(&self, ticks: u64) {
        let platform = &self.k.platform;
        platform.clock.set(platform.clock.get() + ticks);
        for cpu in 0..self.k.cpu_count.get() {
            if platform.timers[cpu].get() <= platform.clock.get() {
                self.timer_tick(cpu);
            }
        }
    }

    /// Lets CPUs work at teardowns until none is left.
    pub fn settle(&self) {
        for round in 0.. {
            assert!(round < 100_000, "a teardown never ends");
            if self.k.dying.get().is_none() {
                return;
            }
            self.resume(round % self.k.cpu_count.get());
        }
    }
}
