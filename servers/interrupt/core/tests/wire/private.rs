//! Lines that each CPU has for itself, and that the kernel turns on and off.

use crate::rig::{A, B, EDGE, LEVEL, LINE, Opened, Refusal, Rig, private};
use crate::{exclusive, shared, trouble};
use interrupt_core::fake::{FakeError, FakeState, GicdModel, GicdOptions, KernelCall};
use interrupt_core::gicd::{Distributor, GicLines, Ppi, Route, SpiLines};
use interrupt_core::its::Priority;
use interrupt_core::wire::{
    BACK_OFF_NS, LineError, LineHardware, LineId, Mode, OpenRequest, Polarity, Storm, Way,
    WireError, Wires, Wiring,
};
use interrupt_core::{BackEnd, CpuEvent, CpuSet, EventNumber};

use Mode::{Exclusive, Shared};

/// As any other line.
macro_rules! as_others {
    ($($file:ident::$name:ident),* $(,)?) => {
        $(#[test] fn $name() { $file::$name(private()); })*
    };
}

as_others! {
    exclusive::level_is_held_until_answered,
    exclusive::level_that_stands_is_the_first_event,
    exclusive::edges_come_one_by_one,
    exclusive::nobody_else_has_it,
    exclusive::names_are_nobody_elses,
    exclusive::silent_after_the_end,
    exclusive::owners_death_is_an_end,
    exclusive::reused_when_drained,
    shared::all_are_told_and_all_are_waited_for,
    shared::a_dying_owner_blocks_nobody,
    shared::who_comes_later_is_told_later,
    trouble::a_storm_is_masked_at_the_source,
    trouble::an_edge_is_not_lost_in_a_storm,
    trouble::an_edge_that_a_cpu_had_taken_is_told_after_the_storm,
}

fn open_on(rig: &mut Rig<impl BackEnd>, wiring: Wiring, cpus: u64) -> Result<Opened, Refusal> {
    rig.grant(A, wiring);
    let cpus = CpuSet::from_bits(cpus);
    let request = OpenRequest { line: LINE, wiring, mode: Exclusive, cpus };
    rig.wires.open(&mut rig.core, A, &request)
}

#[test]
fn the_opener_chooses_the_cpu_and_it_stays_there() {
    for (cpu, wiring) in [(0, LEVEL), (2, EDGE), (1, LEVEL)] {
        let mut rig = private();
        let wire = open_on(&mut rig, wiring, 1 << cpu).expect("free");
        assert_eq!(wire.event.cpu.index(), cpu);
        let others = CpuSet::from_bits(7 & !(1 << cpu));
        let moved = rig.wires.set_affinity(&mut rig.core, A, wire.id, others);
        assert_eq!(moved, Err(WireError::NotSupported));
        let stays = rig.wires.set_affinity(&mut rig.core, A, wire.id, CpuSet::ALL);
        assert_eq!(stays.expect("it is there").event, wire.event);
        rig.lines.assert(LINE);
        rig.run();
        assert_eq!(rig.delivered(&wire), 1);
        rig.settle();
    }
}

/// The same number of another CPU is another wire, which nobody has while this one is open.
#[test]
fn one_cpus_at_a_time() {
    let mut rig = private();
    let first = open_on(&mut rig, LEVEL, 1).expect("free");
    rig.grant(B, LEVEL);
    let cpus = CpuSet::from_bits(2);
    for mode in [Exclusive, Shared] {
        let request = OpenRequest { line: LINE, wiring: LEVEL, mode, cpus };
        let refused = rig.wires.open(&mut rig.core, B, &request);
        assert_eq!(refused, Err(WireError::InUse));
    }
    let elsewhere = CpuEvent { cpu: cpus.iter().next().unwrap(), ..first.event };
    assert!(rig.machine.kernel.is_on(first.event) && !rig.machine.kernel.is_on(elsewhere));
    // In a CPU's hands at its end: not even another CPU's, before that has dealt with it.
    rig.lines.assert(LINE);
    rig.lines.run(&rig.machine);
    rig.wires.close(&mut rig.core, A, first.id).expect("its own");
    assert!(!rig.machine.kernel.is_on(first.event), "off with its message");
    let request = OpenRequest { line: LINE, wiring: LEVEL, mode: Exclusive, cpus };
    assert_eq!(rig.wires.open(&mut rig.core, B, &request), Err(WireError::Busy));
    rig.machine.take_events();
    rig.pass(1);
    let second = rig.wires.open(&mut rig.core, B, &request).expect("drained");
    assert_eq!(second.event, elsewhere);
    rig.run();
    assert_eq!((rig.delivered(&first), rig.delivered(&second)), (0, 1));
    rig.settle();
}

fn storm(rig: &mut Rig<impl BackEnd>, wire: &Opened) -> Storm {
    let (_, cookie) = rig.machine.kernel.identity(wire.handle);
    rig.wires.storm(&mut rig.core, cookie, rig.now)
}

/// Blocked, it comes at most once more and is held; nothing stays held when it is over.
#[test]
fn a_level_is_held_in_a_storm_and_comes_again() {
    let mut rig = private();
    let wire = open_on(&mut rig, LEVEL, 2).expect("free");
    rig.lines.assert(LINE);
    rig.run();
    assert_eq!(storm(&mut rig, &wire), Storm::HeldOff(LINE));
    rig.answer(A, &wire);
    (0..5).for_each(|_| rig.run());
    assert_eq!((rig.delivered(&wire), rig.lines.sent(LINE)), (1, 2));
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert_eq!(rig.delivered(&wire), 2);
    rig.lines.deassert(LINE);
    rig.answer(A, &wire);
    rig.run();
    assert_eq!(rig.delivered(&wire), 2);
    rig.settle();
}

/// A CPU is not even interrupted.
#[test]
fn edges_are_off_in_a_storm() {
    let mut rig = private();
    let wire = open_on(&mut rig, EDGE, 2).expect("free");
    assert_eq!(storm(&mut rig, &wire), Storm::HeldOff(LINE));
    for _ in 0..5 {
        rig.lines.assert(LINE);
        rig.run();
        rig.lines.deassert(LINE);
    }
    assert_eq!((rig.delivered(&wire), rig.lines.sent(LINE)), (0, 0));
    assert!(!rig.machine.kernel.is_on(wire.event));
    // A kernel that does not give it back is asked again.
    rig.machine.kernel.fail(KernelCall::ActivateLine);
    rig.pass(BACK_OFF_NS);
    assert_eq!(rig.machine.kernel.state(wire.handle), FakeState::Reserved);
    rig.machine.kernel.heal();
    rig.pass(BACK_OFF_NS);
    rig.run();
    assert_eq!((rig.delivered(&wire), rig.lines.sent(LINE)), (2, 1), "told once, and the edge");
    // Its end while it is held off.
    assert_eq!(storm(&mut rig, &wire), Storm::HeldOff(LINE));
    rig.wires.close(&mut rig.core, A, wire.id).expect("its own");
    rig.settle();
    assert!(!rig.wires.needs_tick());
    let again = open_on(&mut rig, EDGE, 2).expect("drained");
    assert!(rig.machine.kernel.is_on(again.event));
    rig.settle();
}

fn gic() -> (GicdModel, GicLines<interrupt_core::fake::GicdFrame>) {
    let model = GicdModel::new(GicdOptions::default());
    let unit = Distributor::new(model.registers(), 20).expect("in service");
    let routes = vec![Route { affinity: GicdModel::affinity(0) }];
    let spis = SpiLines::new(unit, routes, Priority::new(0xa0).expect("a priority"));
    (model, GicLines::new(Some(spis)))
}

#[test]
fn which_numbers_are_private_lines() {
    let (_, with) = gic();
    let without = GicLines::<interrupt_core::fake::GicdFrame>::new(None);
    for intid in 0..64 {
        let line = LineId::new(intid);
        let number = EventNumber::of_line(intid as u16);
        let (wanted, bare) = match intid {
            0..16 => (Err(LineError::NoSuchLine), Err(LineError::NoSuchLine)),
            Ppi::TIMER => (Err(LineError::NotSupported), Err(LineError::NotSupported)),
            16..32 => (Ok(Way::Private(number)), Ok(Way::Private(number))),
            _ => (Ok(Way::Event(number)), Err(LineError::NoSuchLine)),
        };
        for wiring in [EDGE, LEVEL] {
            assert_eq!(with.check(line, wiring), wanted, "{line}");
            assert_eq!(without.check(line, wiring), bare, "{line}");
        }
        let low = Wiring { polarity: Polarity::Low, ..LEVEL };
        assert!(with.check(line, low).is_err(), "{line}");
    }
    assert_eq!(with.check(LineId::new(u32::MAX), EDGE), Err(LineError::NoSuchLine));
}

/// Through the server, over a distributor's registers: what is private leaves them alone.
#[test]
fn the_timer_is_nobodys_and_registers_are_left_alone() {
    let (model, chips) = gic();
    let mut rig = private();
    let mut wires = Wires::new(chips);
    let timer = LineId::new(Ppi::TIMER);
    let refused: Refusal = WireError::Line(LineError::NotSupported);
    assert_eq!(wires.grant(A, timer, LEVEL), Err(refused));
    let request = OpenRequest { line: timer, wiring: LEVEL, mode: Exclusive, cpus: CpuSet::ALL };
    assert_eq!(wires.open(&mut rig.core, A, &request), Err(WireError::NotYours));
    let line = LineId::new(19);
    wires.grant(A, line, LEVEL).expect("a line");
    let wire = wires.open(&mut rig.core, A, &OpenRequest { line, ..request }).expect("free");
    assert!(rig.machine.kernel.is_on(wire.event));
    wires.close(&mut rig.core, A, wire.id).expect("its own");
    assert!(!rig.machine.kernel.is_on(wire.event));
    assert_eq!(model.violations(), Vec::<String>::new());
}

/// Wherever firmware has the kernel's timer: its refusal leaves nothing behind.
#[test]
fn what_the_kernel_refuses_is_nobodys() {
    let mut rig = private();
    // The model's lines count from 32, its private INTIDs from 16; none leads to the timer, so
    // the kernel is made to refuse.
    rig.machine.kernel.fail(KernelCall::ActivateLine);
    let live = rig.machine.kernel.live();
    assert_eq!(open_on(&mut rig, LEVEL, 1), Err(WireError::Kernel(FakeError::Injected)));
    assert_eq!(rig.machine.kernel.live(), live);
    rig.machine.kernel.heal();
    open_on(&mut rig, LEVEL, 1).expect("nothing is in the way");
    rig.settle();
}
