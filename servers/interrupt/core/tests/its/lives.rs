//! Random lives of many events on the model ITS: the invariants of DESIGN §4.
//!
//! The model is as lazy as the architecture allows (see `fake::ItsModel`), and notes what a
//! driver may not do. After each step:
//!
//! * 1 authority: whatever device writes whatever pair, only an event of that very device is
//!   ever raised;
//! * 2 nothing lost: what an active or blocked event's device writes reaches the CPU in the
//!   end, through moves, blocking, and hardware that is late;
//! * 4 silent: after `flush`, late writes vanish and no CPU receives the LPI any more;
//! * 5 no early reuse: no event or LPI has two owners, none is mapped while it is pending or
//!   in a CPU's hands (the model notes it);
//! * 7 affinity never touches the device: the pair never changes, and after a move what the
//!   device writes to it reaches the new CPU.

use crate::rig::{Choice, Unit, attach, cpu, start};
use interrupt_core::Pair;
use interrupt_core::fake::{ItsModel, ItsOptions, ItsOutcome};
use interrupt_core::its::{DeviceId, Event, EventRemapper, Lpi, PageSize};
use interrupt_core::{Flushed, Unrouted};
use proptest::prelude::*;
use std::collections::BTreeSet;

const CPUS: usize = 3;
const DEVICES: [DeviceId; 4] = [
    DeviceId::from_bits(0x0000),
    DeviceId::from_bits(0x0010),
    DeviceId::from_bits(0x0018),
    // Never attached.
    DeviceId::from_bits(0x0100),
];

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve(usize, u8),
    Route(usize, u8),
    Block(usize),
    /// Off, and tried to flush and release.
    End(usize),
    Write {
        device: usize,
        event: usize,
    },
    Acknowledge(usize),
    Complete(usize),
    Hang(bool),
    Stall(u32),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Off,
    Routed(usize),
    Blocked,
}

/// A reserved event, as its owner believes it to be.
struct Live {
    event: Event,
    pair: Pair,
    state: State,
    /// The hardware has followed the last call.
    settled: bool,
    /// A write that no CPU has received yet.
    owed: bool,
}

/// On its way out.
enum Leaving {
    Unrouted(Event, Unrouted),
    Flushed(Event, Flushed),
}

struct World {
    model: ItsModel,
    unit: Unit,
    live: Vec<Live>,
    leaving: Vec<Leaving>,
    /// Every pair that anyone was ever given.
    pairs: Vec<Pair>,
}

impl World {
    fn new(options: ItsOptions, two_level: bool) -> Self {
        let choice = Choice { two_level, lpis: 24, ..Choice::default() };
        let (model, mut unit) = start(options, choice);
        for device in &DEVICES[..3] {
            attach(&model, &mut unit, *device, 3).expect("a place for each");
        }
        Self { model, unit, live: Vec::new(), leaving: Vec::new(), pairs: Vec::new() }
    }

    fn pick(&self, number: usize) -> Option<usize> {
        (!self.live.is_empty()).then(|| number % self.live.len())
    }

    fn owner(&self, lpi: Lpi) -> Option<DeviceId> {
        let leaving = self.leaving.iter().map(|leaving| match leaving {
            Leaving::Unrouted(event, _) | Leaving::Flushed(event, _) => event,
        });
        let mut all = self.live.iter().map(|live| &live.event).chain(leaving);
        all.find(|event| event.lpi() == lpi).map(Event::device)
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Reserve(device, order) => {
                if let Ok(block) = self.unit.reserve(DEVICES[device], order) {
                    for event in block {
                        let pair = self.unit.compose(&event);
                        self.pairs.push(pair);
                        let (state, settled) = (State::Off, true);
                        self.live.push(Live { event, pair, state, settled, owed: false });
                    }
                }
            }
            Step::Route(number, to) => {
                if let Some(at) = self.pick(number) {
                    let live = &mut self.live[at];
                    let stale = self.unit.route(&live.event, cpu(to));
                    live.state = State::Routed(to.into());
                    live.settled = self.unit.settle(stale).is_ok();
                }
            }
            Step::Block(number) => {
                if let Some(at) = self.pick(number) {
                    let live = &mut self.live[at];
                    let stale = self.unit.block(&live.event);
                    prop_assert_eq!(stale.is_some(), live.state != State::Off);
                    if let Some(stale) = stale {
                        live.state = State::Blocked;
                        live.settled = self.unit.settle(stale).is_ok();
                    }
                }
            }
            Step::End(number) => {
                if let Some(at) = self.pick(number) {
                    let live = self.live.swap_remove(at);
                    let unrouted = self.unit.unroute(&live.event);
                    self.leaving.push(Leaving::Unrouted(live.event, unrouted));
                }
                self.let_go()?;
            }
            Step::Write { device, event } => self.write(DEVICES[device], event)?,
            Step::Acknowledge(cpu) => {
                self.acknowledge(cpu)?;
            }
            Step::Complete(cpu) => self.model.complete(cpu),
            Step::Hang(hung) => self.model.hang(hung),
            Step::Stall(count) => self.model.stall(count),
        }
        prop_assert_eq!(self.model.violations(), Vec::<String>::new());
        self.no_two_owners()
    }

    fn write(&mut self, device: DeviceId, number: usize) -> Result<(), TestCaseError> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let pair = self.pairs[number % self.pairs.len()];
        let outcome = self.model.message(device, pair);
        if let ItsOutcome::Pending { lpi, .. } = outcome {
            prop_assert_eq!(self.owner(lpi), Some(device), "invariant 1");
        }
        let own = |live: &&mut Live| live.event.device() == device && live.pair == pair;
        let Some(live) = self.live.iter_mut().find(own) else { return Ok(()) };
        if !live.settled {
            return Ok(());
        }
        let lpi = live.event.lpi();
        match live.state {
            State::Off => prop_assert!(matches!(outcome, ItsOutcome::Dropped(_))),
            State::Routed(cpu) => {
                prop_assert_eq!(outcome, ItsOutcome::Pending { cpu, lpi }, "invariant 7");
                live.owed = true;
            }
            State::Blocked => {
                let kept =
                    matches!(outcome, ItsOutcome::Pending { lpi: found, .. } if found == lpi);
                prop_assert!(kept, "blocked is kept, not lost");
                live.owed = true;
            }
        }
        Ok(())
    }

    /// One LPI by one CPU. `false`: there was none.
    fn acknowledge(&mut self, cpu: usize) -> Result<bool, TestCaseError> {
        let Some(lpi) = self.model.acknowledge(cpu) else { return Ok(false) };
        let flushed = self
            .leaving
            .iter()
            .any(|leaving| matches!(leaving, Leaving::Flushed(event, _) if event.lpi() == lpi));
        prop_assert!(!flushed, "invariant 4: {:?} after flush", lpi);
        prop_assert!(self.owner(lpi).is_some(), "invariant 4: nobody's {:?}", lpi);
        if let Some(live) = self.live.iter_mut().find(|live| live.event.lpi() == lpi) {
            prop_assert!(
                !(live.settled && live.state == State::Blocked),
                "a blocked event comes through"
            );
            live.owed = false;
        }
        Ok(true)
    }

    /// Flush, wait for the CPUs, release: as far as each has come.
    fn let_go(&mut self) -> Result<(), TestCaseError> {
        for leaving in std::mem::take(&mut self.leaving) {
            let next = match leaving {
                Leaving::Unrouted(event, unrouted) => match self.unit.flush(unrouted) {
                    Ok(flushed) => {
                        prop_assert!(!self.model.is_pending(event.lpi()), "invariant 4");
                        let late = self.model.message(event.device(), self.unit.compose(&event));
                        prop_assert!(matches!(late, ItsOutcome::Dropped(_)), "invariant 4");
                        Leaving::Flushed(event, flushed)
                    }
                    Err((unrouted, _)) => Leaving::Unrouted(event, unrouted),
                },
                Leaving::Flushed(event, flushed) => {
                    if !self.model.in_hand(event.lpi()) {
                        self.unit.release(event, flushed.drained());
                        continue;
                    }
                    Leaving::Flushed(event, flushed)
                }
            };
            self.leaving.push(next);
        }
        Ok(())
    }

    fn no_two_owners(&self) -> Result<(), TestCaseError> {
        let (mut lpis, mut events) = (BTreeSet::new(), BTreeSet::new());
        for live in &self.live {
            prop_assert!(lpis.insert(live.event.lpi()), "invariant 5");
            let event = (live.event.device(), live.event.number());
            prop_assert!(events.insert(event), "invariant 5");
            prop_assert_eq!(self.unit.compose(&live.event), live.pair, "invariant 7");
        }
        let used = self.live.len() + self.leaving.len();
        prop_assert_eq!(self.unit.events_used() as usize, used);
        Ok(())
    }

    /// Hardware is well again: everything owed arrives, then everything is given back.
    fn end(mut self) -> Result<(), TestCaseError> {
        self.model.hang(false);
        self.model.stall(0);
        for live in &mut self.live {
            let stale = match live.state {
                State::Off => None,
                State::Routed(to) => Some(self.unit.route(&live.event, cpu(to as u8))),
                State::Blocked => Some(self.unit.route(&live.event, cpu(0))),
            };
            if let Some(stale) = stale {
                prop_assert!(self.unit.settle(stale).is_ok());
                live.settled = true;
                live.state =
                    if let State::Blocked = live.state { State::Routed(0) } else { live.state };
            }
        }
        for cpu in 0..CPUS {
            while self.acknowledge(cpu)? {}
            self.model.complete(cpu);
        }
        for live in &self.live {
            prop_assert!(!live.owed, "invariant 2: {:?}", live.event);
        }
        while !self.live.is_empty() {
            self.step(Step::End(0))?;
        }
        for _ in 0..2 {
            self.let_go()?;
        }
        prop_assert_eq!(self.unit.events_used(), 0);
        for device in &DEVICES[..3] {
            prop_assert!(self.unit.detach(*device).is_ok());
            for pair in &self.pairs {
                let late = self.model.message(*device, *pair);
                prop_assert!(matches!(late, ItsOutcome::Dropped(_)), "invariant 4");
            }
        }
        prop_assert_eq!(self.model.violations(), Vec::<String>::new());
        Ok(())
    }
}

fn any_step(trouble: bool) -> impl Strategy<Value = Step> {
    let id = 0..24_usize;
    let usual = prop_oneof![
        5 => (0..3_usize, 0..3_u8).prop_map(|(device, order)| Step::Reserve(device, order)),
        8 => (id.clone(), 0..CPUS as u8).prop_map(|(id, to)| Step::Route(id, to)),
        3 => id.clone().prop_map(Step::Block),
        4 => id.clone().prop_map(Step::End),
        10 => (0..4_usize, id).prop_map(|(device, event)| Step::Write { device, event }),
        5 => (0..CPUS).prop_map(Step::Acknowledge),
        2 => (0..CPUS).prop_map(Step::Complete),
    ];
    let fate = prop_oneof![any::<bool>().prop_map(Step::Hang), (0..3_u32).prop_map(Step::Stall)];
    prop_oneof![8 => usual, u32::from(trouble) => fate]
}

fn options() -> impl Strategy<Value = ItsOptions> {
    let flags = any::<[bool; 4]>();
    let page = prop::sample::select(vec![None, Some(PageSize::Size4K), Some(PageSize::Size16K)]);
    (flags, page, 0..4_u32).prop_map(|(flags, page, lag)| ItsOptions {
        target_is_address: flags[0],
        hardware_collections: 4 * u8::from(flags[1]),
        coherent: flags[2],
        virtual_lpis: flags[3],
        page,
        lag,
        cpus: CPUS as u8,
        ..ItsOptions::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Hardware does as it should.
    #[test]
    fn its_lives(
        options in options(),
        two_level in any::<bool>(),
        steps in prop::collection::vec(any_step(false), 1..150),
    ) {
        let mut world = World::new(options, two_level);
        for step in steps {
            world.step(step)?;
            prop_assert!(world.live.iter().all(|live| live.settled));
            prop_assert_eq!(world.model.slips(), 0);
        }
        world.end()?;
    }

    /// The queue hangs and stalls.
    #[test]
    fn its_lives_in_trouble(
        options in options(),
        two_level in any::<bool>(),
        steps in prop::collection::vec(any_step(true), 1..150),
    ) {
        let mut world = World::new(options, two_level);
        for step in steps {
            world.step(step)?;
        }
        world.end()?;
    }
}
