//! Random lives of many messages against a simple model: the invariants of DESIGN §4.
//!
//! The model is a list of what each client believes. The machine is the VT-d model, whose
//! cache keeps all it may, the AMD-Vi model, which caches more, or the ITS model, which is as lazy as the architecture allows, and
//! a kernel whose CPUs take events late. After each step:
//!
//! * 1 authority: a pair written by any device but its owner's makes no packet at all;
//! * 2 nothing lost: a write to an active message makes a packet for it, once taken, through
//!   affinity changes, blocking and hardware that is late; with an ITS, one to a blocked
//!   message does when it is unblocked;
//! * 4 silent: reserved, blocked and freed messages get none;
//! * 5 no early reuse: the fake kernel notes an event that is claimed while it drains, the
//!   model unit a present entry whose source check changes, the model ITS an LPI that is
//!   mapped while it is pending or in a CPU's hands, this test an entry that has two owners;
//! * 9 failure is an answer: whatever fails, the visible state is what it was.

use crate::common::{OverAmdVi, OverDirectLpi, OverIts, OverMbi, OverVtd};
use crate::habits::{
    Habits, amdvi_options, direct_options, gicd_options, its_options, vtd_options,
};
use crate::world::World;
use interrupt_core::fake::KernelCall;
use proptest::prelude::*;

/// One step of a client, a device, a CPU, or fate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Alloc {
        client: usize,
        count: usize,
        contiguous: bool,
        cpus: u64,
    },
    /// A block of `1 << order`, of which the first answer brings `given`.
    AllocBlock {
        client: usize,
        order: u8,
        given: usize,
    },
    /// What was withheld of a block, as far as there is room for it.
    Collect(usize, usize),
    Activate(usize),
    Deactivate(usize),
    Free(usize),
    Block(usize),
    Unblock(usize),
    Affinity(usize, u64),
    Storm(usize),
    Orphan(usize),
    Gone(usize),
    /// A device writes a message's pair, its own or another's, or a freed one's.
    Write {
        device: usize,
        message: usize,
    },
    /// CPUs acknowledge what is pending, and do not deal with it yet.
    Acknowledge,
    TakeEvents,
    Tick,
    Faults,
    Hang(bool),
    Refuse(u32),
    Fail(KernelCall),
    Heal,
}

fn any_step(trouble: bool) -> impl Strategy<Value = Step> {
    let id = 0..64_usize;
    let usual = prop_oneof![
        6 => (0..3_usize, 1..5_usize, any::<bool>(), 0..8_u64).prop_map(
            |(client, count, contiguous, cpus)| Step::Alloc { client, count, contiguous, cpus }
        ),
        2 => (0..3_usize, 0..4_u8, 1..9_usize).prop_map(
            |(client, order, given)| Step::AllocBlock { client, order, given }
        ),
        3 => (id.clone(), 1..5_usize).prop_map(|(id, room)| Step::Collect(id, room)),
        8 => id.clone().prop_map(Step::Activate),
        3 => id.clone().prop_map(Step::Deactivate),
        3 => id.clone().prop_map(Step::Free),
        2 => id.clone().prop_map(Step::Block),
        3 => id.clone().prop_map(Step::Unblock),
        4 => (id.clone(), 0..8_u64).prop_map(|(id, cpus)| Step::Affinity(id, cpus)),
        1 => id.clone().prop_map(Step::Storm),
        1 => id.clone().prop_map(Step::Orphan),
        1 => (0..30_usize).prop_map(Step::Gone),
        12 => (0..4_usize, id).prop_map(|(device, message)| Step::Write { device, message }),
        2 => Just(Step::Acknowledge),
        3 => Just(Step::TakeEvents),
        2 => Just(Step::Tick),
        1 => Just(Step::Faults),
    ];
    let call = prop::sample::select(vec![
        KernelCall::Create,
        KernelCall::Activate,
        KernelCall::MoveTo,
        KernelCall::Deactivate,
        KernelCall::Block,
        KernelCall::Unblock,
        KernelCall::BlockedEvents,
        KernelCall::Destroy,
    ]);
    let fate = prop_oneof![
        any::<bool>().prop_map(Step::Hang),
        (0..3_u32).prop_map(Step::Refuse),
        call.prop_map(Step::Fail),
        Just(Step::Heal),
    ];
    prop_oneof![8 => usual, u32::from(trouble) => fate]
}

/// Hardware and kernel do as they should.
fn good_lives<R: Habits>(
    options: R::Options,
    cpus: u8,
    last: u8,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut world: World<R> = World::new(options, cpus, last);
    for step in steps {
        world.step(step)?;
    }
    let statistics = world.server.statistics();
    prop_assert_eq!((statistics.flushes_late, statistics.undo_failures), (0, 0));
    world.end_of_the_world(false)
}

/// Calls fail, the queue hangs, invalidations are refused or commands stall.
fn troubled_lives<R: Habits>(
    options: R::Options,
    cpus: u8,
    last: u8,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut world: World<R> = World::new(options, cpus, last);
    for step in steps {
        world.step(step)?;
    }
    world.end_of_the_world(true)
}

fn steps(trouble: bool) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(trouble), 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn lives(
        options in vtd_options(),
        cpus in 1..=3_u8,
        last in 0x30..=0x34_u8,
        steps in steps(false),
    ) {
        good_lives::<OverVtd>(options, cpus, last, steps)?;
    }

    #[test]
    fn lives_in_trouble(
        options in vtd_options(),
        cpus in 1..=3_u8,
        last in 0x30..=0x34_u8,
        steps in steps(true),
    ) {
        troubled_lives::<OverVtd>(options, cpus, last, steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, ..ProptestConfig::default() })]

    #[test]
    fn its_lives(options in its_options(), cpus in 1..=3_u8, steps in steps(false)) {
        good_lives::<OverIts>(options, cpus, 0x30, steps)?;
    }

    #[test]
    fn its_lives_in_trouble(options in its_options(), cpus in 1..=3_u8, steps in steps(true)) {
        troubled_lives::<OverIts>(options, cpus, 0x30, steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn mbi_lives(options in gicd_options(), cpus in 1..=3_u8, steps in steps(false)) {
        good_lives::<OverMbi>(options, cpus, 0x30, steps)?;
    }

    #[test]
    fn mbi_lives_in_trouble(options in gicd_options(), cpus in 1..=3_u8, steps in steps(true)) {
        troubled_lives::<OverMbi>(options, cpus, 0x30, steps)?;
    }

    #[test]
    fn direct_lpi_lives(options in direct_options(), cpus in 1..=3_u8, steps in steps(false)) {
        good_lives::<OverDirectLpi>(options, cpus, 0x30, steps)?;
    }

    #[test]
    fn direct_lpi_lives_in_trouble(
        options in direct_options(),
        cpus in 1..=3_u8,
        steps in steps(true),
    ) {
        troubled_lives::<OverDirectLpi>(options, cpus, 0x30, steps)?;
    }
}

proptest! {
    // Each has a device table of 2 MiB to fill.
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn amdvi_lives(
        options in amdvi_options(),
        cpus in 1..=3_u8,
        last in 0x30..=0x34_u8,
        steps in steps(false),
    ) {
        good_lives::<OverAmdVi>(options, cpus, last, steps)?;
    }

    #[test]
    fn amdvi_lives_in_trouble(
        options in amdvi_options(),
        cpus in 1..=3_u8,
        last in 0x30..=0x34_u8,
        steps in steps(true),
    ) {
        troubled_lives::<OverAmdVi>(options, cpus, last, steps)?;
    }
}
