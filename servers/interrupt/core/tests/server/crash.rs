//! Queue memory and a driver that dies between any two steps (DESIGN §5): the server's answer
//! is *prepare*, the driver writes the pair and commits, and only then is the message active.
//!
//! Death is what the server hears of it: the kernel's *orphaned* packets, in any order, or
//! that the client is gone, or both; with events still in a CPU, and with hardware that is
//! late. Each time all counts are what they were, nobody hears of the device's late writes,
//! and the next driver of the device works.

use crate::common::{A, B, OverAmdVi, OverIts, OverVtd, Rig, Server, alloc, settle};
use crate::habits::Habits;
use interrupt_core::fake::{FakeHandle, FakeMachine, fake_config};
use interrupt_core::{Allocated, BackEnd, CpuSet, Kind};
use proptest::prelude::*;

type Message = Allocated<FakeHandle>;

/// How the server hears of a death.
#[derive(Clone, Copy, Debug)]
struct Death {
    /// Orphaned packets come, the last message's first or last.
    orphans: Option<bool>,
    /// pci says that nobody drives the device any more: before the packets, or after.
    gone: Option<bool>,
    /// The last write is still in a CPU.
    in_flight: bool,
    /// Hardware does not follow until after the death.
    late: bool,
}

fn death() -> impl Strategy<Value = Death> {
    (prop::option::of(any::<bool>()), prop::option::of(any::<bool>()), any::<[bool; 2]>()).prop_map(
        |(orphans, gone, [in_flight, late])| Death {
            // Somebody has to say something.
            orphans: if gone.is_none() { orphans.or(Some(true)) } else { orphans },
            gone,
            in_flight,
            late,
        },
    )
}

/// Steps of a message's life; a driver takes each with all of its messages.
const STEPS: usize = 10;

fn step<R: Rig>(machine: &FakeMachine, core: &mut Server<R>, step: usize, message: &Message) {
    // What hardware that is late refuses, it refuses; the driver dies all the same.
    let _ = match step {
        // Binding and writing the queue are no business of the server's: a device that reads
        // too early writes what is there.
        0 | 1 | 3 => {
            machine.write(Some(A), message.pair);
            Ok(())
        }
        2 => core.activate(A, message.id).map(drop),
        4 => core.block(A, message.id),
        5 => core.unblock(A, message.id),
        6 => core.set_affinity(A, message.id, CpuSet::from_bits(2)),
        7 => core.deactivate(A, message.id),
        8 => core.activate(A, message.id).map(drop),
        _ => core.free(A, message.id),
    };
}

fn counts<R: Rig>(machine: &FakeMachine, core: &mut Server<R>) -> (u32, usize, usize) {
    (core.back_end_mut().entries_used(), machine.kernel.live(), core.quarantined())
}

/// A driver with `count` messages does `last` steps, the last one only with `some` of them,
/// and dies.
fn dies<R: Habits>(
    machine: &FakeMachine,
    core: &mut Server<R>,
    count: usize,
    (last, some): (usize, usize),
    death: Death,
) -> Result<(), TestCaseError> {
    let bystander = alloc(core, B, Kind::QueueMemory).expect("room");
    core.activate(B, bystander.id).expect("a vector");
    let before = counts::<R>(machine, core);
    let messages: Vec<Message> =
        (0..count).map(|_| alloc(core, A, Kind::QueueMemory).expect("room")).collect();
    for number in 0..last {
        messages.iter().for_each(|message| step::<R>(machine, core, number, message));
        machine.take_events();
    }
    machine.hang(death.late);
    messages.iter().take(some).for_each(|message| step::<R>(machine, core, last, message));
    if death.in_flight {
        for message in &messages {
            machine.write(Some(A), message.pair);
        }
        machine.acknowledge();
    }
    // The driver is dead. Its packets are late or never come for what it had freed.
    if death.gone == Some(true) {
        core.client_gone(A);
    }
    if let Some(backwards) = death.orphans {
        for number in 0..count {
            let which = if backwards { count - 1 - number } else { number };
            let _ = core.orphaned(messages[which].id);
        }
    }
    if death.gone == Some(false) {
        core.client_gone(A);
    }
    // What was in a CPU is nobody's; what the device writes from now on neither.
    let heard: Vec<u64> =
        messages.iter().map(|message| machine.kernel.delivered(message.handle)).collect();
    for _ in 0..2 {
        for message in &messages {
            machine.write(Some(A), message.pair);
        }
        machine.take_events();
    }
    for (message, heard) in messages.iter().zip(heard) {
        prop_assert_eq!(machine.kernel.delivered(message.handle), heard, "after its death");
    }
    prop_assert_eq!(machine.kernel.delivered(bystander.handle), 0, "somebody else's");
    machine.hang(false);
    settle(machine, core);
    prop_assert_eq!(counts::<R>(machine, core), before);
    // The next driver of the device: as many messages, each works, and nobody else's does.
    let next: Vec<Message> =
        (0..count).map(|_| alloc(core, A, Kind::QueueMemory).expect("as before")).collect();
    for message in &next {
        core.activate(A, message.id).expect("a vector");
        prop_assert_eq!(machine.kernel.delivered(message.handle), 0);
        prop_assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    prop_assert_eq!(machine.fire(B, bystander.pair, bystander.handle), 1);
    core.client_gone(A);
    core.client_gone(B);
    settle(machine, core);
    prop_assert_eq!(machine.violations(), Vec::<String>::new());
    Ok(())
}

fn one_death<R: Habits>(
    count: usize,
    at: (usize, usize),
    death: Death,
) -> Result<(), TestCaseError> {
    let machine = R::machine(2);
    let mut core = R::server(&machine, &fake_config(0x5f, 64, 64));
    dies::<R>(&machine, &mut core, count, at, death)?;
    // And once more, over what the first has left.
    dies::<R>(&machine, &mut core, count, at, death)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_driver_dies_between_any_two_steps(
        count in 1..6_usize,
        last in 0..STEPS,
        some in 0..6_usize,
        death in death(),
    ) {
        one_death::<OverVtd>(count, (last, some), death)?;
        one_death::<OverIts>(count, (last, some), death)?;
    }
}

proptest! {
    // Each has a device table of 2 MiB to fill.
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_driver_dies_between_any_two_steps_amdvi(
        count in 1..6_usize,
        last in 0..STEPS,
        some in 0..6_usize,
        death in death(),
    ) {
        one_death::<OverAmdVi>(count, (last, some), death)?;
    }
}
