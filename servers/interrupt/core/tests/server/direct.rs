//! A device whose messages go past the remapper (QEMU's HPET): real vectors, real quotas, and a
//! vector that nobody else gets before its device is silent.

use crate::common::{A, OverAmdVi, OverIts, OverVtd, Rig, Server, alloc, request, settle};
use interrupt_core::fake::{FakeHandle, FakeMachine, FakeState, KernelCall, fake_config};
use interrupt_core::vtd::CompatibilityMessage;
use interrupt_core::{
    AllocRequest, Allocated, BackEnd, ClientId, ClientPolicy, Contiguity, CpuEvent, CpuSet, Error,
    Kind, MessageState, Pair, Source,
};

const HPET: ClientId = ClientId::platform(5);

/// A server that knows the HPET, and the quirk if there is one.
fn server<R: Rig>(machine: &FakeMachine, past_remapper: bool) -> Server<R> {
    let config = fake_config(0x3f, 64, 4);
    let mut core = R::server(machine, &config);
    let policy = ClientPolicy { past_remapper, ..config.core.default_policy };
    core.register(HPET, policy).expect("a place");
    core
}

fn timer<R: Rig>(core: &mut Server<R>) -> Result<Allocated<FakeHandle>, Refused> {
    let mut out = [None];
    core.alloc(HPET, &request(Kind::Registers), &mut out)?;
    Ok(out[0].expect("an answer"))
}

type Refused = Error<interrupt_core::fake::FakeError>;

/// The device writes past the remapper: straight to the CPU that the pair names.
fn tick(machine: &FakeMachine, pair: Pair) -> CpuEvent {
    let message = CompatibilityMessage::decode(pair).expect("compatibility format");
    let apic = u32::from(message.destination);
    let cpu = machine.cpus().iter().position(|cpu| cpu.bits() == apic).expect("such a CPU");
    let cpu = interrupt_core::CpuIndex::new(cpu as u8).expect("few CPUs");
    let event = CpuEvent { cpu, vector: message.vector.into() };
    machine.kernel.raise(event);
    event
}

/// Without the quirk and without a scope nobody knows whose the writes are.
#[test]
fn without_a_source_or_a_quirk_there_is_none() {
    let machine = OverVtd::machine(1);
    let mut core = server::<OverVtd>(&machine, false);
    assert_eq!(timer::<OverVtd>(&mut core).unwrap_err(), Error::NotSupported);
    assert_eq!(machine.kernel.live(), 0);
    // With a scope it is a message like others.
    let source = Some(Source::Function(A));
    let policy = ClientPolicy { source, ..fake_config(0x3f, 64, 4).core.default_policy };
    core.register(HPET, policy).unwrap();
    let message = timer::<OverVtd>(&mut core).unwrap();
    assert!(CompatibilityMessage::decode(message.pair).is_err(), "remapped");
    core.activate(HPET, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Only its own registers are past the remapper, and only where a CPU takes such pairs.
#[test]
fn the_quirk_is_for_registers_on_a_pc() {
    let machine = OverVtd::machine(1);
    let mut core = server::<OverVtd>(&machine, true);
    for kind in [Kind::PciMsi, Kind::Msix, Kind::DeviceArray, Kind::QueueMemory] {
        let mut out = [None];
        let refused = core.alloc(HPET, &request(kind), &mut out);
        assert_eq!((refused, out), (Err(Error::NotSupported), [None]), "{kind:?}");
    }
    // Another's registers are remapped.
    let other = alloc(&mut core, A, Kind::Registers).unwrap();
    assert!(CompatibilityMessage::decode(other.pair).is_err());
    let machine = OverIts::machine(1);
    let mut core = server::<OverIts>(&machine, true);
    assert_eq!(timer::<OverIts>(&mut core).unwrap_err(), Error::NotSupported);
    let machine = OverAmdVi::machine(1);
    assert!(timer::<OverAmdVi>(&mut server::<OverAmdVi>(&machine, true)).is_ok());
}

#[test]
fn a_timers_life() {
    let machine = OverVtd::machine(2);
    let mut core = server::<OverVtd>(&machine, true);
    let free = core.back_end_mut().space(0).unwrap().count.free;
    let entries = core.back_end_mut().entries_used();
    let mut out = [None];
    let second = AllocRequest { cpus: CpuSet::from_bits(2), ..request(Kind::Registers) };
    core.alloc(HPET, &second, &mut out).unwrap();
    let message = out[0].unwrap();
    assert_eq!(message.pair.address, 0xfee0_2000, "CPU 1 has APIC id 2");
    assert_eq!(machine.kernel.identity(message.handle), (message.pair, message.id.bits()));
    assert_eq!(core.back_end_mut().entries_used(), entries, "no entry");
    // Reserved: the kernel does not know the vector.
    tick(&machine, message.pair);
    machine.take_events();
    assert_eq!(machine.kernel.delivered(message.handle), 0);
    let event = core.activate(HPET, message.id).unwrap();
    for round in 1..=3 {
        assert_eq!(tick(&machine, message.pair), event);
        machine.take_events();
        assert_eq!(machine.kernel.delivered(message.handle), round);
    }
    // The pair is in the device: it does not move.
    assert_eq!(core.set_affinity(HPET, message.id, CpuSet::from_bits(1)), Err(Error::NotSupported));
    // Blocked by the kernel alone, and raised once when it is over.
    core.block(HPET, message.id).unwrap();
    tick(&machine, message.pair);
    machine.take_events();
    assert_eq!(machine.kernel.blocked(message.handle), 1);
    core.unblock(HPET, message.id).unwrap();
    assert_eq!(machine.kernel.delivered(message.handle), 4);
    core.storm(message.id).unwrap();
    core.storm_over(message.id).unwrap();
    // Off and on again with the same vector, when it has drained.
    core.deactivate(HPET, message.id).unwrap();
    assert_eq!(core.info(HPET, message.id).unwrap().state, MessageState::Reserved);
    machine.take_events();
    assert_eq!(core.activate(HPET, message.id), Ok(event));
    let info = core.info(HPET, message.id).unwrap();
    assert_eq!((info.entry, info.name, info.event), (None, None, Some(event)));
    core.free(HPET, message.id).unwrap();
    settle(&machine, &mut core);
    assert_eq!(core.back_end_mut().space(0).unwrap().count.free, free);
    assert_eq!(machine.kernel.live(), 0);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Its own quota, its own errors, and all or nothing.
#[test]
fn limits_and_failures_change_nothing() {
    let machine = OverVtd::machine(1);
    let mut core = server::<OverVtd>(&machine, true);
    let free = core.back_end_mut().space(0).unwrap().count.free;
    let mut five = [None; 5];
    let ask = request(Kind::Registers);
    assert_eq!(core.alloc(HPET, &ask, &mut five), Err(Error::QuotaExceeded));
    assert_eq!(core.alloc(HPET, &ask, &mut []), Err(Error::BadArgument));
    let run = AllocRequest { contiguity: Contiguity::Contiguous, ..ask };
    assert_eq!(core.alloc(HPET, &run, &mut five[..2]), Err(Error::NoContiguous));
    machine.kernel.fail(KernelCall::Create);
    assert!(matches!(core.alloc(HPET, &ask, &mut five[..2]), Err(Error::Kernel(_))));
    machine.kernel.heal();
    assert_eq!(core.back_end_mut().space(0).unwrap().count.free, free);
    core.alloc(HPET, &ask, &mut five[..4]).unwrap();
    assert_eq!(core.alloc(HPET, &ask, &mut five[4..]), Err(Error::QuotaExceeded));
    core.client_gone(HPET);
    settle(&machine, &mut core);
    assert_eq!(core.back_end_mut().space(0).unwrap().count.free, free);
    // The last vectors: what fits comes, and the rest changes nothing.
    let config = fake_config(0x33, 64, 32);
    let mut core = OverVtd::server(&machine, &config);
    let policy = ClientPolicy { past_remapper: true, ..config.core.default_policy };
    core.register(HPET, policy).unwrap();
    let all = core.back_end_mut().space(0).unwrap().count.free;
    let mut out = [None; 32];
    let refused = core.alloc(HPET, &ask, &mut out[..usize::from(all) + 1]);
    assert_eq!(refused, Err(Error::NoVectors));
    assert_eq!(core.back_end_mut().space(0).unwrap().count.free, all);
    core.alloc(HPET, &ask, &mut out[..usize::from(all)]).unwrap();
    assert_eq!(machine.kernel.live(), usize::from(all));
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Invariant 5 without a remapper: a driver dies while its timer ticks. Nobody has its vector
/// before init has silenced the timer and says so.
#[test]
fn a_dead_drivers_vector_waits_for_a_silent_device() {
    let machine = OverVtd::machine(1);
    let mut core = server::<OverVtd>(&machine, true);
    let message = timer::<OverVtd>(&mut core).unwrap();
    let event = core.activate(HPET, message.id).unwrap();
    assert_eq!(core.orphaned(message.id), Ok(HPET));
    assert_eq!(machine.kernel.state(message.handle), FakeState::Dead);
    assert_eq!(core.orphaned(message.id), Err(Error::BadId));
    assert_eq!(core.activate(HPET, message.id), Err(Error::BadId));
    // The timer still ticks: into nothing, however long it goes on.
    for _ in 0..10 {
        tick(&machine, message.pair);
        settle(&machine, &mut core);
    }
    let mut heirs = Vec::new();
    while let Ok(heir) = alloc(&mut core, A, Kind::Msix) {
        heirs.push(core.activate(A, heir.id).expect("32 vectors are more than a quota"));
    }
    let space = core.back_end_mut().space(0).unwrap();
    assert!(!heirs.contains(&event) && space.count.free > 0);
    // init has masked the comparators.
    let free = space.count.free;
    core.client_gone(HPET);
    settle(&machine, &mut core);
    assert_eq!(core.back_end_mut().space(0).unwrap().count.free, free + 1);
    core.client_gone(HPET);
    // The next driver has its quota, and the vector drained before it was anybody's.
    let again = timer::<OverVtd>(&mut core).unwrap();
    core.activate(HPET, again.id).unwrap();
    core.free(HPET, again.id).unwrap();
    settle(&machine, &mut core);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// The packet about the orphan comes after init's word.
#[test]
fn the_other_order_ends_the_same() {
    for armed in [false, true] {
        let machine = OverVtd::machine(1);
        let mut core = server::<OverVtd>(&machine, true);
        let free = core.back_end_mut().space(0).unwrap().count.free;
        let message = timer::<OverVtd>(&mut core).unwrap();
        if armed {
            core.activate(HPET, message.id).unwrap();
        }
        assert_eq!(core.client_gone(HPET), 1);
        assert_eq!(core.orphaned(message.id), Err(Error::BadId));
        settle(&machine, &mut core);
        assert_eq!(core.back_end_mut().space(0).unwrap().count.free, free);
        // A kernel that does not let go is asked again, and the vector waits.
        let message = timer::<OverVtd>(&mut core).unwrap();
        if armed {
            core.activate(HPET, message.id).unwrap();
        }
        machine.kernel.fail(KernelCall::Destroy);
        core.client_gone(HPET);
        machine.take_events();
        core.tick(64);
        assert_eq!(core.back_end_mut().space(0).unwrap().count.free, free - u16::from(armed));
        machine.kernel.heal();
        settle(&machine, &mut core);
        assert_eq!(core.back_end_mut().space(0).unwrap().count.free, free);
        assert_eq!(machine.kernel.live(), 0);
        assert_eq!(machine.violations(), Vec::<String>::new());
    }
}
