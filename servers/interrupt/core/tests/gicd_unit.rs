//! The distributor unit over the register-level model.

use interrupt_core::fake::{GicdFrame, GicdModel, GicdOptions};
use interrupt_core::gicd::{Distributor, GicdInitError, Route, Spi, SpiError, SpiSetup};
use interrupt_core::its::Priority;
use interrupt_core::vtd::Trigger;
use std::collections::BTreeSet;

const BUDGET: u32 = 20;

fn spi(intid: u32) -> Spi {
    Spi::new(intid).expect("an SPI")
}

fn route(cpu: usize) -> Route {
    Route { affinity: GicdModel::affinity(cpu) }
}

fn setup(trigger: Trigger, cpu: usize) -> SpiSetup {
    SpiSetup { trigger, priority: Priority::new(0xa0).expect("a priority"), route: route(cpu) }
}

fn start(options: GicdOptions) -> (GicdModel, Distributor<GicdFrame>) {
    let model = GicdModel::new(options);
    let unit = Distributor::new(model.registers(), BUDGET).expect("in service");
    (model, unit)
}

fn quiet(model: &GicdModel) {
    assert_eq!(model.violations(), Vec::<String>::new());
}

/// A wire's whole life: set up, enabled, raised, moved, disabled.
#[test]
fn life_of_an_edge() {
    let (model, mut unit) = start(GicdOptions::default());
    let line = spi(40);
    unit.configure(line, setup(Trigger::Edge, 0)).unwrap();
    model.wire(line, true);
    assert_eq!(model.acknowledge(0), None, "not enabled yet");
    assert!(unit.is_pending(line) && !unit.is_enabled(line));
    unit.enable(line).unwrap();
    assert_eq!(model.acknowledge(0), Some(line), "what came before comes now");
    assert!(unit.is_active(line) && !unit.is_pending(line));
    model.complete(0);
    model.wire(line, true);
    unit.route(line, route(1)).unwrap();
    assert_eq!((model.acknowledge(0), model.acknowledge(1)), (None, Some(line)));
    model.complete(1);
    unit.set_pending(line);
    assert_eq!(model.acknowledge(1), Some(line), "raised by software");
    model.complete(1);
    unit.disable(line);
    unit.settle().unwrap();
    model.wire(line, true);
    assert_eq!(model.acknowledge(1), None);
    unit.clear_pending(line);
    unit.enable(line).unwrap();
    assert_eq!(model.acknowledge(1), None, "forgotten");
    quiet(&model);
}

/// A level stays until its source takes it down, and fires again if it does not.
#[test]
fn level_fires_again_while_it_is_up() {
    let (model, mut unit) = start(GicdOptions::default());
    let line = spi(33);
    unit.configure(line, setup(Trigger::Level, 1)).unwrap();
    unit.enable(line).unwrap();
    model.wire(line, true);
    assert_eq!(model.acknowledge(1), Some(line));
    assert_eq!(model.acknowledge(1), None, "held while it is active");
    model.complete(1);
    assert_eq!(model.acknowledge(1), Some(line), "still up");
    model.wire(line, false);
    model.complete(1);
    assert_eq!(model.acknowledge(1), None);
    quiet(&model);
}

/// Until RWP is clear a CPU may still take what was disabled: who does not wait is found out.
#[test]
fn disabling_counts_from_the_wait_on() {
    let (model, mut unit) = start(GicdOptions::default());
    let line = spi(50);
    unit.configure(line, setup(Trigger::Edge, 0)).unwrap();
    unit.enable(line).unwrap();
    unit.disable(line);
    assert!(model.reaches_a_cpu(line));
    unit.settle().unwrap();
    assert!(!model.reaches_a_cpu(line));
}

/// Only the one SPI changes, whatever its neighbours in the same registers are.
#[test]
fn neighbours_keep_what_they_have() {
    let (model, mut unit) = start(GicdOptions::default());
    for intid in 32..64 {
        let trigger = if intid % 3 == 0 { Trigger::Level } else { Trigger::Edge };
        unit.configure(spi(intid), setup(trigger, 0)).unwrap();
        unit.enable(spi(intid)).unwrap();
    }
    unit.set_pending(spi(45));
    unit.configure(spi(44), setup(Trigger::Level, 1)).unwrap();
    unit.clear_pending(spi(46));
    assert!(unit.is_pending(spi(45)) && !unit.is_enabled(spi(44)));
    for intid in (32..64).filter(|intid| *intid != 44) {
        assert!(unit.is_enabled(spi(intid)), "{intid}");
    }
    // An edge raised twice is taken once; a level, as long as it is up.
    for (intid, level) in [(42, true), (43, false)] {
        model.wire(spi(intid), true);
        unit.clear_pending(spi(intid));
        assert_eq!(unit.is_pending(spi(intid)), level, "{intid}");
    }
    quiet(&model);
}

/// The trigger changes only after the wait: the model notes it otherwise, as the distributor
/// of a machine would do anything.
#[test]
fn an_enabled_spi_is_set_up_again() {
    let (model, mut unit) = start(GicdOptions { lag: 7, ..GicdOptions::default() });
    let line = spi(60);
    unit.configure(line, setup(Trigger::Edge, 0)).unwrap();
    unit.enable(line).unwrap();
    unit.configure(line, setup(Trigger::Level, 1)).unwrap();
    assert!(!unit.is_pending(line), "the change itself raises nothing");
    quiet(&model);
}

#[test]
fn every_wait_is_bounded() {
    let (model, mut unit) = start(GicdOptions::default());
    let line = spi(70);
    unit.configure(line, setup(Trigger::Edge, 0)).unwrap();
    unit.enable(line).unwrap();
    model.hang(true);
    unit.disable(line);
    assert_eq!(unit.settle(), Err(SpiError::Timeout));
    assert_eq!(unit.configure(line, setup(Trigger::Level, 0)), Err(SpiError::Timeout));
    model.hang(false);
    unit.settle().unwrap();
    unit.configure(line, setup(Trigger::Level, 0)).unwrap();
    quiet(&model);
}

/// Each reason has its own error, and nothing that does not exist is touched.
#[test]
fn refusals() {
    let options = GicdOptions {
        always_edge: BTreeSet::from([80]),
        secure: BTreeSet::from([90]),
        ..GicdOptions::default()
    };
    let (model, mut unit) = start(options.clone());
    // ITLinesNumber 7: INTIDs below 256.
    let beyond = spi(256);
    assert_eq!(unit.configure(beyond, setup(Trigger::Edge, 0)), Err(SpiError::NoSuchSpi));
    assert_eq!(unit.enable(beyond), Err(SpiError::NoSuchSpi));
    assert_eq!(unit.route(beyond, route(0)), Err(SpiError::NoSuchSpi));
    unit.disable(beyond);
    unit.set_pending(beyond);
    unit.clear_pending(beyond);
    unit.clear_message(beyond);
    assert!(!unit.is_pending(beyond) && !unit.is_active(beyond) && !unit.is_enabled(beyond));
    assert_eq!(unit.configure(spi(80), setup(Trigger::Level, 0)), Err(SpiError::TriggerFixed));
    unit.configure(spi(80), setup(Trigger::Edge, 0)).unwrap();
    assert_eq!(unit.configure(spi(81), setup(Trigger::Edge, 9)), Err(SpiError::RouteRefused));
    assert_eq!(unit.configure(spi(90), setup(Trigger::Edge, 0)), Err(SpiError::NotOurs));
    quiet(&model);
    // With two security states the group can not be seen: enabling finds out.
    let (model, mut unit) =
        start(GicdOptions { two_security_states: true, control: 0x12, ..options });
    assert_eq!(unit.enable(spi(90)), Err(SpiError::NotOurs));
    unit.configure(spi(91), setup(Trigger::Edge, 0)).unwrap();
    unit.enable(spi(91)).unwrap();
    quiet(&model);
}

/// A distributor that the kernel has not brought up, or that is none.
#[test]
fn not_in_service() {
    let why = |options| Distributor::new(GicdModel::new(options).registers(), BUDGET).err();
    let like = GicdOptions::default;
    assert_eq!(why(GicdOptions { version: 2, ..like() }), Some(GicdInitError::Version(2)));
    assert_eq!(why(GicdOptions { version: 4, ..like() }), None);
    let off = GicdOptions { control: 0x42, ..like() };
    assert_eq!(why(off), Some(GicdInitError::NoAffinityRouting));
    assert_eq!(why(GicdOptions { control: 0x50, ..like() }), Some(GicdInitError::GroupOff));
}
