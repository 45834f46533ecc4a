//! Every decoder is total: truncated and random bytes give an answer, never a panic, and every iterator ends.

mod common;

use common::{Memory, fix_checksum, hex, q35};
use proptest::prelude::*;
use tocsin_firmware::{Blob, Dmar, Hpet, Ivrs, Madt, Mcfg, RequesterId, Root, Signature, blob};

/// Gives the bytes to all views and walks all their iterators. The bound: each step takes at least one byte.
fn look_at(bytes: &[u8]) {
    let bound = bytes.len() + 1;
    if let Ok(madt) = Madt::parse(bytes) {
        assert!(madt.entries().count() <= bound);
        assert!(madt.processors().count() + madt.io_apics().count() <= bound);
        let _ = (madt.local_apic_address(), madt.has_8259());
        let wired = tocsin_firmware::wiring::IoApics::of(&madt);
        assert!(wired.good().count() + wired.bad().count() <= madt.io_apics().count());
        let _ = (0..=255).filter(|source| madt.isa_line(*source).is_ok()).count();
    }
    if let Ok(mcfg) = Mcfg::parse(bytes) {
        assert!(mcfg.segments().count() <= bound);
        for segment in mcfg.segments().flatten() {
            assert!(segment.first_address().checked_add(segment.bytes()).is_some());
        }
    }
    if let Ok(dmar) = Dmar::parse(bytes) {
        assert!(dmar.structures().count() <= bound);
        for unit in dmar.drhds() {
            assert!(unit.scopes().count() <= bound);
            let _ = unit.io_apic_source(0, |bridge| Some(bridge.bus()));
            for scope in unit.scopes().flatten() {
                let _ = scope.resolve(|bridge| Some(bridge.bus()));
                let _ = dmar.unit_of(
                    unit.segment,
                    scope.requester_id().unwrap_or(tocsin_firmware::RequesterId::from_bits(0)),
                    |bridge| Some((bridge.bus(), 255)),
                );
            }
        }
    }
    if let Ok(ivrs) = Ivrs::parse(bytes) {
        assert!(ivrs.blocks().count() <= bound);
        for unit in ivrs.units() {
            assert!(unit.entries().count() <= bound);
            let device = RequesterId::from_bits(0x0100);
            let _ = (unit.covers(device), unit.arrives_as(device), unit.io_apic_source(0));
            assert!(
                unit.register_base
                    .checked_add(tocsin_firmware::ivrs::Ivhd::REGISTER_BYTES)
                    .is_some()
            );
        }
    }
    let _ = Hpet::parse(bytes);
    if let Ok(blob) = Blob::parse(bytes) {
        assert!(blob.tables().count() <= bound);
        let _ = blob.find(Signature::MADT, 3);
    }
}

/// A table of this kind around the bytes, with right length and checksum, so that the views see the body.
fn wrapped(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    common::table(signature, body)
}

#[test]
fn every_prefix_of_a_good_table_is_refused() {
    for digits in [q35::MADT, q35::MCFG, q35::DMAR, q35::HPET, q35::IVRS] {
        let bytes = hex(digits);
        for length in 0..bytes.len() {
            let short = &bytes[..length];
            assert!(tocsin_firmware::Table::parse(short).is_err());
            look_at(short);
        }
    }
}

#[test]
fn every_shortened_table_with_a_right_header_is_walked() {
    for digits in [q35::MADT, q35::MCFG, q35::DMAR, q35::HPET, q35::IVRS] {
        let bytes = hex(digits);
        for length in 36..bytes.len() {
            let mut short = bytes[..length].to_vec();
            short[4..8].copy_from_slice(&(length as u32).to_le_bytes());
            fix_checksum(&mut short, 9);
            look_at(&short);
        }
    }
}

proptest! {
    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        look_at(&bytes);
    }

    #[test]
    fn random_bodies(
        kind in 0usize..5,
        body in proptest::collection::vec(prop_oneof![Just(0u8), 0u8..20, any::<u8>()], 0..300),
    ) {
        look_at(&wrapped([b"APIC", b"MCFG", b"DMAR", b"HPET", b"IVRS"][kind], &body));
    }

    #[test]
    fn flipped_bits_in_good_tables(
        kind in 0usize..5,
        flips in proptest::collection::vec((36usize..200, any::<u8>()), 1..8),
    ) {
        let mut bytes = hex([q35::MADT, q35::MCFG, q35::DMAR, q35::HPET, q35::IVRS][kind]);
        let length = bytes.len();
        for (at, with) in flips {
            bytes[36 + (at - 36) % (length - 36)] ^= with;
        }
        fix_checksum(&mut bytes, 9);
        look_at(&bytes);
    }

    #[test]
    fn random_blobs(
        count in 0u32..300,
        tail in proptest::collection::vec(prop_oneof![Just(0u8), 0u8..64, any::<u8>()], 0..300),
    ) {
        let mut bytes = b"TOCSACPI\x01\0\0\0".to_vec();
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&tail);
        look_at(&bytes);
    }

    /// Random memory behind a valid RSDP, with a root table whose checksum is right.
    #[test]
    fn random_memory(
        pointers in proptest::collection::vec(prop_oneof![0x1000u64..0x3000, any::<u64>()], 0..20),
        mut bytes in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0x2000..0x2001),
    ) {
        let pointers: Vec<u8> = pointers.iter().flat_map(|p| p.to_le_bytes()).collect();
        // Lengths of random headers are mostly absurd; make every 64th header plausible.
        for header in bytes.chunks_mut(64) {
            header[6] = 0;
            header[7] = 0;
        }
        let mut memory = Memory { base: 0x1000, bytes };
        memory.put(0x1000, &common::rsdp_v2(0, 0x1100));
        memory.put(0x1100, &wrapped(b"XSDT", &pointers));
        let root = Root::read(&memory, 0x1000).unwrap();
        let mut out = vec![0; blob::size(&memory, &root)];
        if let Ok(gathered) = blob::gather(&memory, &root, &mut out) {
            prop_assert!(gathered.bytes <= out.len());
            prop_assert_eq!(Blob::parse(&out).unwrap().tables().count(), gathered.tables + 1);
        }
    }
}
