//! The server when something runs out, dies, storms, fails or is late.

mod common;

use common::{A, B, Vtd, alloc, machine, request, settle};
use interrupt_core::fake::{FakeMachine, FakeState, KernelCall, VtdOptions, fake_config};
use interrupt_core::{
    AllocRequest, ConfigError, Contiguity, Core, Cpu, CpuIndex, CpuSet, Domain, Error, FaultOwner,
    Kind, MessageState, Remapper, RequesterId,
};

#[test]
fn limits_have_their_own_errors() {
    let machine = FakeMachine::new(1, Some(VtdOptions { entries_log2: 3, ..Default::default() }));
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 16, 6));
    let live = machine.kernel.live();
    let mut seven = [None; 7];
    let refused = core.alloc(A, &request(Kind::Msix), &mut seven);
    assert_eq!(refused, Err(Error::QuotaExceeded));
    assert_eq!((machine.kernel.live(), seven), (live, [None; 7]));
    core.alloc(A, &request(Kind::Msix), &mut seven[..6]).unwrap();
    // 8 entries in all.
    let mut three = [None; 3];
    let refused = core.alloc(B, &request(Kind::Msix), &mut three);
    assert_eq!((refused, three), (Err(Error::NoEntries), [None; 3]));
    assert_eq!(core.remapper_mut().entries_used(), 6);
    core.alloc(B, &request(Kind::Msix), &mut three[..2]).unwrap();
    // Records.
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 4, 6));
    let refused = core.alloc(A, &request(Kind::Msix), &mut [None; 5]);
    assert_eq!(refused, Err(Error::NoMessages));
    // Arguments.
    assert_eq!(core.alloc(A, &request(Kind::Msix), &mut []), Err(Error::BadArgument));
    let nowhere = AllocRequest { cpus: CpuSet::from_bits(2), ..request(Kind::Msix) };
    assert_eq!(core.alloc(A, &nowhere, &mut [None]), Err(Error::BadArgument));
    let block = AllocRequest { contiguity: Contiguity::Contiguous, ..request(Kind::PciMsi) };
    assert_eq!(core.alloc(A, &block, &mut [None; 3]), Err(Error::BadArgument));
    assert_eq!(core.alloc(A, &block, &mut [None; 64]), Err(Error::NoContiguous));
}

/// A freed message counts until its numbers are out of quarantine, and no longer.
#[test]
fn quota_is_given_back() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 16, 1));
    let mut last = None;
    for round in 0..200 {
        let message = alloc(&mut core, A, Kind::Msix).unwrap();
        assert_ne!(last, Some(message.id), "names are not reused");
        last = Some(message.id);
        if round % 2 == 0 {
            core.activate(A, message.id).unwrap();
        }
        core.free(A, message.id).unwrap();
    }
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, message.id).unwrap();
    machine.write(Some(A), message.pair);
    core.free(A, message.id).unwrap();
    assert_eq!(alloc(&mut core, A, Kind::Msix), Err(Error::QuotaExceeded));
    machine.kernel.take_events();
    assert!(alloc(&mut core, A, Kind::Msix).is_ok());
}

/// The driver died: everything comes back, and what its device still writes goes nowhere.
#[test]
fn orphans_and_clients_that_are_gone() {
    let machine = machine(2);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let others = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(B, others.id).unwrap();
    let mut out = [None; 20];
    core.alloc(A, &request(Kind::QueueMemory), &mut out).unwrap();
    let all: Vec<_> = out.into_iter().flatten().collect();
    for message in &all[..10] {
        core.activate(A, message.id).unwrap();
        machine.write(Some(A), message.pair);
    }
    core.block(A, all[0].id).unwrap();
    assert_eq!(core.orphaned(all[1].id), Ok(A));
    assert_eq!(core.orphaned(all[1].id), Err(Error::BadId), "a late packet");
    assert_eq!(core.client_gone(A), 19);
    assert_eq!(core.client_gone(A), 0);
    assert_eq!(core.client_gone(RequesterId::from_bits(0x999)), 0);
    let delivered: u64 = all.iter().map(|message| machine.kernel.delivered(message.handle)).sum();
    for message in &all {
        assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    }
    let after: u64 = all.iter().map(|message| machine.kernel.delivered(message.handle)).sum();
    assert_eq!(delivered, after);
    settle(&machine, &mut core);
    assert_eq!((machine.kernel.live(), core.remapper_mut().entries_used()), (1, 1));
    assert_eq!(machine.fire(B, others.pair, others.handle), 1);
    // The restarted driver finds its quota whole.
    assert!(core.alloc(A, &request(Kind::QueueMemory), &mut [None; 32]).is_ok());
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// A kernel that refuses to destroy holds the numbers up, and nothing else.
#[test]
fn destroy_is_tried_again() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let reserved = alloc(&mut core, A, Kind::Msix).unwrap();
    let active = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, active.id).unwrap();
    machine.kernel.fail(KernelCall::Destroy);
    let before = core.info(A, active.id).unwrap();
    assert!(matches!(core.free(A, active.id), Err(Error::Kernel(_))));
    assert_eq!(core.info(A, active.id).unwrap(), before);
    assert_eq!(machine.fire(A, active.pair, active.handle), 1, "free failed: it lives on");
    assert_eq!(core.client_gone(A), 2);
    for _ in 0..10 {
        assert_eq!(core.tick(64), 2);
    }
    assert_eq!(machine.fire(A, active.pair, active.handle), 0, "the remapper has let go");
    machine.kernel.heal();
    settle(&machine, &mut core);
    assert_eq!((machine.kernel.live(), core.remapper_mut().entries_used()), (0, 0));
    assert_eq!(machine.kernel.state(reserved.handle), FakeState::Dead);
}

#[test]
fn storms() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    assert_eq!(core.storm(message.id), Err(Error::BadState), "reserved");
    core.activate(A, message.id).unwrap();
    assert_eq!(core.storm(message.id), Ok(A));
    assert!(core.info(A, message.id).unwrap().storm);
    assert_eq!(core.storm(message.id), Ok(A), "a second packet changes nothing");
    for _ in 0..1000 {
        assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    }
    assert_eq!(machine.kernel.spurious(), 0, "no event even reaches a CPU");
    core.unblock(A, message.id).unwrap();
    assert!(!core.info(A, message.id).unwrap().storm);
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
}

/// The back-off lets through what the storm blocked, and nothing that its owner blocked.
#[test]
fn storms_end_by_themselves_and_leave_the_owners_blocks_alone() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    let id = message.id;
    assert_eq!(core.storm_over(id), Err(Error::BadState), "reserved");
    core.activate(A, id).unwrap();
    assert_eq!(core.storm_over(id), Err(Error::BadState), "no storm");
    core.storm(id).unwrap();
    core.storm_over(id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);

    core.storm(id).unwrap();
    core.block(A, id).unwrap();
    assert_eq!(core.storm_over(id), Err(Error::BadState), "the owner has made it its own");
    assert_eq!(core.storm(id), Err(Error::BadState), "a late packet");
    assert_eq!(core.storm_over(id), Err(Error::BadState));
    assert_eq!(core.block(A, id), Err(Error::BadState), "blocked twice");
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    core.unblock(A, id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);

    core.storm(id).unwrap();
    core.deactivate(A, id).unwrap();
    assert_eq!(core.storm_over(id), Err(Error::BadState), "reserved again");
    core.free(A, id).unwrap();
    assert_eq!(core.storm_over(id), Err(Error::BadId), "freed");
}

/// Blocked writes are told to the owner, strangers' are counted against them.
#[test]
fn faults_have_owners() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    alloc(&mut core, B, Kind::Msix).unwrap();
    let next = |core: &mut Vtd| {
        let mut told = Vec::new();
        core.poll_faults(8, |_, owner| told.push(owner));
        told
    };
    machine.write(Some(A), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Message(message.id)]);
    assert_eq!(core.info(A, message.id).unwrap().faults, 1);
    machine.write(Some(B), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Client(B)], "a stranger on a reserved entry");
    core.activate(A, message.id).unwrap();
    machine.write(Some(B), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Client(B)], "a stranger on an active entry");
    core.free(A, message.id).unwrap();
    machine.write(Some(A), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Client(A)], "a late write");
    let nobody = RequesterId::from_bits(0x7777);
    machine.write(Some(nobody), message.pair);
    assert_eq!(next(&mut core), [FaultOwner::Unknown(nobody)]);
    assert_eq!(next(&mut core), []);
    assert_eq!(core.statistics().faults, 5);
    let counted = core.describe().filter_map(|node| match node {
        Domain::Client { client, faults, .. } => Some((client, faults)),
        _ => None,
    });
    assert_eq!(counted.collect::<Vec<_>>(), [(A, 1), (B, 2)]);
}

#[test]
fn configurations() {
    let machine = machine(1);
    let new = |cpus: &[Cpu], messages, clients| {
        let config = interrupt_core::Config { clients, ..fake_config(cpus, 0x3f, messages, 1) };
        Core::new(machine.unit().unwrap(), machine.kernel.clone(), &config).err()
    };
    let cpu = |id| Cpu { apic: interrupt_core::ApicId::from_bits(id) };
    assert_eq!(new(&[cpu(0)], 1, 1), None);
    assert_eq!(new(&[], 1, 1), Some(ConfigError::Cpus));
    assert_eq!(new(&[cpu(0); 65], 1, 1), Some(ConfigError::Cpus));
    assert_eq!(new(&[cpu(0)], 0, 1), Some(ConfigError::Limits));
    assert_eq!(new(&[cpu(0)], 1, 0), Some(ConfigError::Limits));
    let far = CpuIndex::new(1).unwrap();
    assert_eq!(new(&[cpu(0), cpu(300)], 1, 1), Some(ConfigError::CpuOutOfReach(far)));
}

/// Client records run out like everything else: with an answer.
#[test]
fn too_many_clients() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    for client in 0..16 {
        alloc(&mut core, RequesterId::from_bits(client * 0x111), Kind::Msix).unwrap();
    }
    assert_eq!(alloc(&mut core, RequesterId::from_bits(0xffff), Kind::Msix), Err(Error::NoMemory));
}

/// Hardware that is late with a flush holds nothing up but the numbers; what it still lets
/// through, the kernel does not deliver; and it is flushed as soon as it follows again.
#[test]
fn late_flush_is_made_up_for() {
    let machine = machine(2);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let unit = machine.vtd.as_ref().unwrap();
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1, "it is cached");
    unit.hang(true);
    core.storm(message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(machine.kernel.blocked(message.handle), 1, "the kernel had to stop it");
    assert_eq!((core.tick(8), core.statistics().flushes_late), (1, 2));
    unit.hang(false);
    assert_eq!(core.tick(8), 0);
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(machine.kernel.blocked(message.handle), 1, "the remapper does it");
    core.unblock(A, message.id).unwrap();

    // The same for a move: both vectors are accepted meanwhile.
    let elsewhere = |core: &Vtd| {
        let cpu = core.info(A, message.id).unwrap().target.unwrap().cpu.index();
        CpuSet::one(CpuIndex::new(1 - cpu as u8).unwrap())
    };
    unit.hang(true);
    let cpus = elsewhere(&core);
    core.set_affinity(A, message.id, cpus).unwrap();
    assert!(machine.kernel.moving(message.handle));
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    let back = elsewhere(&core);
    assert!(matches!(core.set_affinity(A, message.id, back), Err(Error::Hardware(_))));
    unit.hang(false);
    core.tick(8);
    assert!(!machine.kernel.moving(message.handle));
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    core.set_affinity(A, message.id, back).unwrap();
    assert!(!machine.kernel.moving(message.handle), "settled at once when hardware follows");

    // And for a life after: the old vector must be forgotten before the new one is used.
    unit.hang(true);
    core.deactivate(A, message.id).unwrap();
    assert!(matches!(core.activate(A, message.id), Err(Error::Hardware(_))));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Reserved);
    unit.hang(false);
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    settle(&machine, &mut core);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Where hardware may cache an entry's absence, making it present can fail; then nothing has
/// changed, also when the kernel fails to take its part back at once.
#[test]
fn activation_is_taken_back() {
    let options = VtdOptions { caching_mode: true, ..Default::default() };
    let machine = FakeMachine::new(1, Some(options));
    let mut core = machine.server(&fake_config(machine.cpus(), 0x30, 64, 32));
    let unit = machine.vtd.as_ref().unwrap();
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    unit.hang(true);
    machine.kernel.fail(KernelCall::Deactivate);
    assert!(matches!(core.activate(A, message.id), Err(Error::Hardware(_))));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Reserved);
    assert_eq!(core.statistics().undo_failures, 1);
    assert_eq!(core.activate(A, message.id), Err(Error::BadState), "the kernel still has it");
    unit.hang(false);
    machine.kernel.heal();
    settle(&machine, &mut core);
    assert_eq!(machine.kernel.state(message.handle), FakeState::Reserved);
    core.activate(A, message.id).unwrap();

    core.block(A, message.id).unwrap();
    unit.hang(true);
    assert!(matches!(core.unblock(A, message.id), Err(Error::Hardware(_))));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Blocked);
    assert_eq!(core.quarantined(), 1, "a flush is owed: the entry was present for a moment");
    unit.hang(false);
    settle(&machine, &mut core);
    core.unblock(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    assert_eq!(machine.violations(), Vec::<String>::new());
}
