//! The block against a model of its registers, written from the specification.

use hpet_core::{
    ArmError, Block, BlockError, Capabilities, HpetRegisters, Malformed, Silenced,
    TimerConfiguration, silence, timer,
};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};

/// QEMU 7.2's: revision 1, three comparators, Intel, 10 ns.
const QEMU: Capabilities = Capabilities {
    revision: 1,
    timers: 3,
    wide_counter: true,
    legacy_route: true,
    vendor: 0x8086,
    period_fs: 10_000_000,
};

/// A block whose counter moves by `step` with each read of it.
#[derive(Debug)]
struct Model {
    capabilities: u64,
    configuration: Cell<u32>,
    counter: Cell<u32>,
    step: u32,
    timers: RefCell<[Timer; 32]>,
    /// This comparator's configuration takes no writes.
    stuck: Option<u8>,
    /// A wire raised because messages were switched off in an enabled comparator.
    wires: Cell<u32>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Timer {
    configuration: u32,
    comparator: u32,
    period: u32,
}

impl Model {
    fn new(capabilities: Capabilities) -> Self {
        let can = TimerConfiguration::CAN_BE_PERIODIC | TimerConfiguration::CAN_SEND_MESSAGES;
        Self {
            capabilities: capabilities.encode(),
            configuration: Cell::new(0),
            counter: Cell::new(0x1234),
            step: 1,
            timers: RefCell::new([Timer { configuration: can, ..Timer::default() }; 32]),
            stuck: None,
            wires: Cell::new(0),
        }
    }

    fn timer(&self, number: u8) -> Timer {
        self.timers.borrow()[usize::from(number)]
    }

    fn set(&self, number: u8, configuration: u32) {
        self.timers.borrow_mut()[usize::from(number)].configuration = configuration;
    }
}

const CAN: u32 =
    TimerConfiguration::CAN_BE_PERIODIC | TimerConfiguration::CAN_SEND_MESSAGES | 1 << 5;

impl HpetRegisters for Model {
    fn read(&self, offset: u64) -> u32 {
        match offset {
            0 => self.capabilities as u32,
            4 => (self.capabilities >> 32) as u32,
            0x10 => self.configuration.get(),
            0xf0 => {
                let step = if self.configuration.get() & 1 == 1 { self.step } else { 0 };
                self.counter.set(self.counter.get().wrapping_add(step));
                self.counter.get()
            }
            0x100..0x500 => {
                let timer = self.timer(((offset - 0x100) / 0x20) as u8);
                match offset % 0x20 {
                    0 => timer.configuration,
                    8 => timer.comparator,
                    _ => panic!("read {offset:#x}"),
                }
            }
            _ => panic!("read {offset:#x}"),
        }
    }

    fn write(&self, offset: u64, value: u32) {
        match offset {
            0x10 => self.configuration.set(value),
            0xf0 | 0xf4 => {
                assert_eq!(self.configuration.get() & 1, 0, "the counter written while it runs");
                self.counter.set(if offset == 0xf0 { value } else { self.counter.get() });
            }
            0x100..0x500 => {
                let number = ((offset - 0x100) / 0x20) as u8;
                let mut timers = self.timers.borrow_mut();
                let timer = &mut timers[usize::from(number)];
                match offset % 0x20 {
                    0 if self.stuck == Some(number) => {}
                    0 => {
                        let new = timer.configuration & CAN | value & !CAN;
                        let (enabled, message) = (new >> 2 & 1, new >> 14 & 1);
                        let sent = timer.configuration >> 14 & 1;
                        if enabled == 1 && sent == 1 && message == 0 {
                            self.wires.set(self.wires.get() + 1);
                        }
                        timer.configuration = new;
                    }
                    8 => {
                        let periodic = timer.configuration & TimerConfiguration::PERIODIC != 0;
                        if !periodic || timer.configuration & TimerConfiguration::SET_VALUE != 0 {
                            timer.comparator = value;
                        } else {
                            timer.period = value;
                        }
                        timer.configuration &= !TimerConfiguration::SET_VALUE;
                    }
                    _ => panic!("write {offset:#x}"),
                }
            }
            _ => panic!("write {offset:#x}"),
        }
    }
}

/// QEMU's register, worked out by hand: revision 01h, NUM_TIM_CAP 2, both capability bits,
/// vendor 8086h, 989680h femtoseconds.
#[test]
fn capabilities_constant() {
    assert_eq!(QEMU.encode(), 0x0098_9680_8086_a201);
    assert_eq!(Capabilities::decode(0x0098_9680_8086_a201), Ok(QEMU));
    let bad = |value| Capabilities::decode(value).unwrap_err().field;
    assert_eq!(bad(0), "REV_ID");
    assert_eq!(bad(u64::MAX), "reserved (14)");
    assert_eq!(bad(0x8086_a201), "COUNTER_CLK_PERIOD");
    assert_eq!(bad(0x05f5_e101_8086_a201), "COUNTER_CLK_PERIOD");
    assert!(Capabilities::decode(0x05f5_e100_8086_a201).is_ok(), "100 ns are allowed");
}

/// §2.3.8 to §2.3.10 by hand, comparator 2.
#[test]
fn offsets_and_bits() {
    assert_eq!(timer::configuration(2), 0x140);
    assert_eq!(timer::comparator(2), 0x148);
    assert_eq!((timer::message_data(2), timer::message_address(2)), (0x150, 0x154));
    let found = TimerConfiguration::decode(0x0000_ff7e);
    assert_eq!(found.silent().encode(), 0x0000_8030, "capabilities and nothing else");
    assert_eq!(found.silent().armed(true).encode(), 0x0000_8178);
    assert_eq!(TimerConfiguration::decode(0xc034).armed(false).encode(), 0xc134);
}

#[test]
fn a_block_is_taken_over_silent_and_running() {
    let model = Model::new(QEMU);
    // As firmware left it: comparator 0 in place of the PIT, ticking.
    model.configuration.set(3);
    model.set(0, 0x802c | 0x4000);
    let block = Block::new(&model).expect("an HPET");
    assert_eq!(block.capabilities(), QEMU);
    assert_eq!(model.configuration.get(), 1, "on, and no legacy route");
    assert!(model.counter.get() < 10, "from zero");
    assert!(!block.timer(0).expect("exists").has(0x4004));
    assert_eq!(block.message_timers().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((block.timer(2).is_some(), block.timer(3)), (true, None));
    assert_eq!(model.wires.get(), 0);
}

#[test]
fn what_is_no_hpet_is_refused() {
    let dead = Model { step: 0, ..Model::new(QEMU) };
    assert_eq!(Block::new(&dead).unwrap_err(), BlockError::Stopped);
    let stuck = Model { stuck: Some(1), ..Model::new(QEMU) };
    stuck.set(1, 0xc004);
    assert_eq!(Block::new(&stuck).unwrap_err(), BlockError::Stuck(1));
    let absent = Model { capabilities: u64::MAX, ..Model::new(QEMU) };
    let why = Malformed { field: "reserved (14)" };
    assert_eq!(Block::new(&absent).unwrap_err(), BlockError::Malformed(why));
    assert_eq!(silence(&absent), Err(why));
}

/// Whatever a dead driver left, nothing is raised any more, by message or by wire.
#[test]
fn silence_leaves_nothing_enabled() {
    let model = Model::new(Capabilities { timers: 32, ..QEMU });
    for number in 0..32 {
        model.set(number, if number % 2 == 0 { 0xff7e } else { 0x8030 });
    }
    assert_eq!(silence(&model), Ok(Silenced { running: 16, stuck: 0 }));
    for number in 0..32 {
        let left = model.timer(number).configuration;
        assert_eq!(left & 0x4004, 0, "{number}: {left:#x}");
        assert_eq!(left & 0x8010, 0x8010, "what it can do stays");
    }
    assert_eq!(model.wires.get(), 0, "no wire on the way");
    assert_eq!(silence(&model), Ok(Silenced::default()));
    let stuck = Model { stuck: Some(2), ..Model::new(QEMU) };
    stuck.set(2, 0xc004);
    assert_eq!(silence(&stuck), Ok(Silenced { running: 1, stuck: 1 }));
}

#[test]
fn once_and_again_and_again() {
    let model = Model::new(QEMU);
    let block = Block::new(&model).expect("an HPET");
    model.set(1, 0xc034);
    block.arm_once(1, 1000).expect("ahead");
    let timer = model.timer(1);
    assert_eq!(timer.configuration, 0xc134, "32 bits, still enabled, still by message");
    assert!(timer.comparator.wrapping_sub(model.counter.get()) <= 1000);
    block.arm_periodic(1, 500).expect("can");
    let timer = model.timer(1);
    assert_eq!((timer.configuration, timer.period), (0xc13c, 500));
    assert!(timer.comparator.wrapping_sub(model.counter.get()) <= 500);
    // Back to once.
    block.arm_once(1, 1000).expect("ahead");
    assert_eq!(model.timer(1).configuration, 0xc134);
    // Over the end of 32 bits.
    model.counter.set(u32::MAX - 10);
    block.arm_once(1, 1000).expect("ahead");
    assert!(model.timer(1).comparator < 1000);
}

#[test]
fn what_can_not_be_armed_is_said() {
    let model = Model { step: 100, ..Model::new(QEMU) };
    let block = Block::new(&model).expect("an HPET");
    model.set(2, TimerConfiguration::CAN_SEND_MESSAGES);
    assert_eq!(block.arm_once(3, 1000), Err(ArmError::NoTimer));
    assert_eq!(block.arm_periodic(32, 1000), Err(ArmError::NoTimer));
    assert_eq!(block.arm_periodic(2, 1000), Err(ArmError::NotPeriodic));
    for ticks in [0, 1 << 31, u32::MAX] {
        assert_eq!(block.arm_once(1, ticks), Err(ArmError::BadTicks));
        assert_eq!(block.arm_periodic(1, ticks), Err(ArmError::BadTicks));
    }
    assert_eq!(block.arm_once(1, 50), Err(ArmError::TooLate));
    assert_eq!(block.arm_once(1, 100), Err(ArmError::TooLate), "now is no future");
    assert_eq!(block.ticks(1000), Ok(100_000));
    assert_eq!(block.ticks(0), Ok(1));
    assert_eq!(block.ticks(21_474_836), Ok(2_147_483_600));
    assert_eq!(block.ticks(21_474_837), Err(ArmError::BadTicks));
    assert_eq!(block.ticks(u32::MAX), Err(ArmError::BadTicks));
}

proptest! {
    #[test]
    fn capabilities_round_trip(
        revision in 1u8.., timers in 1u8..=32, flags in any::<(bool, bool)>(), vendor: u16,
        period_fs in 1..=Capabilities::LONGEST_FS,
    ) {
        let (wide_counter, legacy_route) = flags;
        let it = Capabilities { revision, timers, wide_counter, legacy_route, vendor, period_fs };
        prop_assert_eq!(Capabilities::decode(it.encode()), Ok(it));
    }

    #[test]
    fn decode_is_total(value: u64) {
        if let Ok(it) = Capabilities::decode(value) {
            prop_assert_eq!(it.encode(), value);
        }
        let value = TimerConfiguration::decode(value as u32);
        prop_assert!(!value.silent().has(0x4004));
        prop_assert_eq!(value.silent().encode() & CAN, value.encode() & CAN);
    }
}
