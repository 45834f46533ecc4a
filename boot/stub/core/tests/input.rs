//! The structures of PVH and ACPI that the stub reads, against bytes written by hand; and the last
//! lines that it prints.

use boot_stub_core::bundle::BundleError;
use boot_stub_core::cpio::{CpioError, Damage};
use boot_stub_core::elf::{ElfError, Machine};
use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::Reach;
use boot_stub_core::pc::rsdp;
use boot_stub_core::pc::start_info::{MapEntry, Module, SIZE, StartInfo, StartInfoError};
use boot_stub_core::requests::RequestError;
use boot_stub_core::tree::TreeDamage;
use proptest::prelude::*;

/// A start info of version 1: every byte of every field its own value.
fn start_info() -> [u8; SIZE] {
    let mut bytes: [u8; SIZE] = std::array::from_fn(|index| index as u8);
    bytes[..8].copy_from_slice(&[0x78, 0xc5, 0x6e, 0x33, 1, 0, 0, 0]);
    bytes
}

#[test]
fn reads_the_start_info() {
    let expected = StartInfo {
        modules: 0x0f0e_0d0c,
        module_list: 0x1716_1514_1312_1110,
        command_line: 0x1f1e_1d1c_1b1a_1918,
        rsdp: 0x2726_2524_2322_2120,
        memory_map: 0x2f2e_2d2c_2b2a_2928,
        memory_map_entries: 0x3332_3130,
    };
    assert_eq!(StartInfo::decode(&start_info()), Ok(expected));
    let mut bytes = start_info();
    bytes[0] = 0;
    assert_eq!(StartInfo::decode(&bytes), Err(StartInfoError::BadMagic));
    let mut bytes = start_info();
    bytes[4] = 0;
    assert_eq!(StartInfo::decode(&bytes), Err(StartInfoError::NoMemoryMapVersion));
    // Newer versions only add to the end.
    bytes[4] = 9;
    assert!(StartInfo::decode(&bytes).is_ok());
}

#[test]
fn reads_list_entries() {
    let module = Module::decode(&std::array::from_fn(|index| index as u8));
    assert_eq!(module, Module { base: 0x0706_0504_0302_0100, size: 0x0f0e_0d0c_0b0a_0908 });
    let entry = MapEntry::decode(&std::array::from_fn(|index| index as u8));
    let expected =
        MapEntry { base: 0x0706_0504_0302_0100, size: 0x0f0e_0d0c_0b0a_0908, kind: 0x1312_1110 };
    assert_eq!(entry, expected);
}

/// Signature, checksum, "BOCHS ", revision 0, RSDT at 0x0ffe2bd4. The bytes without the checksum
/// add up to 0x5ba, so the checksum is 0x46.
const RSDP: [u8; 20] = *b"RSD PTR \x46BOCHS \0\xd4\x2b\xfe\x0f";

#[test]
fn finds_the_root_pointer_on_16_byte_boundaries() {
    let sum = RSDP.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    assert_eq!(sum, 0, "checksum should be {:#x}", RSDP[8].wrapping_sub(sum));
    let mut area = [0; 256];
    assert_eq!(rsdp::find(&area), None);
    area[40..60].copy_from_slice(&RSDP);
    assert_eq!(rsdp::find(&area), None);
    area[96..116].copy_from_slice(&RSDP);
    assert_eq!(rsdp::find(&area), Some(96));
    area[100] ^= 1;
    assert_eq!(rsdp::find(&area), None);
    area[236..256].copy_from_slice(&RSDP);
    area[240..].copy_from_slice(&RSDP[..16]);
    assert_eq!(rsdp::find(&area), None);
}

#[test]
fn every_last_line_is_one_line_and_says_what_to_do() {
    let all = [
        (Fatal::NoStartInfo, "-kernel"),
        (Fatal::NoMemoryMap, "SeaBIOS"),
        (Fatal::NoTree, "booti"),
        (Fatal::TreeTooLong, "2 MiB"),
        (Fatal::Tree(TreeDamage { offset: 64, what: "it is cut" }), "it is cut (byte 0x40"),
        (Fatal::BadProperty("/memory"), "about /memory that"),
        (Fatal::NoMemoryNode, "device_type"),
        (Fatal::NoSmallPages, "use another"),
        (Fatal::MemoryMapTooLong, "256"),
        (Fatal::BadAddress, "virtual machine monitor"),
        (Fatal::CommandLineTooLong, "-append"),
        (Fatal::NoModules, "(-initrd)"),
        (Fatal::BundleOutOfMemory { base: 0x1000, size: 5 }, "(0x1000, 5 bytes)"),
        (Fatal::BundleOverStub, "-m"),
        (Fatal::Bundle(BundleError::NoKernel), "make it again"),
        (
            BundleError::Archive(CpioError { offset: 77, damage: Damage::DataCut }).into(),
            "truncated), entry at byte 77; make it again",
        ),
        (Fatal::Bundle(BundleError::TooManyModules), "64"),
        (Fatal::Kernel(ElfError::NotElf), "not an ELF file"),
        (Fatal::Kernel(ElfError::WrongMachine(Machine::Aarch64)), "ELF file for aarch64"),
        (Fatal::Requests(RequestError::Duplicate), "twice"),
        (Fatal::TooLittleMemory { needed: 4097, free: 4095, reach: Reach::PC }, "5 KiB are needed"),
        (Fatal::Internal("x"), "report"),
    ];
    for (fatal, hint) in all {
        let line = fatal.to_string();
        assert!(line.contains(hint), "{line}");
        assert!(!line.contains('\n') && !line.contains("  "), "{line}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0..9_usize) {
        let mut bytes = bytes;
        let _ = rsdp::find(&bytes);
        bytes.splice(0..at.min(bytes.len()), b"RSD PTR ".iter().copied());
        let _ = rsdp::find(&bytes);
    }
}
