//! The ITS back end against the register-level model: what it needs, what it lets through,
//! and what it does when hardware is late or stalls.

use crate::acts::{A, B, give_back, one, quiet, route, settled};
use crate::rig::{
    BUDGET, Choice, ID_BITS, attach, bring_up, cpu, finish, memory, priority, properties, start,
};
use interrupt_core::fake::{ItsDrop, ItsModel, ItsOptions, ItsOutcome};
use interrupt_core::its::{
    AttachError, Attached, DetachError, DeviceId, DeviceTable, EventRemapper, EventReserveError,
    EventState, ItsError, ItsInitError, ItsProbe, ItsStep, Lpi, LpiTable, LpiTableError, PageSize,
    PendingTableNeed, RedistributorError, TableKind, enable_lpis, translater,
};
use interrupt_core::{Pair, Unrouted};

fn pending(cpu: usize, lpi: Lpi) -> ItsOutcome {
    ItsOutcome::Pending { cpu, lpi }
}

fn dropped(why: ItsDrop) -> ItsOutcome {
    ItsOutcome::Dropped(why)
}

/// The whole life of one event, step by step as DESIGN §5 has it.
#[test]
fn life_of_an_event() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    assert!(unit.capabilities().isolated);
    assert_eq!(attach(&model, &mut unit, A, 4), Ok(Attached::Now));
    let event = one(&mut unit, A);
    let pair = unit.compose(&event);
    assert_eq!(pair, Pair { address: translater(model.control_frame()), data: 0 });
    let lpi = event.lpi();
    assert_eq!(lpi.intid(), 8192);

    // Reserved: what the device writes vanishes.
    assert_eq!(model.message(A, pair), dropped(ItsDrop::NoEvent));
    // Active.
    route(&mut unit, &event, 0);
    assert_eq!(model.message(A, pair), pending(0, lpi));
    assert_eq!(model.acknowledge(0), Some(lpi));
    model.complete(0);
    // Affinity: what is pending moves along, the pair stays (invariants 2 and 7).
    assert_eq!(model.message(A, pair), pending(0, lpi));
    route(&mut unit, &event, 1);
    assert_eq!((model.acknowledge(0), model.acknowledge(1)), (None, Some(lpi)));
    assert_eq!(unit.compose(&event), pair);
    assert_eq!(model.message(A, pair), pending(1, lpi));
    assert_eq!(model.acknowledge(1), Some(lpi));
    // Blocked: it stays pending, and comes when it is unblocked.
    let stale = unit.block(&event).unwrap();
    settled(&mut unit, stale);
    assert_eq!(unit.state(&event), EventState::Blocked(cpu(1)));
    assert_eq!(model.message(A, pair), pending(1, lpi));
    assert_eq!(model.acknowledge(1), None);
    route(&mut unit, &event, 1);
    assert_eq!(model.acknowledge(1), Some(lpi));
    // Released: pending is forgotten, and what comes late vanishes.
    assert_eq!(model.message(A, pair), pending(1, lpi));
    let unrouted = unit.unroute(&event);
    let flushed = unit.flush(unrouted).unwrap();
    assert!(!model.is_pending(lpi));
    assert_eq!(model.message(A, pair), dropped(ItsDrop::NoEvent));
    // The CPU still deals with the one before: now drained.
    assert!(model.in_hand(lpi));
    model.complete(1);
    unit.release(event, flushed.drained());
    assert_eq!(unit.events_used(), 0);
    assert_eq!(model.dropped(A), 2);
    quiet(&model);
}

/// Invariant 1: a device that uses another's pair reaches nothing of it.
#[test]
fn anothers_pair_reaches_nothing() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    let stranger = DeviceId::from_bits(0x0999);
    assert_eq!(attach(&model, &mut unit, A, 4), Ok(Attached::Now));
    assert_eq!(attach(&model, &mut unit, B, 1), Ok(Attached::Now));
    let (first, second) = (one(&mut unit, A), one(&mut unit, A));
    let third = one(&mut unit, A);
    for event in [&first, &second, &third] {
        route(&mut unit, event, 0);
    }
    // No table at all; no such event mapped; past its table.
    let pair = unit.compose(&second);
    assert_eq!(model.message(stranger, pair), dropped(ItsDrop::NoDevice));
    assert_eq!(model.message(B, pair), dropped(ItsDrop::NoEvent));
    assert_eq!(model.message(B, unit.compose(&third)), dropped(ItsDrop::NoEvent));
    assert_eq!(model.acknowledge(0), None, "the victim receives nothing");
    assert_eq!((model.dropped(B), model.dropped(stranger)), (2, 1));
    // Where B has an event of this number, it is B's own that is raised.
    let own = one(&mut unit, B);
    route(&mut unit, &own, 1);
    assert_eq!(unit.compose(&own), unit.compose(&first), "numbers start at 0 for each");
    assert_eq!(model.message(B, unit.compose(&first)), pending(1, own.lpi()));
    assert!(!model.is_pending(first.lpi()));
    quiet(&model);
}

/// Every shape of ITS: names by address, collections in hardware, fixed page sizes, no
/// snooping, a vPE table, two levels.
#[test]
fn every_shape() {
    let plain = ItsOptions::default();
    let shapes = [
        plain,
        ItsOptions { target_is_address: true, ..plain },
        ItsOptions { hardware_collections: 4, ..plain },
        ItsOptions { coherent: false, ..plain },
        ItsOptions { virtual_lpis: true, ..plain },
        ItsOptions { page: Some(PageSize::Size4K), ..plain },
        ItsOptions { page: Some(PageSize::Size16K), coherent: false, ..plain },
        ItsOptions { lag: 20, ..plain },
    ];
    for options in shapes {
        for two_level in [false, true] {
            let model = ItsModel::new(options);
            let mut unit = bring_up(&model, Choice { two_level, ..Choice::default() }).unwrap();
            for device in [A, B, DeviceId::from_bits(0x0fff)] {
                attach(&model, &mut unit, device, 5).unwrap();
                let event = one(&mut unit, device);
                route(&mut unit, &event, 1);
                let pair = unit.compose(&event);
                assert_eq!(model.message(device, pair), pending(1, event.lpi()), "{options:?}");
                assert_eq!(model.acknowledge(1), Some(event.lpi()));
                model.complete(1);
                give_back(&mut unit, event);
            }
            quiet(&model);
        }
    }
}

#[test]
fn probe_says_what_is_needed() {
    let probe = |options| ItsProbe::new(&mut ItsModel::new(options).registers(), BUDGET).unwrap();
    let plain = ItsOptions::default();
    let found = probe(plain);
    assert_eq!(found.devices.page, PageSize::Size64K);
    assert!(found.devices.two_level && !found.collections.unwrap().two_level);
    assert_eq!(found.devices.flat_bytes(found.devices.all_ids()), Some(8 * 65_536));
    assert_eq!(found.devices.level_one_bytes(found.devices.all_ids()), Some(0x1_0000));
    assert!(found.virtual_processors.is_none());
    // 32 bits of DeviceID do not fit into 256 flat pages: two levels.
    let large = probe(ItsOptions { device_bits: 32, ..plain });
    assert_eq!(large.devices.flat_bytes(large.devices.all_ids()), None);
    assert_eq!(large.devices.level_one_bytes(large.devices.all_ids()), Some(64 * 0x1_0000));
    let small = probe(ItsOptions { page: Some(PageSize::Size4K), two_level: false, ..plain });
    assert_eq!((small.devices.page, small.devices.two_level), (PageSize::Size4K, false));
    let hardware = probe(ItsOptions { hardware_collections: 3, ..plain });
    assert!(hardware.collections.is_none());
    assert_eq!(hardware.collections_for(None), 3);
}

#[test]
fn refuses_what_it_cannot_use() {
    let plain = ItsOptions::default();
    let refuse = |options| bring_up(&ItsModel::new(options), Choice::default()).err();
    assert_eq!(refuse(plain), None);
    let none = refuse(ItsOptions { physical: false, ..plain });
    assert_eq!(none, Some(ItsInitError::NoPhysicalLpis));
    let few = refuse(ItsOptions { hardware_collections: 1, ..plain });
    assert_eq!(few, Some(ItsInitError::TooFewCollections));

    let model = ItsModel::new(ItsOptions { virtual_lpis: true, ..plain });
    let with = |change: &dyn Fn(&mut interrupt_core::its::ItsMemory<_>), lpis| {
        let probe = ItsProbe::new(&mut model.registers(), BUDGET).unwrap();
        let fresh = ItsModel::new(ItsOptions { virtual_lpis: true, ..plain });
        let mut memory = memory(&fresh, &probe, Choice::default());
        change(&mut memory);
        finish(&fresh, &probe, memory, lpis).err()
    };
    let missing = |kind| Some(ItsInitError::MissingTable(kind));
    assert_eq!(with(&|_| {}, 64), None);
    assert_eq!(with(&|m| m.collections = None, 64), missing(TableKind::Collections));
    let vpe = with(&|m| m.virtual_processors = None, 64);
    assert_eq!(vpe, missing(TableKind::VirtualProcessors));
    assert_eq!(with(&|_| {}, 0), Some(ItsInitError::BadLpiCount));
    assert_eq!(with(&|_| {}, 8193), Some(ItsInitError::BadLpiCount));
    assert_eq!(with(&|_| {}, 8192), None);
    for (bytes, align) in [(0x1000, 0x1_0000), (0x1_8000, 0x1_0000), (257 << 16, 0x1_0000)] {
        let bad = with(&|m| m.devices = DeviceTable::Flat(model.region(bytes, align)), 64);
        assert_eq!(bad, Some(ItsInitError::BadTable(TableKind::Devices)), "{bytes:#x}");
    }
    for bytes in [0x800, 0x1800, 257 << 12] {
        let bad = with(&|m| m.queue = model.region(bytes, 0x1_0000), 64);
        assert_eq!(bad, Some(ItsInitError::BadQueue), "{bytes:#x}");
    }
    // A region before it moves the next one off 64 KiB.
    model.region(8, 0x1_0000);
    let bad = with(&|m| m.queue = model.region(0x1000, 0x1000), 64);
    assert_eq!(bad, Some(ItsInitError::BadQueue));
}

/// What firmware left on is switched off first; what cannot be is refused.
#[test]
fn firmware_state() {
    let options = ItsOptions { can_disable_lpis: true, ..ItsOptions::default() };
    let model = ItsModel::new(options);
    model.leave_firmware_state();
    assert!(bring_up(&model, Choice::default()).is_ok());
    quiet(&model);

    let model = ItsModel::new(ItsOptions::default());
    model.leave_firmware_state();
    let memory = model.region(LpiTable::<interrupt_core::fake::ItsRegion>::bytes(ID_BITS), 4096);
    let mut table = LpiTable::new(memory, ID_BITS, priority()).unwrap();
    let pending = model.region(2048, 0x1_0000);
    let error = enable_lpis(&mut model.redistributor(0), &mut table, pending, BUDGET).err();
    assert_eq!(error, Some(RedistributorError::AlreadyEnabled));
}

#[test]
fn redistributor_refusals() {
    let model = ItsModel::new(ItsOptions { redistributor_lpis: false, ..Default::default() });
    type Table = LpiTable<interrupt_core::fake::ItsRegion>;
    let table = |bytes, align| LpiTable::new(model.region(bytes, align), ID_BITS, priority());
    assert_eq!(Table::bytes(ID_BITS), 8192);
    assert_eq!(table(8184, 4096).err(), Some(LpiTableError::Size));
    let narrow = LpiTable::new(model.region(8192, 4096), 13, priority());
    assert_eq!(narrow.err(), Some(LpiTableError::IdBits));
    model.region(8, 4096);
    assert_eq!(table(8192, 8).err(), Some(LpiTableError::Address));
    let mut good = table(8192, 4096).unwrap();
    let pending = model.region(2048, 0x1_0000);
    let error = enable_lpis(&mut model.redistributor(0), &mut good, pending, BUDGET).err();
    assert_eq!(error, Some(RedistributorError::NoLpis));

    let model = ItsModel::new(ItsOptions::default());
    let need = PendingTableNeed::new(ID_BITS);
    assert_eq!((need.bytes, need.align), (2048, 0x1_0000));
    let mut table = properties(&ItsModel::new(ItsOptions::default()));
    let small = model.region(2040, 0x1_0000);
    let error = enable_lpis(&mut model.redistributor(0), &mut table, small, BUDGET).err();
    assert_eq!(error, Some(RedistributorError::BadPendingTable));
}

/// 300 lives of four or more commands each go many times round a ring of 128.
#[test]
fn queue_wraps_around() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 4).unwrap();
    for round in 0..300_u32 {
        let event = one(&mut unit, A);
        route(&mut unit, &event, (round % 2) as u8);
        let pair = unit.compose(&event);
        assert_eq!(model.message(A, pair), pending(round as usize % 2, event.lpi()));
        give_back(&mut unit, event);
    }
    assert!(model.commands() > 10 * 128);
    quiet(&model);
}

/// The queue hangs: each wait ends with its own error, nothing is sent twice, and when the
/// queue is full the call says so. When it moves again, everything is as it was asked.
#[test]
fn hung_queue() {
    let choice = Choice { lpis: 64, ..Choice::default() };
    let (model, mut unit) = start(ItsOptions::default(), choice);
    attach(&model, &mut unit, A, 6).unwrap();
    model.hang(true);
    let mut late = Vec::new();
    let full = loop {
        let event = one(&mut unit, A);
        let stale = unit.route(&event, cpu(0));
        let (stale, error) = unit.settle(stale).unwrap_err();
        if error == ItsError::QueueFull {
            break (event, stale);
        }
        assert_eq!(error, ItsError::Timeout(ItsStep::Commands));
        // Asked again, it only waits.
        let before = model.commands();
        let (stale, _) = unit.settle(stale).unwrap_err();
        assert_eq!(model.commands(), before);
        late.push((event, stale));
    };
    // One of the ring's 128 places stays unused; 3 commands each.
    assert_eq!(late.len(), 42);
    model.hang(false);
    late.push(full);
    for (event, stale) in late {
        settled(&mut unit, stale);
        assert_eq!(model.message(A, unit.compose(&event)), pending(0, event.lpi()));
    }
    quiet(&model);
}

/// A stall is retried once in each wait; one that stays is reported with the command.
#[test]
fn stalled_queue() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 4).unwrap();
    let event = one(&mut unit, A);
    model.stall(1);
    route(&mut unit, &event, 0);
    model.stall(2);
    let unrouted = unit.unroute(&event);
    let (unrouted, error) = unit.flush(unrouted).unwrap_err();
    assert_eq!(error, ItsError::Stalled { command: 0x0f });
    assert_eq!(error.to_string(), "the ITS stalls at command 0x0f");
    let flushed = unit.flush(unrouted).unwrap();
    unit.release(event, flushed.drained());
    quiet(&model);
}

#[test]
fn attach_and_detach() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    let far = DeviceId::from_bits(0xffff);
    assert_eq!(attach(&model, &mut unit, far, 4), Err(AttachError::IdTooLarge));
    assert_eq!(attach(&model, &mut unit, A, 0), Err(AttachError::TooManyEvents));
    assert_eq!(attach(&model, &mut unit, A, 17), Err(AttachError::TooManyEvents));
    let small = unit.attach(A, 4, model.region(15 * 8, 256)).err().unwrap();
    assert_eq!(small.0, AttachError::BadTable);
    let page = model.region(unit.device_page_bytes(), unit.device_page_bytes());
    assert_eq!(unit.add_device_page(A, page).err().unwrap().0, AttachError::NoPageWanted);
    assert_eq!(unit.detach(A).err(), Some(DetachError::NotAttached));
    assert_eq!(unit.reserve(A, 0).err(), Some(EventReserveError::NotAttached));

    assert_eq!(attach(&model, &mut unit, A, 1), Ok(Attached::Now));
    assert_eq!(attach(&model, &mut unit, A, 1), Err(AttachError::AlreadyAttached));
    let event = one(&mut unit, A);
    assert_eq!(unit.detach(A).err(), Some(DetachError::Busy));
    give_back(&mut unit, event);
    // Late: the table is not given back, and nothing new can be reserved.
    model.hang(true);
    let timeout = ItsError::Timeout(ItsStep::Commands);
    assert_eq!(unit.detach(A).err(), Some(DetachError::Late(timeout)));
    assert_eq!(unit.reserve(A, 0).err(), Some(EventReserveError::NotAttached));
    assert_eq!(attach(&model, &mut unit, B, 1), Ok(Attached::Late(timeout)));
    model.hang(false);
    let table = unit.detach(A).unwrap();
    assert!(unit.attach(A, 1, table).is_ok(), "and used once more");
    let event = one(&mut unit, B);
    route(&mut unit, &event, 0);
    quiet(&model);
}

#[test]
fn two_level_pages() {
    // A level-one page of 4 KiB: 512 entries of 512 devices each.
    let options =
        ItsOptions { page: Some(PageSize::Size4K), device_bits: 24, ..Default::default() };
    let choice = Choice { two_level: true, ids: 512 * 512, ..Choice::default() };
    let (model, mut unit) = start(options, choice);
    let last = DeviceId::from_bits(512 * 512 - 1);
    let past = DeviceId::from_bits(512 * 512);
    let table = model.region(unit.event_table_bytes(1), 256);
    assert_eq!(unit.attach(last, 1, table).err().unwrap().0, AttachError::NeedsPage);
    assert_eq!(attach(&model, &mut unit, past, 1), Err(AttachError::IdTooLarge));
    let short = model.region(2048, 4096);
    assert_eq!(unit.add_device_page(last, short).err().unwrap().0, AttachError::BadPage);
    for device in [last, A] {
        attach(&model, &mut unit, device, 1).unwrap();
        // The page is clear: its other devices are none.
        let neighbour = DeviceId::from_bits(device.bits() - 1);
        let pair = Pair { address: translater(model.control_frame()), data: 0 };
        assert_eq!(model.message(neighbour, pair), dropped(ItsDrop::NoDevice));
        let event = one(&mut unit, device);
        route(&mut unit, &event, 0);
        assert_eq!(model.message(device, unit.compose(&event)), pending(0, event.lpi()));
    }
    quiet(&model);
}

/// Multi-message MSI: consecutive numbers, aligned, all or nothing.
#[test]
fn blocks() {
    let (model, mut unit) = start(ItsOptions::default(), Choice { lpis: 12, ..Choice::default() });
    attach(&model, &mut unit, A, 4).unwrap();
    let single = one(&mut unit, A);
    let block = unit.reserve(A, 2).unwrap();
    let mut numbers = Vec::new();
    for event in block {
        route(&mut unit, &event, 0);
        let pair = unit.compose(&event);
        assert_eq!(model.message(A, pair), pending(0, event.lpi()));
        numbers.push(pair.data);
    }
    assert_eq!(numbers, [12, 13, 14, 15]);
    assert_eq!(unit.events_used(), 5);
    // LPIs 1 to 7 of 12 are left, so 4 to 7 is the last aligned run; events 4 to 11 go on.
    let second = unit.reserve(A, 2).unwrap();
    assert_eq!(unit.reserve(A, 2), Err(EventReserveError::NoContiguous));
    assert_eq!(unit.reserve(A, 6), Err(EventReserveError::NoContiguous));
    assert_eq!(unit.events_used(), 9);
    // The events of the failed run came back: three single ones fit, then no LPI is left.
    for _ in 0..3 {
        let _ = one(&mut unit, A);
    }
    assert_eq!(unit.reserve(A, 0), Err(EventReserveError::NoLpis));
    attach(&model, &mut unit, B, 1).unwrap();
    give_back(&mut unit, single);
    let only = one(&mut unit, B);
    assert_eq!(only.lpi().intid(), 8192, "another device's now");
    drop((second, only));
    quiet(&model);
}

#[test]
fn exhaustion_of_events() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let first = one(&mut unit, A);
    let _second = one(&mut unit, A);
    assert_eq!(unit.reserve(A, 0), Err(EventReserveError::NoEvents));
    give_back(&mut unit, first);
    assert_eq!(unit.reserve(A, 0).unwrap().next().unwrap().number().bits(), 0);
}

/// A blocked event that is to move does not slip through on a redistributor that still
/// thinks it is enabled.
#[test]
fn blocked_event_moves_when_unblocked() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let event = one(&mut unit, A);
    // Enabled in the caches of both.
    route(&mut unit, &event, 0);
    route(&mut unit, &event, 1);
    let stale = unit.block(&event).unwrap();
    settled(&mut unit, stale);
    assert_eq!(model.message(A, unit.compose(&event)), pending(1, event.lpi()));
    assert_eq!((model.acknowledge(0), model.acknowledge(1)), (None, None));
    route(&mut unit, &event, 0);
    assert_eq!((model.acknowledge(0), model.acknowledge(1)), (Some(event.lpi()), None));
    quiet(&model);
}

/// A proof of another event, and an event that is still routed, free nothing.
#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "belong together"))]
fn foreign_proof_frees_nothing() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let (first, second) = (one(&mut unit, A), one(&mut unit, A));
    let proof = Unrouted::new(second.index()).flushed().drained();
    unit.release(first, proof);
    assert_eq!(unit.events_used(), 2);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "is off"))]
fn routed_event_is_not_freed() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let event = one(&mut unit, A);
    route(&mut unit, &event, 0);
    let proof = Unrouted::new(event.index()).flushed().drained();
    unit.release(event, proof);
    assert_eq!(unit.events_used(), 1);
}

/// A CPU that there is not is no target: the event is off.
#[test]
fn no_such_cpu() {
    let (model, mut unit) = start(ItsOptions::default(), Choice::default());
    attach(&model, &mut unit, A, 1).unwrap();
    let event = one(&mut unit, A);
    assert!(unit.can_target(cpu(1)) && !unit.can_target(cpu(2)));
    route(&mut unit, &event, 2);
    assert_eq!(unit.state(&event), EventState::Off);
    assert_eq!(unit.block(&event), None);
    assert_eq!(model.message(A, unit.compose(&event)), dropped(ItsDrop::NoEvent));
    // Proofs that name nothing are answered, not believed.
    let far = interrupt_core::EntryIndex::new(u16::MAX);
    assert!(unit.flush(Unrouted::new(far)).is_ok());
    quiet(&model);
}
