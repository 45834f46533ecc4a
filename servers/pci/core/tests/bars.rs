//! BARs: decode, size, leave as it was; and which may be given away.

use pci_core::{
    BusRange, ConfigExt, FunctionAddress,
    bars::{self, Bar, BarFault, Bars, Slot, Space},
    enumerate,
    fake::{ConfigModel, FunctionModel},
    placement::{Conflict, Placement, Range},
};

const ALL: BusRange = BusRange { segment: 0, first: 0, last: 255 };
const COMMAND: u16 = 4;

fn address() -> FunctionAddress {
    FunctionAddress::new(0, 1, 0).unwrap()
}

/// The BARs of a function whose firmware has enabled everything; checks that nothing has changed.
fn probe(model: FunctionModel) -> Bars {
    let mut machine = ConfigModel::new();
    let index = machine.add(0, 1, 0, model.raw(COMMAND, &[0x07, 0x01]));
    let before = machine.model(index).clone();
    let topology = enumerate(&mut machine, &[ALL]);
    let bars = bars::probe(&mut machine, topology.function(address()).unwrap());
    assert_eq!(machine.model(index), &before, "left as it was");
    assert!(!machine.sized_while_decoding());
    bars
}

fn endpoint() -> FunctionModel {
    FunctionModel::endpoint(1, 2)
}

#[test]
fn all_kinds() {
    let bars = probe(endpoint().io(0, 0xc100, 0x100).memory32(1, 0xfea0_0000, 0x400).memory64(
        2,
        0x38_0000_0000,
        1 << 34,
    ));
    let io = Bar { index: 0, space: Space::Io, prefetchable: false, address: 0xc100, size: 0x100 };
    assert_eq!(bars[0], Slot::Present(io));
    let memory = Bar {
        index: 1,
        space: Space::Memory32,
        prefetchable: false,
        address: 0xfea0_0000,
        size: 0x400,
    };
    assert_eq!(bars[1], Slot::Present(memory));
    let wide = Bar {
        index: 2,
        space: Space::Memory64,
        prefetchable: true,
        address: 0x38_0000_0000,
        size: 1 << 34,
    };
    assert_eq!(bars[2], Slot::Present(wide));
    assert_eq!(bars[3..], [Slot::UpperHalf, Slot::Absent, Slot::Absent]);
    assert_eq!(bars::present(&bars).count(), 3);
}

#[test]
fn without_an_address_it_has_still_a_size() {
    let bars = probe(endpoint().memory32(0, 0, 1 << 20).memory64(4, 0, 1 << 12));
    let found: Vec<_> = bars::present(&bars).map(|bar| (bar.size, bar.is_assigned())).collect();
    assert_eq!(found, [(1 << 20, false), (1 << 12, false)]);
}

#[test]
fn the_smallest_and_the_largest() {
    let bars = probe(endpoint().io(0, 4, 4).memory32(1, 16, 16).memory32(2, 1 << 31, 1 << 31));
    let sizes: Vec<_> = bars::present(&bars).map(|bar| bar.size).collect();
    assert_eq!(sizes, [4, 16, 1 << 31]);
}

#[test]
fn what_is_no_bar() {
    // A 64-bit BAR in the last register; memory types 01 and 11; bits that are stuck; flags alone.
    let with = |at: u16, value: u32| probe(endpoint().raw(at, &value.to_le_bytes()));
    assert_eq!(with(0x24, 0xc)[5], Slot::Broken(BarFault::NoUpperHalf));
    assert_eq!(with(0x10, 0x2)[0], Slot::Broken(BarFault::ReservedType));
    assert_eq!(with(0x10, 0x6)[0], Slot::Broken(BarFault::ReservedType));
    assert_eq!(with(0x10, 0x10_5000)[0], Slot::Broken(BarFault::BadSize));
    assert_eq!(with(0x10, 0x8)[0], Slot::Broken(BarFault::BadSize));
    assert_eq!(with(0x10, 0x1)[0], Slot::Broken(BarFault::BadSize));
    // A 64-bit BAR that is broken keeps its upper half from being taken for a BAR.
    let bars = with(0x10, 0x4);
    assert_eq!(bars[..2], [Slot::Broken(BarFault::BadSize), Slot::UpperHalf]);
    // An address that is no multiple of the size: bit 16 is stuck below a size of 1 MiB.
    let bars = probe(endpoint().memory32(0, 0xfea0_0000, 1 << 20).raw(0x12, &[0xa1]));
    assert_eq!(bars[0], Slot::Broken(BarFault::BadSize));
}

#[test]
fn a_bridge_has_two_and_unknown_headers_none() {
    let bars = probe(FunctionModel::bridge(0, 9, 9).memory64(0, 0xfe00_0000, 1 << 12));
    assert_eq!(bars::present(&bars).count(), 1);
    assert_eq!(bars[2], Slot::Absent, "bus numbers are no BAR");
    assert_eq!(probe(endpoint().memory32(0, 0, 64).header_type(5)), Bars::default());
    assert_eq!(probe(endpoint().memory32(0, 0, 64).header_type(2)), Bars::default());
}

#[test]
fn a_host_bridge_goes_on_decoding() {
    let mut machine = ConfigModel::new();
    machine.add(0, 1, 0, endpoint().class([6, 0, 0]).raw(COMMAND, &[6, 0]));
    let topology = enumerate(&mut machine, &[ALL]);
    let before = machine.writes(address());
    bars::probe(&mut machine, topology.function(address()).unwrap());
    assert_eq!(machine.read16(address(), COMMAND), 6);
    assert!(machine.writes(address()) > before);
}

#[test]
fn a_page_is_given_to_one_function() {
    let bar = |address, size| Bar {
        index: 0,
        space: Space::Memory32,
        prefetchable: false,
        address,
        size,
    };
    let other = FunctionAddress::new(0, 2, 0).unwrap();
    let small = bar(0xfea0_0400, 0x400);
    let mut placement = Placement::new();
    placement.add(address(), &small);
    let pages = Range { start: 0xfea0_0000, end: 0xfea0_1000 };
    assert_eq!(placement.check(address(), &small), Ok(pages));
    assert_eq!(pages.size(), 4096);
    // Its own second BAR in the same page is no conflict; another function's is, for both.
    placement.add(address(), &bar(0xfea0_0800, 0x100));
    assert_eq!(placement.check(address(), &small), Ok(pages));
    let neighbour = bar(0xfea0_0000, 0x100);
    placement.add(other, &neighbour);
    assert_eq!(placement.check(address(), &small), Err(Conflict::Shared { with: other }));
    assert_eq!(placement.check(other, &neighbour), Err(Conflict::Shared { with: address() }));
    // Next page: no conflict.
    assert!(placement.check(other, &bar(0xfea0_1000, 0x1000)).is_ok());
    // Over the VT-d unit.
    let range = Range::new(0xfed9_0000, 0x1000);
    placement.reserve(range);
    assert_eq!(
        placement.check(other, &bar(0xfed0_0000, 1 << 20)),
        Err(Conflict::Reserved { range })
    );
    assert_eq!(placement.check(other, &bar(0, 64)), Err(Conflict::Unassigned));
    let ports = Bar { space: Space::Io, ..bar(0xc000, 64) };
    assert_eq!(placement.check(other, &ports), Err(Conflict::NotMemory));
    // At the end of the address space nothing overflows.
    let last = Bar { space: Space::Memory64, ..bar(!0xfff, 0x1000) };
    assert!(placement.check(other, &last).is_ok());
}
