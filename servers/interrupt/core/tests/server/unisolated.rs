//! What is particular to message-based SPIs and to LPIs without an ITS: nobody is told apart,
//! what comes while an entry is off is latched, and a pair of the latter names its CPU.

use crate::common::{A, B, OverDirectLpi, OverMbi, Rig, alloc, request, settle};
use interrupt_core::direct_lpi::{DirectLpiError, DirectLpiInitError};
use interrupt_core::fake::{
    FakeConfig, FakeMachine, GicdModel, GicdOptions, ItsModel, ItsOptions, ItsSetup, KernelCall,
    Landed, fake_config,
};
use interrupt_core::gicd::{GicdInitError, Spi, SpiError};
use interrupt_core::its::Lpi;
use interrupt_core::mbi::{MbiConfig, MbiInitError, MbiUnit, clearing_pair};
use interrupt_core::vtd::Trigger;
use interrupt_core::{
    AllocRequest, BackEnd, Contiguity, CpuIndex, CpuSet, Domain, Error, HardwareError, Kind,
    MessageState, Pair, RemapEntry, RequesterId, Sender,
};
use std::collections::BTreeSet;

fn on(cpu: u8) -> CpuSet {
    CpuSet::one(CpuIndex::new(cpu).unwrap())
}

fn quiet(machine: &FakeMachine) {
    assert_eq!(machine.violations(), Vec::<String>::new());
}

fn block(kind: Kind) -> AllocRequest {
    AllocRequest { contiguity: Contiguity::Contiguous, ..request(kind) }
}

macro_rules! over_both {
    ($($name:ident),* $(,)?) => {
        mod mbi {
            $(#[test] fn $name() { super::$name::<crate::common::OverMbi>(); })*
        }
        mod direct_lpi {
            $(#[test] fn $name() { super::$name::<crate::common::OverDirectLpi>(); })*
        }
    };
}

over_both!(
    ims_is_refused,
    numbers_run_out,
    early_writes_are_forgotten,
    blocked_events_are_kept,
    in_hand_is_not_reused,
    late_hardware_holds_up_nothing_but_numbers,
    what_a_cpu_took_is_raised_again,
    nothing_stays_pending,
);

/// Whether hardware holds this INTID for some CPU.
fn is_pending(machine: &FakeMachine, intid: u16) -> bool {
    let intid = u32::from(intid);
    let spi = Spi::new(intid).zip(machine.gicd.as_ref());
    let lpi = Lpi::new(intid).zip(machine.its.as_ref());
    spi.is_some_and(|(spi, gicd)| gicd.is_pending(spi))
        || lpi.is_some_and(|(lpi, its)| its.is_pending(lpi))
}

/// Invariant 4, in hardware: what no CPU took of a message that was stopped is forgotten with
/// it, and does not wait for the next owner.
fn nothing_stays_pending<R: Rig>() {
    let machine = R::machine(2);
    let mut core = R::server(&machine, &fake_config(0, 8, 8));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    for freed in [false, true] {
        let intid = core.activate(A, message.id).unwrap().vector.bits();
        core.block(A, message.id).unwrap();
        machine.write(Some(A), message.pair);
        assert!(is_pending(&machine, intid));
        if freed {
            core.free(A, message.id).unwrap();
        } else {
            core.deactivate(A, message.id).unwrap();
        }
        assert!(!is_pending(&machine, intid));
        settle(&machine, &mut core);
    }
    assert_eq!(machine.kernel.delivered(message.handle), 0);
    quiet(&machine);
}

/// Invariant 8: without isolation no IMS, unless the manifest says so. It is seen.
fn ims_is_refused<R: Rig>() {
    let machine = R::machine(2);
    let mut core = R::bare_server(&machine, &fake_config(0, 16, 8));
    for kind in [Kind::DeviceArray, Kind::QueueMemory, Kind::Registers] {
        assert_eq!(alloc(&mut core, A, kind), Err(Error::NotSupported), "{kind:?}");
    }
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    let unisolated = |node: &Domain| matches!(node, Domain::Remapper { isolated: false, .. });
    assert_eq!(core.describe().filter(unisolated).count(), 1);
    // The limit, as it is: anybody's write is as good.
    assert_eq!(machine.fire(RequesterId::from_bits(0x7777), message.pair, message.handle), 1);
    quiet(&machine);
}

/// Invariant 9: all taken, and no run of that length: an error each, and nothing has changed.
fn numbers_run_out<R: Rig>() {
    let machine = R::machine(1);
    let config = FakeConfig { lpis: 8, ..fake_config(0, 16, 16) };
    let mut core = R::server(&machine, &config);
    let mut five = [None; 5];
    core.alloc(A, &request(Kind::Msix), &mut five).unwrap();
    let mut four = [None; 4];
    let refused = core.alloc(B, &block(Kind::PciMsi), &mut four);
    assert_eq!((refused, four), (Err(Error::NoVectors), [None; 4]));
    core.free(A, five[1].unwrap().id).unwrap();
    let refused = core.alloc(B, &block(Kind::PciMsi), &mut four);
    assert_eq!((refused, four), (Err(Error::NoContiguous), [None; 4]));
    assert_eq!(core.back_end_mut().entries_used(), 4);
    let too_many = core.alloc(B, &block(Kind::PciMsi), &mut [None; 64]);
    assert_eq!(too_many, Err(Error::NoContiguous));
    core.alloc(B, &request(Kind::Msix), &mut four).unwrap();
    assert_eq!(alloc(&mut core, A, Kind::Msix), Err(Error::NoVectors));
    core.free(B, four[0].unwrap().id).unwrap();
    assert!(alloc(&mut core, A, Kind::Msix).is_ok());
    quiet(&machine);
}

/// What a device writes before its message is active, or its former owner's device after, is
/// latched by hardware. It is nobody's: whoever has the number next hears nothing of it.
fn early_writes_are_forgotten<R: Rig>() {
    let machine = R::machine(2);
    let config = FakeConfig { lpis: 1, ..fake_config(0, 8, 8) };
    let mut core = R::server(&machine, &config);
    let first = alloc(&mut core, A, Kind::Msix).unwrap();
    assert_ne!(machine.write(Some(A), first.pair), Landed::Nowhere, "latched");
    core.activate(A, first.id).unwrap();
    machine.take_events();
    assert_eq!(machine.kernel.delivered(first.handle), 0, "written before it was active");
    assert_eq!(machine.fire(A, first.pair, first.handle), 1);
    core.deactivate(A, first.id).unwrap();
    machine.write(Some(A), first.pair);
    core.activate(A, first.id).unwrap();
    machine.take_events();
    assert_eq!(machine.kernel.delivered(first.handle), 1, "written while it was reserved");
    core.free(A, first.id).unwrap();
    settle(&machine, &mut core);
    machine.write(Some(A), first.pair);
    machine.take_events();
    let second = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(B, second.id).unwrap();
    machine.take_events();
    assert_eq!(machine.kernel.delivered(second.handle), 0, "the former device's write");
    assert_eq!(machine.kernel.delivered(first.handle), 1);
    assert_eq!(machine.fire(B, second.pair, second.handle), 1);
    quiet(&machine);
}

/// Invariant 2: what is written while a message is blocked stays pending in hardware, and
/// comes once, by itself.
fn blocked_events_are_kept<R: Rig>() {
    let machine = R::machine(2);
    let mut core = R::server(&machine, &fake_config(0, 8, 8));
    let message = alloc(&mut core, A, Kind::DeviceArray).unwrap();
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
    core.unblock(A, message.id).unwrap();
    assert_eq!(delivered(), 0, "not by software");
    machine.take_events();
    assert_eq!(delivered(), 1);
    // Pending already when it is blocked: the same.
    machine.write(Some(A), message.pair);
    core.block(A, message.id).unwrap();
    core.tick(8);
    machine.take_events();
    assert_eq!(delivered(), 1);
    core.unblock(A, message.id).unwrap();
    machine.take_events();
    assert_eq!(delivered(), 2);
    quiet(&machine);
}

/// Invariant 5: while a CPU has the freed message's event in its hands, the number is nobody's.
fn in_hand_is_not_reused<R: Rig>() {
    let machine = R::machine(2);
    let config = FakeConfig { lpis: 1, ..fake_config(0, 8, 8) };
    let mut core = R::server(&machine, &config);
    let old = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, old.id).unwrap();
    machine.write(Some(A), old.pair);
    machine.acknowledge();
    core.free(A, old.id).unwrap();
    for _ in 0..10 {
        assert_eq!(alloc(&mut core, B, Kind::Msix), Err(Error::NoVectors));
    }
    machine.take_events();
    assert_eq!(machine.kernel.delivered(old.handle), 0, "invariant 4: silent after free");
    let new = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(B, new.id).unwrap();
    machine.take_events();
    assert_eq!(machine.kernel.delivered(new.handle), 0);
    assert_eq!(machine.fire(B, new.pair, new.handle), 1);
    quiet(&machine);
}

/// Hardware that does not answer: the kernel stops what still comes, the number waits, and
/// goes on by itself when hardware does.
fn late_hardware_holds_up_nothing_but_numbers<R: Rig>() {
    let machine = R::machine(1);
    let config = FakeConfig { lpis: 1, ..fake_config(0, 8, 8) };
    let mut core = R::server(&machine, &config);
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    machine.hang(true);
    core.storm(message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 0);
    assert_eq!(machine.kernel.blocked(message.handle), 1, "the kernel had to stop it");
    core.free(A, message.id).unwrap();
    for _ in 0..5 {
        machine.take_events();
        assert_eq!(alloc(&mut core, B, Kind::Msix), Err(Error::NoVectors));
    }
    machine.hang(false);
    settle(&machine, &mut core);
    let other = alloc(&mut core, B, Kind::Msix).unwrap();
    core.activate(B, other.id).unwrap();
    assert_eq!(machine.fire(B, other.pair, other.handle), 1);
    quiet(&machine);
}

/// What a CPU had taken when its message was blocked is made up for by a real retrigger: it
/// is pending in hardware, and a CPU takes it.
fn what_a_cpu_took_is_raised_again<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0, 8, 8));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, message.id).unwrap();
    machine.write(Some(A), message.pair);
    machine.acknowledge();
    core.block(A, message.id).unwrap();
    machine.take_events();
    assert_eq!(machine.kernel.blocked(message.handle), 1);
    machine.kernel.fail(KernelCall::Signal);
    core.unblock(A, message.id).unwrap();
    assert_eq!(machine.kernel.delivered(message.handle), 0, "not by the kernel");
    machine.take_events();
    assert_eq!(machine.kernel.delivered(message.handle), 1);
    assert_eq!(core.statistics().undo_failures, 0);
    quiet(&machine);
}

/// Pairs: the frame that devices write to, and the SPI's own INTID.
#[test]
fn mbi_pairs() {
    let machine = OverMbi::machine(2);
    let mut core = OverMbi::server(&machine, &fake_config(0, 64, 64));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    assert_eq!(message.pair, Pair { address: GicdModel::BASE + 0x40, data: 64 });
    let event = core.activate(A, message.id).unwrap();
    assert_eq!(event.vector.bits(), 64);
    assert_eq!(core.entry_name(A, message.id).unwrap().unwrap().number, 64);
    let clearing = Pair { address: GicdModel::BASE + 0x48, data: 64 };
    assert_eq!(clearing_pair(message.pair), clearing);
    // A block has one address, and its data count up from a multiple of its length.
    let mut eight = [None; 8];
    core.alloc(A, &block(Kind::PciMsi), &mut eight).unwrap();
    let first = eight[0].unwrap().pair;
    assert_eq!(first.data % 8, 0);
    quiet(&machine);
}

/// A level message: raised by one pair, taken down by the other, and fires again until then.
#[test]
fn mbi_level() {
    let machine = FakeMachine::with_mbi(GicdOptions::default());
    let gicd = machine.gicd.as_ref().unwrap();
    let mut unit = machine.mbi_unit(8).unwrap();
    let sender = Sender { requester: Some(A), source: None, device: None, quota: 8 };
    let entry = unit.reserve(&sender, 0).unwrap().next().unwrap();
    unit.set_trigger(&entry, Trigger::Level).unwrap();
    let lease = unit.take(&entry, on(1)).unwrap();
    let raising = unit.compose(&entry, None);
    let event = interrupt_core::EventLease::event(&lease);
    let interrupt_core::Written::Stale(stale) = unit.route(&entry, event) else { panic!() };
    let _ = unit.flush(stale).unwrap();
    let spi = Spi::from_number(entry.index().bits());
    gicd.message(GicdModel::BASE, raising);
    for _ in 0..3 {
        assert_eq!(gicd.acknowledge(1), Some(spi), "up");
        assert_eq!(gicd.acknowledge(1), None, "held");
        gicd.complete(1);
    }
    gicd.message(GicdModel::BASE, clearing_pair(raising));
    assert_eq!(gicd.acknowledge(1), None, "down");
    // A device that leaves it up: the end takes it down, and the SPI is an edge again.
    gicd.message(GicdModel::BASE, raising);
    let unrouted = unit.unroute(&entry);
    let flushed = unit.flush(unrouted).unwrap();
    assert!(!gicd.is_pending(spi));
    let drained = flushed.drained();
    unit.reclaim(lease, &drained);
    unit.release(entry, drained);
    let again = unit.reserve(&sender, 0).unwrap().next().unwrap();
    assert_eq!(Spi::from_number(again.index().bits()), spi);
    let lease = unit.take(&again, on(0)).unwrap();
    let event = interrupt_core::EventLease::event(&lease);
    let interrupt_core::Written::Stale(stale) = unit.route(&again, event) else { panic!() };
    let _ = unit.flush(stale).unwrap();
    gicd.message(GicdModel::BASE, raising);
    assert_eq!(gicd.acknowledge(0), Some(spi));
    gicd.complete(0);
    assert_eq!(gicd.acknowledge(0), None, "once: an edge");
    quiet(&machine);
}

/// What firmware says and hardware does not: a reason each.
#[test]
fn mbi_contradictions() {
    let ranges = [(64, 8)];
    let start = |options: GicdOptions, ranges: &[(u32, u32)], cpus: usize| {
        let model = GicdModel::new(options);
        let cpus: Vec<u32> = (0..cpus).map(GicdModel::affinity).collect();
        let config = MbiConfig {
            ranges,
            frame: GicdModel::BASE,
            cpus: &cpus,
            priority: ItsModel::priority(),
            wait_budget: 50,
        };
        let unit = MbiUnit::new(model.registers(), &config);
        assert_eq!(model.violations(), Vec::<String>::new());
        unit
    };
    let like = GicdOptions::default;
    let deaf = GicdOptions { takes_messages: false, ..like() };
    assert_eq!(start(deaf, &ranges, 2).err(), Some(MbiInitError::NoMessages));
    let old = GicdOptions { version: 2, ..like() };
    let gicd = MbiInitError::Gicd(GicdInitError::Version(2));
    assert_eq!(start(old, &ranges, 2).err(), Some(gicd));
    assert_eq!(start(like(), &ranges, 0).err(), Some(MbiInitError::BadCpus));
    assert_eq!(start(like(), &[], 2).err(), Some(MbiInitError::NoSpis(None)));
    // PPIs, none, past ITLinesNumber 7, past everything, the same twice.
    for bad in [(16, 32), (64, 0), (250, 7), (u32::MAX, 2), (71, 2)] {
        let (first, count) = bad;
        let error = MbiInitError::BadRange { first, count };
        assert_eq!(start(like(), &[(64, 8), bad], 2).err(), Some(error));
    }
    // Some that secure firmware keeps, or that can not be an edge, are left out.
    for two_security_states in [false, true] {
        let control = if two_security_states { 0x12 } else { 0x52 };
        let secure = BTreeSet::from([65, 66]);
        let options = GicdOptions { two_security_states, control, secure, ..like() };
        let unit = start(options.clone(), &ranges, 2).unwrap();
        assert_eq!((unit.total(), unit.left_out()), (6, 2));
        let all = start(options, &[(65, 2)], 2).err();
        // Where the group can not be seen, all else of it reads as zero: a level.
        let why = if two_security_states { SpiError::TriggerFixed } else { SpiError::NotOurs };
        assert_eq!(all, Some(MbiInitError::NoSpis(Some(why))));
    }
}

/// Affinity: another redistributor is another address, and that is in the device. The CPU is
/// chosen at `alloc`, out of the set that is asked for, and never changes.
#[test]
fn a_direct_lpi_stays_on_its_cpu() {
    let machine = OverDirectLpi::machine(3);
    let mut core = OverDirectLpi::server(&machine, &fake_config(0, 64, 64));
    for cpu in 0..3 {
        let only = AllocRequest { cpus: on(cpu), ..request(Kind::Msix) };
        let mut out = [None];
        core.alloc(A, &only, &mut out).unwrap();
        let message = out[0].unwrap();
        let info = core.info(A, message.id).unwrap();
        assert_eq!(info.state, MessageState::Reserved);
        assert_eq!(info.event.unwrap().cpu.index(), usize::from(cpu), "before it is active");
        // The model's redistributors: 128 KiB apart.
        let address = 0x080a_0000 + 0x2_0000 * u64::from(cpu) + 0x40;
        assert_eq!(message.pair, Pair { address, data: 8192 + u32::from(cpu) });
        for _ in 0..2 {
            assert_eq!(core.activate(A, message.id).unwrap(), info.event.unwrap());
            for set in [on(0), on(1), CpuSet::ALL] {
                let refused = core.set_affinity(A, message.id, set);
                assert_eq!(refused, Err(Error::NotSupported));
            }
            assert_eq!(machine.fire(A, message.pair, message.handle), 1);
            core.deactivate(A, message.id).unwrap();
        }
    }
    quiet(&machine);
}

/// All messages of a block are written to one address, so they are one CPU's.
#[test]
fn a_block_of_direct_lpis_is_on_one_cpu() {
    let machine = OverDirectLpi::machine(3);
    let mut core = OverDirectLpi::server(&machine, &fake_config(0, 64, 64));
    let _uneven = alloc(&mut core, A, Kind::Msix).unwrap();
    let mut four = [None; 4];
    core.alloc(A, &block(Kind::PciMsi), &mut four).unwrap();
    let first = four[0].unwrap().pair;
    assert_eq!(first.data % 4, 0);
    for (number, message) in (0..).zip(four.iter().flatten()) {
        assert_eq!(message.pair, Pair { data: first.data + number, ..first });
        core.activate(A, message.id).unwrap();
        assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    }
    quiet(&machine);
}

/// A number's former device still knows the former CPU's address. What it has latched there
/// is forgotten, too, before the number is another's on another CPU.
#[test]
fn former_cpus_are_cleared() {
    let machine = OverDirectLpi::machine(2);
    let config = FakeConfig { lpis: 1, ..fake_config(0, 8, 8) };
    let mut core = OverDirectLpi::server(&machine, &config);
    let at = |cpu| AllocRequest { cpus: on(cpu), ..request(Kind::Msix) };
    let mut out = [None];
    core.alloc(A, &at(0), &mut out).unwrap();
    let old = out[0].unwrap();
    core.activate(A, old.id).unwrap();
    core.free(A, old.id).unwrap();
    settle(&machine, &mut core);
    machine.write(Some(A), old.pair);
    core.alloc(B, &at(1), &mut out).unwrap();
    let new = out[0].unwrap();
    assert_ne!(new.pair.address, old.pair.address);
    core.activate(B, new.id).unwrap();
    machine.take_events();
    assert_eq!(machine.kernel.delivered(new.handle), 0);
    assert_eq!(machine.fire(B, new.pair, new.handle), 1);
    core.free(B, new.id).unwrap();
    settle(&machine, &mut core);
    // Off means off wherever it may be written.
    machine.write(Some(A), old.pair);
    machine.acknowledge();
    assert_eq!(machine.kernel.spurious(), 0, "it reaches no CPU");
    quiet(&machine);
}

/// What firmware says and hardware does not, or does late: a reason each.
#[test]
fn direct_lpi_contradictions() {
    let start = |options: ItsOptions, setup: ItsSetup| {
        let model = ItsModel::new(options);
        let unit = model.direct_unit(&setup);
        assert_eq!(model.violations(), Vec::<String>::new());
        unit.map(|_| ())
    };
    let like = || ItsOptions { direct_lpis: true, ..ItsOptions::default() };
    let first = CpuIndex::new(0).unwrap();
    let deaf = ItsOptions { direct_lpis: false, ..like() };
    assert_eq!(start(deaf, ItsSetup::default()), Err(DirectLpiInitError::NotThere(first)));
    for lpis in [0, 8193] {
        let setup = ItsSetup { lpis, ..ItsSetup::default() };
        assert_eq!(start(like(), setup), Err(DirectLpiInitError::BadLpiCount));
    }
    assert_eq!(start(like(), ItsSetup { lpis: 8192, ..ItsSetup::default() }), Ok(()));
}

/// A redistributor that does not answer is an error with a name, and nothing is begun twice.
#[test]
fn direct_lpi_hangs() {
    let machine = OverDirectLpi::machine(1);
    let mut core = OverDirectLpi::server(&machine, &fake_config(0, 8, 8));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    machine.hang(true);
    let late = Error::Hardware(HardwareError::DirectLpi(DirectLpiError::Timeout));
    for _ in 0..3 {
        assert_eq!(core.activate(A, message.id), Err(late));
        assert_eq!(core.info(A, message.id).unwrap().state, MessageState::Reserved);
    }
    machine.hang(false);
    settle(&machine, &mut core);
    core.activate(A, message.id).unwrap();
    assert_eq!(machine.fire(A, message.pair, message.handle), 1);
    quiet(&machine);
}
