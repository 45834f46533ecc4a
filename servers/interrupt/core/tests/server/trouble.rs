//! The server when something runs out, dies, storms, fails or is late, over each back end
//! with a remapper.

use crate::common::{A, B, Rig, Server, alloc, over_each, over_unisolated, request, settle};
use interrupt_core::fake::{FakeState, KernelCall, fake_config};
use interrupt_core::{BackEnd, CpuIndex, CpuSet, Error, Kind, MessageState, RequesterId};

over_each!(
    quota_is_given_back,
    orphans_and_clients_that_are_gone,
    destroy_is_tried_again,
    storms,
    storms_end_by_themselves_and_leave_the_owners_blocks_alone,
    late_flush_is_made_up_for,
    activation_is_taken_back,
);

// Neither a move nor an activation waits for a distributor, and with LPIs without an ITS there
// is no move: what is late there is in `unisolated`.
over_unisolated!(
    mbi: quota_is_given_back, orphans_and_clients_that_are_gone, destroy_is_tried_again, storms,
        storms_end_by_themselves_and_leave_the_owners_blocks_alone;
    direct_lpi: quota_is_given_back, orphans_and_clients_that_are_gone, destroy_is_tried_again,
        storms, storms_end_by_themselves_and_leave_the_owners_blocks_alone,
        activation_is_taken_back;
);

/// A freed message counts until its numbers are out of quarantine, and no longer.
fn quota_is_given_back<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 16, 1));
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
    machine.acknowledge();
    core.free(A, message.id).unwrap();
    assert_eq!(alloc(&mut core, A, Kind::Msix), Err(Error::QuotaExceeded));
    machine.take_events();
    assert!(alloc(&mut core, A, Kind::Msix).is_ok());
}

/// The driver died: everything comes back, and what its device still writes goes nowhere.
fn orphans_and_clients_that_are_gone<R: Rig>() {
    let machine = R::machine(2);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 32));
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
    assert_eq!(core.orphaned(all[1].id), Ok(A.into()));
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
    assert_eq!((machine.kernel.live(), core.back_end_mut().entries_used()), (1, 1));
    assert_eq!(machine.fire(B, others.pair, others.handle), 1);
    // The restarted driver finds its quota whole.
    assert!(core.alloc(A, &request(Kind::QueueMemory), &mut [None; 32]).is_ok());
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// A kernel that refuses to destroy holds the numbers up, and nothing else.
fn destroy_is_tried_again<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 32));
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
    assert_eq!((machine.kernel.live(), core.back_end_mut().entries_used()), (0, 0));
    assert_eq!(machine.kernel.state(reserved.handle), FakeState::Dead);
}

fn storms<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    assert_eq!(core.storm(message.id), Err(Error::BadState), "reserved");
    core.activate(A, message.id).unwrap();
    assert_eq!(core.storm(message.id), Ok(A.into()));
    assert!(core.info(A, message.id).unwrap().storm);
    assert_eq!(core.storm(message.id), Ok(A.into()), "a second packet changes nothing");
    for _ in 0..1000 {
        assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    }
    assert_eq!(machine.kernel.spurious(), 0, "no event even reaches a CPU");
    core.unblock(A, message.id).unwrap();
    assert!(!core.info(A, message.id).unwrap().storm);
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
}

/// The back-off lets through what the storm blocked, and nothing that its owner blocked.
fn storms_end_by_themselves_and_leave_the_owners_blocks_alone<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 32));
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

/// Hardware that is late with a flush holds nothing up but the numbers; what it still lets
/// through, the kernel does not deliver; and it is flushed as soon as it follows again.
fn late_flush_is_made_up_for<R: Rig>() {
    let machine = R::machine(2);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1, "it is cached");
    machine.hang(true);
    core.storm(message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(machine.kernel.blocked(message.handle), 1, "the kernel had to stop it");
    assert_eq!((core.tick(8), core.statistics().flushes_late), (1, 2));
    machine.hang(false);
    assert_eq!(core.tick(8), 0);
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(machine.kernel.blocked(message.handle), 1, "the remapper does it");
    core.unblock(A, message.id).unwrap();

    // The same for a move: both vectors are accepted meanwhile.
    let elsewhere = |core: &Server<R>| {
        let cpu = core.info(A, message.id).unwrap().event.unwrap().cpu.index();
        CpuSet::one(CpuIndex::new(1 - cpu as u8).unwrap())
    };
    machine.hang(true);
    let cpus = elsewhere(&core);
    core.set_affinity(A, message.id, cpus).unwrap();
    assert!(machine.kernel.moving(message.handle));
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    let back = elsewhere(&core);
    assert!(matches!(core.set_affinity(A, message.id, back), Err(Error::Hardware(_))));
    machine.hang(false);
    core.tick(8);
    assert!(!machine.kernel.moving(message.handle));
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    core.set_affinity(A, message.id, back).unwrap();
    assert!(!machine.kernel.moving(message.handle), "settled at once when hardware follows");

    // And for a life after: the old vector must be forgotten before the new one is used.
    machine.hang(true);
    core.deactivate(A, message.id).unwrap();
    assert!(matches!(core.activate(A, message.id), Err(Error::Hardware(_))));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Reserved);
    machine.hang(false);
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    settle(&machine, &mut core);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Where hardware may cache an entry's absence, making it present can fail; then nothing has
/// changed, also when the kernel fails to take its part back at once.
fn activation_is_taken_back<R: Rig>() {
    let machine = R::waiting_machine(1);
    let mut core = R::server(&machine, &fake_config(0x30, 64, 32));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    machine.hang(true);
    machine.kernel.fail(KernelCall::Deactivate);
    assert!(matches!(core.activate(A, message.id), Err(Error::Hardware(_))));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Reserved);
    assert_eq!(core.statistics().undo_failures, 1);
    assert_eq!(core.activate(A, message.id), Err(Error::BadState), "the kernel still has it");
    machine.hang(false);
    machine.kernel.heal();
    settle(&machine, &mut core);
    assert_eq!(machine.kernel.state(message.handle), FakeState::Reserved);
    core.activate(A, message.id).unwrap();

    core.block(A, message.id).unwrap();
    machine.hang(true);
    assert!(matches!(core.unblock(A, message.id), Err(Error::Hardware(_))));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Blocked);
    assert_eq!(core.quarantined(), 1, "a flush is owed: the entry was present for a moment");
    machine.hang(false);
    settle(&machine, &mut core);
    core.unblock(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    assert_eq!(machine.violations(), Vec::<String>::new());
}
