//! The server's operations one by one, over the VT-d model and over none.

mod common;

use common::{A, B, alloc, machine, request, settle};
use interrupt_core::fake::{FakeMachine, FakeState, KernelCall, fake_config};
use interrupt_core::{
    AllocRequest, ClientPolicy, Contiguity, CpuIndex, CpuSet, Domain, Error, Kind, MessageId,
    MessageState, Pair, Remapper, RequesterId, Source,
};

#[test]
fn whole_life() {
    let machine = machine(2);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 64));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    assert_eq!(machine.kernel.identity(message.handle), (message.pair, message.id.bits()));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Reserved);
    assert_eq!(machine.fire(A, message.pair, message.handle), 0, "reserved");

    let target = core.activate(A, message.id).unwrap();
    assert_eq!(core.info(A, message.id).unwrap().target, Some(target));
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    assert_eq!(machine.fire(B, message.pair, message.handle), 0, "another device's write");
    assert_eq!(core.activate(A, message.id), Err(Error::BadState));

    core.block(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0, "blocked");
    assert_eq!(core.block(A, message.id), Err(Error::BadState));
    let before = machine.kernel.delivered(message.handle);
    core.unblock(A, message.id).unwrap();
    assert_eq!(machine.kernel.delivered(message.handle), before + 1, "raised once");
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);

    core.deactivate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0, "reserved again");
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1, "the same pair");

    core.free(A, message.id).unwrap();
    assert_eq!(machine.kernel.state(message.handle), FakeState::Dead);
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(core.free(A, message.id), Err(Error::BadId));
    settle(&machine, &mut core);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Many are reserved, few are active; the next is `NoVectors` and stays reserved; each that
/// is let go makes room for another.
#[test]
fn late_activation() {
    let machine = machine(2);
    // 4 vectors on each of 2 CPUs.
    let mut core = machine.server(&fake_config(machine.cpus(), 0x33, 64, 64));
    let all: Vec<_> = (0..40).map(|_| alloc(&mut core, A, Kind::QueueMemory).unwrap()).collect();
    for message in &all[..8] {
        core.activate(A, message.id).unwrap();
    }
    assert_eq!(core.activate(A, all[8].id), Err(Error::NoVectors));
    assert_eq!(core.info(A, all[8].id).unwrap().state, MessageState::Reserved);
    assert_eq!(machine.kernel.state(all[8].handle), FakeState::Reserved);
    for step in 0..32 {
        core.deactivate(A, all[step].id).unwrap();
        let target = core.activate(A, all[step + 8].id).unwrap();
        assert_eq!(machine.fire(A, all[step + 8].pair, all[step + 8].handle), 1);
        assert!(target.cpu.index() < 2);
    }
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// A vector whose old event is still pending is not given out.
#[test]
fn quarantine_waits_for_the_cpu() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x30, 8, 8));
    let old = alloc(&mut core, A, Kind::Msix).unwrap();
    let new = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(A, old.id).unwrap();
    machine.write(Some(A), old.pair);
    core.free(A, old.id).unwrap();
    // The event sits in the CPU, however often the server asks.
    for _ in 0..10 {
        assert_eq!(core.activate(B, new.id), Err(Error::NoVectors));
    }
    assert_eq!(core.quarantined(), 1);
    machine.kernel.take_events();
    assert_eq!(machine.kernel.delivered(new.handle), 0, "not the new owner's");
    assert_eq!(machine.kernel.delivered(old.handle), 0, "nor the old one's any more");
    core.activate(B, new.id).unwrap();
    assert_eq!(machine.fire(B, new.pair, new.handle), 1);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Least loaded first, within the set.
#[test]
fn vectors_spread() {
    let machine = machine(4);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 64));
    let mut load = [0; 4];
    for _ in 0..40 {
        let message = alloc(&mut core, A, Kind::Msix).unwrap();
        load[core.activate(A, message.id).unwrap().cpu.index()] += 1;
    }
    assert_eq!(load, [10; 4]);
    let only = AllocRequest { cpus: CpuSet::from_bits(0b0100), ..request(Kind::Msix) };
    let mut out = [None; 4];
    core.alloc(A, &only, &mut out).unwrap();
    for message in out.into_iter().flatten() {
        assert_eq!(core.activate(A, message.id).unwrap().cpu.index(), 2);
    }
}

#[test]
fn affinity_moves_without_the_device() {
    let machine = machine(2);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 64));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    let set = |cpu| CpuSet::one(CpuIndex::new(cpu).unwrap());
    core.set_affinity(A, message.id, set(1)).unwrap();
    assert_eq!(core.activate(A, message.id).unwrap().cpu.index(), 1);
    for round in 0..20_u8 {
        // A write just before the move is delivered though the CPU takes it after.
        machine.write(Some(A), message.pair);
        let before = machine.kernel.delivered(message.handle);
        core.set_affinity(A, message.id, set(round % 2)).unwrap();
        let now = core.info(A, message.id).unwrap();
        assert_eq!(now.target.unwrap().cpu.index(), (round % 2) as usize);
        assert_eq!(now.pair, message.pair);
        machine.kernel.take_events();
        assert_eq!(machine.kernel.delivered(message.handle), before + 1, "round {round}");
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
        core.tick(1);
    }
    // Blocked: it moves and stays blocked.
    core.block(A, message.id).unwrap();
    core.set_affinity(A, message.id, set(0)).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    core.unblock(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    assert_eq!(core.set_affinity(A, message.id, CpuSet::from_bits(4)), Err(Error::BadArgument));
    settle(&machine, &mut core);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

#[test]
fn others_messages() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 8, 8));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    alloc(&mut core, B, Kind::Msix).unwrap();
    for client in [B, RequesterId::from_bits(0xffff)] {
        assert_eq!(core.activate(client, message.id), Err(Error::NotYours));
        assert_eq!(core.deactivate(client, message.id), Err(Error::NotYours));
        assert_eq!(core.block(client, message.id), Err(Error::NotYours));
        assert_eq!(core.unblock(client, message.id), Err(Error::NotYours));
        assert_eq!(core.free(client, message.id), Err(Error::NotYours));
        assert_eq!(core.set_affinity(client, message.id, CpuSet::ALL), Err(Error::NotYours));
        assert_eq!(core.info(client, message.id), Err(Error::NotYours));
    }
    for bits in [2, 7, 8, u64::MAX, message.id.bits() + (1 << 32)] {
        assert_eq!(core.activate(A, MessageId::from_bits(bits)), Err(Error::BadId));
    }
}

#[test]
fn multi_message_msi() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x4f, 64, 64));
    let block = AllocRequest { contiguity: Contiguity::Contiguous, ..request(Kind::PciMsi) };
    let mut out = [None; 4];
    core.alloc(A, &block, &mut out).unwrap();
    let first = out[0].unwrap().pair;
    for (number, message) in out.into_iter().flatten().enumerate() {
        assert_eq!(message.pair, Pair { address: first.address, data: number as u32 });
        core.activate(A, message.id).unwrap();
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    // A failure in the middle gives the whole block back.
    let used = core.remapper_mut().entries_used();
    machine.kernel.fail(KernelCall::Create);
    assert!(matches!(core.alloc(A, &block, &mut out), Err(Error::Kernel(_))));
    assert_eq!((core.remapper_mut().entries_used(), out), (used, [None; 4]));
}

/// Bridge aliases: the policy says whose writes are the device's.
#[test]
fn registered_source() {
    let machine = machine(1);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let source = Some(Source::Buses { first: 4, last: 4 });
    core.register(A, ClientPolicy { quota: 2, source }).unwrap();
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, message.id).unwrap();
    let alias = RequesterId::new(4, 0, 0).unwrap();
    assert_eq!(machine.fire(alias, message.pair, message.handle), 1);
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    let refused = core.alloc(A, &request(Kind::Msix), &mut [None; 2]);
    assert_eq!(refused, Err(Error::QuotaExceeded));
}

#[test]
fn without_a_remapper() {
    let machine = FakeMachine::new(2, None);
    let config = fake_config(machine.cpus(), 0x31, 64, 32);
    let mut core = machine.plain_server(&config);
    for kind in [Kind::DeviceArray, Kind::QueueMemory, Kind::Registers] {
        assert_eq!(alloc(&mut core, A, kind), Err(Error::NotSupported));
    }
    // 2 vectors on each of 2 CPUs, taken by `alloc`.
    let mut all = [None; 4];
    core.alloc(A, &request(Kind::Msix), &mut all).unwrap();
    assert_eq!(alloc(&mut core, A, Kind::PciMsi), Err(Error::NoVectors));
    let block = AllocRequest { contiguity: Contiguity::Contiguous, ..request(Kind::PciMsi) };
    assert_eq!(core.alloc(A, &block, &mut [None; 2]), Err(Error::NoContiguous));
    for message in all.into_iter().flatten() {
        assert_eq!(message.pair.address & !0xff000, 0xfee0_0000, "compatibility format");
        assert_eq!(machine.fire(A, message.pair, message.handle), 0, "reserved");
        let target = core.activate(A, message.id).unwrap();
        assert_eq!(message.pair.data, target.vector.number() as u32);
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
        assert_eq!(core.set_affinity(A, message.id, CpuSet::ALL), Err(Error::NotSupported));
        core.block(A, message.id).unwrap();
        assert_eq!(machine.fire(A, message.pair, message.handle), 0);
        core.unblock(A, message.id).unwrap();
        core.deactivate(A, message.id).unwrap();
        assert_eq!(machine.fire(A, message.pair, message.handle), 0);
        core.activate(A, message.id).unwrap();
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    // An event in flight keeps the pair's own vector from being used again.
    let first = all[0].unwrap();
    machine.write(Some(A), first.pair);
    core.deactivate(A, first.id).unwrap();
    assert_eq!(core.activate(A, first.id), Err(Error::NoVectors));
    machine.kernel.take_events();
    core.activate(A, first.id).unwrap();
    for message in all.into_iter().flatten() {
        core.free(A, message.id).unwrap();
    }
    core.alloc(A, &request(Kind::Msix), &mut all).unwrap();
    // Freed without ever having been active.
    assert_eq!(core.client_gone(A), 4);
    core.alloc(B, &request(Kind::Msix), &mut all).unwrap();
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// The manifest may say so, and the inspector shows it.
#[test]
fn unisolated_ims_by_manifest() {
    let machine = FakeMachine::new(1, None);
    let config = fake_config(machine.cpus(), 0x3f, 64, 32);
    let config = interrupt_core::Config { allow_unisolated: true, ..config };
    let mut core = machine.plain_server(&config);
    assert!(alloc(&mut core, A, Kind::DeviceArray).is_ok());
    let isolated =
        core.describe().any(|node| matches!(node, Domain::Remapper { isolated: true, .. }));
    assert!(!isolated);
}

#[test]
fn describe_shows_the_tree() {
    let machine = machine(2);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    alloc(&mut core, A, Kind::DeviceArray).unwrap();
    core.activate(A, message.id).unwrap();
    let tree: Vec<Domain> = core.describe().collect();
    assert!(matches!(tree[0], Domain::Vectors { count, .. } if count.free == 15));
    assert!(matches!(tree[1], Domain::Vectors { count, .. } if count.free == 16));
    let vtd = Domain::Remapper { name: "VT-d", isolated: true, entries: 256, used: 2 };
    assert_eq!(tree[2], vtd);
    assert_eq!(tree[3], Domain::Client { client: A, quota: 32, held: 2, faults: 0 });
    assert!(matches!(tree[4], Domain::Message(info) if info.kind == Kind::DeviceArray));
    assert!(matches!(tree[5], Domain::Message(info) if info.state == MessageState::Active));
    assert_eq!(tree.len(), 6);
}

#[test]
fn direct_message_for_the_server() {
    let machine = machine(2);
    let mut core = machine.server(&fake_config(machine.cpus(), 0x3f, 64, 32));
    let own = core.direct_message(CpuSet::from_bits(2), u64::MAX).unwrap();
    // APIC id of CPU 1 is 2.
    assert_eq!(own.pair, Pair { address: 0xfee0_2000, data: own.target.vector.number().into() });
    core.remapper_mut().set_fault_event(own.pair);
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    machine.write(Some(A), message.pair);
    assert_eq!(machine.vtd.as_ref().unwrap().fault_events(), [own.pair]);
    machine.kernel.fail(KernelCall::Activate);
    let live = machine.kernel.live();
    assert!(core.direct_message(CpuSet::ALL, u64::MAX).is_err());
    assert_eq!(machine.kernel.live(), live);
}
