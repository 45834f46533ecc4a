//! What the kernel's packets and time mean for lines.

use super::table::State;
use super::types::LineKey;
use super::{
    BACK_OFF_NS, KernelLines, LineHardware, LineId, Mode, Outcome, PATIENCE_NS, Standing, Trigger,
    Way, WireError, WireId, Wires,
};
use crate::{BackEnd, ClientId, Core, MessageId};

impl<L: LineHardware, K: KernelLines> Wires<L, K> {
    /// A packet of a shared line: every owner is told. `false`: the key is no line's.
    pub fn fired<B: BackEnd>(&mut self, core: &mut Core<B, K>, key: u64, now_ns: u64) -> bool {
        let Some(key) = LineKey::from_bits(key) else { return false };
        // A packet that was late: the line is closed, or another's since.
        let Some(slot) = self.lines.find(key) else { return true };
        if self.lines.get(slot).state == State::Closing {
            return true;
        }
        let mut waiting = 0;
        for place in 0..self.owners.end() {
            let owner = self.owners.used(place).filter(|owner| owner.line == slot);
            let Some(owner) = owner.filter(|owner| owner.standing != Standing::Dropped) else {
                continue;
            };
            let heard = core.kernel_mut().signal(owner.handle).is_ok();
            self.refused += u64::from(!heard);
            owner.told = heard && owner.standing == Standing::Good;
            waiting += u32::from(owner.told);
        }
        let line = self.lines.get_mut(slot);
        line.waiting = waiting;
        line.fired_ns = now_ns;
        line.patience_ns = now_ns.saturating_add(PATIENCE_NS);
        if waiting == 0 {
            self.let_go(core, slot, now_ns);
        }
        true
    }

    /// An owner has served its device, or has found that it wants nothing.
    ///
    /// # Errors
    /// `BadState` where nothing is to be acknowledged: an edge; or an exclusive level that the
    /// kernel does not hold; or an owner that did not answer for so long that it was dropped.
    pub fn acknowledge<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        client: ClientId,
        id: WireId,
    ) -> Outcome<(), K> {
        let place = self.own(client, id)?;
        let slot = self.owners.get(place).line;
        let line = self.lines.get_mut(slot);
        match (line.wiring.trigger, line.mode, line.way) {
            (Trigger::Edge, ..) => Err(WireError::BadState),
            (Trigger::Level, Mode::Exclusive, Way::Message(_)) => {
                self.hardware.end(line.id).map_err(WireError::Line)
            }
            (Trigger::Level, Mode::Exclusive, Way::Event(_) | Way::Private(_)) => {
                let handle = line.message.handle.ok_or(WireError::BadState)?;
                core.kernel_mut().acknowledge(handle).map_err(WireError::Kernel)
            }
            (Trigger::Level, Mode::Shared, _) => {
                let owner = self.owners.get_mut(place);
                if owner.standing == Standing::Dropped {
                    return Err(WireError::BadState);
                }
                owner.standing = Standing::Good;
                if core::mem::take(&mut owner.told) {
                    line.waiting -= 1;
                    if line.waiting == 0 {
                        let fired_ns = line.fired_ns;
                        self.let_go(core, slot, fired_ns);
                    }
                }
                Ok(())
            }
        }
    }

    /// The kernel says that a message's rate is past its budget. If it is a line's, the line is
    /// masked at its source for [`BACK_OFF_NS`].
    pub fn storm<B: BackEnd>(&mut self, core: &mut Core<B, K>, key: u64, now_ns: u64) -> Storm {
        let slot = if let Some(key) = LineKey::from_bits(key) {
            self.lines.find(key)
        } else if let Some(id) = WireId::from_bits(key) {
            // What this server signals is no more than what the line does, which has its own rate.
            self.owners
                .find(id)
                .map(|place| self.owners.get(place).line)
                .filter(|slot| self.lines.get(*slot).mode == Mode::Exclusive)
        } else {
            match self.line_of_message(MessageId::from_bits(key)) {
                Some(slot) => Some(slot),
                None => return Storm::NoWire,
            }
        };
        let Some(slot) = slot.filter(|slot| self.lines.get(*slot).state == State::Open) else {
            return Storm::Late;
        };
        self.hold_off(core, slot, now_ns.saturating_add(BACK_OFF_NS));
        Storm::HeldOff(self.lines.get(slot).id)
    }

    /// Moves on what waits: lines that close, lines that are held off, owners that do not answer.
    /// Returns whether something still waits. Work: the lines there are.
    pub fn tick<B: BackEnd>(&mut self, core: &mut Core<B, K>, now_ns: u64) -> bool {
        for slot in 0..self.lines.end() {
            let Some(line) = self.lines.used(slot) else { continue };
            match line.state {
                State::Closing => {
                    if self.end_step(core, slot) {
                        self.lines.take(slot);
                    }
                    continue;
                }
                State::HeldOff { until_ns } if until_ns <= now_ns => {
                    if !self.let_through(core, slot) {
                        let again = now_ns.saturating_add(BACK_OFF_NS);
                        self.lines.get_mut(slot).state = State::HeldOff { until_ns: again };
                    }
                }
                State::HeldOff { .. } | State::Open => {}
            }
            self.catch_up(slot);
            let line = self.lines.get(slot);
            if line.waiting > 0 && line.patience_ns <= now_ns {
                self.give_up_on(core, slot, now_ns);
            }
        }
        self.needs_tick()
    }
}

/// What a storm packet was about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storm {
    /// Not a wire's message.
    NoWire,
    /// A wire's, which is closed or held off already.
    Late,
    /// This line is held off.
    HeldOff(LineId),
}
