//! What is particular to x86: vectors of each CPU, VT-d's one table and its faults, and a
//! machine without a remapper.

use crate::common::{A, B, OverVtd, Rig, alloc, request};
use interrupt_core::fake::{FakeConfig, FakeMachine, FakeState, VtdOptions, fake_config};
use interrupt_core::{
    AllocRequest, ApicId, BackEnd, ClientDevices, ClientId, ClientPolicy, Config, ConfigError,
    Contiguity, Core, CpuIndex, CpuSet, Domain, Error, Kind, MessageState, RequesterId, Source,
    Vector, VectorRange, Vectored, VectorsError,
};

/// Many are reserved, few are active; the next is `NoVectors` and stays reserved; each that
/// is let go makes room for another.
#[test]
fn late_activation() {
    let machine = OverVtd::machine(2);
    // 4 vectors on each of 2 CPUs.
    let mut core = machine.server(&fake_config(0x33, 64, 64));
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
    let machine = OverVtd::machine(1);
    let mut core = machine.server(&fake_config(0x30, 8, 8));
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

/// A client without a requester id has no entry until somebody says whose writes are its own;
/// it and the device with the same 16 bits are two.
#[test]
fn platform_client_needs_a_source() {
    let machine = OverVtd::machine(1);
    let mut core = machine.server(&fake_config(0x3f, 64, 32));
    let timer = ClientId::platform(A.bits());
    assert_eq!(alloc(&mut core, timer, Kind::Registers), Err(Error::NotSupported));
    let writer = RequesterId::new(0xf0, 31, 0).unwrap();
    let policy = ClientPolicy {
        quota: 2,
        source: Some(Source::Function(writer)),
        dma_source: None,
        past_remapper: false,
        devices: ClientDevices::default(),
    };
    core.register(timer, policy).unwrap();
    let message = alloc(&mut core, timer, Kind::Registers).unwrap();
    assert_eq!(core.activate(A, message.id), Err(Error::NotYours));
    core.activate(timer, message.id).unwrap();
    assert_eq!(machine.fire(writer, message.pair, message.handle), 1);
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(core.client_gone(A), 0);
    assert_eq!(core.client_gone(timer), 1);
    assert_eq!(machine.fire(writer, message.pair, message.handle), 0);
}

/// Bridge aliases: the policy says whose writes are the device's.
#[test]
fn registered_source() {
    let machine = OverVtd::machine(1);
    let mut core = machine.server(&fake_config(0x3f, 64, 32));
    let source = Some(Source::Buses { first: 4, last: 4 });
    core.register(
        A,
        ClientPolicy {
            quota: 2,
            source,
            dma_source: None,
            past_remapper: false,
            devices: ClientDevices::default(),
        },
    )
    .unwrap();
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
    let config = fake_config(0x31, 64, 32);
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
        assert_eq!(message.pair.data, u32::from(target.vector.bits()));
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
    let config = fake_config(0x3f, 64, 32);
    let config = FakeConfig { core: Config { allow_unisolated: true, ..config.core }, ..config };
    let mut core = machine.plain_server(&config);
    assert!(alloc(&mut core, A, Kind::DeviceArray).is_ok());
    let isolated =
        core.describe().any(|node| matches!(node, Domain::Remapper { isolated: true, .. }));
    assert!(!isolated);
}

#[test]
fn describe_shows_the_tree() {
    let machine = OverVtd::machine(2);
    let mut core = machine.server(&fake_config(0x3f, 64, 32));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    alloc(&mut core, A, Kind::DeviceArray).unwrap();
    core.activate(A, message.id).unwrap();
    let tree: Vec<Domain> = core.describe().collect();
    assert!(matches!(tree[0], Domain::Vectors(space) if space.count.free == 15));
    assert!(matches!(tree[1], Domain::Vectors(space) if space.count.free == 16));
    let vtd = Domain::Remapper { name: "VT-d", isolated: true, entries: 256, used: 2 };
    assert_eq!(tree[2], vtd);
    assert_eq!(tree[3], Domain::Client { client: A.into(), quota: 32, held: 2, faults: 0 });
    assert!(matches!(tree[4], Domain::Message(info) if info.kind == Kind::DeviceArray));
    assert!(matches!(tree[5], Domain::Message(info) if info.state == MessageState::Active));
    assert_eq!(tree.len(), 6);
}

#[test]
fn limits_have_their_own_errors() {
    let machine = FakeMachine::new(1, Some(VtdOptions { entries_log2: 3, ..Default::default() }));
    let mut core = machine.server(&fake_config(0x3f, 16, 6));
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
    assert_eq!(core.back_end_mut().entries_used(), 6);
    core.alloc(B, &request(Kind::Msix), &mut three[..2]).unwrap();
    // Records.
    let mut core = machine.server(&fake_config(0x3f, 4, 6));
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

#[test]
fn configurations() {
    let machine = OverVtd::machine(1);
    let vector = |number| Vector::new(number).unwrap();
    let range = VectorRange::new(vector(0x30), vector(0x3f)).unwrap();
    let cpu = ApicId::from_bits;
    let back_end = |cpus: &[ApicId]| Vectored::new(machine.unit().unwrap(), cpus, range);
    let new = |messages, clients| {
        let config = Config { clients, ..fake_config(0x3f, messages, 1).core };
        let back_end = back_end(&[cpu(0)]).unwrap_or_else(|error| panic!("{error:?}"));
        Core::new(back_end, machine.kernel.clone(), &config).err()
    };
    assert_eq!(new(1, 1), None);
    assert_eq!(new(0, 1), Some(ConfigError::Limits));
    assert_eq!(new(1, 0), Some(ConfigError::Limits));
    assert_eq!(back_end(&[]).err(), Some(VectorsError::Cpus));
    assert_eq!(back_end(&[cpu(0); 65]).err(), Some(VectorsError::Cpus));
    let far = CpuIndex::new(1).unwrap();
    assert_eq!(back_end(&[cpu(0), cpu(300)]).err(), Some(VectorsError::CpuOutOfReach(far)));
}

/// Client records run out like everything else: with an answer.
#[test]
fn too_many_clients() {
    let machine = OverVtd::machine(1);
    let mut core = machine.server(&fake_config(0x3f, 64, 32));
    for client in 0..16 {
        alloc(&mut core, RequesterId::from_bits(client * 0x111), Kind::Msix).unwrap();
    }
    assert_eq!(alloc(&mut core, RequesterId::from_bits(0xffff), Kind::Msix), Err(Error::NoMemory));
}
