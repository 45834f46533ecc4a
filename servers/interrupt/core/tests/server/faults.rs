//! Whose fault a fault is, how its owner hears of it, and how the server does.

use crate::common::{A, B, OverIts, OverVtd, Rig, alloc, settle};
use interrupt_core::fake::{
    FakeHandle, FakeMachine, FakeState, KernelCall, VtdOptions, VtdServer, fake_config,
};
use interrupt_core::vtd::CompatibilityMessage;
use interrupt_core::{
    BackEnd, ClientId, CpuIndex, CpuSet, Domain, Error, FaultOwner, Kind, MessageId, Pair,
    RequesterId,
};

const NOBODY: RequesterId = RequesterId::from_bits(0x7777);

fn machine(fault_records: u16) -> FakeMachine {
    FakeMachine::new(2, Some(VtdOptions { fault_records, ..VtdOptions::default() }))
}

fn server(machine: &FakeMachine) -> VtdServer {
    OverVtd::server(machine, &fake_config(0x3f, 64, 32))
}

/// A client's notice.
fn notice(core: &mut VtdServer, client: RequesterId) -> FakeHandle {
    core.fault_notice(client).expect("no reason to refuse").1
}

/// All that the server is told by one poll.
fn polled(core: &mut VtdServer) -> Vec<FaultOwner> {
    let mut told = Vec::new();
    core.poll_faults(8, |_, owner| told.push(owner));
    told
}

/// Events that the unit has sent, as the CPU gets them.
fn events(machine: &FakeMachine) -> Vec<Pair> {
    machine.vtd.as_ref().unwrap().fault_events()
}

/// Blocked writes are told to the owner, strangers' are counted against them.
#[test]
fn faults_have_owners() {
    let machine = OverVtd::machine(1);
    let mut core = machine.server(&fake_config(0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    alloc(&mut core, B, Kind::Msix).unwrap();
    let next = |core: &mut VtdServer| {
        let mut told = Vec::new();
        core.poll_faults(8, |_, owner| told.push(owner));
        told
    };
    machine.write(Some(A), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Message(message.id)]);
    assert_eq!(core.info(A, message.id).unwrap().faults, 1);
    machine.write(Some(B), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Client(B.into())], "a stranger on a reserved entry");
    core.activate(A, message.id).unwrap();
    machine.write(Some(B), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Client(B.into())], "a stranger on an active entry");
    core.free(A, message.id).unwrap();
    machine.write(Some(A), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Client(A.into())], "a late write");
    let nobody = RequesterId::from_bits(0x7777);
    machine.write(Some(nobody), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Unknown(nobody)]);
    assert_eq!(next(&mut core), []);
    assert_eq!(core.statistics().faults, 5);
    let counted = core.describe().filter_map(|node| match node {
        Domain::Client { client, faults, .. } => Some((client, faults)),
        _ => None,
    });
    assert_eq!(counted.collect::<Vec<_>>(), [(A.into(), 1), (B.into(), 2)]);
}

/// The unit's own pair names CPU and vector, is the kernel's and nobody else's, and comes
/// where it was asked for.
#[test]
fn the_remapper_tells_by_its_own_message() {
    let machine = machine(4);
    let mut core = server(&machine);
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    machine.write(Some(A), message.pair);
    let (handle, event) = core.open_fault_event(CpuSet::from_bits(2)).unwrap();
    let (pair, cookie) = machine.kernel.identity(handle);
    // APIC id of CPU 1 is 2.
    let vector = event.vector.bits();
    assert_eq!((pair.address, pair.data), (0xfee0_2000, vector.into()));
    assert_eq!((event.cpu, cookie), (CpuIndex::new(1).unwrap(), u64::MAX));
    assert_eq!(core.fault_event(), Some(event));
    // What was recorded before is told at once.
    assert_eq!(events(&machine), [pair]);
    machine.kernel.raise(event);
    machine.kernel.take_events();
    assert_eq!(machine.kernel.delivered(handle), 1);
    assert_eq!(polled(&mut core), [FaultOwner::Message(message.id)]);
    machine.write(Some(B), message.pair);
    assert_eq!(events(&machine), [pair; 2]);
    // Nobody else gets its vector, and nobody ends it.
    core.activate(A, message.id).unwrap();
    let mut others = vec![core.info(A, message.id).unwrap().event.unwrap()];
    while let Ok(more) = alloc(&mut core, B, Kind::Msix) {
        others.extend(core.activate(B, more.id));
    }
    assert!(others.len() > 30 && !others.contains(&event));
    for client in [A, B] {
        assert_eq!(core.free(client, VtdServer::FAULT_EVENT), Err(Error::BadId));
        core.client_gone(client);
    }
    assert_eq!(core.orphaned(VtdServer::FAULT_EVENT), Err(Error::BadId));
    assert_eq!(core.storm(VtdServer::FAULT_EVENT), Err(Error::BadId));
    settle(&machine, &mut core);
    assert_eq!(machine.kernel.state(handle), FakeState::Active);
    assert_eq!(core.open_fault_event(CpuSet::ALL), Err(Error::BadState), "there is one");
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Whatever fails on the way, nothing is told and nothing is lost.
#[test]
fn a_message_that_can_not_be_had_changes_nothing() {
    let machine = machine(1);
    let mut core = server(&machine);
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    let before = core.back_end_mut().space(0).unwrap();
    let refused = |core: &mut VtdServer| core.open_fault_event(CpuSet::ALL).unwrap_err();
    for call in [KernelCall::Create, KernelCall::Activate] {
        machine.kernel.fail(call);
        assert!(matches!(refused(&mut core), Error::Kernel(_)));
        machine.kernel.heal();
    }
    assert_eq!(core.open_fault_event(CpuSet::from_bits(0)), Err(Error::BadArgument));
    machine.write(Some(A), message.pair);
    assert_eq!(events(&machine), [], "still masked");
    assert_eq!(core.back_end_mut().space(0).unwrap(), before);
    assert_eq!(machine.kernel.live(), 1);
    assert_eq!(core.fault_event(), None);
    for held in [core.hold_fault_event(), core.resume_fault_event()] {
        assert_eq!(held, Err(Error::BadState));
    }
    core.open_fault_event(CpuSet::ALL).unwrap();
    assert_eq!(events(&machine).len(), 1);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// No vector is left for it; and back ends that tell of nothing.
#[test]
fn without_a_vector_or_an_event_there_is_none() {
    let machine = machine(1);
    let mut core = OverVtd::server(&machine, &fake_config(0x31, 64, 32));
    let mut held = 0;
    while let Ok(message) = alloc(&mut core, A, Kind::Msix) {
        match core.activate(A, message.id) {
            Ok(_) => held += 1,
            Err(error) => {
                assert_eq!(error, Error::NoVectors);
                break;
            }
        }
    }
    assert!(held > 0);
    assert_eq!(core.open_fault_event(CpuSet::ALL), Err(Error::NoVectors));
    core.client_gone(A);
    settle(&machine, &mut core);
    assert!(core.open_fault_event(CpuSet::ALL).is_ok());

    let machine = FakeMachine::new(1, None);
    let mut core = machine.plain_server(&fake_config(0x3f, 64, 32));
    assert_eq!(core.open_fault_event(CpuSet::ALL), Err(Error::NotSupported));
    let machine = OverIts::machine(1);
    let mut core = OverIts::server(&machine, &fake_config(0x3f, 64, 32));
    assert_eq!(core.open_fault_event(CpuSet::ALL), Err(Error::NotSupported));
    assert_eq!(core.provoke_fault_event(), Err(Error::NotSupported));
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Every client that wants to know is told of its own faults and of no other's.
#[test]
fn faults_reach_the_port_of_the_owner_they_concern() {
    let machine = machine(8);
    let mut core = server(&machine);
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    let notice_a = notice(&mut core, A);
    let notice_b = notice(&mut core, B);
    let told = |machine: &FakeMachine| {
        (machine.kernel.delivered(notice_a), machine.kernel.delivered(notice_b))
    };
    assert_eq!(machine.kernel.identity(notice_a).0, Pair { address: 0, data: 0 });
    // Its own message, reserved: A hears.
    machine.write(Some(A), message.pair);
    assert_eq!(told(&machine), (0, 0), "not before the server has read it");
    polled(&mut core);
    assert_eq!((told(&machine), core.faults_of(A)), ((1, 0), (1, 1)));
    // A stranger on A's entry: counted against the stranger, and its own driver hears.
    core.activate(A, message.id).unwrap();
    machine.write(Some(B), message.pair);
    polled(&mut core);
    assert_eq!(told(&machine), (1, 1));
    assert_eq!((core.faults_of(A), core.faults_of(B)), ((1, 1), (1, 0)));
    // Nobody's: nobody hears.
    machine.write(Some(NOBODY), message.pair);
    assert_eq!(polled(&mut core), [FaultOwner::Unknown(NOBODY)]);
    assert_eq!((told(&machine), core.faults_of(NOBODY)), ((1, 1), (0, 0)));
    // Blocked by its owner, then a late write after the end.
    core.block(A, message.id).unwrap();
    machine.write(Some(A), message.pair);
    polled(&mut core);
    core.free(A, message.id).unwrap();
    machine.write(Some(A), message.pair);
    polled(&mut core);
    assert_eq!((told(&machine), core.faults_of(A)), ((3, 1), (3, 2)));
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// One notice for each client; it goes with its driver, and the next driver has its own.
#[test]
fn a_notice_is_its_drivers_alone() {
    let machine = machine(8);
    let mut core = server(&machine);
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    let named = |handle: FakeHandle| MessageId::from_bits(machine.kernel.identity(handle).1);
    let first = notice(&mut core, A);
    let second = notice(&mut core, A);
    assert_eq!(machine.kernel.state(first), FakeState::Dead, "asked again: the first is over");
    assert_ne!(named(first), named(second));
    // The late packet about the first does not end the second.
    assert_eq!(core.orphaned(named(first)), Err(Error::BadId));
    assert_eq!(machine.kernel.state(second), FakeState::Reserved);
    // It is no message that requests could name.
    assert_eq!(core.activate(A, named(second)), Err(Error::BadId));
    assert_eq!(core.free(A, named(second)), Err(Error::BadId));
    assert_eq!(core.storm(named(second)), Err(Error::BadId));
    // Its driver died.
    assert_eq!(core.orphaned(named(second)), Ok(ClientId::device(A)));
    assert_eq!(core.orphaned(named(second)), Err(Error::BadId));
    assert_eq!(machine.kernel.state(second), FakeState::Dead);
    machine.write(Some(A), message.pair);
    assert_eq!(polled(&mut core), [FaultOwner::Message(message.id)], "counted, told to nobody");
    // init says that it is gone.
    let third = notice(&mut core, A);
    core.client_gone(A);
    assert_eq!(machine.kernel.state(third), FakeState::Dead);
    // A notice that can not be made leaves the older one.
    let fourth = notice(&mut core, A);
    machine.kernel.fail(KernelCall::Create);
    assert!(matches!(core.fault_notice(A), Err(Error::Kernel(_))));
    machine.kernel.heal();
    assert_eq!(machine.kernel.state(fourth), FakeState::Reserved);
    core.client_gone(A);
    settle(&machine, &mut core);
    assert_eq!(machine.kernel.live(), 0);
    for word in [0, u64::from(u32::MAX), 0xffff_0000, u64::MAX - 1, 1 << 63] {
        assert_ne!(core.orphaned(MessageId::from_bits(word)).ok(), Some(ClientId::device(B)));
    }
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// More faults than one look takes: each look does bounded work, none of them is lost, and
/// the next event comes only after the last.
#[test]
fn a_storm_of_faults_is_bounded_work() {
    let machine = machine(32);
    let mut core = server(&machine);
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    let (handle, _) = core.open_fault_event(CpuSet::ALL).unwrap();
    let strangers = |count: u16| {
        for number in 0..count {
            machine.write(Some(RequesterId::from_bits(0x1000 + number)), message.pair);
        }
    };
    strangers(30);
    assert_eq!(events(&machine).len(), 1);
    let mut seen = Vec::new();
    for expected in [8, 8, 8, 6, 0] {
        let count = core.poll_faults(8, |fault, _| seen.push(fault.source));
        assert_eq!(count, expected);
    }
    seen.sort();
    assert!(seen.iter().map(|id| id.bits()).eq(0x1000..0x1000 + 30));
    // Past the records: lost ones are said, and the unit tells of the next.
    strangers(40);
    assert_eq!(events(&machine).len(), 2);
    while core.poll_faults(8, |_, _| {}) == 8 {}
    assert_eq!((core.statistics().faults, core.statistics().faults_lost), (62, 1));
    strangers(1);
    assert_eq!(events(&machine).len(), 3);
    while core.poll_faults(8, |_, _| {}) == 8 {}
    // Past its rate: silent at its source, still recorded, told when it is over.
    core.hold_fault_event().unwrap();
    core.hold_fault_event().unwrap();
    strangers(2);
    assert_eq!(events(&machine).len(), 3);
    assert_eq!(polled(&mut core).len(), 2, "read by the clock");
    strangers(1);
    core.resume_fault_event().unwrap();
    assert_eq!(events(&machine).len(), 4);
    core.resume_fault_event().unwrap();
    assert_eq!(events(&machine).len(), 4, "once");
    assert_eq!(machine.kernel.state(handle), FakeState::Active);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// The unit has refused something that nobody waits for: its message says so, and a look at
/// the faults sets it going.
#[test]
fn a_stalled_queue_goes_on() {
    let machine = machine(1);
    let mut core = server(&machine);
    core.open_fault_event(CpuSet::ALL).unwrap();
    core.provoke_fault_event().unwrap();
    assert_eq!(events(&machine).len(), 1);
    assert_eq!(polled(&mut core), []);
    assert_eq!(core.statistics().stalls, 1);
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    core.free(A, message.id).unwrap();
    settle(&machine, &mut core);
    // And if a request comes first, it helps itself.
    core.provoke_fault_event().unwrap();
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, message.id).unwrap();
    core.deactivate(A, message.id).unwrap();
    assert_eq!(core.quarantined(), 1, "flushed, not drained");
    assert_eq!(polled(&mut core), []);
    assert_eq!(core.statistics().stalls, 1);
    machine.write(Some(A), message.pair);
    assert_eq!(events(&machine).len(), 3, "and is told of the next fault");
}

/// The pair of the event is in compatibility format, which the unit blocks for devices: a
/// device that learns it still raises nothing.
#[test]
fn no_device_can_raise_the_remappers_message() {
    let machine = machine(4);
    let mut core = server(&machine);
    let (handle, _) = core.open_fault_event(CpuSet::ALL).unwrap();
    let (pair, _) = machine.kernel.identity(handle);
    assert!(CompatibilityMessage::decode(pair).is_ok());
    machine.write(Some(A), pair);
    machine.kernel.take_events();
    assert_eq!(machine.kernel.delivered(handle), 0);
    assert_eq!(polled(&mut core), [FaultOwner::Client(A.into())]);
}
