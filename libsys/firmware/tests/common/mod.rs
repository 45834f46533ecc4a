//! What the tests of this crate share: memory to read from, tables to put there.
#![allow(dead_code, reason = "each test binary uses a part of these helpers")]

pub mod acpi;
pub mod tree;

use tocsin_firmware::{PhysReader, Unreadable};

/// Physical memory that begins at an address and ends; all else is unreadable.
pub struct Memory {
    pub base: u64,
    pub bytes: Vec<u8>,
}

impl PhysReader for Memory {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        let start = address.checked_sub(self.base).ok_or(Unreadable)? as usize;
        let end = start.checked_add(into.len()).ok_or(Unreadable)?;
        into.copy_from_slice(self.bytes.get(start..end).ok_or(Unreadable)?);
        Ok(())
    }
}

impl Memory {
    pub fn new(base: u64, bytes: usize) -> Self {
        Self { base, bytes: vec![0; bytes] }
    }

    pub fn put(&mut self, address: u64, bytes: &[u8]) {
        let start = (address - self.base) as usize;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

/// A table with a right length and checksum around `body`.
pub fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = vec![0; 36];
    table[..4].copy_from_slice(signature);
    table[8] = 1;
    table[10..16].copy_from_slice(b"TOCSIN");
    table.extend_from_slice(body);
    let length = table.len() as u32;
    table[4..8].copy_from_slice(&length.to_le_bytes());
    fix_checksum(&mut table, 9);
    table
}

/// Makes the bytes add up to zero by changing the one at `at`.
pub fn fix_checksum(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes[at] = sum.wrapping_neg();
}

/// An ACPI 2.0 RSDP.
pub fn rsdp_v2(rsdt: u32, xsdt: u64) -> Vec<u8> {
    let mut rsdp = rsdp_v1(rsdt);
    rsdp[15] = 2;
    fix_checksum(&mut rsdp, 8);
    rsdp.extend_from_slice(&36u32.to_le_bytes());
    rsdp.extend_from_slice(&xsdt.to_le_bytes());
    rsdp.extend_from_slice(&[0; 4]);
    fix_checksum(&mut rsdp, 32);
    rsdp
}

/// An ACPI 1.0 RSDP.
pub fn rsdp_v1(rsdt: u32) -> Vec<u8> {
    let mut rsdp = b"RSD PTR \0TOCSIN\0".to_vec();
    rsdp.extend_from_slice(&rsdt.to_le_bytes());
    fix_checksum(&mut rsdp, 8);
    rsdp
}

/// Bytes from hexadecimal digits.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Tables as QEMU 7.2 puts them in memory with `-M q35 -smp 2 -device intel-iommu,intremap=on`, a root port at 00:02.0
/// and three other devices on bus 0.
pub mod q35 {
    pub const MADT: &str = "41504943800000000177424f4348532042585043202020200100000042585043010000000000e0fe01000000
        0008000001000000 0008010101000000 010c00000000c0fe00000000 020a0000020000000000 020a0005050000000d00
        020a0009090000000d00 020a000a0a0000000d00 020a000b0b0000000d00 0406ff000001";
    pub const MCFG: &str =
        "4d4346473c000000018c424f4348532042585043202020200100000042585043010000000000000000000000
        000000b000000000 0000 00 ff 00000000";
    pub const DMAR: &str = "444d41528000000001f0424f4348532042585043202020200100000042585043010000002601000000000000
        00000000 000050000000 0000 0000d9fe00000000 03080000 00ff 0000 01080000 0000 0000 01080000 0000 0100
        02080000 0000 0200 01080000 0000 0300 01080000 0000 1f00 01080000 0000 1f02 01080000 0000 1f03";
    pub const HPET: &str =
        "485045543800000001b4424f4348532042585043202020200100000042585043010000000 1a28680
        00 00 00 00 0000d0fe00000000 00 0000 00";
    /// With `-device amd-iommu,intremap=on` instead: root ports at 00:05.0 and 00:06.0, bus 1 behind the first, a bridge
    /// to plain PCI (bus 3) behind the second.
    pub const IVRS: &str = "495652539400000001b6424f4348532042585043202020200100000042585043010000000028000000000000
        00000000 10d16400 1800 4000 0000d8fe00000000 0000 0000 44000000 02000000 02080000 02100000 02180000
        02200000 02280000 02300000 03000100 04ff0100 02380000 02000200 43000300 00000300 04ff0300 02f80000
        02fa0000 02fb0000 48000000 00a00001";
}
