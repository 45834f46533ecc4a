//! Random lives of many owners. Each client has a device on each line, which holds the line up
//! until its owner has served it. After each step nobody is told who has closed; at the end,
//! whoever has a line and a device that wants something is told, whatever the others do, and
//! when all is given back nothing is left.

use crate::rig::{A, B, C, EDGE, LEVEL, Opened, Rig, events, messages};
use interrupt_core::fake::{FakeHandle, FakeLines, KernelCall, LineStep};
use interrupt_core::wire::{BACK_OFF_NS, LineId, Mode, PATIENCE_NS, Wiring};
use interrupt_core::{BackEnd, ClientId, CpuSet};
use proptest::prelude::*;

const CLIENTS: [ClientId; 3] = [A, B, C];
/// Lines that are used, the last one an edge.
const LINES: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    Open {
        client: usize,
        line: usize,
        shared: bool,
    },
    Close(usize),
    Orphan(usize),
    Gone(usize),
    /// A device wants something.
    Want {
        client: usize,
        line: usize,
    },
    /// An owner serves its device, and says so.
    Serve(usize),
    /// An owner says so and has not served it.
    Lie(usize),
    Send,
    Take,
    Hear,
    Pass(u64),
    Storm(usize),
    Move(usize, u64),
    Late(LineStep),
    Refuse(KernelCall),
    Heal,
}

fn any_step(trouble: bool) -> impl Strategy<Value = Step> {
    let (wire, client, line) = (0..12_usize, 0..3_usize, 0..LINES);
    let usual = prop_oneof![
        4 => (client.clone(), line.clone(), any::<bool>())
            .prop_map(|(client, line, shared)| Step::Open { client, line, shared }),
        1 => wire.clone().prop_map(Step::Close),
        1 => wire.clone().prop_map(Step::Orphan),
        1 => client.clone().prop_map(Step::Gone),
        6 => (client, line).prop_map(|(client, line)| Step::Want { client, line }),
        6 => wire.clone().prop_map(Step::Serve),
        1 => wire.clone().prop_map(Step::Lie),
        4 => Just(Step::Send),
        4 => Just(Step::Take),
        4 => Just(Step::Hear),
        2 => prop_oneof![Just(1), Just(BACK_OFF_NS), Just(PATIENCE_NS)].prop_map(Step::Pass),
        1 => wire.clone().prop_map(Step::Storm),
        1 => (wire, 1..8_u64).prop_map(|(wire, cpus)| Step::Move(wire, cpus)),
    ];
    let steps = [LineStep::Set, LineStep::Unmask, LineStep::Mask, LineStep::End, LineStep::MoveTo];
    let calls = [
        KernelCall::Create,
        KernelCall::Activate,
        KernelCall::ActivateLine,
        KernelCall::Listen,
        KernelCall::Settle,
        KernelCall::Block,
        KernelCall::Unblock,
    ];
    let bad = prop_oneof![
        proptest::sample::select(steps.to_vec()).prop_map(Step::Late),
        proptest::sample::select(calls.to_vec()).prop_map(Step::Refuse),
        Just(Step::Heal),
    ];
    let weight = u32::from(trouble);
    prop_oneof![12 => usual, weight => bad].boxed()
}

struct Have {
    client: usize,
    line: usize,
    wire: Opened,
}

struct Lives<E: BackEnd> {
    rig: Rig<E>,
    open: Vec<Have>,
    /// Handles of owners that are gone, and what they had heard by then.
    dead: Vec<(FakeHandle, u64)>,
    /// Whether a client's device holds a line up.
    wants: [[bool; LINES]; 3],
}

fn line(number: usize) -> LineId {
    FakeLines::all().nth(number).expect("a line of the model")
}

fn wiring(number: usize) -> Wiring {
    if number + 1 == LINES { EDGE } else { LEVEL }
}

impl<E: BackEnd> Lives<E> {
    fn new(mut rig: Rig<E>) -> Self {
        for client in CLIENTS {
            for number in 0..LINES {
                rig.wires.grant(client, line(number), wiring(number)).expect("a line");
            }
        }
        Self { rig, open: Vec::new(), dead: Vec::new(), wants: [[false; LINES]; 3] }
    }

    fn bury(&mut self, place: usize) {
        let have = self.open.swap_remove(place);
        self.dead.push((have.wire.handle, self.rig.delivered(&have.wire)));
    }

    fn want(&mut self, client: usize, number: usize, wants: bool) {
        let before = core::mem::replace(&mut self.wants[client][number], wants);
        match (before, wants) {
            (false, true) => self.rig.lines.assert(line(number)),
            (true, false) => self.rig.lines.deassert(line(number)),
            _ => {}
        }
    }

    fn serve(&mut self, place: usize, honest: bool) {
        let Have { client, line, wire } = &self.open[place];
        let (client, line, wire) = (*client, *line, *wire);
        if honest {
            self.want(client, line, false);
        }
        self.rig.answer(CLIENTS[client], &wire);
    }

    fn step(&mut self, step: Step) {
        let place = |number: usize| (!self.open.is_empty()).then(|| number % self.open.len());
        match step {
            Step::Open { client, line: number, shared } => {
                let mode = if shared { Mode::Shared } else { Mode::Exclusive };
                let (id, how) = (line(number), wiring(number));
                if let Ok(wire) = self.rig.open_line(CLIENTS[client], id, how, mode) {
                    let others = self.open.iter().filter(|have| have.line == number);
                    assert!(others.clone().all(|have| have.client != client && shared));
                    self.open.push(Have { client, line: number, wire });
                }
            }
            Step::Close(number) => {
                let Some(place) = place(number) else { return };
                let Have { client, wire, .. } = &self.open[place];
                let closed = self.rig.wires.close(&mut self.rig.core, CLIENTS[*client], wire.id);
                closed.expect("its own");
                self.bury(place);
            }
            Step::Orphan(number) => {
                let Some(place) = place(number) else { return };
                let Have { client, wire, .. } = &self.open[place];
                let (_, cookie) = self.rig.machine.kernel.identity(wire.handle);
                let whose = self.rig.wires.orphaned(&mut self.rig.core, cookie);
                assert_eq!(whose, Some(CLIENTS[*client]));
                self.bury(place);
            }
            Step::Gone(client) => {
                self.rig.wires.client_gone(&mut self.rig.core, CLIENTS[client]);
                while let Some(place) = self.open.iter().position(|have| have.client == client) {
                    self.bury(place);
                }
            }
            Step::Want { client, line } => self.want(client, line, true),
            Step::Serve(number) => {
                if let Some(place) = place(number) {
                    self.serve(place, true);
                }
            }
            Step::Lie(number) => {
                if let Some(place) = place(number) {
                    self.serve(place, false);
                }
            }
            Step::Send => drop(self.rig.lines.run(&self.rig.machine)),
            Step::Take => self.rig.machine.take_events(),
            Step::Hear => self.rig.hear(),
            Step::Pass(ns) => self.rig.pass(ns),
            Step::Storm(number) => {
                let made = self.rig.machine.kernel.made();
                if made > 0 {
                    let handle = FakeHandle(number % made);
                    let (_, cookie) = self.rig.machine.kernel.identity(handle);
                    self.rig.wires.storm(&mut self.rig.core, cookie, self.rig.now);
                }
            }
            Step::Move(number, cpus) => {
                let Some(place) = place(number) else { return };
                let Have { client, wire, .. } = &self.open[place];
                let (client, cpus) = (CLIENTS[*client], CpuSet::from_bits(cpus));
                let _ = self.rig.wires.set_affinity(&mut self.rig.core, client, wire.id, cpus);
            }
            Step::Late(step) => self.rig.lines.delay(step),
            Step::Refuse(call) => self.rig.machine.kernel.fail(call),
            Step::Heal => self.heal(),
        }
    }

    fn heal(&mut self) {
        self.rig.lines.heal();
        self.rig.machine.kernel.heal();
    }

    fn check(&self) {
        for (handle, heard) in &self.dead {
            let now = self.rig.machine.kernel.delivered(*handle);
            assert_eq!(now, *heard, "told after the end: {handle:?}");
        }
        self.rig.check();
        for number in 0..LINES {
            let mut owners = self.open.iter().filter(|have| have.line == number);
            assert!(
                owners.next().is_some() || !self.rig.lines.is_open(line(number)) || self.is_late(),
                "nobody has line {number}, and it is open"
            );
        }
    }

    /// A chip that does not follow may be open a while longer.
    fn is_late(&self) -> bool {
        self.rig.wires.needs_tick()
    }

    /// Everybody is honest and quick from now on.
    fn end(mut self, live: usize) {
        self.heal();
        for number in 0..LINES {
            for client in 0..CLIENTS.len() {
                let is = |have: &&Have| have.line == number && have.client == client;
                if self.open.iter().find(is).is_none() {
                    self.want(client, number, false);
                }
            }
        }
        // An edge that nobody heard of was lost before its owner came, who then looks once.
        for client in 0..CLIENTS.len() {
            self.want(client, LINES - 1, false);
        }
        let mut heard: Vec<u64> = vec![0; self.open.len()];
        for _ in 0..40 {
            self.rig.pass(BACK_OFF_NS);
            self.rig.run();
            for (place, before) in heard.iter_mut().enumerate() {
                let now = self.rig.delivered(&self.open[place].wire);
                if now > core::mem::replace(before, now) {
                    self.serve(place, true);
                }
            }
            self.check();
        }
        assert_eq!(self.wants, [[false; LINES]; 3], "a device wants something, nobody is told");
        // An edge from here on is told.
        for place in 0..self.open.len() {
            let Have { client, line, wire } = &self.open[place];
            let (client, line, wire) = (*client, *line, *wire);
            let before = self.rig.delivered(&wire);
            self.want(client, line, true);
            self.rig.run();
            assert!(self.rig.delivered(&wire) > before, "line {line}");
            self.serve(place, true);
            let others: Vec<_> = (0..self.open.len()).collect();
            others.into_iter().for_each(|place| self.serve(place, true));
            self.rig.run();
        }
        for client in 0..CLIENTS.len() {
            self.step(Step::Gone(client));
        }
        self.rig.settle();
        self.check();
        assert!(!self.rig.wires.needs_tick());
        assert_eq!(self.rig.machine.kernel.live(), live, "a message is left");
        assert_eq!(self.rig.wires.describe(&self.rig.core, None, 0), None);
    }
}

fn live<E: BackEnd>(rig: Rig<E>, steps: &[Step]) {
    let before = rig.machine.kernel.live();
    let mut lives = Lives::new(rig);
    for step in steps {
        lives.step(*step);
        lives.check();
    }
    lives.end(before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn wires_of_events(steps in prop::collection::vec(any_step(false), 1..80)) {
        live(events(), &steps);
    }

    #[test]
    fn wires_of_messages(steps in prop::collection::vec(any_step(false), 1..80)) {
        live(messages(), &steps);
    }

    #[test]
    fn wires_of_events_in_trouble(steps in prop::collection::vec(any_step(true), 1..80)) {
        live(events(), &steps);
    }

    #[test]
    fn wires_of_messages_in_trouble(steps in prop::collection::vec(any_step(true), 1..80)) {
        live(messages(), &steps);
    }
}
