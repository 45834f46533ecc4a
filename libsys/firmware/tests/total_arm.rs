//! Arm's views are total: truncated, damaged and random input gives an answer, never a panic, and every walk ends.

mod common;

use common::acpi::{iort, iort_group, iort_node, iort_root, memory, virt as tables};
use common::tree::virt;
use common::{fix_checksum, table};
use proptest::prelude::*;
use tocsin_firmware::arm::{Console, Platform};
use tocsin_firmware::pci_host::{DeviceIds, Hosts, Pin, Pins};
use tocsin_firmware::{Fadt, Gtdt, Iort, Madt, Polarity, RequesterId, Root, Spcr};

/// Reads a tree in all ways and checks what every answer promises.
fn look_at_tree(blob: &[u8]) {
    let console = Console::from_device_tree(blob);
    if let Ok(platform) = Platform::from_device_tree(blob) {
        let place = |console: &Console| (console.kind, console.range);
        assert_eq!(console.as_ref().map(place), platform.console.as_ref().map(place));
        check(&platform);
    }
    if let Ok(found) = Hosts::from_device_tree(blob) {
        for host in &found.hosts {
            assert!(host.segment.first_address().checked_add(host.segment.bytes()).is_some());
            for window in &host.windows {
                assert!(window.size > 0);
                assert!(window.pci.checked_add(window.size).is_some());
                assert!(window.cpu.checked_add(window.size).is_some());
            }
            for requester in [0, 0x108, 0xffff] {
                let _ = found.ids.map(host.segment.segment, requester);
            }
            look_at_pins(blob, host.segment.segment);
        }
    }
}

/// Whatever the map says, a line is one that a GIC can take from a device.
fn look_at_pins(blob: &[u8], segment: u16) {
    let Ok(pins) = Pins::from_device_tree(blob) else { return };
    let id = RequesterId::from_bits;
    for way in [&[][..], &[id(0x08)], &[id(0x10), id(0x0100)], &[id(0x1f), id(0x100), id(0x208)]] {
        for pin in Pin::ALL {
            if let Ok(line) = pins.line(segment, way, pin) {
                assert!((32..1020).contains(&line.number) || (4096..5120).contains(&line.number));
                assert_eq!(line.polarity, Polarity::High);
            }
        }
    }
}

fn check(platform: &Platform) {
    let gic = &platform.gic;
    let redistributors = gic.redistributors.iter().map(|region| region.range);
    let its = gic.its.iter().map(|its| its.range);
    let console = platform.console.iter().map(|console| console.range);
    for range in redistributors.chain(its).chain(console).chain([gic.distributor]) {
        assert!(range.size > 0 && range.base.checked_add(range.size).is_some());
    }
    assert!((16..32).contains(&platform.virtual_timer));
    assert!(platform.cpus.iter().any(|cpu| cpu.enabled));
    assert!(platform.cpu_count >= platform.cpus.len());
}

fn look_at_tables(tables: &[Vec<u8>]) {
    let memory = memory(tables);
    let root = Root::read(&memory, 0x1000).unwrap();
    let console = Console::from_acpi(&memory, &root);
    if let Ok(platform) = Platform::from_acpi(&memory, &root) {
        assert_eq!(console, platform.console);
        check(&platform);
    }
    for bytes in tables {
        let _ = (Fadt::parse(bytes), Gtdt::parse(bytes), Spcr::parse(bytes));
        look_at_iort(bytes);
    }
}

fn look_at_iort(bytes: &[u8]) {
    let Ok(iort) = Iort::parse(bytes) else { return };
    let bound = bytes.len() / 16 + 1;
    assert!(iort.nodes().count() <= bound);
    for node in iort.nodes().flatten() {
        assert!(node.mappings().count() <= bytes.len() / 20 + 1);
        let _ = (iort.to_its(&node, 0), iort.to_its(&node, u32::MAX));
        let _ = (node.segment(), node.its_ids().map(Iterator::count));
    }
    let madt = &tables()[1];
    let ids = DeviceIds::from_acpi(&Madt::parse(madt).unwrap(), iort);
    let _ = (ids.map(0, 0), ids.map(0xffff, 0xffff));
}

/// An IORT with all kinds of nodes.
fn some_iort() -> Vec<u8> {
    let smmu = iort_node(4, &[0; 52], &[[0, 0xffff, 0, 48, 0], [0, 0, 9, 48, 1]]);
    let root = iort_root(0, &[[0, 0xff, 0, 72, 0], [0x100, 0xfeff, 0x100, 48, 0]]);
    iort(&[iort_group(&[0]), smmu, root])
}

#[test]
fn truncated_tables() {
    let mut all = tables();
    all.push(some_iort());
    for whole in 0..all.len() {
        for length in 36..all[whole].len() {
            let mut short = all.clone();
            short[whole].truncate(length);
            short[whole][4..8].copy_from_slice(&(length as u32).to_le_bytes());
            fix_checksum(&mut short[whole], 9);
            look_at_tables(&short);
        }
    }
}

/// Values that mean something somewhere.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(0xff), 0u8..16, any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_trees(changes in prop::collection::vec((any::<prop::sample::Index>(), byte()), 1..8)) {
        let mut blob = virt().blob();
        for (at, value) in changes {
            let at = at.index(blob.len());
            blob[at] = value;
        }
        look_at_tree(&blob);
    }

    /// As above, in the structure block only, so that most of the trees still open.
    #[test]
    fn odd_values(changes in prop::collection::vec((any::<prop::sample::Index>(), byte()), 1..4)) {
        let blob = virt().blob();
        let mut changed = blob.clone();
        // Property values come in numbers of cells: change bytes that are not tokens, lengths or names.
        let values: Vec<usize> = value_offsets(&blob);
        for (at, value) in changes {
            changed[values[at.index(values.len())]] = value;
        }
        look_at_tree(&changed);
    }

    #[test]
    fn damaged_tables(
        which in 0usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), byte()), 1..8),
    ) {
        let mut all = tables();
        all.push(some_iort());
        for (at, value) in changes {
            let at = 36 + at.index(all[which].len() - 36);
            all[which][at] = value;
        }
        fix_checksum(&mut all[which], 9);
        look_at_tables(&all);
    }

    #[test]
    fn random_bodies(
        kind in 0usize..5,
        body in prop::collection::vec(byte(), 0..300),
    ) {
        look_at_tables(&[table([b"APIC", b"FACP", b"GTDT", b"SPCR", b"IORT"][kind], &body)]);
    }
}

/// Offsets of all bytes that are in a property's value.
fn value_offsets(blob: &[u8]) -> Vec<usize> {
    let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap()) as usize;
    let mut at = word(8);
    let mut offsets = Vec::new();
    loop {
        match word(at) {
            1 => {
                let name = blob[at + 4..].iter().position(|byte| *byte == 0).unwrap();
                at = (at + 4 + name + 1).next_multiple_of(4);
            }
            3 => {
                let length = word(at + 4);
                offsets.extend(at + 12..at + 12 + length);
                at = (at + 12 + length).next_multiple_of(4);
            }
            2 => at += 4,
            _ => return offsets,
        }
    }
}
