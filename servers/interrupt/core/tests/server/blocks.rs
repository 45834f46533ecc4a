//! Blocks of messages (multi-message MSI), over each back end with a remapper: reserved as a
//! whole, given out in parts, and what ends them in between.

use crate::common::{A, B, Rig, Server, alloc, over_each, request, settle};
use interrupt_core::fake::{FakeError, FakeHandle, FakeState, KernelCall, fake_config};
use interrupt_core::{AllocRequest, Allocated, BackEnd, Contiguity, Error, Kind, Pair};

over_each!(
    every_size_is_one_run,
    counts_that_can_not_be,
    a_block_comes_in_parts,
    what_is_withheld_can_not_be_named,
    what_is_withheld_ends_with_its_first_message,
    a_block_is_whole_or_not_at_all,
    a_kernel_that_refuses_to_end_what_is_withheld,
);

type Message = Allocated<FakeHandle>;

fn block() -> AllocRequest {
    AllocRequest { contiguity: Contiguity::Contiguous, ..request(Kind::PciMsi) }
}

/// A block, of which the client is given the first eight.
fn make<R: Rig>(core: &mut Server<R>, count: usize) -> Result<Vec<Message>, Error<FakeError>> {
    let mut out = vec![None; count];
    core.alloc(A, &block(), &mut out)?;
    core.withhold(&out, 8);
    Ok(out.into_iter().flatten().collect())
}

fn used<R: Rig>(core: &mut Server<R>) -> u32 {
    core.back_end_mut().entries_used()
}

/// 1 to 32, aligned, one address, and each raises its own.
fn every_size_is_one_run<R: Rig>() {
    for order in 0..=5 {
        let machine = R::machine(1);
        let mut core = R::server(&machine, &fake_config(0x5f, 128, 128));
        // So that no block begins where the table does.
        let _single = alloc(&mut core, A, Kind::PciMsi).unwrap();
        let mut out = vec![None; 1 << order];
        core.alloc(A, &block(), &mut out).unwrap();
        let all: Vec<Message> = out.into_iter().flatten().collect();
        let first = all[0].pair;
        assert_eq!((all.len(), first.data % (1 << order)), (1 << order, 0));
        for (number, message) in all.iter().enumerate() {
            let data = first.data + number as u32;
            assert_eq!(message.pair, Pair { address: first.address, data });
            core.activate(A, message.id).unwrap();
        }
        for message in &all {
            assert_eq!(machine.fire(A, message.pair, message.handle), 1);
            assert_eq!(machine.fire(B, message.pair, message.handle), 0, "another device");
        }
        for message in &all {
            assert_eq!(machine.kernel.delivered(message.handle), 1, "and nobody else's");
            core.free(A, message.id).unwrap();
        }
        settle(&machine, &mut core);
        assert_eq!(machine.violations(), Vec::<String>::new());
    }
}

fn counts_that_can_not_be<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 256, 256));
    let before = used::<R>(&mut core);
    for count in [0, 3, 5, 24, 31, 33] {
        let mut out = vec![None; count];
        assert_eq!(core.alloc(A, &block(), &mut out), Err(Error::BadArgument), "{count}");
    }
    // Multi-message MSI ends at 32 (PCI 3.0 §6.8.1.3).
    let mut out = vec![None; 64];
    assert_eq!(core.alloc(A, &block(), &mut out), Err(Error::NoContiguous));
    assert_eq!(used::<R>(&mut core), before);
}

fn a_block_comes_in_parts<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x5f, 128, 128));
    let all = make::<R>(&mut core, 32).unwrap();
    let mut given = all[..8].to_vec();
    for room in [8, 3, 8, 8] {
        let mut out = [None; 8];
        core.collect(A, all[0].id, &mut out[..room]).unwrap();
        given.extend(out.into_iter().flatten());
    }
    assert_eq!(given, all, "each once, in the order of the pairs");
    assert_eq!(core.collect(A, all[0].id, &mut [None; 8]), Err(Error::BadState), "no more");
    for message in &given {
        core.activate(A, message.id).unwrap();
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    // A part of it that is freed takes nothing else along.
    core.free(A, all[0].id).unwrap();
    for message in &given[1..] {
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    // A block that one answer holds has nothing to collect.
    let small = make::<R>(&mut core, 8).unwrap();
    assert_eq!(core.collect(A, small[0].id, &mut [None; 8]), Err(Error::BadState));
}

fn what_is_withheld_can_not_be_named<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x5f, 64, 64));
    let all = make::<R>(&mut core, 16).unwrap();
    for message in &all[8..] {
        assert_eq!(core.activate(A, message.id), Err(Error::BadId));
        assert_eq!(core.block(A, message.id), Err(Error::BadId));
        assert_eq!(core.free(A, message.id), Err(Error::BadId));
        assert_eq!(core.storm(message.id), Err(Error::BadId));
        assert_eq!(core.orphaned(message.id), Err(Error::BadId));
        assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    }
    // Only by the first message of the block, and only its owner.
    let mut out = [None; 8];
    for not_first in [1, 7, 8, 15] {
        let refused = core.collect(A, all[not_first].id, &mut out);
        assert_eq!(refused, Err(if not_first < 8 { Error::BadState } else { Error::BadId }));
    }
    assert_eq!(core.collect(B, all[0].id, &mut out), Err(Error::NotYours));
    assert_eq!(out, [None; 8]);
    // It counts against the quota all the same.
    assert_eq!(
        make::<R>(&mut core, 32).map(|_| ()).and(make::<R>(&mut core, 32).map(|_| ())),
        Err(Error::QuotaExceeded)
    );
}

/// Its driver frees it, or dies, or its whole device has gone, with a part collected or none.
fn what_is_withheld_ends_with_its_first_message<R: Rig>() {
    for collected in [0, 3, 24] {
        for way in 0..3 {
            let machine = R::machine(1);
            let mut core = R::server(&machine, &fake_config(0x5f, 64, 64));
            let kept = alloc(&mut core, A, Kind::PciMsi).unwrap();
            let before = (used::<R>(&mut core), machine.kernel.live());
            let all = make::<R>(&mut core, 32).unwrap();
            if collected > 0 {
                core.collect(A, all[0].id, &mut vec![None; collected]).unwrap();
            }
            core.activate(A, all[5].id).unwrap();
            machine.write(Some(A), all[5].pair);
            match way {
                0 => core.free(A, all[0].id).unwrap(),
                1 => assert_eq!(core.orphaned(all[0].id), Ok(A.into())),
                _ => assert_eq!(core.client_gone(A), 33),
            }
            if way < 2 {
                let lives = |message: &Message| core.info(A, message.id).is_ok();
                assert_eq!(all.iter().filter(|it| lives(it)).count(), 7 + collected);
                // The rest goes as every message does.
                for message in all[1..8 + collected].iter() {
                    core.orphaned(message.id).unwrap();
                }
            }
            settle(&machine, &mut core);
            let gone = u32::from(way == 2);
            assert_eq!(used::<R>(&mut core), before.0 - gone);
            assert_eq!(machine.kernel.live(), before.1 - gone as usize);
            for message in &all {
                assert_eq!(machine.fire(A, message.pair, message.handle), 0);
                assert_eq!(machine.kernel.state(message.handle), FakeState::Dead);
            }
            if way < 2 {
                core.activate(A, kept.id).unwrap();
                assert_eq!(machine.fire(A, kept.pair, kept.handle), 1);
            }
            assert_eq!(machine.violations(), Vec::<String>::new());
        }
    }
}

/// The kernel refuses one message after another: nothing of the block is left.
fn a_block_is_whole_or_not_at_all<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x5f, 40, 40));
    let before = (used::<R>(&mut core), machine.kernel.live());
    for good in 0..16 {
        machine.kernel.fail_after(KernelCall::Create, good);
        assert!(matches!(make::<R>(&mut core, 16), Err(Error::Kernel(_))));
        machine.kernel.heal();
        assert_eq!((used::<R>(&mut core), machine.kernel.live()), before);
    }
    // Records, then quota: the whole block is refused, and there is room for smaller ones.
    let _first = make::<R>(&mut core, 32).unwrap();
    assert_eq!(make::<R>(&mut core, 16).map(|_| ()), Err(Error::QuotaExceeded));
    assert_eq!(make::<R>(&mut core, 8).map(|all| all.len()), Ok(8));
}

/// What the kernel will not end yet stays in quarantine, and is ended later.
fn a_kernel_that_refuses_to_end_what_is_withheld<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x5f, 64, 64));
    let before = (used::<R>(&mut core), machine.kernel.live());
    let all = make::<R>(&mut core, 16).unwrap();
    machine.kernel.fail(KernelCall::Destroy);
    core.orphaned(all[0].id).unwrap();
    for message in &all[8..] {
        assert_eq!(core.activate(A, message.id), Err(Error::BadId));
    }
    machine.kernel.heal();
    for message in &all[1..8] {
        core.free(A, message.id).unwrap();
    }
    settle(&machine, &mut core);
    assert_eq!((used::<R>(&mut core), machine.kernel.live()), before);
}
