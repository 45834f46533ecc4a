//! What a driver may write: the whole of configuration space, register by register.

use pci_core::{
    BusRange, Command, ConfigExt, Function, FunctionAddress, Register, Width, enumerate,
    fake::{ConfigModel, FunctionModel},
    msix::Location,
    policy::{self, Refusal},
};

const ALL: BusRange = BusRange { segment: 0, first: 0, last: 255 };

fn machine(model: FunctionModel) -> (ConfigModel, Function) {
    let mut machine = ConfigModel::new();
    machine.add(0, 1, 0, model);
    let topology = enumerate(&mut machine, &[ALL]);
    let function = *topology.function(FunctionAddress::new(0, 1, 0).unwrap()).unwrap();
    (machine, function)
}

/// MSI at 0x40, MSI-X at 0x50, power management at 0x5c; parity response on, as firmware leaves it.
fn device() -> FunctionModel {
    let table = Location { bar: 0, offset: 0 };
    FunctionModel::endpoint(0x1234, 0x11e8)
        .memory32(0, 0xfe00_0000, 0x1000)
        .msi(0, true, false)
        .msix(4, table, Location { bar: 0, offset: 0x800 })
        .capability(1, &[0; 6], &[0xff; 6])
        .raw(4, &[0x40, 0])
}

fn register(offset: u16, width: Width) -> Register {
    Register::new(offset, width).unwrap()
}

#[test]
fn three_command_bits_and_nothing_else() {
    let (mut machine, function) = machine(device());
    let command = register(4, Width::Word);
    for bit in 0..16 {
        let wanted = 0x40 ^ 1u32 << bit;
        let result = policy::write(&mut machine, &function, command, wanted);
        if [0, 1, 2].contains(&bit) {
            assert_eq!(result, Ok(()));
            assert_eq!(machine.read16(function.address, 4), wanted as u16);
            policy::write(&mut machine, &function, command, 0x40).unwrap();
        } else {
            assert_eq!(result, Err(Refusal::CommandBits { bits: 1 << bit }));
        }
        assert_eq!(machine.read16(function.address, 4), 0x40);
    }
}

#[test]
fn every_other_register_is_refused_and_unchanged() {
    let (mut machine, function) = machine(device());
    let before = machine.model(0).clone();
    for width in [Width::Byte, Width::Word, Width::Dword] {
        for offset in (0..Register::SPACE_BYTES).step_by(width.bytes().into()) {
            let register = register(offset, width);
            if (offset, width) == (4, Width::Word) {
                continue;
            }
            for value in [0, 1, 0x40, !0] {
                let refusal = policy::write(&mut machine, &function, register, value).unwrap_err();
                let expected = match offset {
                    4..=7 => Refusal::CommandWidth,
                    0x10..=0x27 | 0x30..=0x33 => Refusal::Address,
                    0..=0x3f => Refusal::Header,
                    0x40..=0x4f => Refusal::Msi,
                    0x50..=0x5b => Refusal::Msix,
                    0x5c..=0xff => Refusal::Capability { id: 1 },
                    _ => Refusal::DeviceSpecific,
                };
                assert_eq!(refusal, expected, "{offset:#x}");
            }
            // All of it may be read.
            let _ = policy::read(&machine, &function, register);
        }
    }
    assert_eq!(machine.model(0), &before);
    assert_eq!(machine.writes(function.address), 0);
}

#[test]
fn without_capabilities_the_rest_is_device_specific() {
    let (mut machine, function) = machine(FunctionModel::endpoint(1, 2));
    let refused = policy::write(&mut machine, &function, register(0x80, Width::Dword), 0);
    assert_eq!(refused, Err(Refusal::DeviceSpecific));
}

#[test]
fn too_wide_a_value_is_refused() {
    let (mut machine, function) = machine(device());
    let refused = policy::write(&mut machine, &function, register(4, Width::Word), 0x1_0040);
    assert_eq!(refused, Err(Refusal::CommandWidth));
}

#[test]
fn no_write_reaches_a_bridge() {
    let bridge = FunctionModel::bridge(0, 5, 5);
    for model in
        [bridge.clone(), bridge.header_type(2), FunctionModel::endpoint(1, 2).header_type(9)]
    {
        let (mut machine, function) = machine(model);
        let writes = machine.writes(function.address);
        for offset in (0..256).step_by(2) {
            let refused = policy::write(&mut machine, &function, register(offset, Width::Word), 0);
            assert_eq!(refused, Err(Refusal::Bridge));
        }
        let all = Command::all();
        assert_eq!(policy::change_command(&mut machine, &function, all, all), Err(Refusal::Bridge));
        assert_eq!(machine.writes(function.address), writes);
    }
}

#[test]
fn changing_command_bits_leaves_the_others() {
    let (mut machine, function) = machine(device());
    let set = Command::MEMORY | Command::BUS_MASTER;
    let now = policy::change_command(&mut machine, &function, set, Command::empty()).unwrap();
    assert_eq!(now.bits(), 0x46);
    // Parity response is not a driver's to clear, nor SERR# (bit 8) to set.
    let serr = Command::from_bits_retain(0x100);
    let now = policy::change_command(&mut machine, &function, serr, Command::all()).unwrap();
    assert_eq!(now.bits(), 0x40);
    assert_eq!(machine.read16(function.address, 4), 0x40);
}

/// A root port at 00:01.0 whose PCI Express capability is at 0x40, with a slot or without.
fn root_port(has_slot: bool) -> (ConfigModel, Function) {
    let flags = 0x2 | 4 << 4 | u16::from(has_slot) << 8;
    let mut body = [0; 0x3a];
    body[..2].copy_from_slice(&flags.to_le_bytes());
    machine(FunctionModel::bridge(0, 5, 5).capability(0x10, &body, &[]))
}

/// PCIe §7.5.3.10: enables 5:0, then indicators, power (bit 10) and lock (bit 11).
#[test]
fn of_a_port_only_slot_events_can_be_written() {
    let (mut machine, function) = root_port(true);
    let (control, status) = (0x40 + 0x18, 0x40 + 0x1a);
    for offset in (0..4096).step_by(2) {
        let register = register(offset, Width::Word);
        let allowed = policy::decide_write(&machine, &function, register, 0x10).is_ok();
        assert_eq!(allowed, [control, status].contains(&offset), "{offset:#x}");
    }
    for (offset, width) in [(control, Width::Byte), (control, Width::Dword)] {
        let refused = policy::write(&mut machine, &function, register(offset, width), 0x10);
        assert_eq!(refused, Err(Refusal::Bridge));
    }
    for bit in 0..17 {
        let decided = |at, value| {
            policy::decide_write(&machine, &function, register(at, Width::Word), value).is_ok()
        };
        assert_eq!(decided(control, 1 << bit), bit < 6, "Slot Control bit {bit}");
        assert_eq!(decided(status, 1 << bit), bit < 5 || bit == 8, "Slot Status bit {bit}");
    }
    let (machine, function) = root_port(false);
    let refused = policy::decide_write(&machine, &function, register(control, Width::Word), 0x10);
    assert_eq!(refused, Err(Refusal::Bridge), "a port without a slot");
}
