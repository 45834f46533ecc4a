//! The MSI capability slot by slot: each rule, and random drivers whose every write to hardware is watched.

use pci_core::{
    ConfigExt, ConfigSpace, FunctionAddress, Pair, Register,
    fake::{ConfigModel, FunctionModel},
    msi::{Control, MessageError, Msi},
    slots::MsiSlots,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const AT: u16 = 0x40;

fn address() -> FunctionAddress {
    FunctionAddress::new(0, 1, 0).unwrap()
}

/// A function with an MSI capability, and all that is wrong with a write to it.
struct Watched {
    machine: ConfigModel,
    msi: Msi,
    /// What a driver has shown: nothing else may ever be live.
    shown: BTreeSet<(u64, u32)>,
    wrong: Vec<String>,
}

/// What the function would send, if it may send anything: address, data of message 0, how many.
type Live = Option<(u64, u32, u8)>;

impl Watched {
    fn new(capable_log2: u8, wide: bool, maskable: bool) -> (Self, MsiSlots) {
        let mut machine = ConfigModel::new();
        machine.add(0, 1, 0, FunctionModel::endpoint(1, 2).msi(capable_log2, wide, maskable));
        let msi = Msi::read(&machine, address(), AT).unwrap();
        let slots = MsiSlots::new(msi);
        (Self { machine, msi, shown: BTreeSet::new(), wrong: Vec::new() }, slots)
    }

    fn control(&self) -> Control {
        Control::decode(self.machine.read16(address(), AT + 2)).unwrap()
    }

    /// Mask bits; none where there are no masks.
    fn masks(&self) -> u32 {
        let at = AT + if self.msi.has_wide_address() { 0x10 } else { 0xc };
        if self.msi.is_maskable() { self.machine.read32(address(), at) } else { 0 }
    }

    fn live(&self) -> Live {
        let control = self.control();
        let count = 1_u64 << control.allowed_log2;
        let unmasked = !u64::from(self.masks()) & ((1 << count) - 1);
        let pair = self.msi.pair(&self.machine);
        (control.enabled && unmasked != 0).then_some((
            pair.address,
            pair.data,
            control.allowed_log2,
        ))
    }

    /// The messages that it would send.
    fn open(&self) -> u32 {
        let control = self.control();
        let count = 1_u64 << control.allowed_log2;
        let unmasked = !u64::from(self.masks()) & ((1 << count) - 1);
        if control.enabled { unmasked as u32 } else { 0 }
    }
}

impl ConfigSpace for Watched {
    fn read(&self, function: FunctionAddress, register: Register) -> u32 {
        self.machine.read(function, register)
    }

    fn write(&mut self, function: FunctionAddress, register: Register, value: u32) {
        let before = self.live();
        self.machine.write(function, register, value);
        let after = self.live();
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            self.wrong.push(format!("{before:x?} became {after:x?} while it was live"));
        }
        if let Some((address, data, log2)) = after {
            for number in 0..1 << log2 {
                if !self.shown.contains(&(address, data | number)) {
                    self.wrong.push(format!("{address:#x}/{:#x} is live, nobody's", data | number));
                }
            }
        }
    }
}

fn pair(base: Pair, slot: u32) -> Pair {
    Pair { data: base.data + slot, ..base }
}

const BASE: Pair = Pair { address: 0xfee0_0010, data: 0x40 };

fn fill(slots: &mut MsiSlots, count: u32) {
    for slot in 0..count {
        slots.fill(slot, pair(BASE, slot)).unwrap();
    }
}

/// All four forms: hardware has nothing before the first slot opens, and the whole block then.
#[test]
fn a_block_is_written_when_its_first_slot_opens() {
    for (wide, maskable) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut hardware, mut slots) = Watched::new(4, wide, maskable);
        fill(&mut slots, 16);
        assert_eq!(hardware.machine.writes(address()), 0);
        hardware.shown.extend((0..16).map(|slot| (BASE.address, BASE.data + slot)));
        slots.open(&mut hardware, 5).unwrap();
        assert_eq!(hardware.live(), Some((BASE.address, BASE.data, 4)));
        let silent_ones = if maskable { 1 << 5 } else { 0xffff };
        assert_eq!(hardware.open(), silent_ones);
        slots.open(&mut hardware, 6).unwrap();
        slots.close(&mut hardware, 5).unwrap();
        assert_eq!(hardware.open(), if maskable { 1 << 6 } else { 0xffff });
        slots.close(&mut hardware, 6).unwrap();
        assert_eq!(hardware.open(), 0);
        // Where there are masks the function stays on, so that events are kept.
        assert_eq!(hardware.control().enabled, maskable);
        // The same block again, without another word.
        slots.open(&mut hardware, 15).unwrap();
        assert_eq!(hardware.live(), Some((BASE.address, BASE.data, 4)));
        assert_eq!(hardware.wrong, Vec::<String>::new());
    }
}

/// A capability of 16 can be used for one message, as drivers do that know of one only.
#[test]
fn a_large_capability_takes_a_smaller_block() {
    let (mut hardware, mut slots) = Watched::new(4, true, false);
    fill(&mut slots, 1);
    hardware.shown.insert((BASE.address, BASE.data));
    slots.open(&mut hardware, 0).unwrap();
    assert_eq!(hardware.live(), Some((BASE.address, BASE.data, 0)));
    assert_eq!(slots.open(&mut hardware, 1), Err(MessageError::Empty));
    assert_eq!(hardware.wrong, Vec::<String>::new());
}

#[test]
fn every_rule_has_its_error_and_changes_nothing() {
    let (mut hardware, mut slots) = Watched::new(2, false, true);
    let odd = Pair { data: 0x41, ..BASE };
    assert_eq!(slots.fill(4, BASE), Err(MessageError::NoSlot));
    assert_eq!(slots.open(&mut hardware, 4), Err(MessageError::NoSlot));
    assert_eq!(slots.close(&mut hardware, 4), Err(MessageError::NoSlot));
    assert_eq!(slots.open(&mut hardware, 0), Err(MessageError::Empty));
    assert_eq!(slots.fill(1, odd), Err(MessageError::NotConsecutive), "slot 0 begins");
    let high = Pair { address: 1 << 32, ..BASE };
    assert_eq!(slots.fill(0, high), Err(MessageError::AddressTooHigh));
    let wide = Pair { data: 1 << 16, ..BASE };
    assert_eq!(slots.fill(0, wide), Err(MessageError::DataTooWide));
    assert_eq!(slots.fill(0, Pair { address: 0xfee0_0012, ..BASE }), Err(MessageError::Misaligned));
    fill(&mut slots, 2);
    assert_eq!(slots.fill(3, pair(BASE, 3)), Err(MessageError::NotConsecutive), "a hole");
    assert_eq!(slots.fill(2, pair(BASE, 3)), Err(MessageError::NotConsecutive));
    let elsewhere = Pair { address: 0xfee0_0030, ..pair(BASE, 2) };
    assert_eq!(slots.fill(2, elsewhere), Err(MessageError::NotConsecutive));
    slots.fill(2, pair(BASE, 2)).unwrap();
    assert_eq!(slots.open(&mut hardware, 1), Err(MessageError::Incomplete), "three");
    assert_eq!(slots.open(&mut hardware, 3), Err(MessageError::Empty));
    assert_eq!(hardware.machine.writes(address()), 0, "nothing has reached hardware");
    slots.fill(3, pair(BASE, 3)).unwrap();
    hardware.shown.extend((0..4).map(|slot| (BASE.address, BASE.data + slot)));
    slots.open(&mut hardware, 1).unwrap();
    assert_eq!(slots.fill(0, BASE), Err(MessageError::InUse));
    assert_eq!(slots.fill(1, pair(BASE, 1)), Err(MessageError::InUse));
    slots.close(&mut hardware, 1).unwrap();
    // A block whose data the function could not count up in.
    slots.fill(0, odd).unwrap();
    slots.fill(1, pair(odd, 1)).unwrap();
    assert_eq!(slots.open(&mut hardware, 0), Err(MessageError::Misaligned));
    assert_eq!(hardware.open(), 0);
    assert_eq!(hardware.wrong, Vec::<String>::new());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Slot, and the pair that it should have, or another one.
    Fill(u32, u32),
    /// A whole block of another base.
    Block(u32, u32),
    Open(u32),
    Close(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..36_u32, 0..4_u32).prop_map(|(slot, base)| Step::Fill(slot, base)),
        3 => (0..6_u32, 0..4_u32).prop_map(|(order, base)| Step::Block(order, base)),
        5 => (0..36_u32).prop_map(Step::Open),
        4 => (0..36_u32).prop_map(Step::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever a driver asks: only pairs that it has shown are ever live, none changes while it is, and what is open is
    /// what was opened, as far as the function can tell slots apart.
    #[test]
    fn only_what_was_shown_is_live(
        capable_log2 in 0..=5_u8,
        flags in any::<[bool; 2]>(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let [wide, maskable] = flags;
        let (mut hardware, mut slots) = Watched::new(capable_log2, wide, maskable);
        let mut open = 0_u32;
        let bases = [
            BASE,
            Pair { address: 0xfee0_0030, data: 0 },
            Pair { address: 0x1_fee0_0000, data: 0x20 },
            Pair { address: 0xfee0_0050, data: 0x33 },
        ];
        let put = |slots: &mut MsiSlots, hardware: &mut Watched, slot: u32, base: u32| {
            let pair = pair(bases[base as usize], slot);
            let done = slots.fill(slot, pair);
            if done.is_ok() {
                hardware.shown.insert((pair.address, pair.data));
            }
            done
        };
        for step in steps {
            match step {
                Step::Fill(slot, base) => {
                    let done = put(&mut slots, &mut hardware, slot, base);
                    prop_assert!(open == 0 || done.is_err());
                }
                Step::Block(order, base) => {
                    for slot in 0..1 << order {
                        let _ = put(&mut slots, &mut hardware, slot, base);
                    }
                }
                Step::Open(slot) => {
                    let writes = hardware.machine.writes(address());
                    match slots.open(&mut hardware, slot) {
                        Ok(()) => open |= 1 << slot,
                        Err(_) => prop_assert_eq!(hardware.machine.writes(address()), writes),
                    }
                }
                Step::Close(slot) => {
                    if slots.close(&mut hardware, slot).is_ok() {
                        open &= !(1 << slot);
                    }
                }
            }
            prop_assert_eq!(&hardware.wrong, &Vec::<String>::new());
            if maskable {
                prop_assert_eq!(hardware.open(), open);
            } else {
                prop_assert_eq!(hardware.open() != 0, open != 0);
                prop_assert_eq!(open & !hardware.open(), 0, "an open slot is silent");
            }
        }
    }
}
