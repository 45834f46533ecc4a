//! Sets of devices: who belongs, quotas, the end of all.

use crate::levels::{
    A, B, C, D, FIRST, Levels, OverVtd, QUOTA, Rig, SECOND, alloc, over_each, request,
};
use interrupt_core::parent::Refusal;
use interrupt_core::{Error, Kind, RequesterId, SubsystemInfo};

over_each!(the_quota_is_of_the_sum, all_end_together);

/// Each device within its own quota, the sum past the subsystem's.
fn the_quota_is_of_the_sum<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x3f);
    // The child's own limits are out of the way: the parent's are what is seen.
    levels.child = crate::levels::child(&levels.way, 40);
    let first: Vec<_> = (0..7).map(|_| alloc(&mut levels.child, A).unwrap()).collect();
    let second: Vec<_> = (0..5).map(|_| alloc(&mut levels.child, B).unwrap()).collect();
    let seen = levels.seen();
    let exceeded = Err(Error::Parent(Refusal::Code(5)));
    for device in [A, B] {
        assert_eq!(alloc(&mut levels.child, device), exceeded);
        let some = levels.child.alloc(device, &request(Kind::Msix), &mut [None; 3]);
        assert_eq!(some, exceeded.map(drop));
    }
    assert_eq!(levels.seen(), seen);
    let info = levels.root.borrow().subsystem(FIRST);
    assert_eq!(info, Ok(SubsystemInfo { quota: QUOTA, held: QUOTA, devices: 2 }));
    // Others have theirs.
    assert!(alloc(&mut *levels.root.borrow_mut(), C).is_ok());
    assert!(alloc(&mut *levels.root.borrow_mut(), D).is_ok());
    // What one gives back, the other can have.
    levels.child.free(A, first[0].id).unwrap();
    levels.settle();
    assert!(alloc(&mut levels.child, B).is_ok());
    assert_eq!(alloc(&mut levels.child, B), exceeded);
    // A device that drops out takes what it held along.
    levels.child.client_gone(B);
    levels.root.borrow_mut().client_gone(B);
    levels.settle();
    assert_eq!(levels.root.borrow().subsystem(FIRST).map(|it| (it.held, it.devices)), Ok((6, 1)));
    drop(second);
}

fn all_end_together<R: Rig>() {
    let mut levels = Levels::<R>::new(1, 0x3f);
    let mine = [alloc(&mut levels.child, A).unwrap(), alloc(&mut levels.child, B).unwrap()];
    let other = alloc(&mut *levels.root.borrow_mut(), C).unwrap();
    levels.root.borrow_mut().activate(C, other.id).unwrap();
    for message in mine {
        let owner = if message == mine[0] { A } else { B };
        levels.child.activate(owner, message.id).unwrap();
    }
    let mut told = Vec::new();
    let ended = levels.root.borrow_mut().subsystem_gone(FIRST, |client| told.push(client));
    assert_eq!((ended, told), (2, vec![A.into(), B.into()]));
    assert_eq!(levels.machine.fire(A, mine[0].pair, mine[0].handle), 0);
    assert_eq!(levels.machine.fire(C, other.pair, other.handle), 1, "another subsystem lives on");
    let mut root = levels.root.borrow_mut();
    assert_eq!(root.subsystem(FIRST), Err(Error::BadId));
    assert_eq!(root.speaks_for(FIRST, A), Err(Error::NotYours));
    assert_eq!(root.join(FIRST, A), Err(Error::BadId), "until it is made known again");
    assert_eq!(root.subsystem_gone(FIRST, |_| ()), 0);
    assert_eq!(root.subsystem_gone(999, |_| ()), 0);
    root.set_subsystem(FIRST, 1).unwrap();
    assert_eq!(root.join(FIRST, A), Ok(()));
    assert_eq!(root.speaks_for(FIRST, A), Ok(()));
}

#[test]
fn who_belongs() {
    let levels = Levels::<OverVtd>::new(1, 0x3f);
    let mut root = levels.root.borrow_mut();
    assert_eq!(root.join(SECOND, A), Err(Error::NotYours), "it has one");
    assert_eq!(root.join(FIRST, A), Ok(()), "said twice");
    assert_eq!(root.subsystem_of(A), Some(FIRST));
    assert_eq!(root.subsystem_of(D), None);
    assert_eq!(root.join(9, D), Err(Error::BadId), "nobody has made it known");
    assert_eq!(root.join(9999, D), Err(Error::BadId));
    assert_eq!(root.set_subsystem(64, 1), Err(Error::BadArgument));
    let message = alloc(&mut *root, D).unwrap();
    assert_eq!(root.join(FIRST, D), Err(Error::BadState), "a driver of the root's has it");
    root.free(D, message.id).unwrap();
    assert_eq!(root.join(FIRST, D), Ok(()));
    for number in 0..29 {
        root.set_subsystem(7, 1).unwrap();
        // The config has 16 client records.
        if let Err(error) = root.join(7, RequesterId::from_bits(0x800 + number)) {
            assert_eq!((error, number), (Error::NoMemory, 12));
            break;
        }
    }
    assert_eq!(root.speaks_for(FIRST, RequesterId::from_bits(0x9999)), Err(Error::NotYours));
}
