//! Lines as their users see them: devices that assert and deassert, chips that mask, and levels
//! that somebody holds. One model for both ways a line can go.

use super::{FakeKernel, FakeMachine, Landed};
use crate::gicd::Ppi;
use crate::wire::{LineError, LineHardware, LineId, LineTarget, Trigger, Way, Wiring};
use crate::{CpuEvent, CpuIndex, EventNumber, RequesterId, Source};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

/// The lines of a model: this one and as many after it.
const FIRST: u32 = 32;
const COUNT: u32 = 8;

/// What sends messages for the lines of a PC's model.
pub const LINE_CHIP: RequesterId = RequesterId::from_bits(0xf0f8);

/// How a model's lines reach CPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FakeWay {
    /// As events of their own, INTID by number.
    Events,
    /// As events that each CPU has for itself, and the kernel turns on: INTID by number, from 16.
    Private,
    /// As messages of [`LINE_CHIP`].
    Messages,
}

/// A step that the chip can be made not to follow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LineStep {
    /// `set`.
    Set,
    /// `unmask`.
    Unmask,
    /// `mask`.
    Mask,
    /// `end`.
    End,
    /// `move_to`.
    MoveTo,
    /// `clear`.
    Clear,
}

#[derive(Default)]
struct Wire {
    /// How many devices hold it up.
    asserted: u32,
    /// An edge waits.
    edge: bool,
    /// The chip has sent for the level, and nobody has ended it (messages).
    held: bool,
    open: bool,
    setup: Option<(Wiring, LineTarget)>,
    /// What it has sent.
    sent: u64,
}

struct State {
    way: FakeWay,
    wires: BTreeMap<LineId, Wire>,
    late: Vec<LineStep>,
    violations: Vec<String>,
}

/// Chips and wires; clones are the same.
#[derive(Clone)]
pub struct FakeLines(Rc<RefCell<State>>);

impl FakeLines {
    /// Quiet lines.
    pub fn new(way: FakeWay) -> Self {
        let wires = (FIRST..FIRST + COUNT).map(|line| (LineId::new(line), Wire::default()));
        let (wires, late, violations) = (wires.collect(), Vec::new(), Vec::new());
        Self(Rc::new(RefCell::new(State { way, wires, late, violations })))
    }

    /// The lines that there are.
    pub fn all() -> impl Iterator<Item = LineId> {
        (FIRST..FIRST + COUNT).map(LineId::new)
    }

    /// Makes a step late each time, until all are followed again.
    pub fn delay(&self, step: LineStep) {
        self.0.borrow_mut().late.push(step);
    }

    /// Everything is followed again.
    pub fn heal(&self) {
        self.0.borrow_mut().late.clear();
    }

    /// One more device holds the line up. A change is an edge.
    pub fn assert(&self, line: LineId) {
        let mut state = self.0.borrow_mut();
        let way = state.way;
        let wire = state.wires.get_mut(&line).expect("a line of the model");
        wire.asserted += 1;
        // A pin that is masked forgets its edges; a GIC remembers them.
        if wire.asserted == 1 && (wire.open || way != FakeWay::Messages) {
            wire.edge = true;
        }
    }

    /// One device fewer does.
    pub fn deassert(&self, line: LineId) {
        let mut state = self.0.borrow_mut();
        let wire = state.wires.get_mut(&line).expect("a line of the model");
        wire.asserted = wire.asserted.checked_sub(1).expect("asserted before");
    }

    /// Whether its chip lets it send; of a private one, whether it was told to.
    pub fn is_open(&self, line: LineId) -> bool {
        self.0.borrow().wires[&line].open
    }

    /// What it has sent so far.
    pub fn sent(&self, line: LineId) -> u64 {
        self.0.borrow().wires[&line].sent
    }

    /// What was asked of the chip that it may not be asked.
    pub fn violations(&self) -> Vec<String> {
        self.0.borrow().violations.clone()
    }

    /// Every line that may, sends; how many did. CPUs have not taken it yet.
    pub fn run(&self, machine: &FakeMachine) -> u32 {
        let mut state = self.0.borrow_mut();
        let way = state.way;
        let mut count = 0;
        for (line, wire) in &mut state.wires {
            let Some((wiring, target)) = wire.setup else { continue };
            let open = match (way, target) {
                (FakeWay::Private, LineTarget::Cpu(cpu)) => {
                    machine.kernel.is_on(CpuEvent { cpu, vector: number(way, *line) })
                }
                _ => wire.open,
            };
            if !open {
                continue;
            }
            let wants = match wiring.trigger {
                Trigger::Edge => wire.edge,
                Trigger::Level => wire.asserted > 0 && !wire.held,
            };
            if !wants {
                continue;
            }
            let sent = match target {
                LineTarget::Cpu(cpu) => raise(&machine.kernel, cpu, number(way, *line)),
                LineTarget::Message(pair) => {
                    // Edge or level, what arrives at the remapper is one write. If it is blocked
                    // there, the chip does not hear of it.
                    let _: Landed = machine.write(Some(LINE_CHIP), pair);
                    wire.held = wiring.trigger == Trigger::Level && way == FakeWay::Messages;
                    true
                }
            };
            if sent {
                wire.edge = false;
                wire.sent += 1;
                count += 1;
            }
        }
        count
    }
}

fn number(way: FakeWay, line: LineId) -> EventNumber {
    let first = if way == FakeWay::Private { Ppi::FIRST } else { FIRST };
    EventNumber::of_line((line.number() - FIRST + first) as u16)
}

/// An SPI that is active, or in a CPU's hands, does not come again.
fn raise(kernel: &FakeKernel, cpu: CpuIndex, vector: EventNumber) -> bool {
    kernel.raise_line(CpuEvent { cpu, vector })
}

impl State {
    fn step(&mut self, step: LineStep, line: LineId) -> Result<&mut Wire, LineError> {
        let late = self.late.contains(&step);
        let State { wires, violations, .. } = self;
        let wire = wires.get_mut(&line).ok_or(LineError::NoSuchLine)?;
        if step != LineStep::Set && wire.setup.is_none() {
            violations.push(alloc::format!("{step:?} of {line}, which was never set"));
        }
        if matches!(step, LineStep::Set | LineStep::Clear) && wire.open {
            violations.push(alloc::format!("{step:?} of {line}, which is open"));
        }
        if late { Err(LineError::Late) } else { Ok(wire) }
    }
}

impl LineHardware for FakeLines {
    fn check(&self, line: LineId, _wiring: Wiring) -> Result<Way, LineError> {
        let state = self.0.borrow();
        if !state.wires.contains_key(&line) {
            return Err(LineError::NoSuchLine);
        }
        Ok(match state.way {
            FakeWay::Events => Way::Event(number(state.way, line)),
            FakeWay::Private => Way::Private(number(state.way, line)),
            FakeWay::Messages => Way::Message(Source::Pins(LINE_CHIP)),
        })
    }

    fn set(&mut self, line: LineId, wiring: Wiring, to: LineTarget) -> Result<(), LineError> {
        let mut state = self.0.borrow_mut();
        // Nobody can reach the bit in which a private edge is remembered.
        let keeps = state.way == FakeWay::Private;
        let wire = state.step(LineStep::Set, line)?;
        (wire.setup, wire.edge, wire.held) = (Some((wiring, to)), wire.edge && keeps, false);
        Ok(())
    }

    fn unmask(&mut self, line: LineId) -> Result<(), LineError> {
        self.0.borrow_mut().step(LineStep::Unmask, line)?.open = true;
        Ok(())
    }

    fn mask(&mut self, line: LineId) -> Result<(), LineError> {
        self.0.borrow_mut().step(LineStep::Mask, line)?.open = false;
        Ok(())
    }

    fn end(&mut self, line: LineId) -> Result<(), LineError> {
        let mut state = self.0.borrow_mut();
        if state.way != FakeWay::Messages {
            state.violations.push(alloc::format!("end of {line}, which the kernel holds"));
        }
        state.step(LineStep::End, line)?.held = false;
        Ok(())
    }

    fn move_to(&mut self, line: LineId, cpu: CpuIndex) -> Result<(), LineError> {
        let mut state = self.0.borrow_mut();
        if state.way != FakeWay::Events {
            state.violations.push(alloc::format!("{line} was moved at the chip"));
        }
        let wire = state.step(LineStep::MoveTo, line)?;
        if let Some((_, target)) = &mut wire.setup {
            *target = LineTarget::Cpu(cpu);
        }
        Ok(())
    }

    fn clear(&mut self, line: LineId) -> Result<(), LineError> {
        let mut state = self.0.borrow_mut();
        let keeps = state.way == FakeWay::Private;
        let wire = state.step(LineStep::Clear, line)?;
        (wire.setup, wire.edge, wire.held) = (None, wire.edge && keeps, false);
        Ok(())
    }
}
