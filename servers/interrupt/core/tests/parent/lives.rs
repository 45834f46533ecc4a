//! Random lives on two levels against a simple model: what a client of the child believes, the
//! child says, the root says, and hardware does.
//!
//! After each step: whatever failed has changed nothing on either level; a write to an active
//! message makes a packet for it and for nobody else; reserved, blocked and ended messages get
//! none; the child shows no message that its clients do not have; the root shows none of the
//! subsystem's that the child does not know, unless the child was refused its end; what the
//! subsystem holds is within its quota. At the end everything is back, on both.

use crate::levels::{A, B, D, FIRST, Levels, OverAmdVi, OverIts, OverVtd, QUOTA, Rig, alloc};
use interrupt_core::fake::{FakeHandle, KernelCall};
use interrupt_core::parent::Refusal;
use interrupt_core::{
    AllocRequest, Allocated, BackEnd, Contiguity, CpuSet, Domain, Error, Kind, MessageId,
    MessageState, Pair, RequesterId,
};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Alloc {
        second: bool,
        order: u8,
        contiguous: bool,
        cpus: u64,
    },
    Activate(usize),
    Deactivate(usize),
    Block(usize),
    Unblock(usize),
    Affinity(usize, u64),
    Free(usize),
    /// The last handle goes while its driver lives: only the root hears.
    Orphan(usize),
    Storm(usize),
    /// A driver dies: root and child are told.
    Gone(bool),
    /// The child dies with all its drivers, and another one is started.
    Restart,
    Write {
        device: usize,
        message: usize,
    },
    TakeEvents,
    Tick,
    /// The parent refuses everything, or no more.
    Refuse(Option<u32>),
    Fail(KernelCall),
    Hang(bool),
    Heal,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..40_usize;
    let call = prop::sample::select(vec![
        KernelCall::Create,
        KernelCall::Activate,
        KernelCall::Deactivate,
        KernelCall::Block,
        KernelCall::Unblock,
        KernelCall::Destroy,
    ]);
    prop_oneof![
        8 => (any::<bool>(), 0..3_u8, any::<bool>(), 0..8_u64).prop_map(
            |(second, order, contiguous, cpus)| Step::Alloc { second, order, contiguous, cpus }
        ),
        8 => id.clone().prop_map(Step::Activate),
        3 => id.clone().prop_map(Step::Deactivate),
        3 => id.clone().prop_map(Step::Block),
        3 => id.clone().prop_map(Step::Unblock),
        3 => (id.clone(), 0..8_u64).prop_map(|(id, cpus)| Step::Affinity(id, cpus)),
        4 => id.clone().prop_map(Step::Free),
        2 => id.clone().prop_map(Step::Orphan),
        1 => id.clone().prop_map(Step::Storm),
        1 => any::<bool>().prop_map(Step::Gone),
        1 => Just(Step::Restart),
        12 => (0..4_usize, id).prop_map(|(device, message)| Step::Write { device, message }),
        3 => Just(Step::TakeEvents),
        3 => Just(Step::Tick),
        1 => prop::option::of(1..20_u32).prop_map(Step::Refuse),
        1 => call.prop_map(Step::Fail),
        1 => any::<bool>().prop_map(Step::Hang),
        3 => Just(Step::Heal),
    ]
}

/// What a client of the child believes of a message.
struct Belief {
    client: RequesterId,
    message: Allocated<FakeHandle>,
    /// `None`: it has ended.
    state: Option<MessageState>,
    /// It has ended above, and the child has not been told.
    hidden: bool,
}

struct World<R: Rig> {
    levels: Levels<R>,
    beliefs: Vec<Belief>,
    /// A message of the root's own, which nobody may disturb.
    own: Allocated<FakeHandle>,
    /// The child, or the root, could not end something: more is held than anybody knows of.
    owed: bool,
    /// A storm that the child has not heard of, perhaps.
    stormed: bool,
    /// Pairs and handles of children that died.
    ended: Vec<(Pair, FakeHandle)>,
}

type Answer = Result<(), Error<interrupt_core::fake::FakeError>>;

impl<R: Rig> World<R> {
    fn new(cpus: u8, last: u8) -> Self {
        let levels = Levels::<R>::new(cpus, last);
        let own = alloc(&mut *levels.root.borrow_mut(), D).expect("room");
        levels.root.borrow_mut().activate(D, own.id).expect("a vector");
        Self { levels, beliefs: Vec::new(), own, owed: false, stormed: false, ended: Vec::new() }
    }

    fn apply(&mut self, step: Step) -> Result<(), TestCaseError> {
        let seen = self.levels.seen();
        // What had ended unheard may be noticed now.
        let unheard = self.stormed || self.beliefs.iter().any(|belief| belief.hidden);
        let answer = match step {
            Step::Alloc { second, order, contiguous, cpus } => {
                let client = if second { B } else { A };
                let contiguity =
                    if contiguous { Contiguity::Contiguous } else { Contiguity::Single };
                let cpus = CpuSet::from_bits(cpus);
                let request = AllocRequest { kind: Kind::DeviceArray, contiguity, cpus };
                let mut out = [None; 4];
                let count = 1 << order;
                let made = self.levels.child.alloc(client, &request, &mut out[..count]);
                for message in out.into_iter().flatten() {
                    self.levels.child.handed_on(message.id);
                    let state = Some(MessageState::Reserved);
                    self.beliefs.push(Belief { client, message, state, hidden: false });
                }
                made
            }
            Step::Activate(n) => self.act(n, Some(MessageState::Active), |levels, client, id| {
                levels.child.activate(client, id).map(drop)
            }),
            Step::Deactivate(n) => {
                self.act(n, Some(MessageState::Reserved), |levels, client, id| {
                    levels.child.deactivate(client, id)
                })
            }
            Step::Block(n) => self.act(n, Some(MessageState::Blocked), |levels, client, id| {
                levels.child.block(client, id)
            }),
            Step::Unblock(n) => self.act(n, Some(MessageState::Active), |levels, client, id| {
                levels.child.unblock(client, id)
            }),
            Step::Affinity(n, cpus) => {
                let state = self.belief(n).and_then(|at| self.beliefs[at].state);
                self.act(n, state, |levels, client, id| {
                    levels.child.set_affinity(client, id, CpuSet::from_bits(cpus))
                })
            }
            Step::Free(n) => self.act(n, None, |levels, client, id| levels.child.free(client, id)),
            Step::Orphan(n) => return self.orphan(n),
            Step::Storm(n) => return self.storm(n),
            Step::Gone(second) => return self.gone(if second { B } else { A }),
            Step::Restart => {
                self.levels.restart();
                // Their drivers died too, and the new child gives out names of its own.
                let old = self.beliefs.drain(..).map(|it| (it.message.pair, it.message.handle));
                self.ended.extend(old);
                self.owed = true;
                return Ok(());
            }
            Step::Write { device, message } => return self.write(device, message),
            Step::TakeEvents => {
                self.levels.machine.take_events();
                return Ok(());
            }
            Step::Tick => {
                self.levels.child.tick(4);
                self.levels.root.borrow_mut().tick(4);
                return Ok(());
            }
            Step::Refuse(code) => {
                self.levels.way.fail(code.map(Refusal::Code));
                return Ok(());
            }
            Step::Fail(call) => {
                self.owed |= call == KernelCall::Destroy;
                self.levels.machine.kernel.fail(call);
                return Ok(());
            }
            Step::Hang(hung) => {
                self.levels.machine.hang(hung);
                return Ok(());
            }
            Step::Heal => {
                self.heal();
                return Ok(());
            }
        };
        // 9: failure is an answer, on both levels.
        if answer.is_err() && !self.owed && !unheard {
            prop_assert_eq!(&self.levels.seen().0, &seen.0, "the root");
            prop_assert_eq!(&self.levels.seen().1, &seen.1, "the child");
        }
        Ok(())
    }

    fn heal(&mut self) {
        self.levels.way.fail(None);
        self.levels.machine.kernel.heal();
        self.levels.machine.hang(false);
    }

    fn belief(&self, number: usize) -> Option<usize> {
        (!self.beliefs.is_empty()).then(|| number % self.beliefs.len())
    }

    fn act(
        &mut self,
        number: usize,
        state: Option<MessageState>,
        act: impl FnOnce(&mut Levels<R>, RequesterId, MessageId) -> Answer,
    ) -> Answer {
        let Some(at) = self.belief(number) else { return Ok(()) };
        let belief = &mut self.beliefs[at];
        let done = act(&mut self.levels, belief.client, belief.message.id);
        if belief.state.is_none() {
            assert_eq!(done, Err(Error::BadId), "an ended message's name means nothing");
        } else if done.is_ok() {
            assert!(!belief.hidden, "it has ended above");
            belief.state = state;
        } else if done == Err(Error::BadId) {
            assert!(belief.hidden, "it had not ended");
            belief.state = None;
            belief.hidden = false;
        }
        done
    }

    fn above(&mut self, at: usize) -> Option<MessageId> {
        let id = self.beliefs[at].message.id;
        let entry = self.levels.child.describe().find_map(|node| match node {
            Domain::Message(info) if info.id == id => info.entry,
            _ => None,
        })?;
        let (_, bits) = self.levels.child.back_end_mut().name_above(entry)?;
        Some(MessageId::from_bits(bits))
    }

    fn orphan(&mut self, number: usize) -> Result<(), TestCaseError> {
        let Some(at) = self.belief(number) else { return Ok(()) };
        if let Some(above) = self.above(at) {
            let told = self.levels.root.borrow_mut().orphaned(above);
            let belief = &mut self.beliefs[at];
            prop_assert_eq!(told.is_ok(), !belief.hidden);
            belief.hidden = true;
        }
        Ok(())
    }

    fn storm(&mut self, number: usize) -> Result<(), TestCaseError> {
        let Some(at) = self.belief(number) else { return Ok(()) };
        if let Some(above) = self.above(at)
            && self.levels.root.borrow_mut().storm(above).is_ok()
        {
            self.beliefs[at].state = Some(MessageState::Blocked);
            self.stormed = true;
        }
        Ok(())
    }

    fn gone(&mut self, device: RequesterId) -> Result<(), TestCaseError> {
        self.levels.root.borrow_mut().client_gone(device);
        self.levels.child.client_gone(device);
        // Another driver starts: the device joins again.
        let joined = self.levels.root.borrow_mut().join(FIRST, device);
        prop_assert_eq!(joined, Ok(()));
        for belief in self.beliefs.iter_mut().filter(|belief| belief.client == device) {
            belief.state = None;
            belief.hidden = false;
        }
        self.owed = true;
        Ok(())
    }

    fn write(&mut self, device: usize, number: usize) -> Result<(), TestCaseError> {
        let device = [A, B, D, RequesterId::from_bits(0x5555)][device];
        let Some(at) = self.belief(number) else { return Ok(()) };
        let belief = &self.beliefs[at];
        let (pair, handle) = (belief.message.pair, belief.message.handle);
        let expected =
            belief.state == Some(MessageState::Active) && !belief.hidden && belief.client == device;
        self.levels.machine.take_events();
        let before = self.deliveries();
        self.levels.machine.write(Some(device), pair);
        self.levels.machine.take_events();
        if expected {
            prop_assert!(self.levels.machine.kernel.delivered(handle) > before_of(&before, handle));
        }
        for (other, was, may) in before {
            let now = self.levels.machine.kernel.delivered(other);
            prop_assert!(now == was || may, "a packet for {:?}, which may get none", other);
        }
        Ok(())
    }

    /// Packets of each, and whether it may get more.
    fn deliveries(&self) -> Vec<(FakeHandle, u64, bool)> {
        let kernel = &self.levels.machine.kernel;
        let of = |belief: &Belief| {
            let handle = belief.message.handle;
            let active = belief.state == Some(MessageState::Active) && !belief.hidden;
            // A kernel that refused to stop it is not what is tested here.
            let refused = kernel.state(handle) == interrupt_core::fake::FakeState::Active;
            (handle, kernel.delivered(handle), active || refused)
        };
        self.beliefs.iter().map(of).collect()
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.levels.machine.violations(), Vec::<String>::new());
        prop_assert_eq!(self.levels.way.kept(), 0, "handles in the child's hands");
        let mut below = Vec::new();
        for node in self.levels.child.describe() {
            let Domain::Message(info) = node else { continue };
            let belief = self.beliefs.iter().find(|belief| belief.message.id == info.id);
            let belief = belief.expect("no message that nobody has");
            prop_assert!(belief.state.is_some());
            prop_assert_eq!(info.pair, belief.message.pair);
            prop_assert_eq!(info.client, belief.client.into());
            let entry = info.entry.expect("the parent's");
            let place =
                self.levels.child.describe().filter(
                    |other| matches!(other, Domain::Message(it) if it.entry == Some(entry)),
                );
            prop_assert_eq!(place.count(), 1, "one owner for each entry");
            below.push((entry, info, belief.hidden, belief.state));
        }
        let lives = self.beliefs.iter().filter(|it| it.state.is_some() && !it.hidden).count();
        prop_assert_eq!(below.iter().filter(|it| !it.2).count(), lives);
        let mut known = Vec::new();
        for (entry, info, hidden, state) in below {
            let (client, bits) =
                self.levels.child.back_end_mut().name_above(entry).expect("it has a name above");
            prop_assert_eq!(client, info.client);
            let above = self.levels.root.borrow().info(client, MessageId::from_bits(bits));
            prop_assert_eq!(above.is_err(), hidden);
            if let Ok(above) = above {
                known.push(above.id);
                prop_assert_eq!(above.pair, info.pair);
                prop_assert_eq!(Some(above.state), state, "the root's word counts");
            }
        }
        let root = self.levels.root.borrow();
        let held = root.subsystem(FIRST).expect("it is known").held;
        prop_assert!(held <= QUOTA, "{} held", held);
        if !self.owed {
            for node in root.describe() {
                let Domain::Message(info) = node else { continue };
                let own = info.client == D.into() || known.contains(&info.id);
                prop_assert!(own, "{:?} is nobody's", info.id);
            }
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), TestCaseError> {
        self.heal();
        for device in [A, B] {
            self.levels.child.client_gone(device);
        }
        self.levels.settle();
        let old = self.beliefs.iter().map(|it| (it.message.pair, it.message.handle));
        for late in old.chain(self.ended.iter().copied()) {
            for device in [A, B] {
                prop_assert_eq!(self.levels.machine.fire(device, late.0, late.1), 0, "late");
            }
        }
        let (pair, handle) = (self.own.pair, self.own.handle);
        prop_assert_eq!(self.levels.machine.fire(D, pair, handle), 1, "nobody else felt it");
        self.levels.root.borrow_mut().client_gone(D);
        self.levels.all_is_back();
        Ok(())
    }
}

fn before_of(before: &[(FakeHandle, u64, bool)], handle: FakeHandle) -> u64 {
    before.iter().find(|(other, ..)| *other == handle).map_or(0, |(_, was, _)| *was)
}

fn lives<R: Rig>(cpus: u8, last: u8, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::<R>::new(cpus, last);
    for step in steps {
        world.apply(step)?;
        world.check()?;
    }
    world.end()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn two_levels_over_vtd(
        cpus in 1..=3_u8,
        last in 0x31..=0x38_u8,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        lives::<OverVtd>(cpus, last, steps)?;
    }

    #[test]
    fn two_levels_over_an_its(
        cpus in 1..=3_u8,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        lives::<OverIts>(cpus, 0x30, steps)?;
    }
}

proptest! {
    // Each has a device table of 2 MiB to fill.
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn two_levels_over_amdvi(
        cpus in 1..=3_u8,
        last in 0x31..=0x38_u8,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        lives::<OverAmdVi>(cpus, last, steps)?;
    }
}
