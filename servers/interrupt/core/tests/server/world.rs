//! The model that `invariants` compares with, and the checks after each step.

use crate::common::{Rig, Server, devices};
use crate::habits::Habits;
use crate::invariants::Step;
use interrupt_core::fake::{
    FakeError, FakeHandle, FakeMachine, FakeState, KernelCall, Landed, fake_config,
};
use interrupt_core::{
    AllocRequest, Allocated, BackEnd, ClientPolicy, Contiguity, CpuSet, Domain, EntryIndex, Error,
    Kind, MessageId, MessageState, RequesterId,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(crate) const CLIENTS: [RequesterId; 3] = [
    RequesterId::from_bits(0x0010),
    RequesterId::from_bits(0x0011),
    RequesterId::from_bits(0x0300),
];

/// What a client believes about one message.
#[derive(Clone, Copy, Debug)]
struct Belief {
    client: usize,
    message: Allocated<FakeHandle>,
    state: Option<MessageState>,
    /// Written while it was blocked, where that is kept: a packet is owed when it is not
    /// blocked any more.
    kept: bool,
    /// The client has not been given it: of which block it is, by its first message.
    withheld: Option<MessageId>,
}

/// The machine, its server, and what the clients believe.
pub(crate) struct World<R: Rig> {
    machine: FakeMachine,
    /// The server.
    pub(crate) server: Server<R>,
    beliefs: Vec<Belief>,
    /// The kernel refuses to destroy: what an `alloc` takes back waits in quarantine.
    stubborn: bool,
}

impl<R: Habits> World<R> {
    /// A world without messages.
    pub(crate) fn new(options: R::Options, cpus: u8, last: u8) -> Self {
        let mut config = fake_config(last, 40, 16);
        config.core.allow_unisolated = !R::ISOLATED;
        let (machine, mut server) = R::build(options, cpus, &config);
        for client in CLIENTS {
            let policy = ClientPolicy { devices: devices(client), ..config.core.default_policy };
            server.register(client, policy).expect("a place for each");
        }
        Self { machine, server, beliefs: Vec::new(), stubborn: false }
    }

    /// All that a client or an inspector can see.
    fn visible(&self) -> Vec<Domain> {
        let seen = |node: &Domain| !matches!(node, Domain::Vectors(_) | Domain::Client { .. });
        self.server.describe().filter(seen).collect()
    }

    /// What numbers are not free: a failure may at most move some into quarantine or out.
    fn used(&self) -> (usize, u32) {
        let mut leased = 0;
        let mut held = 0;
        for node in self.server.describe() {
            match node {
                // LPIs go with entries, and come back from quarantine at any time.
                Domain::Vectors(space) if space.cpu.is_some() => {
                    let count = space.count;
                    leased += (count.total - count.free - count.quarantined) as usize;
                }
                Domain::Client { held: more, .. } => held += more,
                _ => {}
            }
        }
        (leased, held)
    }

    /// One step, and all checks.
    pub(crate) fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let before = (self.visible(), self.used());
        let alive = self.machine.kernel.live();
        if let Some(Err(())) = self.apply(step)? {
            // 9: failure is an answer. Quarantine may have moved on meanwhile.
            prop_assert_eq!(&self.without_faults(), &faultless(before.0));
            prop_assert_eq!(self.used().0, before.1.0);
            if !self.stubborn {
                prop_assert!(self.used().1 <= before.1.1);
                prop_assert!(self.machine.kernel.live() <= alive);
            }
        }
        self.check()
    }

    fn without_faults(&self) -> Vec<Domain> {
        faultless(self.visible())
    }

    /// The step, and what the server answered if it was asked something.
    fn apply(&mut self, step: Step) -> Result<Option<Result<(), ()>>, TestCaseError> {
        let answer = match step {
            Step::Alloc { client, count, contiguous, cpus } => {
                let request = AllocRequest {
                    kind: Kind::DeviceArray,
                    contiguity: if contiguous {
                        Contiguity::Contiguous
                    } else {
                        Contiguity::Single
                    },
                    cpus: CpuSet::from_bits(cpus),
                };
                let mut out = [None; 4];
                let made = self.server.alloc(CLIENTS[client], &request, &mut out[..count]);
                for message in out.into_iter().flatten() {
                    prop_assert!(made.is_ok());
                    let state = Some(MessageState::Reserved);
                    self.beliefs.push(Belief {
                        client,
                        message,
                        state,
                        kept: false,
                        withheld: None,
                    });
                }
                made
            }
            Step::AllocBlock { client, order, given } => {
                return self.alloc_block(client, 1 << order, given).map(Some);
            }
            Step::Collect(n, room) => return self.collect(n, room).map(Some),
            Step::Activate(n) => self.with(n, |server, belief, client| {
                let done = server.activate(client, belief.message.id).map(|_| ());
                (done, MessageState::Active)
            }),
            Step::Deactivate(n) => self.with(n, |server, belief, client| {
                (server.deactivate(client, belief.message.id), MessageState::Reserved)
            }),
            Step::Block(n) => self.with(n, |server, belief, client| {
                (server.block(client, belief.message.id), MessageState::Blocked)
            }),
            Step::Unblock(n) => self.with(n, |server, belief, client| {
                (server.unblock(client, belief.message.id), MessageState::Active)
            }),
            Step::Affinity(n, cpus) => self.with(n, |server, belief, client| {
                let cpus = CpuSet::from_bits(cpus);
                let done = server.set_affinity(client, belief.message.id, cpus);
                (done, belief.state.unwrap_or(MessageState::Reserved))
            }),
            Step::Storm(n) => self.with(n, |server, belief, _| {
                let done = server.storm(belief.message.id).map(|_| ());
                (done, MessageState::Blocked)
            }),
            Step::Free(n) => self.end(n, |server, id, client| server.free(client, id)),
            Step::Orphan(n) => self.end(n, |server, id, _| server.orphaned(id).map(|_| ())),
            Step::Gone(n) => {
                if let Some(client) = CLIENTS.get(n) {
                    self.server.client_gone(*client);
                    for belief in self.beliefs.iter_mut().filter(|belief| belief.client == n) {
                        (belief.state, belief.withheld) = (None, None);
                    }
                }
                return Ok(None);
            }
            Step::Write { device, message } => {
                self.write(device, message)?;
                return Ok(None);
            }
            Step::Acknowledge => {
                self.machine.acknowledge();
                return Ok(None);
            }
            Step::TakeEvents => {
                self.machine.take_events();
                return Ok(None);
            }
            Step::Tick => {
                self.server.tick(3);
                return Ok(None);
            }
            Step::Faults => {
                self.server.poll_faults(4, |_, _| {});
                return Ok(None);
            }
            Step::Hang(hung) => {
                self.machine.hang(hung);
                return Ok(None);
            }
            Step::Refuse(count) => {
                R::refuse(&self.machine, count);
                return Ok(None);
            }
            Step::Fail(call) => {
                self.stubborn |= call == KernelCall::Destroy;
                self.machine.kernel.fail(call);
                return Ok(None);
            }
            Step::Heal => {
                self.stubborn = false;
                self.machine.kernel.heal();
                return Ok(None);
            }
        };
        Ok(Some(answer.map_err(|_| ())))
    }

    /// A block, of which the client is given only the beginning.
    fn alloc_block(
        &mut self,
        client: usize,
        count: usize,
        given: usize,
    ) -> Result<Result<(), ()>, TestCaseError> {
        let request = AllocRequest {
            kind: Kind::DeviceArray,
            contiguity: Contiguity::Contiguous,
            cpus: CpuSet::ALL,
        };
        let mut out = [None; 8];
        let made = self.server.alloc(CLIENTS[client], &request, &mut out[..count]);
        self.server.withhold(&out, given);
        let first = out[0].map(|message| message.id);
        for (number, message) in out.into_iter().flatten().enumerate() {
            let first_data = out[0].map_or(0, |first| first.pair.data);
            prop_assert_eq!(message.pair.data, first_data + number as u32);
            prop_assert_eq!(first_data as usize % count, 0);
            let state = Some(MessageState::Reserved);
            let withheld = first.filter(|_| number >= given);
            self.beliefs.push(Belief { client, message, state, kept: false, withheld });
        }
        Ok(made.map_err(|_| ()))
    }

    /// Asks for what is withheld of the block that begins with this message, if it does.
    fn collect(&mut self, number: usize, room: usize) -> Result<Result<(), ()>, TestCaseError> {
        let count = self.beliefs.len().max(1);
        let Some(first) = self.beliefs.get(number % count).copied() else { return Ok(Ok(())) };
        let mut out = [None; 8];
        let client = CLIENTS[first.client];
        let done = self.server.collect(client, first.message.id, &mut out[..room]);
        let rest = self.beliefs.iter_mut().filter(|it| it.withheld == Some(first.message.id));
        let mut given = 0;
        for (belief, message) in rest.zip(out.into_iter().flatten()) {
            prop_assert_eq!(belief.message, message, "in the order of the pairs");
            belief.withheld = None;
            given += 1;
        }
        prop_assert_eq!(out.iter().flatten().count(), given);
        prop_assert_eq!(done.is_ok(), given > 0);
        Ok(done.map_err(|_| ()))
    }

    fn with(
        &mut self,
        number: usize,
        act: impl FnOnce(
            &mut Server<R>,
            &mut Belief,
            RequesterId,
        ) -> (Result<(), Error<FakeError>>, MessageState),
    ) -> Result<(), Error<FakeError>> {
        let count = self.beliefs.len().max(1);
        let Some(belief) = self.beliefs.get_mut(number % count) else { return Ok(()) };
        let handle = belief.message.handle;
        let before = self.machine.kernel.delivered(handle);
        let (done, state) = act(&mut self.server, belief, CLIENTS[belief.client]);
        if belief.state.is_none() || belief.withheld.is_some() {
            assert_eq!(done, Err(Error::BadId), "a name that means nothing, or not yet");
        }
        if done.is_ok() {
            belief.state = Some(state);
            if belief.kept && state != MessageState::Blocked {
                belief.kept = false;
                if state == MessageState::Active {
                    // 2: what was written meanwhile is not lost.
                    self.machine.take_events();
                    assert!(self.machine.kernel.delivered(handle) > before, "kept, and lost");
                }
            }
        }
        done
    }

    fn end(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut Server<R>, MessageId, RequesterId) -> Result<(), Error<FakeError>>,
    ) -> Result<(), Error<FakeError>> {
        let count = self.beliefs.len().max(1);
        let Some(belief) = self.beliefs.get_mut(number % count) else { return Ok(()) };
        let id = belief.message.id;
        let done = act(&mut self.server, id, CLIENTS[belief.client]);
        if belief.withheld.is_some() {
            assert_eq!(done, Err(Error::BadId), "nobody has it yet");
        }
        if done.is_ok() {
            belief.state = None;
            // What nobody was given of its block ends with it.
            for belief in self.beliefs.iter_mut().filter(|it| it.withheld == Some(id)) {
                (belief.state, belief.withheld) = (None, None);
            }
        }
        done
    }

    /// A device writes a pair that some message has or had.
    fn write(&mut self, device: usize, number: usize) -> Result<(), TestCaseError> {
        let stranger = RequesterId::from_bits(0x5555);
        let id = CLIENTS.get(device).copied().unwrap_or(stranger);
        let count = self.beliefs.len().max(1);
        let Some(belief) = self.beliefs.get(number % count).copied() else { return Ok(()) };
        // Whoever has the entry now: a freed message's entry may be the device's own again,
        // and then an old pair of a block names it as well as the new one.
        let named = R::names(id, belief.message.pair);
        let holder = self.beliefs.iter().position(|other| {
            let owner = CLIENTS[other.client];
            other.state.is_some() && R::names(owner, other.message.pair) == named
        });
        let outcome = self.machine.write(Some(id), belief.message.pair);
        let is_own = |index: &usize| CLIENTS[self.beliefs[*index].client] == id;
        let own = holder.filter(|index| !R::ISOLATED || is_own(index));
        let state = own.and_then(|index| self.beliefs[index].state);
        match (state, outcome) {
            // 2: nothing lost.
            (Some(MessageState::Active), Landed::Event(_)) => {
                let handle = self.beliefs[own.unwrap_or(0)].message.handle;
                let before = self.machine.kernel.delivered(handle);
                self.machine.take_events();
                prop_assert!(self.machine.kernel.delivered(handle) > before, "a write was lost");
            }
            (Some(MessageState::Active), Landed::Nowhere) => {
                prop_assert!(false, "an active message's write was dropped");
            }
            (Some(MessageState::Blocked), Landed::Nowhere) if R::KEEPS => {
                prop_assert!(false, "a blocked message's write was dropped");
            }
            // 1 and 4: whatever is in the air concerns nobody who should not hear of it.
            (_, Landed::Event(_)) => {
                if R::KEEPS && state == Some(MessageState::Blocked) {
                    self.beliefs[own.unwrap_or(0)].kept = true;
                } else {
                    // Only hardware that was not flushed, and the kernel stops what comes of
                    // it.
                    let in_the_air = self.server.quarantined() > 0 || self.any_late_flush();
                    prop_assert!(in_the_air || R::LATCHES);
                }
                let before = self.deliveries();
                self.machine.take_events();
                for (handle, was, expected) in before {
                    if !expected {
                        prop_assert_eq!(self.machine.kernel.delivered(handle), was);
                    }
                }
            }
            (_, Landed::Nowhere) => {}
        }
        Ok(())
    }

    fn any_late_flush(&self) -> bool {
        self.server.statistics().flushes_late > 0
    }

    /// Packets per message, and whether it may get more.
    fn deliveries(&self) -> Vec<(FakeHandle, u64, bool)> {
        let of = |belief: &Belief| {
            let delivered = self.machine.kernel.delivered(belief.message.handle);
            // A kernel that refused to stop it, while hardware would not either.
            let refused = self.machine.kernel.state(belief.message.handle) == FakeState::Active;
            let may = belief.state == Some(MessageState::Active) || refused;
            (belief.message.handle, delivered, may)
        };
        self.beliefs.iter().map(of).collect()
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.machine.violations(), Vec::<String>::new());
        let mut owners: BTreeMap<EntryIndex, MessageId> = BTreeMap::new();
        let mut events = BTreeMap::new();
        let mut seen = 0;
        for node in self.server.describe() {
            let Domain::Message(info) = node else { continue };
            seen += 1;
            // 5: one owner for each number.
            let entry = info.entry.expect("a unit has entries");
            prop_assert_eq!(owners.insert(entry, info.id), None);
            if let Some(event) = info.event {
                prop_assert_eq!(events.insert((event.cpu, event.vector), info.id), None);
                // In `cpus`, the set that the client asked for last.
                prop_assert!(info.cpus.contains(event.cpu));
            }
            let belief = self.beliefs.iter().find(|belief| belief.message.id == info.id);
            let belief = belief.expect("no message that nobody has");
            prop_assert_eq!(Some(info.state), belief.state);
            prop_assert_eq!(info.pair, belief.message.pair);
            prop_assert_eq!(info.client, CLIENTS[belief.client].into());
            let has_event = R::FIXED || info.state != MessageState::Reserved;
            prop_assert_eq!(info.event.is_some(), has_event);
            // 4: hardware agrees.
            if let Some(present) = R::is_on(&self.machine, entry, self.any_late_flush()) {
                let on = info.state == MessageState::Active;
                let blocked = info.state == MessageState::Blocked;
                prop_assert_eq!(present, on || R::ON_WHILE_BLOCKED && blocked);
            }
        }
        let live = self.beliefs.iter().filter(|belief| belief.state.is_some()).count();
        prop_assert_eq!(seen, live);
        crate::survey::agrees::<R>(&self.server, &CLIENTS);
        // No entry that nobody has is present.
        for index in 0..64 {
            let index = EntryIndex::new(index);
            if !owners.contains_key(&index) {
                let present = R::is_on(&self.machine, index, self.any_late_flush());
                prop_assert!(present != Some(true), "{:?} is on and nobody's", index);
            }
        }
        Ok(())
    }

    /// At the end all hardware follows again, and everything comes back.
    pub(crate) fn end_of_the_world(&mut self, trouble: bool) -> Result<(), TestCaseError> {
        self.machine.hang(false);
        R::refuse(&self.machine, 0);
        self.machine.kernel.heal();
        for client in CLIENTS {
            self.server.client_gone(client);
        }
        if trouble {
            // What kernel and hardware both refused is made up for at the next tick.
            self.server.tick(u32::MAX);
        }
        self.machine.take_events();
        let before = self.deliveries();
        for belief in &self.beliefs {
            for device in CLIENTS {
                self.machine.write(Some(device), belief.message.pair);
            }
        }
        self.machine.take_events();
        for (handle, was, _) in before {
            prop_assert_eq!(self.machine.kernel.delivered(handle), was, "silent after the end");
        }
        for _ in 0..100 {
            self.server.tick(64);
            self.machine.take_events();
        }
        prop_assert_eq!(self.server.quarantined(), 0);
        prop_assert_eq!(self.machine.kernel.live(), 0);
        prop_assert_eq!(self.server.back_end_mut().entries_used(), 0);
        prop_assert_eq!(self.used(), (0, 0));
        for node in self.server.describe() {
            if let Domain::Vectors(space) = node {
                let count = space.count;
                prop_assert_eq!((count.free, count.quarantined), (count.total, 0));
            }
        }
        prop_assert_eq!(self.machine.violations(), Vec::<String>::new());
        Ok(())
    }
}

/// Fault counts are not state: a device changes them at any time. Used entries go with the
/// quarantine, as far as they are nobody's.
fn faultless(mut tree: Vec<Domain>) -> Vec<Domain> {
    for node in &mut tree {
        match node {
            Domain::Message(info) => info.faults = 0,
            Domain::Remapper { used, .. } => *used = 0,
            _ => {}
        }
    }
    tree
}
