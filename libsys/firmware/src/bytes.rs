//! Little-endian reads that cannot go out of bounds. ACPI aligns nothing (§5.2.1), so fields are read byte by byte.

use crate::Error;

/// The `N` bytes at `offset`, or which structure was too short.
pub(crate) fn array<const N: usize>(
    bytes: &[u8],
    offset: usize,
    what: &'static str,
) -> Result<[u8; N], Error> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(Error::Truncated {
        what,
        needed: offset.saturating_add(N),
        available: bytes.len(),
    })
}

pub(crate) fn u8_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u8, Error> {
    array::<1>(bytes, offset, what).map(|[b]| b)
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u16, Error> {
    array(bytes, offset, what).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u32, Error> {
    array(bytes, offset, what).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize, what: &'static str) -> Result<u64, Error> {
    array(bytes, offset, what).map(u64::from_le_bytes)
}

/// ACPI's checksum: the sum of all bytes modulo 256, zero for an intact table.
pub(crate) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
