//! The server's operations one by one, over each back end with a remapper.

use crate::common::{A, B, Rig, alloc, over_each, over_unisolated, request, settle};
use interrupt_core::fake::{FakeState, KernelCall, fake_config};
use interrupt_core::{
    AllocRequest, BackEnd, Contiguity, CpuIndex, CpuSet, Error, Kind, MessageId, MessageState,
    Pair, RequesterId,
};

over_each!(
    whole_life,
    vectors_spread,
    affinity_moves_without_the_device,
    others_messages,
    multi_message_msi,
);

over_unisolated!(
    mbi: whole_life, vectors_spread, affinity_moves_without_the_device, others_messages,
        multi_message_msi;
    direct_lpi: whole_life, vectors_spread, others_messages, multi_message_msi;
);

fn whole_life<R: Rig>() {
    let machine = R::machine(2);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 64));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    assert_eq!(machine.kernel.identity(message.handle), (message.pair, message.id.bits()));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Reserved);
    assert_eq!(machine.fire(A, message.pair, message.handle), 0, "reserved");

    let event = core.activate(A, message.id).unwrap();
    assert_eq!(core.info(A, message.id).unwrap().event, Some(event));
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    let others = u64::from(!R::ISOLATED);
    assert_eq!(machine.fire(B, message.pair, message.handle), others, "another device's write");
    assert_eq!(core.activate(A, message.id), Err(Error::BadState));

    core.block(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0, "blocked");
    assert_eq!(core.block(A, message.id), Err(Error::BadState));
    let before = machine.kernel.delivered(message.handle);
    core.unblock(A, message.id).unwrap();
    machine.take_events();
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

/// Least loaded first, within the set.
fn vectors_spread<R: Rig>() {
    let machine = R::machine(4);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 64));
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

fn affinity_moves_without_the_device<R: Rig>() {
    let machine = R::machine(2);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 64));
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
        assert_eq!(now.event.unwrap().cpu.index(), (round % 2) as usize);
        assert_eq!(now.pair, message.pair);
        machine.take_events();
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

fn others_messages<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 8, 8));
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

fn multi_message_msi<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x4f, 64, 64));
    let block = AllocRequest { contiguity: Contiguity::Contiguous, ..request(Kind::PciMsi) };
    let mut out = [None; 4];
    core.alloc(A, &block, &mut out).unwrap();
    let first = out[0].unwrap().pair;
    assert_eq!(first.data % 4, 0);
    for (number, message) in out.into_iter().flatten().enumerate() {
        let data = first.data + number as u32;
        assert_eq!(message.pair, Pair { address: first.address, data });
        core.activate(A, message.id).unwrap();
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    // A failure in the middle gives the whole block back.
    let used = core.back_end_mut().entries_used();
    machine.kernel.fail(KernelCall::Create);
    assert!(matches!(core.alloc(A, &block, &mut out), Err(Error::Kernel(_))));
    assert_eq!((core.back_end_mut().entries_used(), out), (used, [None; 4]));
}
