//! Whatever configuration space answers: everything ends, nothing panics, and what was found makes sense.

use std::cell::Cell;

use pci_core::{
    BusRange, Command, ConfigSpace, FunctionAddress, Kind, MAX_FUNCTIONS, Pair, Register, Topology,
    Width,
    assign::{Host, HostWindow, Note, assign},
    bars,
    bars::{Bar, Slot, Space},
    capabilities, ecam_offset, enumerate, msi,
    msi::Msi,
    msix::Msix,
    placement::Range,
    policy,
};
use proptest::prelude::*;
use tocsin_firmware::mcfg::Segment;

/// Answers with a hash of the address, changed as `Shape` says; counts accesses. Writes go nowhere, or are remembered by
/// changing all later answers.
struct Garbage {
    seed: u64,
    shape: Shape,
    accesses: Cell<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Random bytes.
    Noise,
    /// Random, but every function is a bridge.
    Bridges,
    /// Every function is a bridge without numbers.
    Unnumbered,
    /// Random, and different at every read.
    Unstable,
    /// One value everywhere.
    Constant(u32),
}

impl Garbage {
    fn new(seed: u64, shape: Shape) -> Self {
        Self { seed, shape, accesses: Cell::new(0) }
    }

    fn hash(&self, function: FunctionAddress, dword: u16) -> u32 {
        let mut x = self.seed ^ u64::from(function.id.bits()) << 20 ^ u64::from(dword);
        if matches!(self.shape, Shape::Unstable) {
            x ^= self.accesses.get() << 40;
        }
        // splitmix64
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ x >> 31) as u32
    }
}

impl ConfigSpace for Garbage {
    fn read(&self, function: FunctionAddress, register: Register) -> u32 {
        self.accesses.set(self.accesses.get() + 1);
        let dword = register.offset() & !3;
        let mut value = self.hash(function, dword);
        let bridge = matches!(self.shape, Shape::Bridges | Shape::Unnumbered);
        match dword {
            0x0c if bridge => value = value & !0x7f_0000 | 0x01_0000,
            0x18 if matches!(self.shape, Shape::Unnumbered) => value = 0,
            _ => {}
        }
        if let Shape::Constant(constant) = self.shape {
            value = constant;
        }
        value >> ((register.offset() & 3) * 8) & register.width().ones()
    }

    fn write(&mut self, _: FunctionAddress, _: Register, value: u32) {
        self.accesses.set(self.accesses.get() + 1);
        if matches!(self.shape, Shape::Unstable) {
            self.seed = self.seed.rotate_left(7) ^ u64::from(value);
        }
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Noise),
        Just(Shape::Bridges),
        Just(Shape::Unnumbered),
        Just(Shape::Unstable),
        any::<u32>().prop_map(Shape::Constant),
        prop_oneof![Just(0), Just(!0), Just(0x0001_0001), Just(0x4040_4040)]
            .prop_map(Shape::Constant),
    ]
}

fn makes_sense(topology: &Topology, ranges: &[BusRange]) {
    let functions = topology.functions();
    assert!(functions.len() <= MAX_FUNCTIONS);
    assert!(functions.windows(2).all(|pair| pair[0].address < pair[1].address), "each once");
    for function in functions {
        let address = function.address;
        assert!(ranges.iter().any(|range| {
            range.segment == address.segment && (range.first..=range.last).contains(&address.bus())
        }));
        // Parents are on lower buses, so the way up ends, and their buses have the child's.
        for bridge in topology.ancestors(address) {
            let buses = bridge.buses().unwrap();
            assert!(bridge.address.bus() < address.bus());
            assert!((buses.secondary..=buses.subordinate).contains(&address.bus()));
        }
        assert!(topology.requesters(address).is_some());
        assert!(
            topology.find(function.vendor, function.device, 0).is_some()
                || !functions.iter().any(|f| f.kind == Kind::Endpoint
                    && (f.vendor, f.device) == (function.vendor, function.device))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// All functions, of all buses, with six BARs that mean anything.
    #[test]
    fn assignment_ends(
        seed: u64,
        shape in shapes(),
        log2 in prop::collection::vec(4u32..32, 6),
        exact: bool,
        end in 0u64..1 << 41,
    ) {
        let mut garbage = Garbage::new(seed, shape);
        let topology = enumerate(&mut garbage, &[BusRange { segment: 0, first: 0, last: 255 }]);
        let count = topology.functions().len();
        let bar = |index: usize| {
            let space = [Space::Io, Space::Memory32, Space::Memory64][index % 3];
            let size = if space == Space::Io { 16 } else { 1 << log2[index] };
            let address = if index == 4 { garbage.hash(topology.functions()[0].address, 0) } else { 0 };
            let address = u64::from(address) & !(size - 1);
            Slot::Present(Bar { index: index as u8, space, prefetchable: index < 4, address, size })
        };
        let one = if count > 0 { core::array::from_fn(bar) } else { Default::default() };
        let mut bars = vec![one; count];
        let pci = Range { start: end / 2, end };
        let window = HostWindow { pci, cpu: 0, io: false, prefetchable: false };
        let io = HostWindow { pci: Range { start: 0, end: 1 << 16 }, cpu: 0, io: true, prefetchable: false };
        let host = Host { segment: 0, windows: vec![window, io], exact };
        let notes = assign(&mut garbage, &topology, &mut bars, &host);
        // Nothing takes what is written, but by chance.
        let placed = notes.iter().filter(|note| matches!(note, Note::Placed { .. })).count();
        prop_assert!(placed <= count * 6);
    }

    #[test]
    fn enumeration_ends(seed: u64, shape in shapes(), first: u8, last: u8, segment in 0u16..2) {
        let mut garbage = Garbage::new(seed, shape);
        let ranges = [BusRange { segment, first, last }, BusRange { segment: 0, first: 0, last: 255 }];
        let topology = enumerate(&mut garbage, &ranges);
        makes_sense(&topology, &ranges);
        // Two segments of 65,536 functions with 50 reads each, and numbering, would be more.
        prop_assert!(garbage.accesses.get() < 20_000_000, "{}", garbage.accesses.get());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_function_of_garbage_is_handled(seed: u64, shape in shapes(), bus: u8, offset: u16, value: u32) {
        let mut garbage = Garbage::new(seed, shape);
        let range = BusRange { segment: 0, first: bus, last: bus };
        let topology = enumerate(&mut garbage, &[range]);
        for function in topology.functions().iter().take(8) {
            prop_assert!(capabilities(&garbage, function.address).count() <= 49);
            let bars = bars::probe(&mut garbage, function);
            for bar in bars::present(&bars) {
                prop_assert!(bar.size.is_power_of_two() && bar.address % bar.size == 0);
            }
            for at in (0..0x120).step_by(4).chain([offset]) {
                if let Ok(msi) = Msi::read(&garbage, function.address, at) {
                    let pair = Pair { address: 0xfee0_0000, data: 0 };
                    let _ = msi.write(&mut garbage, pair, seed as u8);
                    let _ = msi.set_enabled(&mut garbage, true);
                    let _ = msi.set_masked(&mut garbage, value, true);
                    let _ = (msi.pending(&garbage), msi.pair(&garbage));
                }
                if let Ok(msix) = Msix::read(&garbage, function.address, at, &bars) {
                    msix.set(&mut garbage, true, false);
                }
            }
            for width in [Width::Byte, Width::Word, Width::Dword] {
                if let Some(register) = Register::new(offset % 4096, width) {
                    let _ = policy::read(&garbage, function, register);
                    let written = policy::write(&mut garbage, function, register, value);
                    // Only the command register can be written.
                    let is_command = register.offset() == 4 && width == Width::Word;
                    prop_assert!(written.is_err() || is_command);
                }
            }
            let _ = policy::change_command(&mut garbage, function, Command::all(), Command::empty());
        }
    }

    #[test]
    fn registers_lie_within_the_space(offset: u16) {
        for width in [Width::Byte, Width::Word, Width::Dword] {
            let expected = offset % width.bytes() == 0 && u32::from(offset) + u32::from(width.bytes()) <= 4096;
            prop_assert_eq!(Register::new(offset, width).is_some(), expected);
        }
    }

    #[test]
    fn ecam_offsets_lie_within_the_range(id: u16, first: u8, last: u8, offset in 0u16..4096) {
        let segment = Segment { base: 0xb000_0000, segment: 0, first_bus: first, last_bus: last.max(first) };
        let function = FunctionAddress { segment: 0, id: pci_core::RequesterId::from_bits(id) };
        let register = Register::new(offset & !3, Width::Dword).unwrap();
        match ecam_offset(&segment, function, register) {
            Some(at) => prop_assert!(at + 4 <= segment.bytes()),
            None => prop_assert!(!(first..=segment.last_bus).contains(&function.bus())),
        }
    }

    #[test]
    fn any_control_is_decoded_or_refused(bits: u16) {
        if let Ok(control) = msi::Control::decode(bits) {
            prop_assert_eq!(msi::Control::decode(control.encode()), Ok(control));
        }
    }
}

/// PCIe §7.2.2, by hand: 01:02.3, register 0x44 → 0x100000 | 2 << 15 | 3 << 12 | 0x44.
#[test]
fn ecam_by_hand() {
    let segment = Segment { base: 0xb000_0000, segment: 0, first_bus: 0, last_bus: 255 };
    let function = FunctionAddress::new(1, 2, 3).unwrap();
    let register = Register::new(0x44, Width::Dword).unwrap();
    assert_eq!(ecam_offset(&segment, function, register), Some(0x11_3044));
    let later = Segment { first_bus: 1, ..segment };
    assert_eq!(ecam_offset(&later, function, register), Some(0x1_3044));
    let other = FunctionAddress { segment: 1, ..function };
    assert_eq!(ecam_offset(&segment, other, register), None);
}
