//! MSI and MSI-X: encodings against constants worked out by hand, and the capabilities in a model.

use pci_core::{
    BusRange, CapabilityError, ConfigExt, FunctionAddress, Pair,
    bars::{self, Bars},
    capabilities, enumerate,
    fake::{ConfigModel, FunctionModel},
    msi::{self, MessageError, Msi},
    msix::{self, Msix},
};

const ALL: BusRange = BusRange { segment: 0, first: 0, last: 255 };

fn address() -> FunctionAddress {
    FunctionAddress::new(0, 1, 0).unwrap()
}

fn machine(model: FunctionModel) -> ConfigModel {
    let mut machine = ConfigModel::new();
    machine.add(0, 1, 0, model);
    machine
}

fn endpoint() -> FunctionModel {
    FunctionModel::endpoint(0x1234, 0x11e8)
}

/// PCIe §7.7.1.2, figure of the message control register: enable 0, capable 3:1, enabled messages 6:4, 64 bits 7, masks 8,
/// extended data 9 and 10.
#[test]
fn msi_control_by_hand() {
    let edu = msi::Control {
        enabled: false,
        capable_log2: 0,
        allowed_log2: 0,
        wide_address: true,
        maskable: false,
        wide_data_capable: false,
        wide_data: false,
    };
    assert_eq!(edu.encode(), 0x0080);
    let full = msi::Control {
        enabled: true,
        capable_log2: 5,
        allowed_log2: 2,
        wide_address: true,
        maskable: true,
        wide_data_capable: true,
        wide_data: true,
    };
    // 1 | 5 << 1 = 0xb; 2 << 4 = 0x20; 0x80; 0x700.
    assert_eq!(full.encode(), 0x07ab);
    assert_eq!(msi::Control::decode(0x07ab), Ok(full));
}

#[test]
fn msi_control_is_total_and_round_trips() {
    for bits in 0..=u16::MAX {
        let reserved = bits >> 1 & 7 > 5 || bits >> 4 & 7 > 5;
        match msi::Control::decode(bits) {
            Ok(control) => {
                assert!(!reserved);
                assert_eq!(control.encode(), bits & 0x07ff);
            }
            Err(msi::Reserved) => assert!(reserved),
        }
    }
}

/// PCIe §7.7.2.2 to §7.7.2.8.
#[test]
fn msix_by_hand() {
    let nvme = msix::Control { entries: 65, all_masked: false, enabled: true };
    assert_eq!(nvme.encode(), 0x8040);
    let masked = msix::Control { entries: 2048, all_masked: true, enabled: false };
    assert_eq!(masked.encode(), 0x47ff);
    assert_eq!(msix::Location { bar: 4, offset: 0x3000 }.encode(), 0x3004);
    let pair = Pair { address: 0x1_fee0_0018, data: 0x21 };
    let entry = msix::Entry { pair, masked: true };
    assert_eq!(entry.encode(), [0xfee0_0018, 1, 0x21, 1]);
}

#[test]
fn msix_formats_are_total_and_round_trip() {
    for bits in 0..=u16::MAX {
        assert_eq!(msix::Control::decode(bits).encode(), bits & 0xc7ff);
    }
    for low in 0..64 {
        match msix::Location::decode(low) {
            Ok(location) => assert_eq!(location.encode(), low),
            Err(msi::Reserved) => assert!(low & 7 > 5),
        }
    }
    let entry = msix::Entry { pair: Pair { address: 0xfee0_0000, data: !0 }, masked: false };
    assert_eq!(msix::Entry::decode(entry.encode()), Ok(entry));
    assert_eq!(msix::Entry::decode([2, 0, 0, 0]), Err(msi::Reserved));
    assert_eq!(msix::Entry::decode([0, 0, 0, !1]).map(|entry| entry.masked), Ok(false));
}

/// Where the registers are, by the four figures of PCIe §7.7.1.
#[test]
fn msi_layouts() {
    for (wide, maskable, bytes, data_at, mask_at) in [
        (false, false, 10, 0x48, None),
        (true, false, 14, 0x4c, None),
        (false, true, 20, 0x48, Some(0x4c)),
        (true, true, 24, 0x4c, Some(0x50)),
    ] {
        let mut machine = machine(endpoint().msi(2, wide, maskable));
        let msi = Msi::read(&machine, address(), 0x40).unwrap();
        assert_eq!((msi.capacity(), msi.bytes(), msi.is_maskable()), (4, bytes, maskable));
        let pair = Pair { address: 0xfee0_2000, data: 0x4020 };
        msi.write(&mut machine, pair, 0).unwrap();
        assert_eq!(machine.read32(address(), 0x44), 0xfee0_2000);
        assert_eq!(machine.read16(address(), data_at), 0x4020);
        assert_eq!(msi.pair(&machine), pair);
        if let Some(at) = mask_at {
            assert_eq!(machine.read32(address(), at), 0xf, "all masked, until the owner unmasks");
            msi.set_masked(&mut machine, 2, false).unwrap();
            assert_eq!(machine.read32(address(), at), 0xb);
            msi.set_masked(&mut machine, 2, true).unwrap();
            assert_eq!(machine.read32(address(), at), 0xf);
            assert_eq!(msi.pending(&machine), 0);
            let with_event = machine.model(0).clone().raw(at + 4, &[2]);
            *machine.model_mut(0) = with_event;
            assert_eq!(msi.pending(&machine), 2);
        } else {
            let refused = msi.set_masked(&mut machine, 0, true);
            assert_eq!(refused, Err(MessageError::NotMaskable));
        }
        let refused = msi.set_masked(&mut machine, 4, true);
        assert_eq!(refused, Err(MessageError::NoSlot));
    }
}

#[test]
fn a_pair_is_written_while_messages_are_off() {
    let mut machine = machine(endpoint().msi(3, true, false));
    let msi = Msi::read(&machine, address(), 0x40).unwrap();
    let pair = Pair { address: 0x1_fee0_0000, data: 0x38 };
    msi.write(&mut machine, pair, 3).unwrap();
    msi.set_enabled(&mut machine, true).unwrap();
    // 64 bits, 8 of 8 messages, enabled.
    assert_eq!(machine.read16(address(), 0x42), 0x80 | 3 << 4 | 3 << 1 | 1);
    let next = Pair { address: 0xfee0_0000, data: 0x41 };
    msi.write(&mut machine, next, 0).unwrap();
    assert_eq!(machine.read16(address(), 0x42), 0x80 | 3 << 1, "off, one message");
    assert_eq!(msi.pair(&machine), next);
}

#[test]
fn what_the_msi_capability_cannot_hold_is_refused_and_changes_nothing() {
    let mut machine = machine(endpoint().msi(1, false, false));
    let msi = Msi::read(&machine, address(), 0x40).unwrap();
    let good = Pair { address: 0xfee0_0000, data: 0x30 };
    msi.write(&mut machine, good, 1).unwrap();
    msi.set_enabled(&mut machine, true).unwrap();
    let before = machine.model(0).clone();
    for (pair, count, error) in [
        (Pair { address: 1 << 32, ..good }, 0, MessageError::AddressTooHigh),
        (Pair { address: 0xfee0_0002, ..good }, 0, MessageError::Misaligned),
        (Pair { data: 0x1_0000, ..good }, 0, MessageError::DataTooWide),
        (Pair { data: 0x31, ..good }, 1, MessageError::Misaligned),
        (good, 2, MessageError::NoSlot),
        (good, 255, MessageError::NoSlot),
    ] {
        assert_eq!(msi.write(&mut machine, pair, count), Err(error));
        assert_eq!(machine.model(0), &before);
    }
}

#[test]
fn an_msi_capability_that_is_none() {
    let machine = machine(
        endpoint().msi(0, true, true).raw(0xf0, &[5, 0, 0x80, 1]).raw(0x80, &[5, 0, 0x0c, 0]),
    );
    let read = |offset| Msi::read(&machine, address(), offset).unwrap_err();
    assert_eq!(read(0x44), MessageError::NotThere);
    assert_eq!(read(0x5000), MessageError::NotThere);
    assert_eq!(read(0xf0), MessageError::DoesNotFit);
    assert_eq!(read(0x80), MessageError::Reserved);
}

fn msix_machine(
    entries: u16,
    table: msix::Location,
    pending: msix::Location,
) -> (ConfigModel, Bars) {
    let model = endpoint().memory32(0, 0xfe00_0000, 0x4000).io(1, 0xc000, 0x80);
    let mut machine = machine(model.msix(entries, table, pending));
    let topology = enumerate(&mut machine, &[ALL]);
    let function = *topology.function(address()).unwrap();
    assert_eq!(function.msix, Some(0x40));
    let bars = bars::probe(&mut machine, &function);
    (machine, bars)
}

#[test]
fn msix_must_fit_in_its_bars() {
    let at = |bar, offset| msix::Location { bar, offset };
    for (entries, table, pending, fits) in [
        (0x3ff, at(0, 0), at(0, 0x3ff0), false), // pending bits: 128 bytes from 0x3ff0
        (0x3ff, at(0, 0), at(0, 0x3f80), true),
        (1, at(0, 0x3ff0), at(0, 0), true),
        (2, at(0, 0x3ff0), at(0, 0), false),
        (1, at(1, 0), at(0, 0), false),           // table in I/O space
        (1, at(0, 0), at(3, 0), false),           // no such BAR
        (1, at(0, 0xffff_fff8), at(0, 0), false), // wraps in 32 bits
    ] {
        let (machine, bars) = msix_machine(entries, table, pending);
        let result = Msix::read(&machine, address(), 0x40, &bars);
        assert_eq!(result.is_ok(), fits, "{entries} {table:?} {pending:?}: {result:?}");
    }
    let (machine, bars) = msix_machine(2048, at(0, 0), at(6, 0));
    assert_eq!(Msix::read(&machine, address(), 0x40, &bars), Err(MessageError::Reserved));
    assert_eq!(Msix::read(&machine, address(), 0x44, &bars), Err(MessageError::NotThere));
}

#[test]
fn msix_as_a_whole() {
    let location = msix::Location { bar: 0, offset: 0 };
    let (mut machine, bars) = msix_machine(9, location, msix::Location { bar: 0, offset: 0x800 });
    let msix = Msix::read(&machine, address(), 0x40, &bars).unwrap();
    assert_eq!((msix.capacity(), msix.table_bytes(), msix.table()), (9, 144, location));
    msix.set(&mut machine, true, true);
    assert_eq!(machine.read16(address(), 0x42), 0xc008);
    msix.set(&mut machine, true, false);
    assert_eq!(machine.read16(address(), 0x42), 0x8008);
    let state = msix.state(&machine);
    assert_eq!((state.enabled, state.all_masked), (true, false));
    msix.set(&mut machine, false, false);
    assert_eq!(machine.read16(address(), 0x42), 0x0008);
}

#[test]
fn capability_lists_end() {
    let walk = |model| {
        let machine = machine(model);
        capabilities(&machine, address()).collect::<Vec<_>>()
    };
    assert_eq!(walk(endpoint()), []);
    // No list without the status bit, whatever the pointer says.
    assert_eq!(walk(endpoint().raw(0x34, &[0x40])), []);
    let two = endpoint().capability(1, &[0; 6], &[]).msi(0, true, false);
    let ids: Vec<_> = walk(two.clone()).iter().map(|found| found.unwrap().id).collect();
    assert_eq!(ids, [1, 5]);
    // Back to the first; to itself; into the header; to bits 1:0, which do not count.
    let pointer = 0x48;
    let end = |to: u8| *walk(two.clone().raw(0x49, &[to])).last().unwrap();
    assert_eq!(end(0x40), Err(CapabilityError::Loop { pointer: 0x40 }));
    assert_eq!(end(pointer), Err(CapabilityError::Loop { pointer }));
    assert_eq!(end(0x3c), Err(CapabilityError::BadPointer { pointer: 0x3c }));
    assert!(end(0x03).is_ok());
    // A device that went away in the middle.
    let gone = two.raw(0x48, &[0xff, 0xff]);
    assert_eq!(walk(gone).last(), Some(&Err(CapabilityError::NoAnswer { pointer })));
    // The longest list: 48 capabilities.
    let mut longest = endpoint();
    for _ in 0..48 {
        longest = longest.capability(9, &[0; 2], &[]);
    }
    assert_eq!(walk(longest.clone()).len(), 48);
    assert!(walk(longest.raw(0xfd, &[0x40])).last().unwrap().is_err());
}
