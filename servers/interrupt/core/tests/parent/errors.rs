//! A parent that refuses every step with every error: each comes back as that error, and
//! neither level has changed.

use crate::levels::{A, Levels, Rig, alloc, over_each, request};
use interrupt_core::parent::Refusal;
use interrupt_core::{AllocRequest, BackEnd, Contiguity, CpuSet, Error, Kind};

over_each!(every_step_and_every_error, errors_of_the_top, a_gone_message);

/// All codes of the protocol, and some that it may get.
fn codes() -> impl Iterator<Item = u32> {
    (0..64).chain([100, u32::MAX])
}

fn every_step_and_every_error<R: Rig>() {
    let mut levels = Levels::<R>::new(2, 0x3f);
    let reserved = alloc(&mut levels.child, A).unwrap();
    let active = alloc(&mut levels.child, A).unwrap();
    levels.child.activate(A, active.id).unwrap();
    let blocked = alloc(&mut levels.child, A).unwrap();
    levels.child.activate(A, blocked.id).unwrap();
    levels.child.block(A, blocked.id).unwrap();
    let held = levels.root.borrow().subsystem(crate::levels::FIRST).unwrap().held;
    let seen = levels.seen();
    for code in codes() {
        let refusal = Refusal::Code(code);
        levels.way.fail(Some(refusal));
        let wanted = Err(Error::Parent(refusal));
        for kind in [Kind::PciMsi, Kind::QueueMemory] {
            assert_eq!(levels.child.alloc(A, &request(kind), &mut [None; 2]), wanted);
            let block = AllocRequest { contiguity: Contiguity::Contiguous, ..request(kind) };
            assert_eq!(levels.child.alloc(A, &block, &mut [None; 4]), wanted);
        }
        for message in [reserved, active, blocked] {
            let (child, id) = (&mut levels.child, message.id);
            assert_eq!(child.activate(A, id).map(drop), wanted);
            assert_eq!(child.deactivate(A, id), wanted);
            assert_eq!(child.set_affinity(A, id, CpuSet::ALL), wanted);
            assert_eq!(child.block(A, id), wanted);
            assert_eq!(child.unblock(A, id), wanted);
            assert_eq!(child.look(A, id), wanted);
            assert_eq!(child.free(A, id), wanted);
        }
        assert_eq!(levels.child.back_end_mut().faults_above(A.into()), Some(Err(refusal)));
        assert_eq!(levels.seen(), seen, "{code}");
    }
    levels.way.fail(None);
    assert_eq!(levels.root.borrow().subsystem(crate::levels::FIRST).unwrap().held, held);
    assert_eq!(levels.machine.fire(A, active.pair, active.handle), 1);
    levels.child.activate(A, reserved.id).unwrap();
    levels.child.unblock(A, blocked.id).unwrap();
    assert_eq!(levels.child.client_gone(A), 3);
    levels.all_is_back();
}

/// Real ones: no vector is free, and no entry.
fn errors_of_the_top<R: Rig>() {
    // One vector, or (ITS) as many LPIs as there are.
    let mut levels = Levels::<R>::new(1, 0x30);
    let all: Vec<_> = (0..3).map(|_| alloc(&mut levels.child, A).unwrap()).collect();
    let mut refused = 0;
    for message in &all {
        match levels.child.activate(A, message.id) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, Error::Parent(Refusal::Code(3)), "NoVectors");
                refused += 1;
            }
        }
    }
    let (vectors, _, _) = levels.seen();
    assert_eq!(vectors.len(), 3);
    let is_its = levels.machine.its.is_some();
    assert_eq!(refused, if is_its { 0 } else { 2 });
    levels.child.client_gone(A);
    levels.all_is_back();
}

/// `BadId` from above: it is `BadId` here, whatever was asked, and the record goes.
fn a_gone_message<R: Rig>() {
    type Ask<R> = fn(
        &mut crate::levels::Child<<R as Rig>::BackEnd>,
        interrupt_core::MessageId,
    ) -> Result<(), Error<interrupt_core::fake::FakeError>>;
    let asks: [Ask<R>; 7] = [
        |child, id| child.activate(A, id).map(drop),
        |child, id| child.deactivate(A, id),
        |child, id| child.set_affinity(A, id, CpuSet::ALL),
        |child, id| child.block(A, id),
        |child, id| child.unblock(A, id),
        |child, id| child.look(A, id),
        |child, id| child.free(A, id),
    ];
    for ask in asks {
        let mut levels = Levels::<R>::new(1, 0x3f);
        let message = alloc(&mut levels.child, A).unwrap();
        levels.child.activate(A, message.id).unwrap();
        levels.root.borrow_mut().client_gone(A);
        levels.root.borrow_mut().join(crate::levels::FIRST, A).unwrap();
        assert_eq!(ask(&mut levels.child, message.id), Err(Error::BadId));
        assert_eq!(levels.child.back_end_mut().entries_used(), 0, "no record is left of it");
        levels.all_is_back();
    }
}
