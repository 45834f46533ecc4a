//! One thing after the other, over each remapper.

use crate::levels::{A, B, C, D, FIRST, Levels, QUOTA, Rig, alloc, child, over_each, request};
use interrupt_core::fake::{FakeState, ModelParent};
use interrupt_core::parent::Refusal;
use interrupt_core::{
    AllocRequest, BackEnd, Contiguity, CpuIndex, CpuSet, Domain, Error, Kind, MessageState, Pair,
};
use std::cell::RefCell;
use std::rc::Rc;

over_each!(
    a_life_below,
    affinity_is_forwarded,
    blocks_are_forwarded,
    nothing_of_another_subsystem,
    a_storm_above,
    a_driver_that_dies,
    a_handle_closed_without_a_free,
    a_child_that_dies,
    a_handle_that_nobody_took,
    what_the_parent_would_not_end,
    a_block_in_parts,
    three_levels,
);

const NOT_YOURS: Refusal = Refusal::Code(7);
const BAD_STATE: Refusal = Refusal::Code(9);

fn a_life_below<R: Rig>() {
    let mut levels = Levels::<R>::new(2, 0x3f);
    let message = alloc(&mut levels.child, A).unwrap();
    assert_eq!(levels.way.kept(), 0, "the child keeps no handle");
    let root_id = |levels: &Levels<R>| {
        let root = levels.root.borrow();
        let ids = root.describe().filter_map(|node| match node {
            Domain::Message(info) => Some((info.id, info.client, info.pair)),
            _ => None,
        });
        ids.collect::<Vec<_>>()
    };
    let above = root_id(&levels);
    assert_eq!((above.len(), above[0].1, above[0].2), (1, A.into(), message.pair));
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 0, "reserved");
    let event = levels.child.activate(A, message.id).unwrap();
    assert_eq!(levels.root.borrow().info(A, above[0].0).unwrap().event, Some(event));
    assert_eq!(levels.child.info(A, message.id).unwrap().event, Some(event));
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 1);
    assert_eq!(levels.machine.fire(B, message.pair, message.handle), 0, "another's write");
    assert_eq!(levels.child.activate(A, message.id), Err(Error::Parent(BAD_STATE)));
    assert_eq!(levels.child.activate(B, message.id), Err(Error::NotYours));
    levels.child.block(A, message.id).unwrap();
    assert_eq!(levels.child.info(A, message.id).unwrap().state, MessageState::Blocked);
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 0, "blocked");
    let before = levels.machine.kernel.delivered(message.handle);
    levels.child.unblock(A, message.id).unwrap();
    levels.machine.take_events();
    assert_eq!(levels.machine.kernel.delivered(message.handle), before + 1, "raised once");
    levels.child.deactivate(A, message.id).unwrap();
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 0, "reserved again");
    levels.child.activate(A, message.id).unwrap();
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 1, "the same pair");
    levels.child.free(A, message.id).unwrap();
    assert_eq!(levels.machine.kernel.state(message.handle), FakeState::Dead);
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(levels.child.free(A, message.id), Err(Error::BadId));
    levels.all_is_back();
}

fn affinity_is_forwarded<R: Rig>() {
    let mut levels = Levels::<R>::new(3, 0x3f);
    let message = alloc(&mut levels.child, A).unwrap();
    let one = |cpu| CpuSet::one(CpuIndex::new(cpu).unwrap());
    assert_eq!(
        levels.child.set_affinity(A, message.id, one(1)),
        Err(Error::Parent(BAD_STATE)),
        "it has no event"
    );
    levels.child.activate(A, message.id).unwrap();
    for cpu in [2, 1, 0, 1] {
        levels.child.set_affinity(A, message.id, one(cpu)).unwrap();
        let event = levels.child.info(A, message.id).unwrap().event.unwrap();
        assert_eq!(event.cpu.index(), usize::from(cpu));
        assert_eq!(levels.machine.fire(A, message.pair, message.handle), 1);
        levels.settle();
    }
    let nowhere = levels.child.set_affinity(A, message.id, CpuSet::from_bits(1 << 40));
    assert_eq!(nowhere, Err(Error::Parent(Refusal::Code(10))));
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 1, "where it was");
    assert_eq!(levels.child.client_gone(A), 1);
    levels.all_is_back();
}

/// Multi-message MSI: one run above is one run below.
fn blocks_are_forwarded<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x4f);
    let block = AllocRequest { contiguity: Contiguity::Contiguous, ..request(Kind::PciMsi) };
    let mut out = [None; 8];
    levels.child.alloc(A, &block, &mut out).unwrap();
    let first = out[0].unwrap().pair;
    assert_eq!(first.data % 8, 0);
    for (number, message) in out.into_iter().flatten().enumerate() {
        let data = first.data + number as u32;
        assert_eq!(message.pair, Pair { address: first.address, data });
        levels.child.handed_on(message.id);
        levels.child.activate(A, message.id).unwrap();
        assert_eq!(levels.machine.fire(A, message.pair, message.handle), 1);
    }
    assert_eq!(levels.way.kept(), 0);
    let seen = levels.seen();
    let more = levels.child.alloc(A, &block, &mut out);
    assert_eq!(more, Err(Error::QuotaExceeded), "8 of {QUOTA} are taken");
    let odd = levels.child.alloc(A, &block, &mut [None; 3]);
    assert_eq!(odd, Err(Error::BadArgument));
    assert_eq!(levels.seen(), seen);
    levels.child.client_gone(A);
    levels.all_is_back();
}

/// A child that names what is not its own reaches nothing.
fn nothing_of_another_subsystem<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x3f);
    let own = alloc(&mut *levels.root.borrow_mut(), D).unwrap();
    levels.root.borrow_mut().activate(D, own.id).unwrap();
    let seen = levels.seen();
    // Devices that are not of its set: another subsystem's, the root's, nobody's.
    for device in [C, D, interrupt_core::RequesterId::from_bits(0x7777)] {
        let refused = alloc(&mut levels.child, device);
        assert_eq!(refused, Err(Error::Parent(NOT_YOURS)), "{device}");
    }
    assert_eq!(levels.seen(), seen);
    // Names of messages that are not its device's.
    let way = &mut levels.way;
    use interrupt_core::parent::{Connection, Step};
    for step in [
        Step::Activate,
        Step::Deactivate,
        Step::SetAffinity(CpuSet::ALL),
        Step::Block,
        Step::Unblock,
        Step::Free,
        Step::Look,
    ] {
        assert_eq!(way.step(A.into(), own.id.bits(), step), Err(NOT_YOURS), "as its own device");
        assert_eq!(way.step(D.into(), own.id.bits(), step), Err(Refusal::Gone), "as the owner");
        for forged in [1 << 32, 1, u64::MAX, own.id.bits() ^ 1, own.id.bits() | 1 << 63] {
            assert_eq!(way.step(A.into(), forged, step), Err(Refusal::Gone));
        }
    }
    assert_eq!(levels.seen(), seen);
    assert_eq!(levels.machine.fire(D, own.pair, own.handle), 1, "and nobody felt it");
    levels.root.borrow_mut().client_gone(D);
    levels.all_is_back();
}

/// The kernel tells the root of a storm. The child hears of it when it looks, and its client's
/// unblock is forwarded whatever the child knew.
fn a_storm_above<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x3f);
    let message = alloc(&mut levels.child, A).unwrap();
    levels.child.activate(A, message.id).unwrap();
    let above = id_above(&mut levels, message.id);
    assert_eq!(levels.root.borrow_mut().storm(above), Ok(A.into()));
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(levels.child.info(A, message.id).unwrap().state, MessageState::Active, "not yet");
    levels.child.look(A, message.id).unwrap();
    assert_eq!(levels.child.info(A, message.id).unwrap().state, MessageState::Blocked);
    levels.child.unblock(A, message.id).unwrap();
    levels.machine.take_events();
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 1);
    // And without a look.
    assert_eq!(levels.root.borrow_mut().storm(above), Ok(A.into()));
    levels.child.unblock(A, message.id).unwrap();
    levels.child.client_gone(A);
    levels.all_is_back();
}

fn id_above<R: Rig>(
    levels: &mut Levels<R>,
    id: interrupt_core::MessageId,
) -> interrupt_core::MessageId {
    let device = levels.child.describe().find_map(|node| match node {
        Domain::Message(info) if info.id == id => info.entry,
        _ => None,
    });
    let entry = device.expect("a message of the child's");
    let (_, bits) = levels.child.back_end_mut().name_above(entry).expect("with a name above");
    interrupt_core::MessageId::from_bits(bits)
}

/// Its handles were the last: the kernel tells the root, init tells the child.
fn a_driver_that_dies<R: Rig>() {
    let mut levels = Levels::<R>::new(2, 0x3f);
    let others = alloc(&mut levels.child, B).unwrap();
    levels.child.activate(B, others.id).unwrap();
    let all: Vec<_> = (0..5).map(|_| alloc(&mut levels.child, A).unwrap()).collect();
    for message in &all[..3] {
        levels.child.activate(A, message.id).unwrap();
        levels.machine.write(Some(A), message.pair);
    }
    for message in &all {
        let above = id_above(&mut levels, message.id);
        assert_eq!(levels.root.borrow_mut().orphaned(above), Ok(A.into()));
    }
    levels.machine.take_events();
    for message in &all {
        assert_eq!(levels.machine.fire(A, message.pair, message.handle), 0, "late writes");
    }
    assert_eq!(levels.child.client_gone(A), 5);
    assert_eq!(levels.machine.fire(B, others.pair, others.handle), 1, "nobody else felt it");
    levels.child.free(B, others.id).unwrap();
    levels.all_is_back();
}

/// The driver lives on, so nobody tells the child: it finds out when it would say no, and at
/// the next step of that message.
fn a_handle_closed_without_a_free<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x3f);
    for _ in 0..3 {
        let all: Vec<_> = (0..QUOTA).map(|_| alloc(&mut levels.child, A).unwrap()).collect();
        assert_eq!(alloc(&mut levels.child, A), Err(Error::QuotaExceeded), "all are held");
        for message in &all {
            let above = id_above(&mut levels, message.id);
            levels.root.borrow_mut().orphaned(above).unwrap();
        }
        assert_eq!(levels.child.activate(A, all[0].id), Err(Error::BadId));
        assert_eq!(levels.child.info(A, all[0].id), Err(Error::BadId), "and its record went");
        levels.machine.take_events();
    }
    let message = alloc(&mut levels.child, A).unwrap();
    levels.child.free(A, message.id).unwrap();
    // What nobody has asked about since goes with the driver.
    assert_eq!(levels.child.client_gone(A), QUOTA - 1);
    levels.all_is_back();
}

/// What its drivers held ends above; what their devices write goes nowhere; the devices can be
/// anybody's.
fn a_child_that_dies<R: Rig>() {
    let mut levels = Levels::<R>::new(2, 0x3f);
    let seen = levels.seen();
    for _ in 0..3 {
        let all: Vec<_> = (0..6).map(|_| alloc(&mut levels.child, A).unwrap()).collect();
        let blocked = alloc(&mut levels.child, B).unwrap();
        levels.child.activate(B, blocked.id).unwrap();
        levels.child.block(B, blocked.id).unwrap();
        for message in &all[..4] {
            levels.child.activate(A, message.id).unwrap();
            levels.machine.write(Some(A), message.pair);
        }
        levels.restart();
        for message in all.iter().chain([&blocked]) {
            assert_eq!(levels.machine.kernel.state(message.handle), FakeState::Dead);
            assert_eq!(levels.machine.fire(A, message.pair, message.handle), 0);
            assert_eq!(levels.machine.fire(B, message.pair, message.handle), 0);
        }
        levels.all_is_back();
        assert_eq!(levels.seen(), seen);
    }
    // A driver of the root's takes one of the devices.
    levels.root.borrow_mut().subsystem_gone(FIRST, |_| {});
    let message = alloc(&mut *levels.root.borrow_mut(), A).unwrap();
    levels.root.borrow_mut().activate(A, message.id).unwrap();
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 1);
    assert_eq!(alloc(&mut levels.child, A), Err(Error::Parent(NOT_YOURS)), "the old child");
    levels.root.borrow_mut().free(A, message.id).unwrap();
    levels.all_is_back();
}

/// The reply could not be delivered: nothing of it is left, above or in the child's hands.
fn a_handle_that_nobody_took<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x3f);
    let mut out = [None; 3];
    levels.child.alloc(A, &request(Kind::Msix), &mut out).unwrap();
    assert_eq!(levels.way.kept(), 3, "until the reply is there");
    for message in out.into_iter().flatten() {
        levels.child.orphaned(message.id).unwrap();
    }
    levels.all_is_back();
}

/// The client is gone and the parent refuses to end its messages: tried again until it does.
fn what_the_parent_would_not_end<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x3f);
    let message = alloc(&mut levels.child, A).unwrap();
    levels.child.activate(A, message.id).unwrap();
    levels.way.fail(Some(Refusal::LOST));
    assert_eq!(levels.child.free(A, message.id), Err(Error::Parent(Refusal::LOST)));
    assert_eq!(levels.child.client_gone(A), 1);
    assert_eq!(levels.child.tick(8), 1, "it waits");
    levels.way.fail(None);
    assert_eq!(levels.child.tick(8), 0);
    assert_eq!(levels.machine.fire(A, message.pair, message.handle), 0);
    levels.all_is_back();
}

/// A child of the child: the same protocol all the way.
fn three_levels<R: Rig>() {
    let Levels { machine, root, way, child: middle } = Levels::<R>::new(2, 0x3f);
    let middle = Rc::new(RefCell::new(middle));
    middle.borrow_mut().set_subsystem(0, 4).unwrap();
    middle.borrow_mut().join(0, A).unwrap();
    let lowest = ModelParent::new(middle.clone(), 0);
    let mut leaf = child(&lowest, 4);
    let message = alloc(&mut leaf, A).unwrap();
    assert_eq!((way.kept(), lowest.kept()), (0, 0));
    let event = leaf.activate(A, message.id).unwrap();
    assert_eq!(leaf.info(A, message.id).unwrap().event, Some(event));
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    assert_eq!(alloc(&mut leaf, B), Err(Error::Parent(NOT_YOURS)), "the middle's own");
    leaf.block(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    leaf.unblock(A, message.id).unwrap();
    // The error of the top comes down two levels.
    way.fail(Some(Refusal::Code(4711)));
    assert_eq!(leaf.block(A, message.id), Err(Error::Parent(Refusal::Code(4711))));
    way.fail(None);
    let more: Vec<_> = (0..3).map(|_| alloc(&mut leaf, A).unwrap()).collect();
    assert_eq!(alloc(&mut leaf, A), Err(Error::QuotaExceeded));
    leaf.free(A, more[0].id).unwrap();
    // The end of the middle's subsystem is the end of what the leaf gave.
    middle.borrow_mut().subsystem_gone(0, |_| {});
    machine.take_events();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    let old = leaf.activate(A, more[1].id);
    assert_eq!(old, Err(Error::BadId));
    for _ in 0..100 {
        middle.borrow_mut().tick(64);
        root.borrow_mut().tick(64);
        machine.take_events();
    }
    assert_eq!((machine.kernel.live(), root.borrow_mut().back_end_mut().entries_used()), (0, 0));
    assert_eq!(middle.borrow_mut().back_end_mut().entries_used(), 0);
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// A block that no answer holds: what is withheld below ends with its first message, on both
/// levels.
fn a_block_in_parts<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x5f);
    levels.root.borrow_mut().set_subsystem(FIRST, 30).unwrap();
    levels.child = child(&levels.way, 30);
    let block = AllocRequest { contiguity: Contiguity::Contiguous, ..request(Kind::PciMsi) };
    for way in 0..3 {
        let mut out = [None; 16];
        levels.child.alloc(A, &block, &mut out).unwrap();
        levels.child.withhold(&out, 8);
        let all: Vec<_> = out.into_iter().flatten().collect();
        all[..8].iter().for_each(|message| levels.child.handed_on(message.id));
        assert_eq!(levels.way.kept(), 8, "until they are collected");
        let mut more = [None; 4];
        levels.child.collect(A, all[0].id, &mut more).unwrap();
        more.iter().flatten().for_each(|message| levels.child.handed_on(message.id));
        assert_eq!(levels.way.kept(), 4);
        match way {
            0 => levels.child.free(A, all[0].id).unwrap(),
            1 => {
                let above = id_above(&mut levels, all[0].id);
                levels.root.borrow_mut().orphaned(above).unwrap();
                assert_eq!(levels.child.activate(A, all[0].id), Err(Error::BadId));
            }
            _ => assert_eq!(levels.child.client_gone(A), 16),
        }
        assert_eq!(levels.way.kept(), 0);
        levels.child.client_gone(A);
        levels.all_is_back();
    }
}
