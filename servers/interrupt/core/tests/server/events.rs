//! What is particular to an ITS: LPIs that belong to messages, a table for each device, and
//! DeviceIDs that somebody has to tell.

use crate::common::{A, B, OverIts, Rig, alloc, devices, request, settle};
use interrupt_core::fake::{
    FakeMachine, FakeState, ItsOptions, ItsServer, ItsSetup, KernelCall, Landed, fake_config,
    fake_device_id,
};
use interrupt_core::its::{DeviceId, EventRemapper, ItsError, ItsStep};
use interrupt_core::{
    AllocRequest, BackEnd, ClientDevices, ClientPolicy, Contiguity, Core, CpuIndex, CpuSet, Domain,
    Error, HardwareError, Kind, MessageState, RequesterId, Unequipped,
};
use std::cell::Cell;
use std::rc::Rc;

fn know(core: &mut ItsServer, client: RequesterId, quota: u32, devices: ClientDevices) {
    core.register(
        client,
        ClientPolicy { quota, source: None, dma_source: None, past_remapper: false, devices },
    )
    .unwrap();
}

fn on(cpu: u8) -> CpuSet {
    CpuSet::one(CpuIndex::new(cpu).unwrap())
}

fn quiet(machine: &FakeMachine) {
    assert_eq!(machine.violations(), Vec::<String>::new());
}

/// Issue 3: 256 slots of an array and 16,384 of a queue, all active at once on one device.
#[test]
fn thousands_are_active_at_once() {
    const ALL: u32 = 16_384 + 256;
    let machine = FakeMachine::with_its(ItsOptions::default());
    let config = interrupt_core::fake::FakeConfig { lpis: 20_480, ..fake_config(0, ALL, ALL) };
    let setup = ItsSetup { id_bits: 15, queue_pages: 16, ..ItsSetup::default() };
    let mut core = machine.its_server(&config, &setup);
    know(&mut core, A, ALL, devices(A));
    let mut all = Vec::new();
    for number in 0..ALL {
        let kind = if number < 256 { Kind::DeviceArray } else { Kind::QueueMemory };
        let message = alloc(&mut core, A, kind).unwrap();
        assert_eq!(message.pair.data, number, "EventIDs count from 0");
        core.activate(A, message.id).unwrap();
        all.push(message);
    }
    assert_eq!(alloc(&mut core, A, Kind::QueueMemory), Err(Error::QuotaExceeded));
    // Each alone, then all in one burst: nothing is merged, every message is its own.
    for message in &all {
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    for message in &all {
        machine.write(Some(A), message.pair);
    }
    machine.take_events();
    for message in &all {
        assert_eq!(machine.kernel.delivered(message.handle), 2);
    }
    assert_eq!(core.client_gone(A), ALL);
    settle(&machine, &mut core);
    assert_eq!((machine.kernel.live(), core.back_end_mut().entries_used()), (0, 0));
    quiet(&machine);
}

/// Every LPI taken, by whichever devices: `NoVectors`, and nothing has changed.
#[test]
fn lpis_run_out() {
    let machine = OverIts::machine(1);
    let config = interrupt_core::fake::FakeConfig { lpis: 8, ..fake_config(0, 16, 16) };
    let mut core = OverIts::server(&machine, &config);
    let mut five = [None; 5];
    core.alloc(A, &request(Kind::Msix), &mut five).unwrap();
    let mut four = [None; 4];
    let refused = core.alloc(B, &request(Kind::Msix), &mut four);
    assert_eq!((refused, four), (Err(Error::NoVectors), [None; 4]));
    assert_eq!(core.back_end_mut().entries_used(), 5);
    core.alloc(B, &request(Kind::Msix), &mut four[..3]).unwrap();
    assert_eq!(alloc(&mut core, A, Kind::Msix), Err(Error::NoVectors));
    core.free(A, five[0].unwrap().id).unwrap();
    assert!(alloc(&mut core, B, Kind::Msix).is_ok());
    quiet(&machine);
}

/// A device's own table is full: `NoEntries`, though there are LPIs, and only for it. It was
/// sized by the quota of that time; when none of it is in use it is made larger.
#[test]
fn a_devices_events_run_out() {
    let machine = OverIts::machine(1);
    let mut core = OverIts::server(&machine, &fake_config(0, 32, 16));
    know(&mut core, A, 4, devices(A));
    let first = alloc(&mut core, A, Kind::Msix).unwrap();
    know(&mut core, A, 10, devices(A));
    let mut out = [None; 4];
    assert_eq!(core.alloc(A, &request(Kind::Msix), &mut out), Err(Error::NoEntries));
    assert_eq!(core.back_end_mut().entries_used(), 1, "what was made is taken back");
    core.alloc(A, &request(Kind::Msix), &mut out[..3]).unwrap();
    assert_eq!(alloc(&mut core, A, Kind::Msix), Err(Error::NoEntries));
    assert!(alloc(&mut core, B, Kind::Msix).is_ok());
    for message in out[..3].iter().flatten().chain([&first]) {
        core.free(A, message.id).unwrap();
    }
    // Idle, and too small for a block of eight: replaced.
    assert_eq!(core.quarantined(), 0);
    let block = AllocRequest { contiguity: Contiguity::Contiguous, ..request(Kind::PciMsi) };
    let mut eight = [None; 8];
    core.alloc(A, &block, &mut eight).unwrap();
    for message in eight.iter().flatten() {
        core.activate(A, message.id).unwrap();
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
        core.free(A, message.id).unwrap();
    }
    settle(&machine, &mut core);
    // Idle, and too small for a quota that it hears of: the same.
    know(&mut core, A, 30, devices(A));
    let mut thirty = [None; 30];
    core.alloc(A, &request(Kind::Msix), &mut thirty).unwrap();
    quiet(&machine);
}

/// DeviceIDs past the device table are `NotSupported`; no memory for a table is `NoMemory`,
/// and is asked for again.
#[test]
fn device_table_and_memory_run_out() {
    let bytes = Rc::new(Cell::new(0));
    let setup = ItsSetup { table_bytes: bytes.clone(), two_level: true, ..ItsSetup::default() };
    let machine = OverIts::machine(1);
    let mut core = machine.its_server(&fake_config(0, 64, 32), &setup);
    for client in [A, B] {
        know(&mut core, client, 32, devices(client));
    }
    let far = RequesterId::from_bits(0xffff);
    know(&mut core, far, 32, ClientDevices { own: Some(DeviceId::from_bits(1 << 16)), dma: None });
    bytes.set(1 << 20);
    assert_eq!(alloc(&mut core, far, Kind::Msix), Err(Error::NotSupported));
    // 32 events of 8 bytes, and a level-two page of 64 KiB.
    bytes.set(256);
    assert_eq!(alloc(&mut core, A, Kind::Msix), Err(Error::NoMemory));
    assert_eq!(bytes.get(), 256, "nothing is kept of what did not suffice");
    bytes.set(0x1_0000 + 256);
    assert!(alloc(&mut core, A, Kind::Msix).is_ok());
    assert_eq!(bytes.get(), 0);
    assert_eq!(alloc(&mut core, B, Kind::Msix), Err(Error::NoMemory));
    // Half as many are better than none.
    bytes.set(128);
    let mut out = [None; 16];
    core.alloc(B, &request(Kind::Msix), &mut out).unwrap();
    assert_eq!(alloc(&mut core, B, Kind::Msix), Err(Error::NoEntries));
    quiet(&machine);
}

/// The table of a device that holds nothing any more is another's when memory is short, and
/// comes back when it is needed.
#[test]
fn idle_tables_are_given_up() {
    let bytes = Rc::new(Cell::new(256));
    let setup = ItsSetup { table_bytes: bytes.clone(), ..ItsSetup::default() };
    let machine = OverIts::machine(1);
    let mut core = machine.its_server(&fake_config(0, 64, 32), &setup);
    for client in [A, B] {
        know(&mut core, client, 32, devices(client));
    }
    for _ in 0..4 {
        for client in [A, B] {
            let message = alloc(&mut core, client, Kind::Msix).unwrap();
            core.activate(client, message.id).unwrap();
            assert_eq!(machine.fire(client, message.pair, message.handle), 1);
            core.free(client, message.id).unwrap();
            settle(&machine, &mut core);
            assert_eq!(machine.write(Some(client), message.pair), Landed::Nowhere);
        }
    }
    let _held = alloc(&mut core, A, Kind::Msix).unwrap();
    assert_eq!(alloc(&mut core, B, Kind::Msix), Err(Error::NoMemory), "not idle");
    quiet(&machine);
}

/// Nobody has said what the ITS sees of a device: it is not guessed.
#[test]
fn unknown_device_ids() {
    let machine = OverIts::machine(1);
    let mut core = OverIts::bare_server(&machine, &fake_config(0, 16, 16));
    for kind in [Kind::PciMsi, Kind::Msix, Kind::DeviceArray] {
        assert_eq!(alloc(&mut core, A, kind), Err(Error::NotSupported));
    }
    // Its DMA is known, its messages are not.
    let dma = Some(DeviceId::from_bits(0));
    know(&mut core, A, 8, ClientDevices { own: None, dma });
    assert_eq!(alloc(&mut core, A, Kind::Msix), Err(Error::NotSupported));
    assert!(alloc(&mut core, A, Kind::DeviceArray).is_ok());
}

/// The quirk of QEMU's machine (DESIGN §9): DMA carries no requester id, so IMS messages of
/// every such device arrive with DeviceID 0. MSI-X messages keep their own.
#[test]
fn shared_device_id() {
    let machine = OverIts::machine(2);
    let mut core = OverIts::bare_server(&machine, &fake_config(0, 64, 4));
    for client in [A, B] {
        let own = Some(fake_device_id(client));
        know(&mut core, client, 20, ClientDevices { own, dma: Some(DeviceId::from_bits(0)) });
    }
    let mut pairs = Vec::new();
    for (client, kind) in [
        (A, Kind::DeviceArray),
        (B, Kind::QueueMemory),
        (A, Kind::Msix),
        (B, Kind::PciMsi),
        (A, Kind::Registers),
    ] {
        let message = alloc(&mut core, client, kind).unwrap();
        core.activate(client, message.id).unwrap();
        let source = (!kind.is_ims()).then_some(client);
        let before = machine.kernel.delivered(message.handle);
        machine.write(source, message.pair);
        machine.take_events();
        assert_eq!(machine.kernel.delivered(message.handle), before + 1, "{kind:?}");
        pairs.push((core.info(client, message.id).unwrap().name.unwrap(), message));
    }
    // EventIDs 0 and 1 of id 0 are A's and B's, 2 is A's again: one table for both.
    let named = |index: usize| (pairs[index].0.device.unwrap().bits(), pairs[index].0.number);
    assert_eq!((named(0), named(1), named(4)), ((0, 0), (0, 1), (0, 2)));
    assert_eq!(named(2), (fake_device_id(A).bits(), 0));
    assert_eq!(named(3), (fake_device_id(B).bits(), 0));
    // Its room is that of all LPIs, so that the second client's quota fits as well.
    let mut out = [None; 18];
    core.alloc(A, &request(Kind::DeviceArray), &mut out[..17]).unwrap();
    core.alloc(B, &request(Kind::DeviceArray), &mut out[..18]).unwrap();
    // Own ids are kept apart as ever. Whose DMA it is with id 0, nobody can tell.
    assert_eq!(machine.fire(B, pairs[0].1.pair, pairs[0].1.handle), 0);
    assert_eq!(machine.fire(A, pairs[1].1.pair, pairs[1].1.handle), 0);
    quiet(&machine);
}

/// Invariant 1: a device that writes another's pair reaches nothing of it, and the hardware
/// reports nothing either.
#[test]
fn anothers_pair() {
    let machine = OverIts::machine(1);
    let mut core = OverIts::server(&machine, &fake_config(0, 16, 8));
    let others = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(B, others.id).unwrap();
    let mut out = [None; 3];
    core.alloc(A, &request(Kind::Msix), &mut out).unwrap();
    for message in out.iter().flatten() {
        core.activate(A, message.id).unwrap();
    }
    let victim = out[2].unwrap();
    assert_eq!(machine.fire(B, victim.pair, victim.handle), 0);
    let stranger = RequesterId::from_bits(0x7777);
    assert_eq!(machine.fire(stranger, victim.pair, victim.handle), 0);
    // DMA without a name is DeviceID 0, which has no table.
    assert_eq!(machine.write(None, victim.pair), Landed::Nowhere);
    let its = machine.its.as_ref().unwrap();
    assert_eq!(its.dropped(fake_device_id(B)) + its.dropped(fake_device_id(stranger)), 2);
    assert_eq!(core.poll_faults(8, |_, _| ()), 0, "an ITS records none");
    assert_eq!(machine.fire(A, victim.pair, victim.handle), 1);
    assert_eq!(machine.fire(B, others.pair, others.handle), 1);
    quiet(&machine);
}

/// A CPU that a message has left may still have it in its hands. Until every CPU has dealt
/// with what it took, the LPI is nobody else's.
#[test]
fn drain_waits_for_every_cpu() {
    let machine = OverIts::machine(3);
    let config = interrupt_core::fake::FakeConfig { lpis: 1, ..fake_config(0, 8, 8) };
    let mut core = OverIts::server(&machine, &config);
    let old = alloc(&mut core, A, Kind::Msix).unwrap();
    core.set_affinity(A, old.id, on(0)).unwrap();
    core.activate(A, old.id).unwrap();
    machine.write(Some(A), old.pair);
    machine.acknowledge();
    core.set_affinity(A, old.id, on(1)).unwrap();
    core.set_affinity(A, old.id, on(2)).unwrap();
    core.free(A, old.id).unwrap();
    for _ in 0..10 {
        assert_eq!(alloc(&mut core, B, Kind::Msix), Err(Error::NoVectors));
    }
    assert_eq!(core.quarantined(), 1);
    machine.take_events();
    assert_eq!(machine.kernel.delivered(old.handle), 0, "silent after free");
    let new = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(B, new.id).unwrap();
    assert_eq!(machine.kernel.delivered(new.handle), 0);
    assert_eq!(machine.fire(B, new.pair, new.handle), 1);
    quiet(&machine);
}

/// A message has its own LPI again at once; what was in a CPU's hands is its own.
#[test]
fn active_again_at_once() {
    let machine = OverIts::machine(2);
    let mut core = OverIts::server(&machine, &fake_config(0, 8, 8));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    let first = core.activate(A, message.id).unwrap();
    for _ in 0..5 {
        machine.write(Some(A), message.pair);
        machine.acknowledge();
        core.deactivate(A, message.id).unwrap();
        assert_eq!(machine.kernel.state(message.handle), FakeState::Reserved);
        assert_eq!(core.info(A, message.id).unwrap().event, None);
        let again = core.activate(A, message.id).unwrap();
        assert_eq!(again.vector, first.vector);
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    // Reserved, with its last life's event still about, and then gone.
    machine.write(Some(A), message.pair);
    machine.acknowledge();
    core.deactivate(A, message.id).unwrap();
    core.free(A, message.id).unwrap();
    assert_eq!(core.tick(8), 1);
    settle(&machine, &mut core);
    assert_eq!(core.back_end_mut().entries_used(), 0);
    quiet(&machine);
}

/// What is written while a message is blocked comes when it is not, once, on the CPU that it
/// belongs to by then; and nothing comes when nothing was written.
#[test]
fn blocked_events_are_kept() {
    let machine = OverIts::machine(2);
    let mut core = OverIts::server(&machine, &fake_config(0, 8, 8));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
    core.set_affinity(A, message.id, on(0)).unwrap();
    core.activate(A, message.id).unwrap();
    let delivered = || machine.kernel.delivered(message.handle);
    core.block(A, message.id).unwrap();
    core.unblock(A, message.id).unwrap();
    machine.take_events();
    assert_eq!(delivered(), 0, "nothing was written, nothing was missed");
    core.block(A, message.id).unwrap();
    for _ in 0..3 {
        machine.write(Some(A), message.pair);
        machine.take_events();
    }
    assert_eq!((delivered(), machine.kernel.blocked(message.handle)), (0, 0));
    core.set_affinity(A, message.id, on(1)).unwrap();
    machine.take_events();
    assert_eq!(delivered(), 0);
    core.unblock(A, message.id).unwrap();
    assert_eq!(delivered(), 0, "not by software");
    machine.acknowledge();
    machine.take_events();
    assert_eq!(delivered(), 1);
    // What a CPU had taken before it was blocked, and deals with after, is made up for.
    machine.write(Some(A), message.pair);
    machine.acknowledge();
    core.block(A, message.id).unwrap();
    machine.take_events();
    assert_eq!((delivered(), machine.kernel.blocked(message.handle)), (1, 1));
    core.unblock(A, message.id).unwrap();
    assert_eq!(delivered(), 2);
    // A kernel that can not say whether something was missed: better one too many.
    machine.kernel.fail(KernelCall::BlockedEvents);
    core.block(A, message.id).unwrap();
    core.unblock(A, message.id).unwrap();
    assert_eq!(delivered(), 3);
    quiet(&machine);
}

/// The queue stalls or hangs: the step has a name, and nothing has changed.
#[test]
fn stalls_and_hangs() {
    let machine = OverIts::machine(1);
    let mut core = OverIts::server(&machine, &fake_config(0, 16, 8));
    let its = machine.its.as_ref().unwrap();
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    // One retry in each wait: for MAPTI, and when it is taken back.
    its.stall(4);
    let stalled = Error::Hardware(HardwareError::Its(ItsError::Stalled { command: 0x0a }));
    assert_eq!(core.activate(A, message.id), Err(stalled));
    assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Reserved);
    assert_eq!(machine.kernel.state(message.handle), FakeState::Reserved);
    settle(&machine, &mut core);
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    // A new device while the queue hangs: its table is in the queue, in front of its events.
    machine.hang(true);
    let other = alloc(&mut core, B, Kind::Msix).unwrap();
    let late = Error::Hardware(HardwareError::Its(ItsError::Timeout(ItsStep::Commands)));
    assert_eq!(core.activate(B, other.id), Err(late));
    machine.hang(false);
    settle(&machine, &mut core);
    core.activate(B, other.id).unwrap();
    assert_eq!(machine.fire(B, other.pair, other.handle), 1);
    quiet(&machine);
}

#[test]
fn describe_shows_device_ids() {
    let machine = OverIts::machine(2);
    let mut core = OverIts::server(&machine, &fake_config(0, 64, 32));
    let message = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(B, message.id).unwrap();
    let tree: Vec<Domain> = core.describe().collect();
    assert!(matches!(tree[0], Domain::Vectors(space)
        if space.cpu.is_none() && (space.count.total, space.count.free) == (64, 63)));
    let its = Domain::Remapper { name: "GICv3 ITS", isolated: true, entries: 64, used: 1 };
    assert_eq!(tree[1], its);
    let Some(Domain::Message(info)) = tree.last() else { panic!("{tree:?}") };
    let name = info.name.unwrap();
    assert_eq!((name.device, name.number), (Some(fake_device_id(B)), 0));
    assert_eq!(info.event.unwrap().vector.bits(), 8192);
    assert_eq!(core.back_end_mut().remapper_mut().events_used(), 1);
}

/// `its=off`: everything is refused, with the same answer, and leaves nothing behind.
#[test]
fn without_an_its() {
    let machine = FakeMachine::with_its(ItsOptions::default());
    let config = interrupt_core::Config { allow_unisolated: true, ..fake_config(0, 8, 8).core };
    let mut core = Core::new(Unequipped::new(2), machine.kernel.clone(), &config).unwrap();
    for kind in [Kind::PciMsi, Kind::Msix, Kind::DeviceArray, Kind::QueueMemory, Kind::Registers] {
        for contiguity in [Contiguity::Single, Contiguity::Contiguous] {
            let request = AllocRequest { contiguity, ..request(kind) };
            let refused = core.alloc(A, &request, &mut [None; 2]);
            assert_eq!(refused, Err(Error::NotSupported));
        }
    }
    assert_eq!(machine.kernel.made(), 0);
    let none = Domain::Remapper { name: "none", isolated: false, entries: 0, used: 0 };
    assert_eq!(core.describe().collect::<Vec<_>>(), [none]);
}
